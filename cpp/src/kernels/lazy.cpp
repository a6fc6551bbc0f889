// Plain descent on the columns that a batch touches, see lazy.hpp.
#include "sparse_reading.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

/// Coefficients up to this are in the first-level cache by themselves.
constexpr Index near_coefficients = 16 * 1024;

/// Entries of a row that are looked through at once.
constexpr Index listed = 64;

template <class T>
double descend(const SparseRows<T>& rows, const Segment& segment, const T* move, T* coef) {
  return with_reader(rows, [&](const auto& reader) {
    double grown = 0;
    for (Index i = 0; i < segment.count; ++i) {
      const T s = move[i];
      if (s == T(0)) continue;
      const auto row = reader(segment[i]);
      T even = 0, odd = 0;
      const auto step = [&](Index k) {
        T& w = coef[reader.column(k)];
        const T before = w, after = before + s * reader.data[k];
        w = after;
        return (after - before) * (after + before);
      };
      Index k = row.from;
      for (; k + 2 <= row.to; k += 2) {
        even += step(k);
        odd += step(k + 1);
      }
      if (k < row.to) even += step(k);
      grown += double(even) + double(odd);
    }
    return grown;
  });
}

/// The first update after `from`, up to `to`, whose threshold reaches so far; that of `to` does. Thresholds grow nearly in
/// proportion to the updates, so that a guess is seldom far off; halving what is left bounds the search.
STEEPEST_INLINE const SizeSums* first_reaching(const SizeSums* from, const SizeSums* to, double reach) {
  while (to - from > 1) {
    const double share = (reach - from->threshold) / (to->threshold - from->threshold);
    const Index steps = to - from, wanted = share > 0 && share < 1 ? Index(share * double(steps)) : steps / 2;
    const SizeSums* guess = from + (wanted < 1 ? 1 : wanted);
    if (guess->threshold < reach) {
      from = guess;
      if (from[1].threshold >= reach) return from + 1;
    } else {
      to = guess;
      if (to[-1].threshold < reach) return to;
    }
    const SizeSums* middle = from + (to - from) / 2;
    if (middle == from) break;
    (middle->threshold < reach ? from : to) = middle;
  }
  return to;
}

/// Catches up with the updates that a coefficient missed, the one that is beginning included as far as its objective goes.
template <class T>
STEEPEST_INLINE void catch_up(const MissedUpdates& missed, std::uint32_t* met, T* w, double& sizes, double& squares) {
  const SizeSums *from = missed.updates + *met, *to = missed.updates + missed.begun;
  *met = std::uint32_t(missed.begun);
  const double before = double(*w), size = before < 0 ? -before : before;
  if (size == 0) return;
  const double passed = to->threshold - from->threshold, reach = size + from->threshold;
  if (size > passed) {
    *w = T(before < 0 ? passed - size : size - passed);
  } else {
    *w = T(0);
    // It was zero from the first update on whose threshold reaches it.
    to = first_reaching(from, to, reach) - 1;
  }
  sizes += reach * (to->sizes - from->sizes) - (to->sizes_threshold - from->sizes_threshold);
  if (missed.squares) {
    const SquareSums &first = missed.squares[from - missed.updates], &last = missed.squares[to - missed.updates];
    squares += reach * reach * (last.squares - first.squares) -
               2 * reach * (last.squares_threshold - first.squares_threshold) +
               (last.squares_threshold2 - first.squares_threshold2);
  }
}

template <class T>
void predict(const SparseRows<T>& rows, const Segment& segment, const MissedUpdates& missed, T* coef, T* z) {
  with_reader(rows, [&](const auto& reader) {
    double sizes = 0, squares = 0;
    // Nobody can tell which columns have to catch up and how, so the processor does not run ahead to the next of them.
    const T* far = rows.features * Index(sizeof(T)) > near_coefficients ? coef : nullptr;
    for (Index i = 0; i < segment.count; ++i) {
      reader.prefetch(segment, i, far, missed.met);
      if (i + 1 < segment.count) {
        const auto next = reader(segment[i + 1]);
        for (Index k = next.from; k < next.to; ++k)
          __builtin_prefetch(missed.updates + missed.met[reader.column(k)], 0, 3);
      }
      const auto row = reader(segment[i]);
      // First a list, made without a branch, because nobody can tell which columns are on it; a column on it twice has missed
      // nothing the second time.
      for (Index from = row.from; from < row.to; from += listed) {
        const Index to = from + listed < row.to ? from + listed : row.to;
        std::int64_t behind[listed];
        Index count = 0;
        for (Index k = from; k < to; ++k) {
          const auto c = reader.column(k);
          behind[count] = std::int64_t(c);
          count += missed.met[c] != std::uint32_t(missed.begun);
        }
        for (Index k = 0; k < count; ++k) catch_up(missed, missed.met + behind[k], coef + behind[k], sizes, squares);
      }
      z[i] = reader.dot(row, coef);
    }
    *missed.sizes += sizes;
    *missed.square_sizes += squares;
  });
}

template <class T>
void catch_up_all(const MissedUpdates& missed, Index count, T* coef) {
  double sizes = 0, squares = 0;
  for (Index j = 0; j < count; ++j) catch_up(missed, missed.met + j, coef + j, sizes, squares);
  *missed.sizes += sizes;
  *missed.square_sizes += squares;
}

template <class T>
constexpr LazyKernels<T> lazy_kernels_of{&descend<T>, &predict<T>, &catch_up_all<T>};

}  // namespace

const LazyKernels<float>& lazy_kernels_f32() { return lazy_kernels_of<float>; }
const LazyKernels<double>& lazy_kernels_f64() { return lazy_kernels_of<double>; }

}  // namespace steepest::STEEPEST_LEVEL
