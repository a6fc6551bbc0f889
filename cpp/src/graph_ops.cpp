// Making nodes: shapes are checked and options chosen here, once for numbers and for traces.
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "op_positions.hpp"
#include "steepest/graph.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

template <class Op>
Ref apply(const Ref& a) {
  return elementwise(op_of<Op>, {&a, 1});
}
template <class Op>
Ref apply(const Ref& a, const Ref& b) {
  const Ref inputs[] = {a, b};
  return elementwise(op_of<Op>, inputs);
}

template <class... Os>
constexpr auto specs_of(STEEPEST_LEVEL::OpList<Os...>) {
  return std::array{OpSpec{Os::name, Os::formula, Os::loops, Os::arity, requires { Os::commutative; },
                           requires { Os::mask; }, &Os::template derivative<Ref>}...};
}

/// One group of adjacent axes, [first, end), reduced.
Ref reduce_group(int op, const Ref& a, int first, int end) {
  Shape shape;
  for (int axis = 0; axis < a->shape.axes; ++axis)
    if (axis < first || axis >= end) shape.push(a->shape[axis]);
  return make(op, {&a, 1}, shape, first | end << 4);
}

int checked_axis(int axis, int axes) {
  if (axis < -axes || axis >= axes)
    throw std::invalid_argument("axis " + std::to_string(axis) + " is out of bounds for " + std::to_string(axes) +
                                " axes");
  return axis < 0 ? axis + axes : axis;
}

}  // namespace

std::span<const OpSpec> op_specs() {
  static constexpr auto specs = specs_of(STEEPEST_LEVEL::Ops{});
  return specs;
}

int op_named(std::string_view name) {
  const auto specs = op_specs();
  for (std::size_t i = 0; i < specs.size(); ++i)
    if (specs[i].name == name) return int(i);
  throw std::invalid_argument("no operation is called " + std::string(name));
}

Ref operator+(const Ref& a, const Ref& b) { return apply<operations::Add>(a, b); }
Ref operator-(const Ref& a, const Ref& b) { return apply<operations::Subtract>(a, b); }
Ref operator*(const Ref& a, const Ref& b) { return apply<operations::Multiply>(a, b); }
Ref operator/(const Ref& a, const Ref& b) { return apply<operations::Divide>(a, b); }
Ref operator-(const Ref& a) { return apply<operations::Negative>(a); }
Ref operator+(const Ref& a, double b) { return a + constant(b, a->number); }
Ref operator-(const Ref& a, double b) { return a - constant(b, a->number); }
Ref operator-(double a, const Ref& b) { return constant(a, b->number) - b; }
Ref operator*(double a, const Ref& b) { return a == 1 ? b : constant(a, b->number) * b; }

Ref share(const Ref& a, const Ref& b) { return apply<operations::Share>(a, b); }
Ref equal(const Ref& a, const Ref& b) { return apply<operations::Equal>(a, b); }
Ref where(const Ref& c, const Ref& a, const Ref& b) {
  const Ref inputs[] = {c, a, b};
  return elementwise(op_of<operations::Where>, inputs);
}
Ref abs(const Ref& a) { return apply<operations::Abs>(a); }
Ref sign(const Ref& a) { return apply<operations::Sign>(a); }
Ref exp(const Ref& a) { return apply<operations::Exp>(a); }
Ref log(const Ref& a) { return apply<operations::Log>(a); }
Ref sin(const Ref& a) { return apply<operations::Sin>(a); }
Ref cos(const Ref& a) { return apply<operations::Cos>(a); }
Ref sinh(const Ref& a) { return apply<operations::Sinh>(a); }
Ref cosh(const Ref& a) { return apply<operations::Cosh>(a); }
Ref tanh(const Ref& a) { return apply<operations::Tanh>(a); }
Ref sigmoid(const Ref& a) { return apply<operations::Sigmoid>(a); }
Ref softplus(const Ref& a) { return apply<operations::Softplus>(a); }
Ref log_cosh(const Ref& a) { return apply<operations::LogCosh>(a); }

/// Small whole exponents and square roots are operations of their own: faster, and right for negative bases.
Ref power(const Ref& a, const Ref& b) {
  if (!b->traced() && !b->needs_gradient && b->shape.axes == 0) {
    const double exponent = b->item();
    if (exponent == 0.5) return apply<operations::Sqrt>(a);
    if (std::abs(exponent) <= 64 && exponent == std::floor(exponent)) return whole_power(a, int(exponent));
  }
  return apply<operations::Power>(a, b);
}

