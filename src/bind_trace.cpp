// Functions recorded once, and their losses as sums over rows.
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "bind.hpp"
#include "sparse_arrays.hpp"
#include "steepest/tape.hpp"
#include "sums.hpp"
#include "tensors.hpp"

namespace py = pybind11;
using namespace steepest;

namespace {

using Index = std::int64_t;
using Tensor = Handle<Variable>;

/// A trace as a context: recording begins on entering it.
struct Recorder {
  explicit Recorder(bool narrow) : trace(narrow ? Number::f32 : Number::f64) {}
  Trace trace;
  std::optional<Trace::Scope> scope;
};

/// The value alone and the value with its gradient.
struct Programs {
  std::shared_ptr<const Program> value, gradient;
  Number number;
};

Result result_of(const std::string& name) {
  if (name == "row_losses") return Result::row_losses;
  if (name == "batch_loss") return Result::batch_loss;
  if (name == "plain_value") return Result::plain_value;
  throw py::value_error("no result is called " + name);
}

Programs compile(Recorder& recorder, const Variable& root, const std::string& kind, bool weighted) {
  const Result result = result_of(kind);
  Ref loss = root.node();
  if (result == Result::row_losses) {
    loss = row_losses_of(recorder.trace, loss);
  } else if (loss->shape.count() != 1 || loss->shape.has_rows()) {
    throw py::value_error("one number must be returned; the shape is " + loss->shape.text());
  }
  Programs programs;
  programs.number = recorder.trace.number();
  // A weight becomes the last row input, behind the data.
  if (weighted) recorder.trace.rows({});
  programs.gradient = std::make_shared<const Program>(recorder.trace, loss, result, weighted, true);
  programs.value = std::make_shared<const Program>(recorder.trace, loss, result, weighted, false);
  return programs;
}

/// The operations of some steps with the slots they read and write, for those who want to see what is left to do.
py::list names_of(const std::vector<Step>& steps) {
  py::list result;
  for (const Step& step : steps) {
    std::string name(op_specs()[std::size_t(step.op)].name);
    if (step.kind == Step::Kind::predict) name = "predict";
    if (step.kind == Step::Kind::slope) name = "slope";
    if (step.kind == Step::Kind::scores) name = "scores";
    if (step.kind == Step::Kind::weights) name = "weights";
    if (step.kind == Step::Kind::product) name = "product";
    py::list inputs;
    for (int k = 0; k < step.inputs; ++k) inputs.append(step.in[k]);
    result.append(py::make_tuple(name, inputs, step.add_to >= 0 ? step.add_to : step.out));
  }
  return result;
}

template <class T>
RowInput<T> view_of(const py::object& given, Index rows) {
  if (is_sparse(given)) return RowInput<T>(sparse_rows<T>(given, rows));
  const auto array = py::cast<py::array>(given);
  if (array.ndim() == 2) return dense_rows<T>(array, rows);
  const Storage storage = storage_of(array.dtype());
  const auto item = Index(array.itemsize());
  if (array.ndim() < 1 || array.shape(0) != rows || array.strides(0) % item ||
      (storage == Storage::same && !array.dtype().equal(py::dtype::of<T>())))
    throw std::invalid_argument(
        "a row input is an aligned array of the dtype of the trace or a narrow one, as long as the others");
  Index features = 1;
  for (Index axis = 1; axis < array.ndim(); ++axis) features *= array.shape(axis);
  const Index stride = rows == 1 ? features : array.strides(0) / item;
  if (storage != Storage::same) return DenseRows<T>{nullptr, rows, features, stride, 1, array.data(), storage};
  return DenseRows<T>{static_cast<const T*>(array.data()), rows, features, stride, 1};
}

template <class T>
SumHandle<T> traced_sum(const Programs& programs, const py::list& arrays, double mean_weight, Index penalised) {
  typename TracedSum<T>::Data data;
  data.penalised = penalised;
  data.mean_weight = mean_weight;
  data.rows = py::len(arrays) ? Index(py::len(arrays[0])) : 0;
  for (const py::handle array : arrays)
    data.inputs.push_back(view_of<T>(py::reinterpret_borrow<py::object>(array), data.rows));
  return {std::make_unique<TracedSum<T>>(programs.value, programs.gradient, std::move(data)), arrays};
}

/// A value and its gradient by parameters alone, called again and again.
template <class T>
class Compiled {
 public:
  explicit Compiled(const Programs& programs)
      : value_(programs.value, 1), gradient_(programs.gradient, 1), parameters_(programs.gradient->parameters()) {}

