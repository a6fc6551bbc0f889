// Tensors: numbers that remember what they were computed from.
#include <pybind11/stl.h>

#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "bind.hpp"
#include "steepest/trace.hpp"
#include "tensors.hpp"

namespace py = pybind11;
using namespace steepest;

namespace {

using Index = std::int64_t;
using Tensor = Handle<Variable>;

PyTypeObject* tensor_type = nullptr;

const char* name_of(Number number) { return number == Number::f64 ? "float64" : "float32"; }

py::dtype dtype_of(Number number) { return number == Number::f64 ? py::dtype::of<double>() : py::dtype::of<float>(); }

[[noreturn]] void refuse_traced(const char* what) {
  throw py::type_error(
      std::string(what) +
      " of a traced tensor: its value is not known while the function is traced, and one branch would be "
      "taken for all rows; use steepest.where(condition, a, b), maximum or minimum");
}

double number_of(const Variable& v, const char* what) {
  if (v.node()->traced()) refuse_traced(what);
  if (v.node()->shape.count() != 1)
    throw py::value_error(std::string(what) + " takes a tensor of one number; the shape is " + v.node()->shape.text());
  return v.node()->item();
}

Ref required(py::handle object, Number like) {
  Ref node = operand(object, like);
  if (!node)
    throw py::type_error("a tensor, a number or an array is needed, not " + py::repr(object).cast<std::string>());
  return node;
}

/// The number type that tensors (and floating arrays) among some arguments agree on.
Number common(std::initializer_list<py::handle> objects) {
  for (const py::handle object : objects)
    if (const Variable* v = tensor_in(object)) return v->node()->number;
  for (const py::handle object : objects)
    if (py::isinstance<py::array_t<float>>(object)) return Number::f32;
  return Number::f64;
}

py::object not_implemented() { return py::reinterpret_borrow<py::object>(Py_NotImplemented); }

using Binary = Ref (*)(const Ref&, const Ref&);
Ref add(const Ref& a, const Ref& b) { return a + b; }
Ref subtract(const Ref& a, const Ref& b) { return a - b; }
Ref multiply(const Ref& a, const Ref& b) { return a * b; }
Ref divide(const Ref& a, const Ref& b) { return a / b; }

py::object binary(const Variable& self, py::handle other, Binary f, bool swapped) {
  const Ref node = operand(other, self.node()->number);
  if (!node) return not_implemented();
  return py::cast(tensor_of(swapped ? f(node, self.node()) : f(self.node(), node)));
}

void def_binary(py::class_<Variable, Tensor>& cls, const char* name, const char* reversed, const char* in_place,
                Binary f) {
  cls.def(name, [f](const Variable& a, py::handle b) { return binary(a, b, f, false); });
  cls.def(reversed, [f](const Variable& a, py::handle b) { return binary(a, b, f, true); });
  if (in_place)
    cls.def(in_place, [f](py::object self, py::handle other) -> py::object {
      Variable& v = *tensor_in(self);
      const Ref node = operand(other, v.node()->number);
      if (!node) return not_implemented();
      const Ref value = f(v.node(), node);
      if (!(value->shape == v.node()->shape))
        throw py::value_error("shape " + v.node()->shape.text() + " changed in place would become " +
                              value->shape.text());
      v.assign(value);
      return self;
    });
}

void def_comparison(py::class_<Variable, Tensor>& cls, const char* name, const char* op) {
  const int position = op_named(op);
  cls.def(name, [position](const Variable& a, py::handle b) -> py::object {
    const Ref node = operand(b, a.node()->number);
    if (!node) return not_implemented();
    const Ref inputs[] = {a.node(), node};
    return py::cast(tensor_of(elementwise(position, inputs)));
  });
}

py::object shape_of(const Variable& v) {
  const Shape& shape = v.node()->shape;
  py::tuple sizes(shape.axes);
  for (int axis = 0; axis < shape.axes; ++axis) {
    if (shape[axis] == any_rows)
      sizes[std::size_t(axis)] = tensor_of(Trace::of(*v.node()).row_count());
    else
      sizes[std::size_t(axis)] = shape[axis];
  }
  return sizes;
}

py::array numpy_of(const Variable& v) {
  const Node& node = *v.node();
  if (node.traced()) refuse_traced("the NumPy array");
  std::vector<py::ssize_t> sizes(node.shape.size.begin(), node.shape.size.begin() + node.shape.axes);
  const void* data = node.data();
  py::object owner;
  if (node.memory) {
    // Nodes never write to memory that others hold, so the array is a snapshot without a copy.
    auto* held = new Handle<Memory>(node.memory);
    owner = py::capsule(held, [](void* p) { delete static_cast<Handle<Memory>*>(p); });
  }
  py::array result(dtype_of(node.number), sizes, data, owner);
  if (node.memory) py::detail::array_proxy(result.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return result;
}

// --- indexing ------------------------------------------------------------------------------------

/// The basic part of an index: whole numbers, slices, None and an ellipsis.
Ref basic_index(const Ref& a, const py::tuple& index) {
  Index start[max_axes], step[max_axes], count[max_axes];
  Shape shape;
  int axis = 0, named = 0;
  for (const py::handle item : index) named += !item.is_none() && !item.is(py::ellipsis());
  if (named > a->shape.axes)
    throw py::index_error("too many indices: the shape is " + a->shape.text() + " and " + std::to_string(named) +
                          " axes are indexed");
  const auto whole = [&](int count_axes) {
    for (int i = 0; i < count_axes; ++i, ++axis) {
      start[axis] = 0, step[axis] = 1, count[axis] = a->shape[axis];
      shape.push(a->shape[axis]);
    }
  };
  for (const py::handle item : index) {
    if (item.is_none()) {
      shape.push(1);
    } else if (item.is(py::ellipsis())) {
      whole(a->shape.axes - named);
    } else if (PySlice_Check(item.ptr())) {
      const Index size = a->shape[axis];
      Py_ssize_t first, last, by;
      if (PySlice_Unpack(item.ptr(), &first, &last, &by) < 0) throw py::error_already_set();
      if (size == any_rows) {
        if (first != 0 || last < PY_SSIZE_T_MAX || by != 1)
          throw py::index_error("the rows of a batch can only be taken whole while a function is traced");
        whole(1);
        continue;
      }
      count[axis] = PySlice_AdjustIndices(size, &first, &last, by);
      start[axis] = first, step[axis] = by;
      shape.push(count[axis]);
      ++axis;
    } else {
      const Index size = a->shape[axis];
      if (size == any_rows) throw py::index_error("a single row of a batch cannot be taken while a function is traced");
      Index at = py::cast<Index>(item);
      if (at < -size || at >= size)
        throw py::index_error("index " + std::to_string(at) + " is out of bounds for an axis of " +
                              std::to_string(size));
      start[axis] = at < 0 ? at + size : at, step[axis] = 1, count[axis] = 1;
      ++axis;
    }
  }
  whole(a->shape.axes - axis);
  const auto axes = std::size_t(a->shape.axes);
  bool all = true;
  for (std::size_t i = 0; i < axes; ++i) all = all && start[i] == 0 && step[i] == 1 && count[i] == a->shape[int(i)];
  return reshape(all ? a : slice(a, {start, axes}, {step, axes}, {count, axes}), shape);
}

bool is_basic(py::handle item) {
  return item.is_none() || item.is(py::ellipsis()) || PySlice_Check(item.ptr()) ||
         (PyIndex_Check(item.ptr()) && !PyBool_Check(item.ptr()) && !tensor_in(item) &&
          !py::isinstance<py::array>(item));
}

Ref index_of(const Ref& a, const py::object& index) {
  const py::tuple items = py::isinstance<py::tuple>(index) ? py::cast<py::tuple>(index) : py::make_tuple(index);
  bool basic = true;
  for (const py::handle item : items) basic = basic && is_basic(item);
  if (basic) return basic_index(a, items);
  if (items.size() != 1)
    throw py::index_error("an array of row numbers can only stand alone: a[numbers], or st.where for masks");
  const py::handle rows = items[0];
  if (const Variable* v = tensor_in(rows); v && v->node()->traced()) return take(a, v->node());
  py::array numbers = py::array::ensure(rows);
  if (!numbers) throw py::error_already_set();
  if (numbers.dtype().kind() == 'b') {
    if (numbers.ndim() != 1 || numbers.shape(0) != a->shape[0])
      throw py::index_error("a mask must be 1-D and as long as the first axis, " + std::to_string(a->shape[0]));
    numbers = py::array::ensure(py::module_::import("numpy").attr("flatnonzero")(numbers));
  }
  if (numbers.dtype().kind() != 'i' && numbers.dtype().kind() != 'u' && !tensor_in(rows) && numbers.size() > 0)
    throw py::index_error("row numbers must be whole numbers");
  const auto whole = py::array_t<double, py::array::c_style | py::array::forcecast>::ensure(numbers);
  const auto size = a->shape.axes ? double(a->shape[0]) : 0.0;
  for (Index i = 0; i < whole.size(); ++i)
    if (const double at = whole.data()[i]; at < -size || at >= size || at != double(Index(at)))
      throw py::index_error("row number " + py::str(py::float_(at)).cast<std::string>() + " is out of bounds for " +
                            std::to_string(Index(size)) + " rows");
  return take(a, node_from(whole, a->number));
}

// --- functions -----------------------------------------------------------------------------------

std::vector<int> axes_from(const py::object& axis, int axes) {
  std::vector<int> result;
  if (axis.is_none())
    for (int i = 0; i < axes; ++i) result.push_back(i);
  else if (py::isinstance<py::tuple>(axis) || py::isinstance<py::list>(axis))
    for (const py::handle item : axis) result.push_back(py::cast<int>(item));
  else
    result.push_back(py::cast<int>(axis));
  return result;
}

Ref node_of(py::handle object) { return required(object, common({object})); }

/// A shape with any_rows where a size is the traced number of rows, and -1 replaced by what is left.
Shape shape_for(const Ref& a, py::handle sizes) {
  Shape shape;
  int open = -1;
  const auto size_of = [&](py::handle item) -> Index {
    if (const Variable* v = tensor_in(item)) {
      if (v->node()->traced() && v->node() == Trace::of(*v->node()).row_count()) return any_rows;
      return Index(number_of(*v, "a size"));
    }
    const Index size = py::cast<Index>(item);
    if (size != -1) return size;
    if (open >= 0) throw py::value_error("only one size of a shape can be -1");
    open = shape.axes;
    return 1;
  };
  if (PyIndex_Check(sizes.ptr()) || tensor_in(sizes))
    shape.push(size_of(sizes));
  else
    for (const py::handle item : sizes) shape.push(size_of(item));
  if (open >= 0) {
    if (a->shape.has_rows() && !shape.has_rows()) {
      shape[open] = any_rows;
    } else {
      const Index rest = shape.count();
      shape[open] = rest ? a->shape.count() / rest : 0;
    }
  }
  return shape;
}

Tensor apply(int op, const py::args& args) {
  const auto& spec = op_specs()[std::size_t(op)];
  if (int(args.size()) != spec.arity)
    throw py::type_error(std::string(spec.name) + " takes " + std::to_string(spec.arity) + " arguments, not " +
                         std::to_string(args.size()));
  py::handle items[3];
  for (std::size_t k = 0; k < args.size(); ++k) items[k] = args[k];
  const Number like = common({items[0], items[1] ? items[1] : items[0], items[2] ? items[2] : items[0]});
  Ref inputs[3];
  for (std::size_t k = 0; k < args.size(); ++k) inputs[k] = required(items[k], like);
  if (spec.name == "power") return tensor_of(power(inputs[0], inputs[1]));
  return tensor_of(elementwise(op, {inputs, args.size()}));
}

py::tuple grad(const Variable& output, const std::vector<Tensor>& inputs, py::object seed, bool create_graph,
               bool allow_unused) {
  const Ref& end = output.node();
  std::vector<Ref> nodes;
  for (const Tensor& input : inputs) {
    if (!input->node()->needs_gradient) throw std::runtime_error("an input of grad() does not require a gradient");
    nodes.push_back(input->node());
  }
  if (!end->needs_gradient) throw std::runtime_error("nothing that the output was computed from requires a gradient");
  const Recording recorded(create_graph);
  const std::vector<Ref> found =
      gradients(end, checked_seed(end, seed.is_none() ? Ref() : required(seed, end->number)), nodes);
  py::tuple result(found.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!found[i] && !allow_unused)
      throw std::runtime_error("the output does not depend on input " + std::to_string(i) +
                               " of grad(); allow_unused=True gives None for it");
    result[i] = found[i] ? py::cast(tensor_of(alias(found[i]))) : py::none();
  }
  return result;
}

/// The graph behind a tensor: (operation or None, places of the inputs, tensor, gradient or None), inputs first.
py::list nodes(const Variable& end, bool with_gradients) {
  const Ref& root = end.node();
  const std::vector<Node*> order = topological_order({&root, 1}, false);
  std::vector<Ref> refs, found(order.size());
  std::unordered_map<const Node*, std::size_t> place;
  for (Node* node : order) {
    place[node] = refs.size();
    refs.emplace_back(node);
  }
  if (with_gradients && root->needs_gradient) {
    const Recording off(false);
    found = gradients(root, checked_seed(root, {}), refs);
  }
  py::list result;
  for (std::size_t i = 0; i < refs.size(); ++i) {
    const Node& node = *refs[i];
    py::list inputs;
    for (int k = 0; k < node.inputs; ++k) inputs.append(place[node.input[k].get()]);
    py::object name = py::none();
    if (node.op != leaf) name = py::cast(std::string(op_specs()[std::size_t(node.op)].name));
    if (node.op != leaf && op_specs()[std::size_t(node.op)].name == "whole_power")
      name = py::cast("power " + std::to_string(node.option));
    result.append(py::make_tuple(name, inputs, tensor_of(refs[i]),
                                 found[i] ? py::cast(tensor_of(found[i])) : py::object(py::none())));
  }
  return result;
}

void bind_tensor(py::module_& m) {
  py::class_<Variable, Tensor> cls(m, "Tensor");
  tensor_type = reinterpret_cast<PyTypeObject*>(cls.ptr());
  def_binary(cls, "__add__", "__radd__", "__iadd__", &add);
  def_binary(cls, "__sub__", "__rsub__", "__isub__", &subtract);
  def_binary(cls, "__mul__", "__rmul__", "__imul__", &multiply);
  def_binary(cls, "__truediv__", "__rtruediv__", "__itruediv__", &divide);
  def_binary(cls, "__pow__", "__rpow__", nullptr, &power);
  def_binary(cls, "__matmul__", "__rmatmul__", nullptr, &matmul);
  def_comparison(cls, "__lt__", "less");
  def_comparison(cls, "__le__", "less_equal");
  def_comparison(cls, "__gt__", "greater");
  def_comparison(cls, "__ge__", "greater_equal");
  def_comparison(cls, "__eq__", "equal");
  def_comparison(cls, "__ne__", "not_equal");
  cls.attr("__hash__") = py::module_::import("builtins").attr("object").attr("__hash__");
  cls.def("__neg__", [](const Variable& v) { return tensor_of(-v.node()); })
      .def("__abs__", [](const Variable& v) { return tensor_of(abs(v.node())); })
      .def("__getitem__",
           [](const Variable& v, const py::object& index) { return tensor_of(index_of(v.node(), index)); })
      .def("__len__",
           [](const Variable& v) -> Index {
             if (v.node()->shape.axes == 0) throw py::type_error("a tensor of one number has no length");
             if (v.node()->shape[0] == any_rows) refuse_traced("the length");
             return v.node()->shape[0];
           })
      .def("__bool__", [](const Variable& v) { return number_of(v, "bool()") != 0; })
      .def("__float__", [](const Variable& v) { return number_of(v, "float()"); })
      .def("__int__", [](const Variable& v) { return py::int_(py::float_(number_of(v, "int()"))); })
      .def("item", [](const Variable& v) { return number_of(v, "item()"); })
      .def("numpy", &numpy_of)
      .def_property_readonly("shape", &shape_of)
      .def_property_readonly("ndim", [](const Variable& v) { return v.node()->shape.axes; })
      .def_property_readonly("size",
                             [](const Variable& v) -> Index {
                               if (v.node()->shape.has_rows()) refuse_traced("the size");
                               return v.node()->shape.count();
                             })
      .def_property_readonly("dtype", [](const Variable& v) { return dtype_of(v.node()->number); })
      .def_property_readonly("_node", [](const Variable& v) { return std::uintptr_t(v.node().get()); })
      .def_property_readonly("traced", [](const Variable& v) { return v.node()->traced(); })
      .def_property_readonly("is_leaf", &Variable::is_leaf)
      .def_property(
          "requires_grad", [](const Variable& v) { return v.node()->needs_gradient; }, &Variable::require_gradient)
      .def_property(
          "grad", [](const Variable& v) { return v.gradient(); },
          [](Variable& v, const Tensor& gradient) {
            if (gradient && !(gradient->node()->shape == v.node()->shape))
              throw py::value_error("the gradient of shape " + v.node()->shape.text() + " cannot have shape " +
                                    gradient->node()->shape.text());
            v.set_gradient(gradient);
          })
      .def("detach",
           [](const Variable& v) {
             return tensor_of(v.node()->traced() ? Trace::of(*v.node()).cut(v.node()) : detached(v.node()));
           })
      .def("zero_",
           [](py::object self) {
             Variable& v = *tensor_in(self);
             const Ref zero = constant(0.0, v.node()->number);
             v.assign(v.node()->shape.axes ? broadcast_to(zero, v.node()->shape) : zero);
             return self;
           })
      .def("assign",
           [](Variable& v, py::handle value) {
             v.assign(broadcast_to(required(value, v.node()->number), v.node()->shape));
           })
      .def(
          "backward",
          [](Variable& v, const py::object& gradient, const py::object& retain_graph, bool create_graph) {
            const bool keep = retain_graph.is_none() ? create_graph : py::cast<bool>(retain_graph);
            v.backward(gradient.is_none() ? Ref() : required(gradient, v.node()->number), keep, create_graph);
          },
          py::arg("gradient") = py::none(), py::arg("retain_graph") = py::none(), py::arg("create_graph") = false);
}

}  // namespace

