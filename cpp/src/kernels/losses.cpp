// The loops around the pointwise losses: once per loss and number type, vectors first, the rest by the same body on one lane.
#include "steepest/losses.hpp"

#include "level.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

using Index = std::int64_t;

template <class Loss, class T>
struct LossLoops {
  /// One step of V::size rows. Zero times the prediction joins the value, so that one that is not finite cannot hide
  /// behind a loss that would clip it.
  template <class V, bool Weighted>
  STEEPEST_INLINE static V reduce_step(const Loss& loss, const T* y, const T* z, const T* weight, T* slope) {
    const V prediction = V::load(z);
    auto [value, gradient] = loss(V::load(y), prediction);
    value = prediction * V(0.0) + value;
    if constexpr (Weighted) {
      const V w = V::load(weight);
      value = value * w;
      gradient = gradient * w;
    }
    gradient.store(slope);
    return value;
  }

  template <bool Weighted>
  STEEPEST_INLINE static double reduce_all(const Loss& loss, Index n, const T* y, const T* z, const T* weight,
                                           T* slope) {
    constexpr int N = lanes<T>;
    using V = Simd<T, N>;
    double total = 0;
    Index i = 0;
    while (i + N <= n) {
      // A lane of float adds at most this many values before they move on to double.
      const Index stop = n - i > 64 * N ? i + 64 * N : n;
      V sum(0.0);
      for (; i + N <= stop; i += N)
        sum = sum + reduce_step<V, Weighted>(loss, y + i, z + i, Weighted ? weight + i : weight, slope + i);
      total += double(sum.sum());
    }
    for (; i < n; ++i)
      total +=
          double(reduce_step<Simd<T, 1>, Weighted>(loss, y + i, z + i, Weighted ? weight + i : weight, slope + i).v);
    return total;
  }

  static double reduce(const double* params, Index n, const T* y, const T* z, const T* weight, T* slope) {
    const Loss loss = make_loss<Loss>(params);
    return weight ? reduce_all<true>(loss, n, y, z, weight, slope) : reduce_all<false>(loss, n, y, z, weight, slope);
  }

  template <class V>
  STEEPEST_INLINE static void pointwise_step(const Loss& loss, const T* y, const T* z, T* value, T* slope) {
    const V prediction = V::load(z);
    const auto result = loss(V::load(y), prediction);
    const auto number = prediction == prediction;  // what is not a number stays none, whatever the loss would clip
    ops::select(number, result.value, prediction).store(value);
    ops::select(number, result.gradient, prediction).store(slope);
  }

  static void pointwise(const double* params, Index n, const T* y, const T* z, T* value, T* slope) {
    constexpr int N = lanes<T>;
    const Loss loss = make_loss<Loss>(params);
    Index i = 0;
    for (; i + N <= n; i += N) pointwise_step<Simd<T, N>>(loss, y + i, z + i, value + i, slope + i);
    for (; i < n; ++i) pointwise_step<Simd<T, 1>>(loss, y + i, z + i, value + i, slope + i);
  }
};

template <class T, class... Ls>
const LossKernels<T>* kernels_of_list(LossList<Ls...>) {
  static constexpr LossKernels<T> list[] = {{&LossLoops<Ls, T>::reduce, &LossLoops<Ls, T>::pointwise}...};
  return list;
}

}  // namespace

const LossKernels<float>* loss_kernels_f32() { return kernels_of_list<float>(Losses{}); }
const LossKernels<double>* loss_kernels_f64() { return kernels_of_list<double>(Losses{}); }

}  // namespace steepest::STEEPEST_LEVEL
