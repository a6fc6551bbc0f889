// The losses of K scores, registers of rows at a time.
#include "reading.hpp"
#include "steepest/row_losses.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

template <class Loss, class T>
struct RowLossLoops {
  static constexpr int N = lanes<T>;
  using V = Vector<T>;

  /// Calls step(rows, i) for registers of rows, the last of them partial.
  template <class Step>
  STEEPEST_INLINE static void walk(Index n, Index classes, Index stride, const T* y, const T* z, T* slope,
                                   const Step& step) {
    Index i = 0;
    for (; i + N <= n; i += N) step(ScoreRows<V, true>{y + i, z + i, slope + i, classes, stride, N}, i);
    if (i < n) step(ScoreRows<V, false>{y + i, z + i, slope + i, classes, stride, n - i}, i);
  }

  static double reduce(const double* params, Index n, Index classes, Index stride, const T* y, const T* z,
                       const T* weight, T* slope) {
    const Loss loss = make_loss<Loss>(params);
    double total = 0;
    walk(n, classes, stride, y, z, slope, [&](const auto& rows, Index i) {
      V value = loss(rows);
      V nothing(0.0);  // unless a score is not finite
      for (Index k = 0; k < classes; ++k) nothing = rows.score(k) * V(0.0) + nothing;
      value = value + nothing;
      if (weight) {
        const V w = V::load_first(weight + i, n - i < N ? n - i : Index(N));
        value = value * w;
        for (Index k = 0; k < classes; ++k) rows.set_slope(k, rows.slope(k) * w);
      }
      for (Index lane = 0; lane < rows.count; ++lane) total += double(value.v[lane]);
    });
    return total;
  }

  static void pointwise(const double* params, Index n, Index classes, Index stride, const T* y, const T* z, T* value,
                        T* slope) {
    const Loss loss = make_loss<Loss>(params);
    walk(n, classes, stride, y, z, slope, [&](const auto& rows, Index i) {
      V found = loss(rows);
      for (Index k = 0; k < classes; ++k) {  // what is not a number stays none, whatever the loss would clip
        const V z = rows.score(k);
        const auto number = z == z;
        found = ops::select(number, found, z);
        rows.set_slope(k, ops::select(number, rows.slope(k), z));
      }
      found.store_first(value + i, rows.count);
    });
  }
};

template <class T, class... Ls>
const RowLossKernels<T>* kernels_of_list(RowLossList<Ls...>) {
  static constexpr RowLossKernels<T> list[] = {{&RowLossLoops<Ls, T>::reduce, &RowLossLoops<Ls, T>::pointwise}...};
  return list;
}

}  // namespace

const RowLossKernels<float>* row_loss_kernels_f32() { return kernels_of_list<float>(RowLosses{}); }
const RowLossKernels<double>* row_loss_kernels_f64() { return kernels_of_list<double>(RowLosses{}); }

}  // namespace steepest::STEEPEST_LEVEL
