// Rows so narrow that parameters and gradient stay in registers: sums over them, and plain descent by small batches.
//
// Rows are walked block by block: targets, predictions, losses and gradient of a block while it is in the first-level cache.
// In batches of 32 rows of 28 numbers, calls and parameters on their way through memory had taken a quarter of the time.
//
// Threads must not change a bit, whether a batch goes by here or is shared and stepped elsewhere. So wherever two products
// meet, one is added to zero first: of two products alone a compiler rounds either one, and not the same one everywhere.
#pragma once

#include <cmath>
#include <type_traits>
#include <utility>

#include "row_major.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

/// A step under an elastic penalty, register by register.
template <class T>
struct SteppedParts {
  bool penalised;
  Vector<T> along, decay, threshold;
  Vector<T> squares{0.0}, sizes{0.0};  // of what has been stepped from

  STEEPEST_INLINE SteppedParts(const ElasticStep& step)
      : penalised(step.l1 > 0 || step.l2 > 0), along(step.length / step.divisor), decay(step.length * step.l2),
        threshold(step.length * step.l1) {}

  /// What the penalty takes joins the gradient first: one minus a small share of x would be one.
  STEEPEST_INLINE Vector<T> operator()(Vector<T> before, Vector<T> gradient) {
    const Vector<T> down = along * gradient + Vector<T>(0.0);
    if (!penalised) return before - down;
    squares = before * before + squares;
    sizes = ops::abs(before) + sizes;
    return ops::soft_threshold(before - (decay * before + down), threshold);
  }
  /// That of an intercept, which has no penalty.
  STEEPEST_INLINE static T intercept(const ElasticStep& step, T before, T gradient) {
    return before - (T(step.intercept_pace * step.length / step.divisor) * gradient + T(0));
  }
  /// Of all that has been stepped from, times a number of rows.
  STEEPEST_INLINE double penalty(const ElasticStep& step, Index rows) const {
    if (!penalised) return 0;
    const double absolute = step.l1 * double(sizes.sum()) + 0.0;
    return double(rows) * (0.5 * step.l2 * double(squares.sum()) + absolute) + 0.0;
  }
};

/// Rows of a block, of which 128 take a twentieth longer, and how far ahead of them rows are asked for: in stream order these are
/// eight of each of 16 streams.
constexpr Index block = RowKernels<float>::block, rows_ahead = 128;

/// Asks for rows one behind the other, evenly over both passes through as many, one for every two: the second pass reads from
/// the cache, and would leave the memory idle.
template <int Lines, class Reader>
struct AskedFor {
  Reader row;
  Index last, half;

  STEEPEST_INLINE void first_pass(Index i) const { prefetch_lines<Lines>(row(i / 2), last); }
  STEEPEST_INLINE void second_pass(Index i) const { prefetch_lines<Lines>(row(half + i / 2), last); }
};

struct NothingAskedFor {
  STEEPEST_INLINE void first_pass(Index) const {}
  STEEPEST_INLINE void second_pass(Index) const {}
};

/// The parameters, or a gradient: coefficients and intercept.
template <int Registers, class T>
struct InRegisters {
  Parts<Registers, T> coef;
  T intercept;

  STEEPEST_INLINE static InRegisters load(const T* from, Index last, bool intercept) {
    constexpr Index before_last = (Registers - 1) * lanes<T>;
    return {parts_of<Registers>(from, last), intercept ? from[before_last + last] : T(0)};
  }
  STEEPEST_INLINE static InRegisters zeros() {
    InRegisters all;
    unrolled<Registers>([&]<int K>() { all.coef.part[K] = Vector<T>(0.0); });
    all.intercept = 0;
    return all;
  }
  STEEPEST_INLINE void add(const InRegisters& other) {
    unrolled<Registers>([&]<int K>() { coef.part[K] = coef.part[K] + other.coef.part[K]; });
    intercept += other.intercept;
  }
  STEEPEST_INLINE void store(T* to, Index last, bool has_intercept) const {
    unrolled<Registers>([&]<int K>() { store_part<K, Registers>(coef.part[K], to, last); });
    if (has_intercept) to[(Registers - 1) * lanes<T> + last] = intercept;
  }
};

template <class Work>
[[gnu::noinline]] void apart(const Work& work) {
  work();
}
/// One pass through a block. That with many registers is a function of its own: within a larger one compilers keep them in
/// memory, and load or store them with every row.
template <int Registers, class Work>
STEEPEST_INLINE void pass(const Work& work) {
  if constexpr (Registers > 4)
    apart(work);
  else
    work();
}

/// The rows of a segment, walked block by block.
template <int Registers, class T, class Reader>
class NarrowRows {
 public:
  using Numbers = InRegisters<Registers, T>;

  NarrowRows(const Reader& row, Index features, const Segment& segment, const RowLosses<T>& losses)
      : row_(row), segment_(segment), losses_(losses), features_(features),
        reachable_(segment.ahead ? segment.count + segment.ahead : 0) {}

  Index last() const { return features_ - (Registers - 1) * lanes<T>; }

  /// The sum over the rows from `from` on, its gradient added to `gradient` unless that is null.
  STEEPEST_INLINE double add(Index from, Index count, const Numbers& x, Numbers* gradient) {
    double total = 0;
    for (Index at = from; at < from + count; at += block)
      total += add_block(at, from + count - at < block ? from + count - at : block, x, gradient);
    return total;
  }

 private:
  using Stored = std::remove_cvref_t<decltype(*std::declval<Reader>()(0))>;
  static constexpr int lines = (Registers * lanes<T> * int(sizeof(Stored)) + 63) / 64;

