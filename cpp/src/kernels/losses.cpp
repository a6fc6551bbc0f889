// The loops around the pointwise losses: once per loss and number type, in registers; the last one may be partial.
#include "steepest/losses.hpp"

#include <array>

#include "reading.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

template <class Loss, class T>
struct LossLoops {
  static constexpr int N = lanes<T>;
  using V = Simd<T, N>;
  static constexpr auto ones = [] {
    std::array<T, std::size_t(N)> each{};
    each.fill(T(1));
    return each;
  }();

  /// One step of N rows. Zero times the prediction joins the value, so that one that is not finite cannot hide behind a
  /// loss that would clip it.
  template <bool Weighted>
  STEEPEST_INLINE static ValueGradient<V> step(const Loss& loss, V y, V prediction, V weight) {
    auto [value, gradient] = loss(y, prediction);
    value = prediction * V(0.0) + value;
    if constexpr (Weighted) {
      value = value * weight;
      gradient = gradient * weight;
    }
    return {value, gradient};
  }

  /// The loss by value: parameters behind a reference would be loaded anew after every slope stored.
  template <bool Weighted>
  STEEPEST_INLINE static double reduce_all(Loss loss, Index n, const T* y, const T* z, const T* weight, T* slope) {
    double total = 0;
    Index i = 0;
    while (i + N <= n) {
      // A lane of float adds at most this many values before they move on to double.
      const Index stop = n - i > 64 * N ? i + 64 * N : n;
      V sum(0.0);
      for (; i + N <= stop; i += N) {
        const auto [value, gradient] =
            step<Weighted>(loss, V::load(y + i), V::load(z + i), Weighted ? V::load(weight + i) : V(1.0));
        gradient.store(slope + i);
        sum = sum + value;
      }
      total += double(sum.sum());
    }
    if (const Index rest = n - i; rest > 0) {
      // What a loss makes of the zeros behind the last row is nobody's.
      const V some = V::load_first(ones.data(), rest);
      const auto [value, gradient] = step<Weighted>(loss, V::load_first(y + i, rest), V::load_first(z + i, rest),
                                                    Weighted ? V::load_first(weight + i, rest) : some);
      gradient.store_first(slope + i, rest);
      total += double(ops::select(some > V(0.0), value, V(0.0)).sum());
    }
    return total;
  }

  [[gnu::noinline]] static double values(const Loss& loss, Index n, const T* y, const T* z, const T* weight, T* slope) {
    return weight ? reduce_all<true>(loss, n, y, z, weight, slope) : reduce_all<false>(loss, n, y, z, weight, slope);
  }

  static double reduce(const double* params, Index n, const T* y, const T* z, const T* weight, T* slope) {
    return values(make_loss<Loss>(params), n, y, z, weight, slope);
  }

  static T slope(const double* params, T y, T z) {
    using One = Simd<T, 1>;
    return make_loss<Loss>(params)(One(y), One(z)).gradient.v;
  }

  /// A register of targets in sequence, or at the segment's offsets; of those to come the last is asked for, because the
  /// line of the first is that of the run's rows before.
  template <bool Gathered>
  STEEPEST_INLINE static V targets(const T* y, const Segment& segment, Index i) {
    if constexpr (!Gathered) return V::load(y + i);
    const std::uint32_t* offset = segment.offset + i;
    const bool together = consecutive<T>(offset);
    const Index reachable = segment.count + segment.ahead - i - N;
    if (together) {
      if (reachable > prefetch_run_rows) __builtin_prefetch(y + offset[prefetch_run_rows + N - 1], 0, 2);
    } else if (reachable > 2 * prefetch_rows) {
      for (int k = 0; k < N; ++k) __builtin_prefetch(y + offset[k + 2 * prefetch_rows], 0, 2);
    }
    return load_at(y, offset, together);
  }

  /// Registers that are looked at together: to look whether rows follow one another takes as long as to add them up.
  static constexpr int in_group = 4;

  /// Whether each register of a group is of rows that follow one another.
  STEEPEST_INLINE static bool begin_runs(const Segment& segment, Index i) {
    auto apart = apart_from_runs<T>(segment.offset + i);
    for (int k = 1; k < in_group; ++k) apart |= apart_from_runs<T>(segment.offset + i + k * N);
    return all_zero(apart);
  }

