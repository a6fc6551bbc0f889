// How kernels read sparse rows: row by row, with what comes next on its way to the caches.
#pragma once

#include <limits>

#include "reading.hpp"
#include "widening.hpp"

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

/// Rows are asked for so many entries ahead, and of so many rows at most. Where what later rows will meet in far columns is asked
/// for, too, that needs their entries: these are asked for earlier.
constexpr Index entries_ahead = 400, entries_ahead_far = 2400, most_ahead = 48;

/// Entries of a row that are asked for: what follows comes by itself.
constexpr Index most_asked = 256;

/// Narrow numbers of a row that are widened at once; in a function of its own, which is one for all that read rows.
constexpr Index widened_at_once = 64;

template <class T>
[[gnu::noinline]] void widen_entries(const SparseRows<T>& rows, Index from, Index count, T* to) {
  with_storage(rows.storage, [&]<class S>() { widen_line(static_cast<const S*>(rows.stored) + from, count, to); });
}

/// Entries whose columns are read before the first of their coefficients: as many as fit a register, but no more than these.
constexpr int most_at_once = 4;
template <class C>
constexpr int entries_at_once = lanes<C> < most_at_once ? lanes<C> : most_at_once;

template <class T, class I>
struct SparseReader {
  using Column = typename Unsigned<I>::type;

  // Each index is read once, so that what was compared with the bounds is what is used.
  const SparseRows<T>& rows;
  const volatile I *index, *start;
  Index entries;
  std::uint64_t last;
  bool asks_columns;  ///< what later rows will meet is asked for
  Index asked_ahead;  ///< rows

  SparseReader(const SparseRows<T>& given, bool sparing)
      : rows(given), index(static_cast<const volatile I*>(given.indices)),
        start(static_cast<const volatile I*>(given.starts)), entries(given.entries), last(Column(given.features - 1)),
        asks_columns(given.far() && !sparing) {
    const double most = asks_columns ? entries_ahead_far : entries_ahead, of_row = given.entries_per_row();
    asked_ahead = of_row * most_ahead < most ? most_ahead : of_row * 2 > most ? 2 : Index(most / of_row);
  }

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

  STEEPEST_INLINE std::uint64_t column(Index k) const {
    unsigned unasked = 0;
    return column(k, unasked);
  }

  /// The column of an entry, kept within its bounds; `beyond` says where that was needed. As wide as addresses are: of 32 bits it
  /// would be widened after the comparison, once more.
  STEEPEST_INLINE std::uint64_t column(Index k, unsigned& beyond) const {
    std::uint64_t c = Column(index[k]);
    if (c > last) [[unlikely]] {
      beyond = 1;
      c = last;
      asm volatile("" : "+r"(c));  // or compilers make it a minimum, which every address would wait for
    }
    return c;
  }

  /// A row further on, of whose entries a few are asked for at a time: all at once, its lines would fill the buffers that
  /// coefficients from far caches need, too.
  struct Ahead {
    static constexpr Index step = 8;
    const char *index = nullptr, *number = nullptr;
    Index number_bytes = 0, count = 0, asked = 0;

    STEEPEST_INLINE void ask() {
      if (asked >= count) return;
      __builtin_prefetch(index + asked * Index(sizeof(I)), 0, 2);
      __builtin_prefetch(number + asked * number_bytes, 0, 2);
      asked += step;
    }
    STEEPEST_INLINE void ask_for_all() {
      while (asked < count) ask();
    }
  };

  /// What rows after row i of the segment need; those side by side come by themselves.
  STEEPEST_INLINE Ahead ahead(const Segment& segment, Index i) const {
    if (!segment.offset) return {};
    const Index reachable = segment.count + segment.ahead;
    if (i + 2 * most_ahead < reachable)
      __builtin_prefetch(const_cast<const I*>(start) + segment[i + 2 * most_ahead], 0, 2);
    if (i + asked_ahead >= reachable) return {};
    const Row next = (*this)(segment[i + asked_ahead]);
    const Index size = rows.stored ? bytes_of(rows.storage) : Index(sizeof(T)), count = next.to - next.from;
    const auto* numbers = static_cast<const char*>(rows.stored ? rows.stored : static_cast<const void*>(rows.data));
    return {static_cast<const char*>(rows.indices) + next.from * Index(sizeof(I)), numbers + next.from * size, size,
            count < most_asked ? count : most_asked};
  }

  /// What a later row will meet, asked for a few columns at a time while an earlier one moves: this waits for one addition after
  /// the other, and the memory would have nothing to do. When the later row is predicted it is late: the processor looks ahead
  /// as far as a row itself, and has as many on their way as it can have.
  template <class C>
  struct Later {
    const volatile I* index = nullptr;
    const C* numbers = nullptr;
    Index count = 0;
    static constexpr int N = entries_at_once<C>;

    STEEPEST_INLINE void ask_for(Index k) const {
      const auto first = reinterpret_cast<std::uintptr_t>(numbers);
      __builtin_prefetch(reinterpret_cast<const void*>(first + std::uintptr_t(Column(index[k])) * sizeof(C)));
    }
    STEEPEST_INLINE void ask() {
      if (count < N) return;
      for (int k = 0; k < N; ++k) ask_for(k);
      index += N;
      count -= N;
    }
    STEEPEST_INLINE void ask_for_all() {
      for (Index k = 0; k < count; ++k) ask_for(k);
    }
  };