  double value(Contiguous<T> x) {
    check(x);
    return value_.run({}, {0, nullptr, 1}, x.data(), nullptr);
  }

  py::tuple value_and_gradient(Contiguous<T> x) {
    check(x);
    py::array_t<T> gradient(parameters_);
    std::fill_n(gradient.mutable_data(), parameters_, T(0));
    const double value = gradient_.run({}, {0, nullptr, 1}, x.data(), gradient.mutable_data());
    return py::make_tuple(value, gradient);
  }

  std::string fault(Contiguous<T> x) { return gradient_.first_fault({}, {0, nullptr, 1}, x.data()); }

 private:
  void check(const Contiguous<T>& x) const {
    if (x.size() != parameters_)
      throw std::invalid_argument("x has " + std::to_string(x.size()) + " numbers, the function " +
                                  std::to_string(parameters_));
  }

  Tape<T> value_, gradient_;
  Index parameters_;
};

template <class T>
void bind_for(py::module_& m, const std::string& suffix) {
  py::class_<SumHandle<T>>(m, ("Sum" + suffix).c_str());
  m.def(("traced_sum" + suffix).c_str(), &traced_sum<T>, py::arg(), py::arg(), py::arg(), py::arg("penalised") = -1);
  py::class_<Compiled<T>>(m, ("Compiled" + suffix).c_str())
      .def(py::init<const Programs&>())
      .def("value", &Compiled<T>::value)
      .def("value_and_gradient", &Compiled<T>::value_and_gradient)
      .def("fault", &Compiled<T>::fault);
}

}  // namespace

void bind_trace(py::module_& m) {
  py::class_<Recorder>(m, "Trace")
      .def(py::init<bool>())
      .def("__enter__",
           [](py::object self) {
             auto& recorder = py::cast<Recorder&>(self);
             recorder.scope.emplace(recorder.trace);
             return self;
           })
      .def("__exit__", [](Recorder& recorder, const py::args&) { recorder.scope.reset(); })
      .def("parameter",
           [](Recorder& recorder, py::handle shape) { return tensor_of(recorder.trace.parameter(shape_from(shape))); })
      .def("rows",
           [](Recorder& recorder, py::handle inner) { return tensor_of(recorder.trace.rows(shape_from(inner))); })
      .def("compile", &compile);
  m.def("mask", [](const Variable& like, double rate) {
    const Shape& shape = like.node()->shape;
    if (shape.axes == 0 || shape[0] != any_rows)
      throw py::value_error("a mask drawn for every row needs the rows as axis 0; the shape is " + shape.text());
    return tensor_of(Trace::of(*like.node()).mask(shape, rate));
  });
  m.attr("most_scores") = most_scores;
  py::class_<Programs>(m, "Programs")
      .def_property_readonly("loaded",
                             [](const Programs& programs) {
                               std::vector<bool> loaded;
                               for (std::size_t i = 0; i < programs.value->loaded().size(); ++i)
                                 loaded.push_back(programs.value->loaded()[i] || programs.gradient->loaded()[i] ||
                                                  programs.value->tabled()[i] || programs.gradient->tabled()[i]);
                               return loaded;
                             })
      .def_property_readonly("unused",
                             [](const Programs& programs) {
                               std::vector<int> unused;
                               const auto& slots = programs.gradient->gradients();
                               for (std::size_t i = 0; i < slots.size(); ++i)
                                 if (slots[i] < 0) unused.push_back(int(i));
                               return unused;
                             })
      .def_property_readonly("steps", [](const Programs& programs) {
        const Program& p = *programs.gradient;
        std::vector<Step> per_block = p.per_block();
        per_block.insert(per_block.end(), p.sums().begin(), p.sums().end());
        return py::make_tuple(names_of(p.before()), names_of(per_block), names_of(p.after()));
      });
  bind_for<float>(m, "32");
  bind_for<double>(m, "64");
}
