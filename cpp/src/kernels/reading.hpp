// How kernels come by the rows of a segment, and how they add to a gradient: shared by all that read dense rows.
#pragma once

#include <type_traits>

#include "level.hpp"
#include "steepest/simd_narrow.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

using Index = std::int64_t;

template <class T>
using Vector = Simd<T, lanes<T>>;

template <class T, bool Gathered>
struct RowReader {
  const T* first;
  const std::uint32_t* offset;
  Index stride;

  RowReader(const DenseRows<T>& rows, const Segment& segment)
      : first(rows.data + segment.begin * rows.row_stride), offset(segment.offset), stride(rows.row_stride) {}

  STEEPEST_INLINE static constexpr bool gathers() { return Gathered; }
  STEEPEST_INLINE const T* operator()(Index i) const { return first + (Gathered ? Index(offset[i]) : i) * stride; }
  /// The same rows from another on.
  STEEPEST_INLINE RowReader from(Index i) const {
    RowReader shifted = *this;
    if constexpr (Gathered)
      shifted.offset += i;
    else
      shifted.first += i * stride;
    return shifted;
  }
};

template <class T, class S>
STEEPEST_INLINE Vector<T> load_as(const S* from) {
  if constexpr (std::is_same_v<T, S>)
    return Vector<T>::load(from);
  else
    return widened<T, lanes<T>>(from);
}

/// The first `count` of a register's numbers, zeros behind them.
template <class T, class S>
STEEPEST_INLINE Vector<T> load_first_as(const S* from, Index count) {
  if constexpr (std::is_same_v<T, S>)
    return Vector<T>::load_first(from, count);
  else
    return widened_first<T, lanes<T>>(from, count);
}

/// The last `count` numbers of a row that ends at `end`, in the last lanes behind zeros.
template <class T, class S>
STEEPEST_INLINE Vector<T> load_last_as(const S* end, Index count) {
  if constexpr (std::is_same_v<T, S>)
    return Vector<T>::load_last(end, count);
  else
    return widened_last<T, lanes<T>>(end, count);
}

/// Register K of a row of as many as `Registers`, the last of which may be partial: then it ends with the row. One that begins
/// where the one before ends would reach into the next row, and wait for it.
template <int K, int Registers, class T, class S>
STEEPEST_INLINE Vector<T> part_of(const S* row, Index last) {
  if constexpr (K < Registers - 1)
    return load_as<T>(row + K * lanes<T>);
  else if constexpr (Registers == 1)
    return load_first_as<T>(row, last);
  else
    return load_last_as<T>(row + K * lanes<T> + last, last);
}
/// Stores that register where part_of() would load it from.
template <int K, int Registers, class T>
STEEPEST_INLINE void store_part(Vector<T> part, T* row, Index last) {
  if constexpr (K < Registers - 1)
    part.store(row + K * lanes<T>);
  else if constexpr (Registers == 1)
    part.store_first(row, last);
  else
    part.store_last(row + K * lanes<T> + last, last);
}

/// Rows wait for memory, not for arithmetic: ask for a row some rows before it is needed. The second-level cache
/// is asked, because it can have three times as many lines on their way as the first.
constexpr Index prefetch_rows = 64;
/// How far ahead rows are asked for that are only copied: nothing is computed meanwhile, and so many lines on their way are all
/// that there is room for.
constexpr Index copied_rows_ahead(Index row_bytes) {
  constexpr Index lines = 128, least = 24, most = 96;
  const Index rows = lines / (row_bytes / 64 + 1);
  return rows < least ? least : rows > most ? most : rows;
}
/// Single numbers in runs go by several times as fast as rows do, while the memory takes as long.
constexpr Index prefetch_run_rows = 1024;

STEEPEST_INLINE void prefetch_bytes(const void* first, Index bytes) {
  const char* byte = static_cast<const char*>(first);
  for (Index at = 0; at < bytes; at += 64) __builtin_prefetch(byte + at, 0, 2);
  __builtin_prefetch(byte + bytes - 1, 0, 2);  // a row may begin anywhere in a line
}

/// A row of so many lines.
template <int Lines, class S>
STEEPEST_INLINE void prefetch_lines(const S* row, Index last) {
  // A plain loop: a lambda that does nothing but this has no effect in a compiler's eyes, and calls of it are left out.
  for (int k = 0; k < Lines; ++k) __builtin_prefetch(row + k * (64 / Index(sizeof(S))), 0, 2);
  __builtin_prefetch(row + last, 0, 2);  // a row may begin anywhere in a line
}

