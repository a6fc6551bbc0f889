// Rows of narrow numbers, widened on their way: a quarter or half of the bytes come from memory.
//
// Rows of C order that meet one score are widened in registers, see row_major.hpp. All else (several scores, F order, any
// strides, traced losses) would need a kernel more for each type that numbers are stored in: chunks of it are copied.
#include "in_registers.hpp"
#include "widening.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

/// Rows in sequence or not: one function for both, for there are many types already.
template <class S>
struct StoredReader {
  const S* first;
  const std::uint32_t* offset;
  Index stride;

  template <class T>
  StoredReader(const DenseRows<T>& rows, const Segment& segment)
      : first(static_cast<const S*>(rows.stored) + segment.begin * rows.row_stride), offset(segment.offset),
        stride(rows.row_stride) {}

  STEEPEST_INLINE bool gathers() const { return offset != nullptr; }
  STEEPEST_INLINE const S* operator()(Index i) const { return first + (offset ? Index(offset[i]) : i) * stride; }
  /// The same rows from another on.
  STEEPEST_INLINE StoredReader from(Index i) const {
    StoredReader shifted = *this;
    if (offset)
      shifted.offset += i;
    else
      shifted.first += i * stride;
    return shifted;
  }
};

template <class T>
void predict(const DenseRows<T>& rows, const Segment& segment, const T* coef, T intercept, T* z) {
  with_storage(rows.storage, [&]<class S>() {
    predict_rows(StoredReader<S>(rows, segment), rows.features, segment, coef, intercept, z);
  });
}

template <class T>
void accumulate(const DenseRows<T>& rows, const Segment& segment, const T* slope, T* gradient) {
  with_storage(rows.storage, [&]<class S>() {
    accumulate_rows(StoredReader<S>(rows, segment), rows.features, segment, slope, gradient);
  });
}

template <class T>
double sum_in_registers(const DenseRows<T>& rows, const Segment& segment, const RowLosses<T>& losses, const T* x,
                        T* gradient) {
  return with_storage(rows.storage, [&]<class S>() {
    return sum_in_registers(StoredReader<S>(rows, segment), rows.features, segment, losses, x, gradient);
  });
}

template <class T>
Index descend_in_registers(const DenseRows<T>& rows, const Segment& segment, const RowLosses<T>& losses,
                           const SmallBatches<T>& batches, T* x, double* objectives) {
  return with_storage(rows.storage, [&]<class S>() {
    return descend_in_registers(StoredReader<S>(rows, segment), rows.features, segment, losses, batches, x, objectives);
  });
}

template <class T, class S>
void widen_rows(const DenseRows<T>& rows, const Segment& segment, T* to) {
  const Index n = segment.count, d = rows.features, reachable = n + segment.ahead;
  const StoredReader<S> row(rows, segment);
  if (!row.gathers() && rows.row_stride == d) return widen_line(row(0), n * d, to);
  constexpr Index ahead_bytes = 32 * 1024;
  const Index fit = ahead_bytes / (d * Index(sizeof(S))), far = fit < 1 ? 1 : fit < prefetch_rows ? fit : prefetch_rows;
  for (Index i = 0; i < n; ++i) {
    if (row.gathers() && i + far < reachable) prefetch_bytes(row(segment.soon(i + far)), d * Index(sizeof(S)));
    widen_line(row(i), d, to + i * d);
  }
}

template <class T, class S>
void widen_any(const DenseRows<T>& rows, const Segment& segment, T* to) {
  const Index n = segment.count, d = rows.features;
  const S* data = static_cast<const S*>(rows.stored);
  // Where columns are contiguous, each cache line of one is read for as many rows as it may hold.
  const Index together = rows.column_major() ? 64 / Index(sizeof(S)) : 1;
  for (Index i = 0; i < n; i += together) {
    const Index stop = i + together < n ? i + together : n;
    for (Index j = 0; j < d; ++j)
      for (Index k = i; k < stop; ++k)
        to[k * d + j] = widened<T>(data[segment[k] * rows.row_stride + j * rows.column_stride]);
  }
}

template <class T, class S>
void widen_columns(const DenseRows<T>& rows, const Segment& segment, Index stride, T* to) {
  constexpr int N = lanes<T>;
  const Index n = segment.count, d = rows.features;
  const S* data = static_cast<const S*>(rows.stored) + segment.begin;
  for (Index i = 0; i < n;) {
    // Runs are long where the order is one for columns: see streaming_for.
    Index run = 1;
    const Index at = segment.offset ? Index(segment.offset[i]) : i;
    if (segment.offset)
      while (i + run < n && segment.offset[i + run] == segment.offset[i] + std::uint32_t(run)) ++run;
    else
      run = n;
    if (run >= N)
      for (Index j = 0; j < d; ++j) widen_line(data + at + j * rows.column_stride, run, to + i + j * stride);
    else
      for (Index j = 0; j < d; ++j)
        for (Index k = 0; k < run; ++k) to[i + k + j * stride] = widened<T>(data[at + k + j * rows.column_stride]);
    i += run;
  }
}

/// Zero times anything finite is zero.
template <class T, class S>
bool finite(const void* numbers, Index count) {
  constexpr int N = lanes<T>;
  const S* from = static_cast<const S*>(numbers);
  Vector<T> sum(0.0);
  Index i = 0;
  for (; i + N <= count; i += N) sum = widened<T, N>(from + i) * Vector<T>(0.0) + sum;
  T total = sum.sum();
  for (; i < count; ++i) total += widened<T>(from[i]) * T(0);
  return total == T(0);
}

template <class T>
void widen(const DenseRows<T>& rows, const Segment& segment, T* packed) {
  with_storage(rows.storage, [&]<class S>() {
    if (rows.row_major())
      widen_rows<T, S>(rows, segment, packed);
    else
      widen_any<T, S>(rows, segment, packed);
  });
}

template <class T>
void widen_to_columns(const DenseRows<T>& rows, const Segment& segment, Index stride, T* packed) {
  with_storage(rows.storage, [&]<class S>() { widen_columns<T, S>(rows, segment, stride, packed); });
}

template <class T>
bool all_finite(Storage storage, const void* numbers, Index count) {
  return with_storage(storage, [&]<class S>() { return finite<T, S>(numbers, count); });
}

constexpr WideningKernels<double> in_double{
    nullptr, nullptr, nullptr, nullptr, &widen<double>, &widen_to_columns<double>, &all_finite<double>};

constexpr WideningKernels<float> in_single{
    &predict<float>, &accumulate<float>,       &sum_in_registers<float>, &descend_in_registers<float>,
    &widen<float>,   &widen_to_columns<float>, &all_finite<float>};

}  // namespace

const WideningKernels<float>& widening_kernels_f32() { return in_single; }
const WideningKernels<double>& widening_kernels_f64() { return in_double; }

}  // namespace steepest::STEEPEST_LEVEL