Ref whole_power(const Ref& a, int k) {
  if (k == 1) return a;
  return elementwise(op_of<operations::WholePower>, {&a, 1}, k);
}

Ref reduce(std::string_view name, const Ref& a, std::span<const int> axes, bool keepdims) {
  const int op = op_named(name);
  bool reduced[max_axes] = {};
  for (const int axis : axes) {
    bool& flag = reduced[checked_axis(axis, a->shape.axes)];
    if (flag) throw std::invalid_argument("axis " + std::to_string(axis) + " is named twice");
    flag = true;
  }
  Shape kept;
  for (int axis = 0; axis < a->shape.axes; ++axis) {
    if (reduced[axis] && a->shape[axis] == 0 && name != "sum")
      throw std::invalid_argument(std::string(name) + " over no numbers: the shape is " + a->shape.text());
    kept.push(reduced[axis] ? 1 : a->shape[axis]);
  }
  Ref result = a;
  for (int end = a->shape.axes; end > 0; --end) {
    if (!reduced[end - 1]) continue;
    int first = end - 1;
    while (first > 0 && reduced[first - 1]) --first;
    result = reduce_group(op, result, first, end);
    end = first + 1;
  }
  return keepdims ? reshape(result, kept) : result;
}

Ref matmul(const Ref& a, const Ref& b) {
  const int left = a->shape.axes, right = b->shape.axes;
  if (left == 0 || right == 0) throw std::invalid_argument("matmul of a single number; use * instead");
  const Index inner = a->shape[left - 1], other = b->shape[right == 1 ? 0 : right - 2];
  if (inner != other)
    throw std::invalid_argument("matmul of shapes " + a->shape.text() + " and " + b->shape.text() + ": " +
                                Shape{inner}.text().substr(1, Shape{inner}.text().size() - 3) + " columns meet " +
                                Shape{other}.text().substr(1, Shape{other}.text().size() - 3) + " rows");
  const Ref first = left == 1 ? reshape(a, {1, inner}) : a;
  const Ref second = right == 1 ? reshape(b, {inner, 1}) : b;
  const Ref full = product(first, second, false, false);
  if (left > 1 && right > 1) return full;
  Shape shape = full->shape;
  if (right == 1) --shape.axes;
  if (left == 1) {
    if (right > 1) shape[shape.axes - 2] = shape[shape.axes - 1];
    --shape.axes;
  }
  return reshape(full, shape);
}

Ref product(const Ref& a, const Ref& b, bool transpose_a, bool transpose_b) {
  Shape outer_a = a->shape, outer_b = b->shape;
  outer_a.axes -= 2;
  outer_b.axes -= 2;
  Shape shape = broadcast(outer_a, outer_b);
  shape.push(a->shape[a->shape.axes - (transpose_a ? 1 : 2)]);
  shape.push(b->shape[b->shape.axes - (transpose_b ? 2 : 1)]);
  const Ref inputs[] = {a, b};
  return make(op_of<operations::MatMul>, inputs, shape, int(transpose_a) | int(transpose_b) << 1);
}

Ref transpose(const Ref& a, std::span<const int> permutation) {
  const int axes = a->shape.axes;
  Detail detail{};
  Shape shape;
  bool seen[max_axes] = {};
  if (int(permutation.size()) != axes)
    throw std::invalid_argument("transpose of " + std::to_string(axes) +
                                " axes needs as many in its permutation, not " + std::to_string(permutation.size()));
  for (std::size_t i = 0; i < permutation.size(); ++i) {
    const int axis = checked_axis(permutation[i], axes);
    if (std::exchange(seen[axis], true)) throw std::invalid_argument("transpose names an axis twice");
    detail[i] = axis;
    shape.push(a->shape[axis]);
  }
  if (axes < 2) return a;
  return make(op_of<operations::Transpose>, {&a, 1}, shape, 0, &detail);
}

Ref transpose_back(const Ref& g, const Ref& y) {
  int inverse[max_axes];
  for (int axis = 0; axis < y->shape.axes; ++axis) inverse[(*y->detail)[std::size_t(axis)]] = axis;
  return transpose(g, {inverse, std::size_t(y->shape.axes)});
}