  STEEPEST_INLINE static void ask_for_runs(const T* y, const Segment& segment, Index i) {
    if (segment.count + segment.ahead - i <= prefetch_run_rows + in_group * N) return;
    const std::uint32_t* later = segment.offset + i + prefetch_run_rows + N - 1;
    for (int k = 0; k < in_group; ++k) __builtin_prefetch(y + later[k * N], 0, 2);
  }

  /// The targets from i on, less than a register of them, and zeros behind.
  template <bool Gathered>
  STEEPEST_INLINE static V last_targets(const T* y, const Segment& segment, Index i) {
    const Index rest = segment.count - i;
    if constexpr (!Gathered) return V::load_first(y + i, rest);
    std::array<T, std::size_t(N)> last{};
    for (Index k = 0; k < rest; ++k) last[std::size_t(k)] = y[segment.offset[i + k]];
    return V::load(last.data());
  }

  /// Lanes of float move on to double as in reduce_all, those of the slopes too.
  template <bool Gathered, bool Weighted>
  static LossSums constant_sums(Loss loss, const Segment& segment, const T* y, const T* weight, T z) {
    const Index n = segment.count;
    const V prediction{double(z)};
    y += segment.begin;
    LossSums total{0, 0};
    Index i = 0;
    while (i + N <= n) {
      const Index stop = n - i > 64 * N ? i + 64 * N : n;
      V values(0.0), slopes(0.0);
      const auto add = [&](V targets, Index at) STEEPEST_INLINE_LAMBDA {
        const auto [value, slope] = step<Weighted>(loss, targets, prediction, Weighted ? V::load(weight + at) : V(1.0));
        values = values + value;
        slopes = slopes + slope;
      };
      if constexpr (Gathered)
        for (; i + in_group * N <= stop && begin_runs(segment, i); i += in_group * N) {
          ask_for_runs(y, segment, i);
          for (int k = 0; k < in_group; ++k) add(V::load(y + segment.offset[i + k * N]), i + k * N);
        }
      for (; i + N <= stop; i += N) add(targets<Gathered>(y, segment, i), i);
      total.value += double(values.sum());
      total.slope += double(slopes.sum());
    }
    if (const Index rest = n - i; rest > 0) {
      const V some = V::load_first(ones.data(), rest), none(0.0);
      const auto [value, slope] = step<Weighted>(loss, last_targets<Gathered>(y, segment, i), prediction,
                                                 Weighted ? V::load_first(weight + i, rest) : some);
      total.value += double(ops::select(some > none, value, none).sum());
      total.slope += double(ops::select(some > none, slope, none).sum());
    }
    return total;
  }

  static LossSums constant(const double* params, const Segment& segment, const T* y, const T* weight, T z) {
    const Loss loss = make_loss<Loss>(params);
    if (segment.offset)
      return weight ? constant_sums<true, true>(loss, segment, y, weight, z)
                    : constant_sums<true, false>(loss, segment, y, weight, z);
    return weight ? constant_sums<false, true>(loss, segment, y, weight, z)
                  : constant_sums<false, false>(loss, segment, y, weight, z);
  }

  static double descend(const double* params, const DenseRows<T>& rows, const Segment& segment,
                        const SingleRows<T>& d) {
    const Loss loss = make_loss<Loss>(params);
    return d.held.l1 > 0 ? descend_by_width<true>(loss, rows, segment, d)
                         : descend_by_width<false>(loss, rows, segment, d);
  }

  template <bool Thresholds>
  static double descend_by_width(const Loss& loss, const DenseRows<T>& rows, const Segment& segment,
                                 const SingleRows<T>& d) {
    switch ((rows.features + lanes<T> - 1) / lanes<T>) {
    case 1:
      return descend_in_registers<1, Thresholds>(loss, rows, segment, d);
    case 2:
      return descend_in_registers<2, Thresholds>(loss, rows, segment, d);
    case 3:
      return descend_in_registers<3, Thresholds>(loss, rows, segment, d);
    case 4:
      return descend_in_registers<4, Thresholds>(loss, rows, segment, d);
    default:
      return descend_in_memory(loss, rows, segment, d);
    }
  }

  /// Rows met on the way. Their steps wait for one slope after the other; their values are found later, in vectors.
  struct Met {
    static constexpr Index most = 64;
    const Loss& loss;
    const SingleRows<T>& d;
    Index count = 0;
    double total = 0;
    T y[most], z[most], weight[most], slope[most];

    Met(const Loss& given, const SingleRows<T>& rows) : loss(given), d(rows) {}

