// Rows of features, seen but never owned or copied, and which of them a batch visits.
//
// Layout, loss, penalty and update rule meet only at the raw prediction z: rows predict a segment and accumulate a segment,
// whatever lies between. C order is read in place, whether rows come one after the other or in any order; F order is
// read in place along its columns when the rows are consecutive; whatever else is packed, a chunk at a time.
#pragma once

#include <cstdint>

namespace steepest {

/// n rows of d features; strides are counted in elements and may be negative. No features is the constant model z = x[0].
template <class T>
struct DenseRows {
  const T* data = nullptr;
  std::int64_t rows = 0, features = 0, row_stride = 0, column_stride = 1;

  bool constant() const { return data == nullptr; }
  bool row_major() const { return column_stride == 1; }
  bool column_major() const { return row_stride == 1; }
};

/// Some rows in the order they are visited: row i is begin + (offset ? offset[i] : i). 32-bit offsets halve the memory that
/// an order of rows costs; `begin` reaches beyond them. The offsets of `ahead` more rows follow, which will be visited next.
struct Segment {
  std::int64_t begin = 0;
  const std::uint32_t* offset = nullptr;
  std::int64_t count = 0;
  std::int64_t ahead = 0;

  std::int64_t operator[](std::int64_t i) const { return begin + (offset ? std::int64_t(offset[i]) : i); }
  Segment part(std::int64_t from, std::int64_t size) const {
    return offset ? Segment{begin, offset + from, size, count - from - size + ahead}
                  : Segment{begin + from, nullptr, size};
  }
};

}  // namespace steepest