  STEEPEST_INLINE double add_block(Index at, Index n, const Numbers& x, Numbers* gradient) {
    const Index next = at + rows_ahead, soon = segment_.soon(next);
    const bool together = next + n <= reachable_ && segment_.soon(next + n - 1) == soon + n - 1;
    // First, so that they are where registers load them from by the time these do.
    const T* y = side_by_side(losses_.y, at, n, together ? soon : at, y_);
    const T* weight = losses_.weight ? side_by_side(losses_.weight, at, n, together ? soon : at, weight_) : nullptr;
    if (together)
      return add_block(at, n, y, weight, x, gradient,
                       AskedFor<lines, Reader>{row_.from(soon), features_ - 1, (n + 1) / 2});
    for (Index i = next; i < next + n && i < reachable_; ++i)
      prefetch_lines<lines>(row_(segment_.soon(i)), features_ - 1);
    return add_block(at, n, y, weight, x, gradient, NothingAskedFor{});
  }

  template <class Lookout>
  STEEPEST_INLINE double add_block(Index at, Index n, const T* y, const T* weight, const Numbers& x, Numbers* gradient,
                                   const Lookout& lookout) {
    const Reader row = row_.from(at);
    pass<Registers>([&]() STEEPEST_INLINE_LAMBDA {
      const Parts<Registers, T> w = x.coef;
      predict_parts(row, n, last(), w, x.intercept, lookout, prediction_);
    });
    const double total = losses_.loss.reduce(losses_.params, n, y, prediction_, weight, slope_);
    if (!gradient) return total;
    pass<Registers>([&]() STEEPEST_INLINE_LAMBDA {
      accumulate_parts<Registers>(row, n, last(), slope_, lookout, [&]<int K>(Vector<T> sum) STEEPEST_INLINE_LAMBDA {
        gradient->coef.part[K] = gradient->coef.part[K] + sum;
      });
    });
    if (losses_.intercept) gradient->intercept += sum(slope_, n);
    return total;
  }

  /// Those of the numbers that belong to the block's rows; those of as many rows soon to come are asked for.
  STEEPEST_INLINE const T* side_by_side(const T* numbers, Index at, Index n, Index soon, T* room) const {
    if (!row_.gathers()) return numbers + at;
    for (Index i = 0; i < n; ++i) {
      room[i] = numbers[segment_.offset[at + i]];
      __builtin_prefetch(numbers + segment_.offset[soon + i], 0, 2);
    }
    return room;
  }

  Reader row_;
  const Segment& segment_;
  const RowLosses<T>& losses_;
  Index features_, reachable_;
  alignas(64) T y_[block], weight_[block], prediction_[block], slope_[block];
};

template <int Registers, class T, class Reader>
double sum_of(const Reader& row, Index features, const Segment& segment, const RowLosses<T>& losses, const T* x,
              T* gradient) {
  using Numbers = InRegisters<Registers, T>;
  NarrowRows<Registers, T, Reader> walk(row, features, segment, losses);
  const auto at = Numbers::load(x, walk.last(), losses.intercept);
  if (!gradient) return walk.add(0, segment.count, at, nullptr);
  auto sum = Numbers::load(gradient, walk.last(), losses.intercept);
  const double total = walk.add(0, segment.count, at, &sum);
  sum.store(gradient, walk.last(), losses.intercept);
  return total;
}

template <int Registers, class T, class Reader>
Index descend_through(const Reader& row, Index features, const Segment& segment, const RowLosses<T>& losses,
                      const SmallBatches<T>& batches, T* x, double* objectives) {
  using Numbers = InRegisters<Registers, T>;
  NarrowRows<Registers, T, Reader> walk(row, features, segment, losses);
  const auto& [size, shares, step, mean_weight, held] = batches;
  const double divisor = double(size) * mean_weight;
  auto at = Numbers::load(x, walk.last(), losses.intercept);
  Index from = 0;
  for (Index k = 0; from < segment.count; from += size, ++k) {
    auto gradient = Numbers::zeros(), first = gradient;
    double total = 0, first_total = 0;
    for (Index i = 0, begin = from; i < shares; ++i) {
      // Either half by itself, as two threads in step do; which of both sums is added to the other makes no difference.
      if (i > 0 && i == shares / 2) std::swap(gradient, first), std::swap(total, first_total);
      auto own = Numbers::zeros();
      const Index end = i + 1 < shares ? from + size * (i + 1) / shares : from + size;
      total += walk.add(begin, end - begin, at, &own);
      gradient.add(own);
      begin = end;
    }
    gradient.add(first), total += first_total;
    double met = total / mean_weight;
    if (std::isfinite(total)) {
      const ElasticStep down{double(step[k]), divisor, held.l1, held.l2, held.intercept_pace};
      SteppedParts<T> stepped(down);
      unrolled<Registers>([&]<int K>() { at.coef.part[K] = stepped(at.coef.part[K], gradient.coef.part[K]); });
      met += stepped.penalty(down, size);
      at.intercept = stepped.intercept(down, at.intercept, gradient.intercept);
    }
    *objectives += met;
    if (!std::isfinite(met)) break;
  }
  at.store(x, walk.last(), losses.intercept);
  return from;
}

template <class T, class Reader>
double sum_in_registers(const Reader& row, Index features, const Segment& segment, const RowLosses<T>& losses,
                        const T* x, T* gradient) {
  return with_registers<T>(
      features, [&]<int Registers>() { return sum_of<Registers>(row, features, segment, losses, x, gradient); });
}

template <class T, class Reader>
Index descend_in_registers(const Reader& row, Index features, const Segment& segment, const RowLosses<T>& losses,
                           const SmallBatches<T>& batches, T* x, double* objectives) {
  return with_registers<T>(features, [&]<int Registers>() {
    return descend_through<Registers>(row, features, segment, losses, batches, x, objectives);
  });
}

}  // namespace
}  // namespace steepest::STEEPEST_LEVEL