Ref reshape(const Ref& a, const Shape& shape) {
  if (a->shape == shape) return a;
  if (a->shape.count() != shape.count() || a->shape.has_rows() != shape.has_rows())
    throw std::invalid_argument("shape " + a->shape.text() + " cannot become " + shape.text());
  return make(op_of<operations::Reshape>, {&a, 1}, shape);
}

Ref broadcast_to(const Ref& a, const Shape& shape) {
  if (a->shape == shape) return a;
  if (!(broadcast(a->shape, shape) == shape))
    throw std::invalid_argument("shape " + a->shape.text() + " does not broadcast to " + shape.text());
  return make(op_of<operations::Broadcast>, {&a, 1}, shape);
}

Ref sum_to(const Ref& a, const Shape& shape) {
  if (a->shape == shape) return a;
  const int missing = a->shape.axes - shape.axes;
  int axes[max_axes], count = 0;
  for (int axis = 0; axis < a->shape.axes; ++axis)
    if (axis < missing || (shape[axis - missing] == 1 && a->shape[axis] != 1)) axes[count++] = axis;
  return reshape(reduce("sum", a, {axes, std::size_t(count)}, false), shape);
}

Ref slice(const Ref& a, std::span<const Index> start, std::span<const Index> step, std::span<const Index> count) {
  Detail detail{};
  Shape shape;
  for (std::size_t i = 0; i < count.size(); ++i) {
    detail[i] = start[i];
    detail[i + max_axes] = step[i];
    shape.push(count[i]);
  }
  return make(op_of<operations::Slice>, {&a, 1}, shape, 1, &detail);
}

Ref embed_like(const Ref& g, const Ref& x, const Ref& y) {
  return make(op_of<operations::Embed>, {&g, 1}, x->shape, 0, y->detail.get());
}

Ref slice_like(const Ref& g, const Ref& x, const Ref& y) {
  return make(op_of<operations::Slice>, {&g, 1}, x->shape, 1, y->detail.get());
}

Ref take(const Ref& table, const Ref& numbers) {
  if (table->shape.axes == 0) throw std::invalid_argument("a single number has no rows to take");
  Shape shape = numbers->shape;
  for (int axis = 1; axis < table->shape.axes; ++axis) shape.push(table->shape[axis]);
  const Ref inputs[] = {table, numbers};
  return make(op_of<operations::Take>, inputs, shape, 0);
}

Ref put(const Ref& a, const Ref& numbers, const Shape& shape) {
  const Ref inputs[] = {a, numbers};
  return make(op_of<operations::Put>, inputs, shape, 1);
}

/// Joined in pairs, so that many parts are copied a few times only.
Ref concatenate(std::span<const Ref> parts, int axis) {
  if (parts.size() == 1) return parts[0];
  const std::size_t half = parts.size() / 2;
  const Ref inputs[] = {concatenate(parts.first(half), axis), concatenate(parts.subspan(half), axis)};
  const Shape &a = inputs[0]->shape, &b = inputs[1]->shape;
  Shape shape = a;
  bool fits = a.axes == b.axes && a.axes > 0;
  const int along = fits ? checked_axis(axis, a.axes) : 0;
  for (int i = 0; fits && i < a.axes; ++i) fits = i == along || a[i] == b[i];
  if (!fits || a[along] == any_rows || b[along] == any_rows)
    throw std::invalid_argument("shapes " + a.text() + " and " + b.text() + " cannot be concatenated along axis " +
                                std::to_string(axis));
  shape[along] = a[along] + b[along];
  return make(op_of<operations::Join>, inputs, shape, along);
}

Ref part_of_join(const Ref& g, const Ref* x, const Ref& y, int i) {
  Index start[max_axes] = {}, step[max_axes];
  std::fill_n(step, max_axes, 1);
  const auto axes = std::size_t(y->shape.axes);
  if (i == 1) start[y->option] = x[0]->shape[y->option];
  return slice(g, {start, axes}, {step, axes}, {x[i]->shape.size.data(), axes});
}

Ref zero_like(const Ref& a) { return constant(0.0, a->number); }

Ref unreduce(const Ref& g, const Ref& x, const Ref& y) {
  Shape kept = x->shape;
  for (int axis = y->option & 15; axis < y->option >> 4; ++axis) kept[axis] = 1;
  return broadcast_to(reshape(g, kept), x->shape);
}

Ref reduce_again(const Ref& a, const Ref& y) {
  return reduce_group(op_of<operations::Sum>, a, y->option & 15, y->option >> 4);
}

}  // namespace steepest
