#include "steepest/geometry.hpp"

#include <algorithm>
#include <stdexcept>

namespace steepest {
namespace {

using Index = std::int64_t;
using Strides = std::array<Index, max_axes>;

Strides strides_of(const Shape& shape) {
  Strides strides{};
  Index stride = 1;
  for (int axis = shape.axes - 1; axis >= 0; --axis) {
    strides[std::size_t(axis)] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/// Strides of `shape` read as `output`: zero along axes that are repeated.
Strides broadcast_strides(const Shape& shape, const Shape& output) {
  const Strides own = strides_of(shape);
  Strides strides{};
  const int missing = output.axes - shape.axes;
  for (int axis = 0; axis < shape.axes; ++axis)
    strides[std::size_t(axis + missing)] = shape[axis] == 1 ? 0 : own[std::size_t(axis)];
  return strides;
}

/// Drops axes of one and merges neighbours that every operand walks as one; the last axis is left with steps of 0 or 1
/// wherever operands are contiguous.
void collapse(Geometry& g, const Shape& shape, int operands) {
  const auto all = g.stride;
  g.axes = 0;
  for (int axis = 0; axis < shape.axes; ++axis) {
    if (shape[axis] == 1) continue;
    const auto from = std::size_t(axis), to = std::size_t(g.axes);
    bool merges = g.axes > 0;
    for (int k = 0; k < 4 && merges; ++k)
      if (k < operands || k == 3) merges = g.stride[std::size_t(k)][to - 1] == all[std::size_t(k)][from] * shape[axis];
    const auto place = merges ? to - 1 : to;
    g.size[place] = merges ? g.size[place] * shape[axis] : shape[axis];
    for (auto k : {0, 1, 2, 3}) g.stride[std::size_t(k)][place] = all[std::size_t(k)][from];
    if (!merges) ++g.axes;
  }
  if (g.axes == 0) {
    g.axes = 1;
    g.size[0] = 1;
    for (auto& strides : g.stride) strides[0] = 1;
  }
}

Index product(const Shape& shape, int from, int to) {
  Index result = 1;
  for (int axis = from; axis < to; ++axis) result *= shape[axis];
  return result;
}

void reduce(Geometry& g, const Shape& in, int first, int end) {
  g.extent = {product(in, 0, first), product(in, first, end), product(in, end, in.axes)};
}

void contract(Geometry& g, std::int32_t option, std::span<const Shape> in, const Shape& out) {
  const bool transposed = option & 1;
  const Shape& a = in[0];
  g.extent = {out[out.axes - 2], out[out.axes - 1], transposed ? a[a.axes - 2] : a[a.axes - 1]};
  Shape batch = out;
  batch.axes -= 2;
  for (std::size_t k = 0; k < 2; ++k) {
    Shape outer = in[k];
    outer.axes -= 2;
    g.stride[k] = broadcast_strides(outer, batch);
    const Index matrix = in[k][in[k].axes - 2] * in[k][in[k].axes - 1];
    for (Index& stride : g.stride[k]) stride *= matrix;
  }
  g.stride[3] = strides_of(batch);
  for (Index& stride : g.stride[3]) stride *= g.extent[0] * g.extent[1];
  collapse(g, batch, 2);
}

void read(Geometry& g, std::int32_t option, const Detail* detail, const Shape& in, const Shape& out) {
  g.stride[3] = strides_of(out);
  if (detail == nullptr) {
    g.stride[0] = broadcast_strides(in, out);
  } else {
    const Strides own = strides_of(in);
    for (int axis = 0; axis < out.axes; ++axis) {
      const auto i = std::size_t(axis);
      if (option == 0) {  // a permutation
        g.stride[0][i] = own[std::size_t((*detail)[i])];
      } else {  // starts and steps
        g.start[0] += (*detail)[i] * own[i];
        g.stride[0][i] = (*detail)[i + max_axes] * own[i];
      }
    }
  }
  collapse(g, out, 1);
}

void write(Geometry& g, const Detail& detail, const Shape& in, const Shape& out) {
  const Strides own = strides_of(out);
  g.stride[0] = strides_of(in);
  for (int axis = 0; axis < in.axes; ++axis) {
    const auto i = std::size_t(axis);
    g.start[1] += detail[i] * own[i];
    g.stride[3][i] = detail[i + max_axes] * own[i];
  }
  collapse(g, in, 1);
}

}  // namespace

void Shape::push(std::int64_t s) {
  if (axes == max_axes) throw std::invalid_argument("at most " + std::to_string(max_axes) + " axes are possible");
  size[std::size_t(axes++)] = s;
}

Shape Shape::with_rows(std::int64_t rows) const {
  Shape result = *this;
  for (int axis = 0; axis < axes; ++axis)
    if (result[axis] == any_rows) result[axis] = rows;
  return result;
}

std::string Shape::text() const {
  std::string result = "(";
  for (int axis = 0; axis < axes; ++axis)
    result +=
        (axis ? ", " : "") + (size[std::size_t(axis)] == any_rows ? "B" : std::to_string(size[std::size_t(axis)]));
  return result + (axes == 1 ? ",)" : ")");
}

Shape broadcast(const Shape& a, const Shape& b) {
  if (a == b || b.axes == 0) return a;
  if (a.axes == 0) return b;
  Shape result = a.axes >= b.axes ? a : b;
  const Shape& other = a.axes >= b.axes ? b : a;
  for (int axis = 1; axis <= other.axes; ++axis) {
    const Index s = other[other.axes - axis];
    Index& size = result[result.axes - axis];
    if (size == 1)
      size = s;
    else if (s != size && s != 1)
      throw std::invalid_argument("shapes " + a.text() + " and " + b.text() + " do not broadcast");
  }
  return result;
}

Geometry geometry_of(Loops loops, std::int32_t option, const Detail* detail, std::span<const Shape> in,
                     const Shape& out) {
  Geometry g;
  g.count = out.count();
  g.stride.fill({});
  switch (loops) {
  case Loops::elementwise:
    for (std::size_t k = 0; k < in.size(); ++k) g.stride[k] = broadcast_strides(in[k], out);
    g.stride[3] = strides_of(out);
    collapse(g, out, int(in.size()));
    break;
  case Loops::reduce:
    reduce(g, in[0], option & 15, option >> 4);
    break;
  case Loops::contract:
    contract(g, option, in, out);
    break;
  case Loops::read:
    read(g, option, detail, in[0], out);
    break;
  case Loops::write:
    write(g, *detail, in[0], out);
    break;
  case Loops::take: {
    // take: (table, numbers) -> rows; put: (rows, numbers) -> table
    const Shape& table = option == 0 ? in[0] : out;
    g.extent = {in[1].count(), product(table, 1, table.axes), table[0]};
    break;
  }
  case Loops::join:
    g.extent = {product(out, 0, option), product(in[0], option, in[0].axes), product(in[1], option, in[1].axes)};
    break;
  case Loops::alias:
    break;
  }
  return g;
}

}  // namespace steepest