/// Asks for the rows behind those of a segment, evenly over both passes through it, one for every two rows: the second pass
/// reads from the cache, and would leave the memory idle.
template <int Lines, class Reader>
class Lookout {
 public:
  STEEPEST_INLINE Lookout(const Reader& row, Index features, const Segment& segment)
      : row_(row), last_(features - 1), half_((segment.count + 1) / 2),
        far_((prefetch_rows + segment.count - 1) / (segment.count ? segment.count : 1) * segment.count),
        reachable_(segment.count + segment.ahead), segment_(segment) {}

  STEEPEST_INLINE void first_pass(Index i) const { ask(far_ + i / 2); }
  STEEPEST_INLINE void second_pass(Index i) const { ask(far_ + half_ + i / 2); }

 private:
  STEEPEST_INLINE void ask(Index i) const {
    if (i < reachable_) prefetch_lines<Lines>(row_(segment_.soon(i)), last_);
  }

  const Reader& row_;
  Index last_, half_, far_, reachable_;
  const Segment& segment_;
};

/// Where no rows are to be asked for.
struct NoRequests {
  STEEPEST_INLINE void step(Index) const {}
};

/// Asks for rows as a group of the segment's own begins: short ones that may lie anywhere whole, a segment ahead, half of them in
/// each pass; of long ones that the hardware's prefetcher is to follow the beginning. Others go by faster where requests are spread
/// between the steps.
template <class Reader>
class WideLookout {
 public:
  STEEPEST_INLINE WideLookout(const Reader& row, Index features, const Segment& segment)
      : row_(row), segment_(segment), reachable_(segment.ahead ? segment.count + segment.ahead : 0) {
    const Index whole = features * Index(sizeof(*row(0)));
    long_ = whole > longest_short_row;
    if (!long_ && segment.count > 0) far_ = (far_ + segment.count - 1) / segment.count * segment.count;
    if (long_)
      bytes_ = segment.sparing ? begun_bytes : 0;
    else
      bytes_ = segment.scattered ? whole : 0;
  }

  /// Whether requests are to be spread instead.
  STEEPEST_INLINE bool spread() const { return reachable_ > 0 && bytes_ == 0; }
  STEEPEST_INLINE void first_pass(Index i, Index rows) const { ask(i, i + (long_ ? rows : rows / 2)); }
  STEEPEST_INLINE void second_pass(Index i, Index rows) const {
    if (!long_) ask(i + rows / 2, i + rows);
  }

 private:
  static constexpr Index begun_bytes = 256;

  STEEPEST_INLINE void ask(Index from, Index to) const {
    for (Index i = from + far_; i < to + far_ && i < reachable_; ++i) prefetch_bytes(row_(segment_.soon(i)), bytes_);
  }

  const Reader& row_;
  const Segment& segment_;
  Index reachable_, bytes_, far_ = 32;
  bool long_;
};

/// As many offsets as T fit a register.
template <class T>
struct Offsets {
  typedef std::uint32_t Native __attribute__((vector_size(lanes<T> * sizeof(std::uint32_t))));
};

/// How far `lanes<T>` rows are from following the first in memory.
template <class T>
STEEPEST_INLINE typename Offsets<T>::Native apart_from_runs(const std::uint32_t* offset) {
  constexpr int N = lanes<T>;
  typename Offsets<T>::Native given, step;
  __builtin_memcpy(&given, offset, sizeof(given));
  for (int k = 0; k < N; ++k) step[k] = std::uint32_t(k);
  return given - step - offset[0];
}

/// Whether `lanes<T>` rows follow one another in memory.
template <class T>
STEEPEST_INLINE bool consecutive(const std::uint32_t* offset) {
  return all_zero(apart_from_runs<T>(offset));
}

/// A register of numbers at the offsets, in one load where they follow one another.
template <class T>
STEEPEST_INLINE Vector<T> load_at(const T* from, const std::uint32_t* offset, bool together) {
  constexpr int N = lanes<T>;
  if (together) return Vector<T>::load(from + offset[0]);
  Vector<T> result;
  for (int k = 0; k < N; ++k) result.v[k] = from[offset[k]];
  return result;
}

template <class T>
T sum(const T* numbers, Index count) {
  constexpr int N = lanes<T>;
  Vector<T> even(0.0), odd(0.0);
  Index i = 0;
  for (; i + 2 * N <= count; i += 2 * N) {
    even = even + Vector<T>::load(numbers + i);
    odd = odd + Vector<T>::load(numbers + i + N);
  }
  T total = (even + odd).sum();
  for (; i < count; ++i) total += numbers[i];
  return total;
}

template <class T>
STEEPEST_INLINE void add_to(T* gradient, Vector<T> sum) {
  (Vector<T>::load(gradient) + sum).store(gradient);
}

}  // namespace
}  // namespace steepest::STEEPEST_LEVEL
