// Dense rows in place: the sums of C order (row_major.hpp) for wide numbers, and those of F order.
#include "in_registers.hpp"
#include "row_major.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

template <class T>
void predict(const DenseRows<T>& rows, const Segment& segment, const T* coef, T intercept, T* z) {
  const Index d = rows.features;
  if (rows.constant()) {
    for (Index i = 0; i < segment.count; ++i) z[i] = coef[0];
  } else if (segment.offset) {
    predict_rows(RowReader<T, true>(rows, segment), d, segment, coef, intercept, z);
  } else {
    predict_rows(RowReader<T, false>(rows, segment), d, segment, coef, intercept, z);
  }
}

template <class T>
void accumulate(const DenseRows<T>& rows, const Segment& segment, const T* slope, T* gradient) {
  const Index d = rows.features;
  if (rows.constant())
    gradient[0] += sum(slope, segment.count);
  else if (segment.offset)
    accumulate_rows(RowReader<T, true>(rows, segment), d, segment, slope, gradient);
  else
    accumulate_rows(RowReader<T, false>(rows, segment), d, segment, slope, gradient);
}

/// What a block of rows of F order is: N rows anywhere, or in sequence where the segment has no offsets.
template <class T>
struct ColumnBlock {
  const T* x;
  const std::uint32_t* offset;
  bool together;

  STEEPEST_INLINE ColumnBlock(const DenseRows<T>& rows, const Segment& segment, Index i)
      : x(rows.data + segment.begin + (segment.offset ? 0 : i)), offset(segment.offset ? segment.offset + i : nullptr),
        together(!offset || consecutive<T>(offset)) {
    if (offset && together) x += offset[0], offset = nullptr;
  }
  STEEPEST_INLINE Vector<T> column(Index shift) const {
    return offset ? load_at(x + shift, offset, false) : Vector<T>::load(x + shift);
  }
};

template <class T>
void predict_columns(const DenseRows<T>& rows, const Segment& segment, const T* coef, T intercept, T* z) {
  constexpr int N = lanes<T>;
  const Index n = segment.count, d = rows.features, stride = rows.column_stride;
  Index i = 0;
  for (; i + N <= n; i += N) {
    const ColumnBlock<T> block(rows, segment, i);
    Vector<T> even(intercept), odd(0.0);
    Index j = 0;
    for (; j + 2 <= d; j += 2) {
      even = Vector<T>(coef[j]) * block.column(j * stride) + even;
      odd = Vector<T>(coef[j + 1]) * block.column((j + 1) * stride) + odd;
    }
    if (j < d) even = Vector<T>(coef[j]) * block.column(j * stride) + even;
    (even + odd).store(z + i);
  }
  for (; i < n; ++i) {
    const T* x = rows.data + segment[i];
    T even = intercept, odd = 0;
    Index j = 0;
    for (; j + 2 <= d; j += 2) {
      even = coef[j] * x[j * stride] + even;
      odd = coef[j + 1] * x[(j + 1) * stride] + odd;
    }
    if (j < d) even = coef[j] * x[j * stride] + even;
    z[i] = even + odd;
  }
}

template <class T>
void accumulate_columns(const DenseRows<T>& rows, const Segment& segment, const T* slope, T* gradient) {
  constexpr int N = lanes<T>;
  const Index n = segment.count, d = rows.features, stride = rows.column_stride;
  Index i = 0;
  for (; i + 4 * N <= n; i += 4 * N) {
    // Four blocks at a time: their products meet before the costly sum over lanes.
    const ColumnBlock<T> b0(rows, segment, i), b1(rows, segment, i + N), b2(rows, segment, i + 2 * N),
        b3(rows, segment, i + 3 * N);
    const auto s0 = Vector<T>::load(slope + i), s1 = Vector<T>::load(slope + i + N);
    const auto s2 = Vector<T>::load(slope + i + 2 * N), s3 = Vector<T>::load(slope + i + 3 * N);
    for (Index j = 0; j < d; ++j) {
      const Index shift = j * stride;
      const auto even = s1 * b1.column(shift) + s0 * b0.column(shift);
      const auto odd = s3 * b3.column(shift) + s2 * b2.column(shift);
      gradient[j] += (even + odd).sum();
    }
  }
  for (; i + N <= n; i += N) {
    const ColumnBlock<T> block(rows, segment, i);
    const auto s = Vector<T>::load(slope + i);
    for (Index j = 0; j < d; ++j) gradient[j] += (s * block.column(j * stride)).sum();
  }
  for (; i < n; ++i) {
    const T* x = rows.data + segment[i];
    for (Index j = 0; j < d; ++j) gradient[j] += slope[i] * x[j * stride];
  }
}