    /// Asks for what goes with a row that will be met.
    STEEPEST_INLINE void ask(Index row) const {
      __builtin_prefetch(d.y + row, 0, 2);
      if (d.weight) __builtin_prefetch(d.weight + row, 0, 2);
    }
    /// How far the step of a row goes along it.
    STEEPEST_INLINE T step(Index i, Index row, T prediction) {
      using One = Simd<T, 1>;
      y[count] = d.y[row];
      z[count] = prediction;
      weight[count] = d.weight ? T(double(d.weight[row]) / d.mean_weight) : T(1);
      const T limit = T(d.held.slope_limit), given = loss(One(y[count]), One(prediction)).gradient.v;
      const T move = d.step[i] * weight[count] * (given > limit ? limit : given < -limit ? -limit : given);
      if (++count == most) flush();
      return move;
    }
    /// The share of the coefficients that the smooth penalty leaves.
    STEEPEST_INLINE double kept(Index i) const {
      const double left = 1.0 - double(d.step[i]) * d.held.l2;
      return left < d.held.least_kept ? d.held.least_kept : left;
    }
    void flush() {
      total += values(loss, count, y, z, d.weight ? weight : nullptr, slope);
      count = 0;
    }
  };

  /// How many rows ahead single ones are asked for, narrow and wide.
  static constexpr Index narrow_ahead = 12, wide_ahead = 3;

  /// One row waits for the step of the row before. What of its prediction does not depend on that step is computed while
  /// the step is: (w - move x) . next = w . next - move (x . next), so the sums over lanes leave the chain. A soft threshold
  /// in between allows no such shortcut.
  template <int Registers, bool Thresholds>
  static double descend_in_registers(const Loss& loss, const DenseRows<T>& rows, const Segment& segment,
                                     const SingleRows<T>& d) {
    const Index last = rows.features - (Registers - 1) * N;
    const auto load = [&](const T* from, V* x) {
      unrolled<Registers>([&]<int K>() { x[K] = part_of<K, Registers, T>(from, last); });
    };
    const auto dot = [](const V* a, const V* b) {
      V product = a[0] * b[0];
      for (int k = 1; k < Registers; ++k) product = a[k] * b[k] + product;
      return product.sum();
    };
    V w[Registers], x[Registers], next[Registers];
    load(d.x, w);
    T intercept = d.intercept ? d.x[rows.features] : T(0);
    const T pace = T(d.held.intercept_pace), along_intercept = d.intercept ? pace : T(0);
    Met met(loss, d);
    double total = 0;
    if (segment.count) load(rows.data + segment[0] * rows.row_stride, x);
    T z = segment.count ? dot(w, x) + intercept : T(0);
    for (Index i = 0; i < segment.count; ++i) {
      if (segment.offset && i + narrow_ahead < segment.count + segment.ahead) {
        const Index soon = segment[i + narrow_ahead];
        const T* row = rows.data + soon * rows.row_stride;
        for (int k = 0; k < Registers; ++k) __builtin_prefetch(row + k * N);
        __builtin_prefetch(row + rows.features - 1);  // a row may begin anywhere in a line
        met.ask(soon);
      }
      load(rows.data + segment[i + 1 < segment.count ? i + 1 : i] * rows.row_stride, next);
      const T kept_of_w = T(met.kept(i));
      const T unmoved = Thresholds ? T(0) : kept_of_w * dot(w, next) + intercept;
      const T along = Thresholds ? T(0) : dot(x, next) + along_intercept;
      const T move_along = met.step(i, segment[i], z);
      if (d.held.l1 > 0 || d.held.l2 > 0) {
        V squares(0.0), sizes(0.0);
        for (int k = 0; k < Registers; ++k) {
          squares = w[k] * w[k] + squares;
          sizes = ops::abs(w[k]) + sizes;
        }
        total += 0.5 * d.held.l2 * double(squares.sum()) + d.held.l1 * double(sizes.sum());
      }
      const V move(move_along), kept(kept_of_w);
      for (int k = 0; k < Registers; ++k) w[k] = kept * w[k] - move * x[k];
      if (d.intercept) intercept -= pace * move_along;
      if constexpr (Thresholds) {
        const V threshold(double(d.step[i]) * d.held.l1);
        for (int k = 0; k < Registers; ++k) w[k] = ops::soft_threshold(w[k], threshold);
        z = dot(w, next) + intercept;
      } else {
        z = unmoved - move_along * along;
      }
      for (int k = 0; k < Registers; ++k) x[k] = next[k];
    }
    unrolled<Registers>([&]<int K>() { store_part<K, Registers>(w[K], d.x, last); });
    if (d.intercept) d.x[rows.features] = intercept;
    met.flush();
    return met.total + total;
  }

