// Rows of features, seen but never owned or copied, and which of them a batch visits.
//
// Layout, loss, penalty and update rule meet only at the raw prediction z: rows predict a segment and accumulate a segment,
// whatever lies between. C order is read in place, whether rows come one after the other or in any order; F order is read
// in place along its columns when the rows are consecutive; whatever else is packed, a chunk at a time. Numbers narrower
// than the computation's are widened a chunk at a time: fewer bytes are the only way past what the memory gives.
#pragma once

#include <cstdint>

namespace steepest {

/// What numbers are stored as, where it is not the type of the computation.
enum class Storage : std::uint8_t { same, u8, i8, u16, i16, f16, bf16 };

constexpr std::int64_t bytes_of(Storage storage) { return storage == Storage::u8 || storage == Storage::i8 ? 1 : 2; }

/// n rows of d features; strides are counted in elements and may be negative. No features is the constant model z = x[0].
/// Rows of narrow numbers have no `data` but `stored`: they are widened, a chunk at a time, before kernels meet them.
template <class T>
struct DenseRows {
  const T* data = nullptr;
  std::int64_t rows = 0, features = 0, row_stride = 0, column_stride = 1;

  const void* stored = nullptr;
  Storage storage = Storage::same;

  bool constant() const { return data == nullptr && stored == nullptr; }
  bool narrow() const { return stored != nullptr; }
  std::int64_t item_bytes() const { return narrow() ? bytes_of(storage) : std::int64_t(sizeof(T)); }
  bool row_major() const { return column_stride == 1; }
  bool column_major() const { return row_stride == 1; }
};

/// Longer rows, in bytes as they are stored, may be left to the hardware's prefetcher once they are begun.
constexpr std::int64_t longest_short_row = 1024;

/// Some rows in the order they are visited: row i is begin + (offset ? offset[i] : i). 32-bit offsets halve the memory that
/// an order of rows costs; `begin` reaches beyond them. `ahead` more rows are visited next, by whoever visits these.
struct Segment {
  std::int64_t begin = 0;
  const std::uint32_t* offset = nullptr;
  std::int64_t count = 0;
  std::int64_t ahead = 0;
  /// Rows may lie anywhere, so that each waits for the memory; others come in runs. The offsets of all rows ahead stay where
  /// they are until these have been visited.
  bool scattered = false;
  /// Where a batch is shared by threads, others' rows follow a share: own ones go on `skip` rows behind its end, which is
  /// `left` rows away, in a share of the next batch that is as long, `own` rows.
  std::int64_t left = 0, skip = 0, own = 1;
  /// Less is asked for ahead: long rows are only begun, and left to the hardware's prefetcher from there, else line by line; what
  /// sparse rows will meet in far columns not at all.
  bool sparing = false;

  static constexpr std::int64_t farthest = std::int64_t(1) << 20;  // nobody looks further ahead

  std::int64_t operator[](std::int64_t i) const { return begin + (offset ? std::int64_t(offset[i]) : i); }
  /// Where among the offsets the row is that will be visited as number i; i may reach beyond the segment, to what is ahead.
  [[gnu::always_inline]] std::int64_t soon(std::int64_t i) const {
    if (skip == 0 || i < left) return i;
    return i + (i - left < own ? skip : (1 + std::uint32_t(i - left) / std::uint32_t(own)) * skip);
  }
  /// Rows that are visited one part after the other.
  Segment part(std::int64_t from, std::int64_t size) const {
    return {offset ? begin : begin + from,
            offset ? offset + from : nullptr,
            size,
            count - from - size + ahead,
            scattered,
            left - from,
            skip,
            own,
            sparing};
  }
  /// Rows that are visited while others visit the other shares, here and in batches to come, of which whole ones count.
  Segment share(std::int64_t from, std::int64_t size) const {
    const std::int64_t batches = count > farthest ? 0 : (ahead < farthest ? ahead : farthest) / count;
    return {offset ? begin : begin + from,
            offset ? offset + from : nullptr,
            size,
            batches * size,
            scattered,
            size,
            count - size,
            size,
            sparing};
  }
};

}  // namespace steepest