Variable* tensor_in(py::handle object) {
  return PyObject_TypeCheck(object.ptr(), tensor_type) ? py::cast<Variable*>(object) : nullptr;
}

Tensor tensor_of(Ref node) { return Tensor(new Variable(std::move(node))); }

Ref node_from(const py::object& data, Number number) {
  const auto fill = [&](auto zero) -> Ref {
    using T = decltype(zero);
    const auto numbers = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(data);
    if (!numbers) throw py::error_already_set();
    Shape shape;
    for (Index axis = 0; axis < numbers.ndim(); ++axis) shape.push(numbers.shape(axis));
    Ref node = array(shape, number);
    void* to = shape.count() == 1 ? node->single : node->memory->data();
    std::memcpy(to, numbers.data(), std::size_t(numbers.size()) * sizeof(T));
    return node;
  };
  return number == Number::f64 ? fill(0.0) : fill(0.0f);
}

Ref operand(py::handle object, Number like) {
  if (const Variable* v = tensor_in(object)) {
    if (v->node()->number != like)
      throw py::type_error(std::string("tensors of float32 and float64 meet; convert one with .astype(") +
                           name_of(like) + ")");
    return v->node();
  }
  if (PyFloat_Check(object.ptr())) return constant(PyFloat_AS_DOUBLE(object.ptr()), like);
  if (PyLong_Check(object.ptr())) {
    const double value = PyLong_AsDouble(object.ptr());
    if (value == -1.0 && PyErr_Occurred()) throw py::error_already_set();
    return constant(value, like);
  }
  const bool is_array = py::isinstance<py::array>(object);
  if (!is_array && !PyList_Check(object.ptr()) && !PyTuple_Check(object.ptr()) && !py::hasattr(object, "__array__"))
    return {};
  const py::array numbers = py::array::ensure(object);
  if (!numbers) throw py::error_already_set();
  const char kind = numbers.dtype().kind();
  if (kind != 'f' && kind != 'i' && kind != 'u' && kind != 'b') return {};
  if (is_array && kind == 'f' && numbers.ndim() > 0 && !numbers.dtype().equal(dtype_of(like)))
    throw py::type_error("an array of " + py::str(numbers.dtype()).cast<std::string>() + " meets a tensor of " +
                         name_of(like) + "; convert one with .astype(...)");
  return node_from(numbers, like);
}

