// How slopes change along a direction: every loss once more, through its own body, on dual numbers.
#include "level.hpp"
#include "steepest/row_losses.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

using Index = std::int64_t;

template <class Loss, class T>
void change_of_slopes(const double* params, Index n, const T* y, const T* z, const T* direction, const T* weight,
                      T* change) {
  constexpr int N = lanes<T>;
  const Loss loss = make_loss<Loss>(params);
  const auto step = [&]<class V>(V, Index i) {
    using D = Dual<V>;
    V found = loss(D(V::load(y + i), V(0.0)), D(V::load(z + i), V::load(direction + i))).gradient.change;
    if (weight) found = found * V::load(weight + i);
    found.store(change + i);
  };
  Index i = 0;
  for (; i + N <= n; i += N) step(Simd<T, N>(0.0), i);
  for (; i < n; ++i) step(Simd<T, 1>(0.0), i);
}

/// Scores as ScoreRows has them, each with its direction; the slopes leave theirs in memory of their own.
template <class V>
struct DualScoreRows {
  using Vector = Dual<V>;
  using T = typename V::Scalar;

  ScoreRows<V, false> at;  ///< scores and room for slopes
  const T* direction;
  T* change;
  std::int64_t classes, count;

  STEEPEST_INLINE Vector label() const { return {at.label(), V(0.0)}; }
  STEEPEST_INLINE Vector target(std::int64_t k) const { return {at.target(k), V(0.0)}; }
  STEEPEST_INLINE Vector score(std::int64_t k) const {
    return {at.score(k), V::load_first(direction + k * at.stride, count)};
  }
  STEEPEST_INLINE Vector slope(std::int64_t k) const {
    return {at.slope(k), V::load_first(change + k * at.stride, count)};
  }
  STEEPEST_INLINE void set_slope(std::int64_t k, Vector slope) const {
    at.set_slope(k, slope.value);
    slope.change.store_first(change + k * at.stride, count);
  }
};

template <class Loss, class T>
void change_of_row_slopes(const double* params, Index n, Index classes, Index stride, const T* y, const T* z,
                          const T* direction, const T* weight, T* slope, T* change) {
  constexpr int N = lanes<T>;
  using V = Simd<T, N>;
  const Loss loss = make_loss<Loss>(params);
  for (Index i = 0; i < n; i += N) {
    const Index count = n - i < N ? n - i : Index(N);
    loss(
        DualScoreRows<V>{{y + i, z + i, slope + i, classes, stride, count}, direction + i, change + i, classes, count});
    if (!weight) continue;
    const V w = V::load_first(weight + i, count);
    for (Index k = 0; k < classes; ++k) {
      T* at = change + k * stride + i;
      (V::load_first(at, count) * w).store_first(at, count);
    }
  }
}

template <class T, class... Ls>
const SlopeChange<T>* kernels_of_list(LossList<Ls...>) {
  static constexpr SlopeChange<T> list[] = {&change_of_slopes<Ls, T>...};
  return list;
}

template <class T, class... Ls>
const RowSlopeChange<T>* kernels_of_list(RowLossList<Ls...>) {
  static constexpr RowSlopeChange<T> list[] = {&change_of_row_slopes<Ls, T>...};
  return list;
}

}  // namespace

CurvatureKernels<float> curvature_kernels_f32() {
  return {kernels_of_list<float>(Losses{}), kernels_of_list<float>(RowLosses{})};
}
CurvatureKernels<double> curvature_kernels_f64() {
  return {kernels_of_list<double>(Losses{}), kernels_of_list<double>(RowLosses{})};
}

}  // namespace steepest::STEEPEST_LEVEL