  /// What the row `further` behind row i will meet among the numbers, of which there is one for each column.
  template <class C>
  STEEPEST_INLINE Later<C> later(const Segment& segment, Index i, Index further, const C* numbers) const {
    if (!asks_columns || i + further >= segment.count + segment.ahead) return {};
    const Row row = (*this)(segment[i + further]);
    return {index + row.from, numbers, row.to - row.from};
  }

  /// The same of the row at the place of row i in the next batch.
  template <class C>
  STEEPEST_INLINE Later<C> next_batch(const Segment& segment, Index i, const C* numbers) const {
    return i < asked_ahead ? later(segment, i, segment.count, numbers) : Later<C>();
  }

  /// Calls work(from, to, numbers) for the entries of a row, numbers[0] being that of the first: in one run where they are
  /// stored as they are computed with.
  template <class Work>
  STEEPEST_INLINE void runs(Row row, const Work& work) const {
    T wide[widened_at_once];
    for (Index from = row.from; from < row.to;) {
      const T* numbers = wide;
      Index to = row.to;
      if (!rows.stored) {
        numbers = rows.data + from;
      } else {
        to = to - from < widened_at_once ? to : from + widened_at_once;
        widen_entries(rows, from, to - from, wide);
      }
      work(from, to, numbers);
      from = to;
    }
  }

  /// The sum of the row's numbers times `seen` of their coefficients; asks for what is ahead meanwhile. One load after another:
  /// a gather of a register of coefficients takes longer, from near caches and far ones, and does not see what the row before
  /// has just moved until the cache does.
  template <class C, class Seen>
  STEEPEST_INLINE C dot(Row row, const C* coef, Ahead ahead, const Seen& seen) const {
    constexpr int N = entries_at_once<C>;
    using V = Simd<C, N>;
    V even(0.0), odd(0.0);
    C rest = 0;
    unsigned beyond = 0;
    // Inline, so that the sums stay in registers.
    runs(row, [&](Index from, Index to, const T* numbers) STEEPEST_INLINE_LAMBDA {
      const auto coefficient = [&](Index k) STEEPEST_INLINE_LAMBDA { return coef[column(k, beyond)]; };
      const auto terms = [&]<int... Lane>(Index k, std::integer_sequence<int, Lane...>) STEEPEST_INLINE_LAMBDA {
        const auto number = Simd<T, N>::load(numbers + (k - from));
        const V at(typename V::Native{coefficient(k + Lane)...});
        return V(__builtin_convertvector(number.v, typename V::Native)) * seen(at);
      };
      constexpr auto all = std::make_integer_sequence<int, N>();
      Index k = from;
      for (; k + 2 * N <= to; k += 2 * N) {
        ahead.ask();
        even = even + terms(k, all);
        odd = odd + terms(k + N, all);
      }
      for (; k < to; ++k) rest += C(numbers[k - from]) * seen(Simd<C, 1>(coefficient(k))).v;
    });
    ahead.ask_for_all();
    return unless(beyond, (even + odd).sum() + rest);
  }

  template <class C>
  STEEPEST_INLINE C dot(Row row, const C* coef, Ahead ahead) const {
    return dot(row, coef, ahead, [](auto as_it_is) { return as_it_is; });
  }

  /// Calls step(w, move, lane) for the coefficient and s times the number of each entry of a row; lanes are those that sums
  /// may be kept in. Returns the sum of the moves' squares. Rows meet the same columns again and again, where each step waits
  /// for the one before: products are made beforehand, because an addition takes less long than a multiply-add.
  template <class C, class Step>
  STEEPEST_INLINE C along(Row row, C s, C* coef, Later<C> later, const Step& step) const {
    constexpr int N = entries_at_once<C>;
    using V = Simd<C, N>;
    V squares(0.0);
    C rest = 0;
    runs(row, [&](Index from, Index to, const T* numbers) STEEPEST_INLINE_LAMBDA {
      const auto several = [&]<int... Lane>(Index k, std::integer_sequence<int, Lane...>) STEEPEST_INLINE_LAMBDA {
        const std::uint64_t at[N] = {column(k + Lane)...};
        const auto number = Simd<T, N>::load(numbers + (k - from));
        const V moves = V(double(s)) * V(__builtin_convertvector(number.v, typename V::Native));
        later.ask();
        (step(coef[at[Lane]], moves.v[Lane], Lane), ...);
        squares = moves * moves + squares;
      };
      Index k = from;
      for (; k + N <= to; k += N) several(k, std::make_integer_sequence<int, N>());
      for (; k < to; ++k) {
        const C move = s * C(numbers[k - from]);
        step(coef[column(k)], move, 0);
        rest += move * move;
      }
    });
    later.ask_for_all();
    return squares.sum() + rest;
  }

  /// A sum, unless columns were out of range that nobody has looked at before.
  template <class C>
  STEEPEST_INLINE C unless(unsigned beyond, C sum) const {
    return beyond && rows.doubtful ? std::numeric_limits<C>::quiet_NaN() : sum;
  }
};

/// Calls work with a reader for a segment, of the width of the indices.
template <class T, class Work>
STEEPEST_INLINE auto with_reader(const SparseRows<T>& rows, const Segment& segment, const Work& work) {
  if (rows.wide) return work(SparseReader<T, std::int64_t>(rows, segment.sparing));
  return work(SparseReader<T, std::int32_t>(rows, segment.sparing));
}

}  // namespace
}  // namespace steepest::STEEPEST_LEVEL