Shape shape_from(py::handle sizes) {
  Shape shape;
  for (const py::handle size : sizes) shape.push(py::cast<Index>(size));
  return shape;
}

void bind_graph(py::module_& m) {
  bind_tensor(m);
  m.def("set_recording", [](bool on) {
    const bool before = recording();
    set_recording(on);
    return before;
  });
  m.def("recording", &recording);
  m.def("watch", &watch);
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const UndefinedValue& undefined) {
      PyErr_SetString(PyExc_FloatingPointError, undefined.what());
    }
  });
  m.def("live_nodes", &live_nodes);
  m.def("nodes", &nodes);
  m.def("ops", [] {
    py::list list;
    for (const OpSpec& spec : op_specs()) {
      py::dict d;
      d["name"] = std::string(spec.name);
      d["formula"] = std::string(spec.formula);
      d["arity"] = spec.arity;
      d["elementwise"] = spec.loops == Loops::elementwise;
      d["mask"] = spec.mask;
      list.append(d);
    }
    return list;
  });
  m.def("apply", &apply);
  m.def("as_tensor", [](py::handle object) { return tensor_of(node_of(object)); });
  m.def("new_tensor", [](const py::object& data, bool narrow, bool requires_grad) {
    Tensor t = tensor_of(node_from(data, narrow ? Number::f32 : Number::f64));
    t->require_gradient(requires_grad);
    return t;
  });
  m.def("reduce", [](const std::string& name, py::handle a, const py::object& axis, bool keepdims) {
    const Ref node = node_of(a);
    return tensor_of(reduce(name, node, axes_from(axis, node->shape.axes), keepdims));
  });
  m.def("mean", [](py::handle a, const py::object& axis, bool keepdims) {
    const Ref node = node_of(a);
    const std::vector<int> axes = axes_from(axis, node->shape.axes);
    const Ref total = reduce("sum", node, axes, keepdims);
    double count = 1;
    bool over_rows = false;
    for (const int i : axes) {
      const Index size = node->shape[i < 0 ? i + node->shape.axes : i];
      if (size == any_rows)
        over_rows = true;
      else
        count *= double(size);
    }
    Ref result = count == 1 ? total : total / constant(count, node->number);
    return tensor_of(over_rows ? result / Trace::of(*node).row_count() : result);
  });
  m.def("matmul", [](py::handle a, py::handle b) {
    const Number like = common({a, b});
    return tensor_of(matmul(required(a, like), required(b, like)));
  });
  m.def("transpose", [](py::handle a, const py::object& axes) {
    const Ref node = node_of(a);
    std::vector<int> permutation = axes_from(axes, node->shape.axes);
    if (axes.is_none()) permutation = {permutation.rbegin(), permutation.rend()};
    return tensor_of(transpose(node, permutation));
  });
  m.def("reshape", [](py::handle a, py::handle shape) {
    const Ref node = node_of(a);
    return tensor_of(reshape(node, shape_for(node, shape)));
  });
  m.def("broadcast_to", [](py::handle a, py::handle shape) {
    const Ref node = node_of(a);
    return tensor_of(broadcast_to(node, shape_for(node, shape)));
  });
  m.def("concatenate", [](const std::vector<py::object>& parts, int axis) {
    if (parts.empty()) throw py::value_error("concatenate needs at least one array");
    Number like = common({parts[0]});
    for (const py::object& part : parts)
      if (const Variable* v = tensor_in(part)) like = v->node()->number;
    std::vector<Ref> nodes;
    for (const py::object& part : parts) nodes.push_back(required(part, like));
    return tensor_of(concatenate(nodes, axis));
  });
  m.def("astype", [](const Variable& v, bool narrow) {
    const Number number = narrow ? Number::f32 : Number::f64;
    if (v.node()->number == number) return tensor_of(v.node());
    if (v.node()->needs_gradient && recording())
      throw py::type_error("a tensor that requires a gradient cannot change its dtype; detach() it, or begin with that "
                           "dtype");
    return tensor_of(node_from(numpy_of(v), number));
  });
  m.def("grad", &grad, py::arg("output"), py::arg("inputs"), py::arg("grad_output") = py::none(),
        py::arg("create_graph") = false, py::arg("allow_unused") = false);
}
