// Shapes, and the loops of one operation on given shapes.
//
// An operation of the graph knows only shapes; a kernel knows only loops. Between them stands the Geometry, computed once
// for a shape, so that running an operation again costs no more than its arithmetic. A shape that is traced has `any_rows`
// in place of the number of rows of a batch, which is put in when the loops are made.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace steepest {

inline constexpr int max_axes = 6;

/// Stands for as many rows as a batch has.
inline constexpr std::int64_t any_rows = -1;

struct Shape {
  int axes = 0;
  std::array<std::int64_t, max_axes> size;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes) {
    for (const std::int64_t s : sizes) push(s);
  }
  std::int64_t operator[](int axis) const { return size[std::size_t(axis)]; }
  std::int64_t& operator[](int axis) { return size[std::size_t(axis)]; }
  /// Throws std::invalid_argument beyond `max_axes`.
  void push(std::int64_t s);
  bool operator==(const Shape& other) const {
    if (axes != other.axes) return false;
    for (int i = 0; i < axes; ++i)
      if (size[std::size_t(i)] != other[i]) return false;
    return true;
  }
  bool has_rows() const {
    for (int i = 0; i < axes; ++i)
      if (size[std::size_t(i)] == any_rows) return true;
    return false;
  }
  /// The numbers in it; the rows, if any, counted as one.
  std::int64_t count() const {
    std::int64_t product = 1;
    for (int i = 0; i < axes; ++i)
      if (size[std::size_t(i)] != any_rows) product *= size[std::size_t(i)];
    return product;
  }
  /// The same with this many rows.
  Shape with_rows(std::int64_t rows) const;
  /// As Python writes it: (3, 4); B stands for the rows.
  std::string text() const;
};

/// The shape that NumPy's rules give; throws std::invalid_argument naming both where they do not fit.
Shape broadcast(const Shape& a, const Shape& b);

/// What distinguishes two nodes of the same operation, inputs and shape: permutations, starts and steps.
using Detail = std::array<std::int64_t, 2 * max_axes>;

/// Which loops an operation runs.
enum class Loops {
  elementwise,
  reduce,    ///< a group of adjacent axes
  contract,  ///< matrix product, batched
  read,      ///< copies from places in the input: transpose, broadcast, slice
  write,     ///< copies to places in an output of zeros
  take,      ///< rows of a table by their numbers, and the way back
  join,      ///< two arrays one after the other along an axis
  alias,     ///< the same numbers in another shape
};

/// Loops over inputs (0 to 2) and the output (3).
struct Geometry {
  int axes = 0;
  std::array<std::int64_t, max_axes> size;
  std::array<std::array<std::int64_t, max_axes>, 4> stride;
  std::array<std::int64_t, 2> start{};   ///< read, write: the first place in the input and in the output
  std::array<std::int64_t, 3> extent{};  ///< reduce: outer, reduced, inner; contract: m, n, k; take: count, inner, rows
  std::int64_t count = 0;                ///< numbers in the output
};

/// The loops of an operation with this option and detail on shapes without `any_rows`.
Geometry geometry_of(Loops loops, std::int32_t option, const Detail* detail, std::span<const Shape> inputs,
                     const Shape& output);

}  // namespace steepest
