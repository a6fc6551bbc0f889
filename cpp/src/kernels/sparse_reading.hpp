// How kernels read sparse rows: row by row, with what comes next on its way to the caches.
#pragma once

#include "reading.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

template <class I>
struct Unsigned;
template <>
struct Unsigned<std::int32_t> {
  using type = std::uint32_t;
};
template <>
struct Unsigned<std::int64_t> {
  using type = std::uint64_t;
};

/// Rows ahead whose beginnings, entries and coefficients are asked for: each needs what the one before it brings.
constexpr Index start_ahead = 48, entries_ahead = 24, coefficients_ahead = 4;

/// Coefficients beyond this are not in the second-level cache by themselves.
constexpr Index large_coefficients = 2 * 1024 * 1024;

template <class T, class I>
struct SparseReader {
  using Column = typename Unsigned<I>::type;

  // Each index is read once, so that what was compared with the bounds is what is used.
  const T* data;
  const volatile I *index, *start;
  Index entries;
  Column last;

  explicit SparseReader(const SparseRows<T>& given)
      : data(given.data), index(static_cast<const volatile I*>(given.indices)),
        start(static_cast<const volatile I*>(given.starts)), entries(given.entries), last(Column(given.features - 1)) {}

  struct Row {
    Index from, to;
  };

  STEEPEST_INLINE Row operator()(Index row) const {
    Index from = start[row], to = start[row + 1];
    if (from < 0 || from > entries) from = entries;
    if (to > entries) to = entries;
    if (to < from) to = from;
    return {from, to};
  }

  STEEPEST_INLINE Column column(Index k) const {
    const Column c = Column(index[k]);
    return c < last ? c : last;
  }

  /// Asks for what rows after row i of the segment need.
  STEEPEST_INLINE void prefetch(const Segment& segment, Index i, const T* coef,
                                const std::uint32_t* met = nullptr) const {
    const Index reachable = segment.count + segment.ahead;
    if (segment.offset) {
      if (i + start_ahead < reachable) __builtin_prefetch(const_cast<const I*>(start) + segment[i + start_ahead], 0, 2);
      if (i + entries_ahead < reachable) {
        const Row next = (*this)(segment[i + entries_ahead]);
        const char* first = reinterpret_cast<const char*>(const_cast<const I*>(index) + next.from);
        const char* number = reinterpret_cast<const char*>(data + next.from);
        const Index count = next.to - next.from;
        for (Index at = 0; at < count * Index(sizeof(I)) && at < 1024; at += 64) __builtin_prefetch(first + at, 0, 2);
        for (Index at = 0; at < count * Index(sizeof(T)) && at < 1024; at += 64) __builtin_prefetch(number + at, 0, 2);
      }
    }
    if (coef && i + coefficients_ahead < reachable) {
      const Row next = (*this)(segment[i + coefficients_ahead]);
      for (Index k = next.from; k < next.to && k < next.from + 256; ++k) {
        const Column c = column(k);
        __builtin_prefetch(coef + c, 1, 3);
        if (met) __builtin_prefetch(met + c, 1, 3);
      }
    }
  }

  /// The coefficients to ask for; null where they are in cache anyway.
  STEEPEST_INLINE const T* far(const T* coef) const {
    return Index(last) * Index(sizeof(T)) > large_coefficients ? coef : nullptr;
  }

  STEEPEST_INLINE T dot(Row row, const T* coef) const {
    // Four sums hide the latency of the multiply-add.
    T s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    Index k = row.from;
    for (; k + 4 <= row.to; k += 4) {
      s0 += data[k] * coef[column(k)];
      s1 += data[k + 1] * coef[column(k + 1)];
      s2 += data[k + 2] * coef[column(k + 2)];
      s3 += data[k + 3] * coef[column(k + 3)];
    }
    for (; k < row.to; ++k) s0 += data[k] * coef[column(k)];
    return (s0 + s1) + (s2 + s3);
  }
};

/// Calls work with a reader of the width of the indices.
template <class T, class Work>
STEEPEST_INLINE auto with_reader(const SparseRows<T>& rows, const Work& work) {
  if (rows.wide) return work(SparseReader<T, std::int64_t>(rows));
  return work(SparseReader<T, std::int32_t>(rows));
}

}  // namespace
}  // namespace steepest::STEEPEST_LEVEL
