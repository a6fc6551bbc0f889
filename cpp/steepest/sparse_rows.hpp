// Rows of which few features differ from zero, compressed (CSR): seen where they lie, never copied.
//
// Indices are read as they are stored, 32 or 64 bits wide. Repeated columns of a row add up and columns come in any order: the
// kernels only ever sum. What was checked before may be changed by another thread while it is read: kernels keep every
// position and column within its bounds, at the price of a comparison, so that such a run is wrong but does not crash. Where
// nobody has looked at the columns before, the same comparison does: a row with one out of range predicts no number.
#pragma once

#include <cstdint>
#include <string>

#include "steepest/rows.hpp"

namespace steepest {

template <class T>
struct SparseRows {
  const T* data = nullptr;
  const void* indices = nullptr;  ///< the column of each entry
  const void* starts = nullptr;   ///< where each row begins among the entries, and where the last one ends
  bool wide = false;              ///< both of 64 bits instead of 32
  std::int64_t rows = 0, features = 0, entries = 0;
  const void* stored = nullptr;  ///< narrow numbers, instead of `data`: widened on their way
  Storage storage = Storage::same;
  bool doubtful =
      false;  ///< columns may be out of range without anybody's doing: rows that hold such predict no number

  std::int64_t index_bytes() const { return wide ? 8 : 4; }
  /// Of a row, on average, when computed with: how rows are cut must not depend on how they are stored.
  std::int64_t row_bytes() const {
    return std::int64_t(entries_per_row() * double(std::int64_t(sizeof(T)) + index_bytes())) + index_bytes();
  }
  /// What there is one of for each column is near where, as doubles, it takes no more than a megabyte.
  bool far() const { return features * std::int64_t(sizeof(double)) > 1 << 20; }
  double entries_per_row() const { return rows > 0 ? double(entries) / double(rows) : 0; }
};

/// What is wrong with the structure of sparse rows, and where.
struct SparseFault {
  enum class Kind { none, start, order, end, column };
  Kind kind = Kind::none;
  std::int64_t row = 0, value = 0;
};

/// The first fault: starts that are negative, decrease, or reach beyond the entries; of the columns, unless they are null,
/// those out of range.
template <class Index>
SparseFault fault_of(const Index* starts, const Index* indices, std::int64_t rows, std::int64_t features,
                     std::int64_t entries);

/// Where the rows of a segment hold a number that is not finite: " holds NaN, first in row 3, column 5"; doubtful ones also
/// where a column is out of range. Empty where nothing is wrong.
template <class T>
std::string complaint_of(const SparseRows<T>& rows, const Segment& segment);

}  // namespace steepest