template <class T>
void pack(const DenseRows<T>& rows, const Segment& segment, T* packed) {
  const Index n = segment.count, d = rows.features;
  if (rows.row_major()) {
    const Index reachable = n + segment.ahead, bytes = d * Index(sizeof(T)), far = copied_rows_ahead(bytes);
    for (Index i = 0; i < n; ++i) {
      if (segment.offset && i + far < reachable)
        prefetch_bytes(rows.data + segment[segment.soon(i + far)] * rows.row_stride, bytes);
      __builtin_memcpy(packed + i * d, rows.data + segment[i] * rows.row_stride, std::size_t(bytes));
    }
    return;
  }
  // Where columns are contiguous, each cache line of one is read for as many rows as it may hold.
  const Index together = rows.column_major() ? 64 / Index(sizeof(T)) : 1;
  for (Index i = 0; i < n; i += together) {
    const Index stop = i + together < n ? i + together : n;
    for (Index j = 0; j < d; ++j)
      for (Index k = i; k < stop; ++k)
        packed[k * d + j] = rows.data[segment[k] * rows.row_stride + j * rows.column_stride];
  }
}

/// The segment has offsets: consecutive numbers need no gathering.
template <class T>
void gather(const T* from, const Segment& segment, T* to) {
  constexpr int N = lanes<T>;
  constexpr Index distance = 2 * prefetch_rows;
  from += segment.begin;
  const std::uint32_t* offset = segment.offset;
  const Index n = segment.count, far = n + segment.ahead - distance - N;
  for (Index i = 0; i < n;) {
    const Index stop = i + N < n ? i + N : n, half = i + N / 2 - 1;
    const bool runs = half < n && offset[half] == offset[i] + (N / 2 - 1);
    if (i < far)
      for (Index k = 0; k < (runs ? 1 : N); ++k)
        __builtin_prefetch(from + offset[segment.soon(i + distance + k)], 0, 2);
    if (!runs) {
      for (; i < stop; ++i) to[i] = from[offset[i]];
    } else if (i + N <= n && consecutive<T>(offset + i)) {
      Vector<T>::load(from + offset[i]).store(to + i);
      i = stop;
    } else {
      // Runs rarely begin where a register does: after the rest of one, the next is copied whole again.
      do {
        to[i] = from[offset[i]];
        ++i;
      } while (i < stop && offset[i] == offset[i - 1] + 1);
    }
  }
}

/// Zero times anything finite is zero.
template <class T>
bool finite(const T* numbers, Index count) {
  constexpr int N = lanes<T>;
  const Vector<T> zero(0.0);
  Vector<T> a(0.0), b(0.0), c(0.0), d(0.0);
  Index i = 0;
  for (; i + 4 * N <= count; i += 4 * N) {
    a = Vector<T>::load(numbers + i) * zero + a;
    b = Vector<T>::load(numbers + i + N) * zero + b;
    c = Vector<T>::load(numbers + i + 2 * N) * zero + c;
    d = Vector<T>::load(numbers + i + 3 * N) * zero + d;
  }
  T total = ((a + b) + (c + d)).sum();
  for (; i < count; ++i) total += numbers[i] * T(0);
  return total == T(0);
}

template <class T>
double descend(const ElasticStep& step, Index rows, const T* gradient, Index count, bool intercept, T* x) {
  constexpr int N = lanes<T>;
  SteppedParts<T> stepped(step);
  Index j = 0;
  for (; j + N <= count; j += N) stepped(Vector<T>::load(x + j), Vector<T>::load(gradient + j)).store(x + j);
  // In the same lanes as part_of() would have them, for the penalty is summed lane by lane.
  if (const Index rest = count - j; rest > 0 && j == 0)
    stepped(Vector<T>::load_first(x, rest), Vector<T>::load_first(gradient, rest)).store_first(x, rest);
  else if (rest > 0)
    stepped(Vector<T>::load_last(x + count, rest), Vector<T>::load_last(gradient + count, rest))
        .store_last(x + count, rest);
  if (intercept) x[count] = stepped.intercept(step, x[count], gradient[count]);
  return stepped.penalty(step, rows);
}

template <class T>
double sum_in_registers(const DenseRows<T>& rows, const Segment& segment, const RowLosses<T>& losses, const T* x,
                        T* gradient) {
  const auto sum = [&](const auto& row) { return sum_in_registers(row, rows.features, segment, losses, x, gradient); };
  return segment.offset ? sum(RowReader<T, true>(rows, segment)) : sum(RowReader<T, false>(rows, segment));
}

template <class T>
Index descend_in_registers(const DenseRows<T>& rows, const Segment& segment, const RowLosses<T>& losses,
                           const SmallBatches<T>& batches, T* x, double* objectives) {
  const auto descend = [&](const auto& row) {
    return descend_in_registers(row, rows.features, segment, losses, batches, x, objectives);
  };
  return segment.offset ? descend(RowReader<T, true>(rows, segment)) : descend(RowReader<T, false>(rows, segment));
}

template <class T>
void add(const T* from, Index count, T* to) {
  for (Index i = 0; i < count; ++i) to[i] += from[i];
}

template <class T>
constexpr RowKernels<T> row_kernels{
    &predict<T>, &accumulate<T>,       &predict_columns<T>,  &accumulate_columns<T>,   &pack<T>, &gather<T>,
    &descend<T>, most_in_registers<T>, &sum_in_registers<T>, &descend_in_registers<T>, &add<T>,  &sum<T>,
    &finite<T>};

}  // namespace

const RowKernels<float>& row_kernels_f32() { return row_kernels<float>; }
const RowKernels<double>& row_kernels_f64() { return row_kernels<double>; }

}  // namespace steepest::STEEPEST_LEVEL
