// How kernels come by the rows of a segment, and how they add to a gradient: shared by all that read dense rows.
#pragma once

#include "level.hpp"

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
};

/// Rows wait for memory, not for arithmetic: ask for a row some rows before it is needed. The second-level cache
/// is asked, because it can have three times as many lines on their way as the first.
constexpr Index prefetch_rows = 64;
/// Rows that are only copied: nothing is computed meanwhile, and the lines on their way are all that there is room for.
constexpr Index prefetch_copied_rows = 24;
/// Single numbers in runs go by several times as fast as rows do, while the memory takes as long.
constexpr Index prefetch_run_rows = 512;

template <class T>
STEEPEST_INLINE void prefetch_row(const T* row, Index features) {
  const char* byte = reinterpret_cast<const char*>(row);
  const Index bytes = features * Index(sizeof(T)) < 1024 ? features * Index(sizeof(T)) : 1024;
  for (Index at = 0; at < bytes; at += 64) __builtin_prefetch(byte + at, 0, 2);
  __builtin_prefetch(byte + bytes - 1, 0, 2);  // a row may begin anywhere in a line
}

/// Asks for the rows behind those of a segment, evenly over both passes through it, one for every two rows: the second pass
/// reads from the cache, and would leave the memory idle.
template <class Reader>
class Lookout {
 public:
  STEEPEST_INLINE Lookout(const Reader& row, Index features, const Segment& segment)
      : row_(row), features_(features), half_((segment.count + 1) / 2),
        far_((prefetch_rows + segment.count - 1) / (segment.count ? segment.count : 1) * segment.count),
        reachable_(segment.count + segment.ahead), segment_(segment) {}

  STEEPEST_INLINE void first_pass(Index i) const { ask(far_ + i / 2); }
  STEEPEST_INLINE void second_pass(Index i) const { ask(far_ + half_ + i / 2); }

 private:
  STEEPEST_INLINE void ask(Index i) const {
    if (i < reachable_) prefetch_row(row_(segment_.soon(i)), features_);
  }

  const Reader& row_;
  Index features_, half_, far_, reachable_;
  const Segment& segment_;
};

/// How many of the rows behind a segment are asked for in one walk through it.
STEEPEST_INLINE Index asked_for(const Segment& segment) {
  return segment.ahead < segment.count ? segment.ahead : segment.count;
}

/// Asks for rows behind those of a segment between the steps of other work, evenly: asked for in bursts, lines fill the
/// buffers for lines on their way, and the work waits. Two neighbouring lines of each of 16 rows in turn: so the hardware's
/// prefetcher, which follows every row, has the time to run ahead in it.
template <class T>
class Requests {
 public:
  /// Rows `from` to `to` behind the segment, within so many steps, none of which asks twice.
  STEEPEST_INLINE Requests(const DenseRows<T>& rows, const Segment& segment, Index from, Index to, Index steps)
      : data_(rows.data + segment.begin * rows.row_stride), segment_(segment), row_(segment.count + from),
        end_(segment.count + to), features_(rows.features), stride_(rows.row_stride),
        asks_((to - from) * ((features_ + pair - 1) / pair)), steps_(steps) {
    begin_rows();
  }

  STEEPEST_INLINE void step() {
    due_ += asks_;
    if (due_ < steps_) return;
    due_ -= steps_;
    const Index soon = segment_.soon(row_);
    const T* line = data_ + (segment_.offset ? Index(segment_.offset[soon]) : soon) * stride_ + column_;
    __builtin_prefetch(line, 0, 2);
    __builtin_prefetch(line + pair / 2, 0, 2);
    if (++row_ < stop_) return;
    column_ += pair;
    if (column_ < features_)
      row_ = start_;
    else
      begin_rows();
  }

 private:
  static constexpr Index pair = 128 / Index(sizeof(T)), side_by_side = 16;

  STEEPEST_INLINE void begin_rows() {
    column_ = 0;
    start_ = row_;
    stop_ = end_ - row_ < side_by_side ? end_ : row_ + side_by_side;
    if (row_ == end_) asks_ = 0;
  }

  const T* data_;
  const Segment& segment_;
  Index row_, end_, features_, stride_, asks_, steps_;
  Index due_ = 0, column_ = 0, start_ = 0, stop_ = 0;
};

/// As many offsets as T fit a register.
template <class T>
struct Offsets {
  typedef std::uint32_t Native __attribute__((vector_size(lanes<T> * sizeof(std::uint32_t))));
};

/// Whether `lanes<T>` rows follow one another in memory.
template <class T>
STEEPEST_INLINE bool consecutive(const std::uint32_t* offset) {
  constexpr int N = lanes<T>;
  typename Offsets<T>::Native given, step;
  __builtin_memcpy(&given, offset, sizeof(given));
  for (int k = 0; k < N; ++k) step[k] = std::uint32_t(k);
  return all_zero(given - step - offset[0]);
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
STEEPEST_INLINE void add_to(T* gradient, Vector<T> sum) {
  (Vector<T>::load(gradient) + sum).store(gradient);
}

template <class T>
STEEPEST_INLINE void add_to_first(T* gradient, Index count, Vector<T> sum) {
  (Vector<T>::load_first(gradient, count) + sum).store_first(gradient, count);
}

}  // namespace
}  // namespace steepest::STEEPEST_LEVEL