  static double descend_in_memory(const Loss& loss, const DenseRows<T>& rows, const Segment& segment,
                                  const SingleRows<T>& d) {
    const Index features = rows.features, whole = features / N * N, rest = features - whole;
    T* w = d.x;
    const T pace = T(d.held.intercept_pace);
    Met met(loss, d);
    double total = 0;
    for (Index i = 0; i < segment.count; ++i) {
      const Index row = segment[i];
      const T* x = rows.data + row * rows.row_stride;
      // Asked for evenly over both loops, and some rows ahead: the second loop reads from the cache.
      const bool more = segment.offset && i + wide_ahead < segment.count + segment.ahead;
      const Index soon = more ? segment[i + wide_ahead] : row;
      const T* next = rows.data + soon * rows.row_stride;
      if (more) met.ask(soon);
      const auto ask = [&] {
        if (more) __builtin_prefetch(next, 0, 2), next += N;
      };
      V even(0.0), odd(0.0);
      Index j = 0;
      for (; j + 2 * N <= whole; j += 2 * N) {
        ask();
        even = V::load(w + j) * V::load(x + j) + even;
        odd = V::load(w + j + N) * V::load(x + j + N) + odd;
      }
      if (j < whole) even = V::load(w + j) * V::load(x + j) + even;
      if (rest) odd = V::load_first(w + whole, rest) * V::load_first(x + whole, rest) + odd;
      const T z = (even + odd).sum() + (d.intercept ? w[features] : T(0));
      const T move_along = met.step(i, row, z);
      const V move(move_along), kept(met.kept(i)), threshold(double(d.step[i]) * d.held.l1);
      V squares(0.0), sizes(0.0);
      const auto moved = [&](V before, V along) {
        squares = before * before + squares;
        sizes = ops::abs(before) + sizes;
        return ops::soft_threshold(kept * before - move * along, threshold);
      };
      for (j = 0; j + 2 * N <= whole; j += 2 * N) {
        ask();
        moved(V::load(w + j), V::load(x + j)).store(w + j);
        moved(V::load(w + j + N), V::load(x + j + N)).store(w + j + N);
      }
      ask();
      if (j < whole) moved(V::load(w + j), V::load(x + j)).store(w + j);
      ask();  // a row may begin anywhere in a line
      if (rest) moved(V::load_first(w + whole, rest), V::load_first(x + whole, rest)).store_first(w + whole, rest);
      total += 0.5 * d.held.l2 * double(squares.sum()) + d.held.l1 * double(sizes.sum());
      if (d.intercept) w[features] -= pace * move_along;
    }
    met.flush();
    return met.total + total;
  }

  STEEPEST_INLINE static ValueGradient<V> pointwise_step(const Loss& loss, V y, V prediction) {
    const auto [value, gradient] = loss(y, prediction);
    const auto number = prediction == prediction;  // what is not a number stays none, whatever the loss would clip
    return {ops::select(number, value, prediction), ops::select(number, gradient, prediction)};
  }

  static void pointwise(const double* params, Index n, const T* y, const T* z, T* value, T* slope) {
    const Loss loss = make_loss<Loss>(params);
    Index i = 0;
    for (; i + N <= n; i += N) {
      const auto [v, s] = pointwise_step(loss, V::load(y + i), V::load(z + i));
      v.store(value + i);
      s.store(slope + i);
    }
    if (const Index rest = n - i; rest > 0) {
      const auto [v, s] = pointwise_step(loss, V::load_first(y + i, rest), V::load_first(z + i, rest));
      v.store_first(value + i, rest);
      s.store_first(slope + i, rest);
    }
  }
};

template <class T, class... Ls>
const LossKernels<T>* kernels_of_list(LossList<Ls...>) {
  static constexpr LossKernels<T> list[] = {{&LossLoops<Ls, T>::reduce, &LossLoops<Ls, T>::slope,
                                             &LossLoops<Ls, T>::constant, &LossLoops<Ls, T>::descend,
                                             &LossLoops<Ls, T>::pointwise}...};
  return list;
}

}  // namespace

const LossKernels<float>* loss_kernels_f32() { return kernels_of_list<float>(Losses{}); }
const LossKernels<double>* loss_kernels_f64() { return kernels_of_list<double>(Losses{}); }

}  // namespace steepest::STEEPEST_LEVEL
