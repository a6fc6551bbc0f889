// Sparse rows: predict, a register of coefficients at a time, and accumulate, entry by entry, because columns may repeat.
#include "sparse_reading.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

template <class T>
void predict(const SparseRows<T>& rows, const Segment& segment, const T* coef, T intercept, T* z) {
  with_reader(rows, segment, [&](const auto& reader) {
    for (Index i = 0; i < segment.count; ++i)
      z[i] = reader.dot(reader(segment[i]), coef, reader.ahead(segment, i)) + intercept;
  });
}

template <class T>
void accumulate(const SparseRows<T>& rows, const Segment& segment, const T* slope, T* gradient) {
  with_reader(rows, segment, [&](const auto& reader) {
    for (Index i = 0; i < segment.count; ++i) {
      const T s = slope[i];
      if (s == T(0)) continue;  // a row that holds no number has no slope either
      reader.along(reader(segment[i]), s, gradient, reader.next_batch(segment, i, gradient),
                   [](T& g, T move, int) STEEPEST_INLINE_LAMBDA { g += move; });
    }
  });
}

template <class T>
constexpr SparseKernels<T> sparse_kernels_of{&predict<T>, &accumulate<T>};

}  // namespace

const SparseKernels<float>& sparse_kernels_f32() { return sparse_kernels_of<float>; }
const SparseKernels<double>& sparse_kernels_f64() { return sparse_kernels_of<double>; }

}  // namespace steepest::STEEPEST_LEVEL
