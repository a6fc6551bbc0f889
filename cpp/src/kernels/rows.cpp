// Dense rows: predict and accumulate. Up to four registers of features ("narrow") the coefficients or the gradient stay in
// registers over the whole segment; wider rows go four at a time, so that each register of coefficients is loaded once for
// four rows.
#include "reading.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

/// Features of a row as `Full` whole registers and one that may be partial.
template <int Registers, class T>
STEEPEST_INLINE void load_row(const T* row, Index last, Vector<T>* x) {
  constexpr int N = lanes<T>;
  for (int k = 0; k < Registers - 1; ++k) x[k] = Vector<T>::load(row + k * N);
  x[Registers - 1] = Vector<T>::load_first(row + (Registers - 1) * N, last);
}

template <int Registers, bool Gathered, class T>
void predict_narrow(const DenseRows<T>& rows, const Segment& segment, const T* coef, T intercept, T* z) {
  constexpr int N = lanes<T>;
  const Index last = rows.features - (Registers - 1) * N, n = segment.count, reachable = n + segment.ahead;
  const RowReader<T, Gathered> row(rows, segment);
  Vector<T> w[Registers];
  load_row<Registers>(coef, last, w);
  for (Index i = 0; i < n; ++i) {
    if constexpr (Gathered)
      if (i + prefetch_rows < reachable) prefetch_row(row(i + prefetch_rows), rows.features);
    Vector<T> x[Registers];
    load_row<Registers>(row(i), last, x);
    Vector<T> product = w[0] * x[0];
    for (int k = 1; k < Registers; ++k) product = w[k] * x[k] + product;
    z[i] = product.sum() + intercept;
  }
}

template <bool Gathered, class T>
void predict_wide(const DenseRows<T>& rows, const Segment& segment, const T* coef, T intercept, T* z) {
  constexpr int N = lanes<T>;
  constexpr Index group = 4;
  const Index d = rows.features, whole = d / N * N, n = segment.count, reachable = n + segment.ahead;
  const RowReader<T, Gathered> row(rows, segment);
  Index i = 0;
  for (; i + group <= n; i += group) {
    if constexpr (Gathered)
      for (Index k = 0; k < group; ++k)
        if (i + group + k < reachable) prefetch_row(row(i + group + k), d);
    const T *x0 = row(i), *x1 = row(i + 1), *x2 = row(i + 2), *x3 = row(i + 3);
    Vector<T> s0(0.0), s1(0.0), s2(0.0), s3(0.0);
    for (Index j = 0; j < whole; j += N) {
      const auto w = Vector<T>::load(coef + j);
      s0 = w * Vector<T>::load(x0 + j) + s0;
      s1 = w * Vector<T>::load(x1 + j) + s1;
      s2 = w * Vector<T>::load(x2 + j) + s2;
      s3 = w * Vector<T>::load(x3 + j) + s3;
    }
    if (whole < d) {
      const auto w = Vector<T>::load_first(coef + whole, d - whole);
      s0 = w * Vector<T>::load_first(x0 + whole, d - whole) + s0;
      s1 = w * Vector<T>::load_first(x1 + whole, d - whole) + s1;
      s2 = w * Vector<T>::load_first(x2 + whole, d - whole) + s2;
      s3 = w * Vector<T>::load_first(x3 + whole, d - whole) + s3;
    }
    z[i] = s0.sum() + intercept;
    z[i + 1] = s1.sum() + intercept;
    z[i + 2] = s2.sum() + intercept;
    z[i + 3] = s3.sum() + intercept;
  }
  for (; i < n; ++i) {
    const T* x = row(i);
    Vector<T> s(0.0);
    for (Index j = 0; j < whole; j += N) s = Vector<T>::load(coef + j) * Vector<T>::load(x + j) + s;
    if (whole < d) s = Vector<T>::load_first(coef + whole, d - whole) * Vector<T>::load_first(x + whole, d - whole) + s;
    z[i] = s.sum() + intercept;
  }
}

template <bool Gathered, class T>
void predict_rows(const DenseRows<T>& rows, const Segment& segment, const T* coef, T intercept, T* z) {
  switch ((rows.features + lanes<T> - 1) / lanes<T>) {
  case 1:
    return predict_narrow<1, Gathered>(rows, segment, coef, intercept, z);
  case 2:
    return predict_narrow<2, Gathered>(rows, segment, coef, intercept, z);
  case 3:
    return predict_narrow<3, Gathered>(rows, segment, coef, intercept, z);
  case 4:
    return predict_narrow<4, Gathered>(rows, segment, coef, intercept, z);
  default:
    return predict_wide<Gathered>(rows, segment, coef, intercept, z);
  }
}

template <class T>
void predict(const DenseRows<T>& rows, const Segment& segment, const T* coef, T intercept, T* z) {
  if (rows.constant()) {
    for (Index i = 0; i < segment.count; ++i) z[i] = coef[0];
  } else if (segment.offset) {
    predict_rows<true>(rows, segment, coef, intercept, z);
  } else {
    predict_rows<false>(rows, segment, coef, intercept, z);
  }
}

template <int Registers, bool Gathered, class T>
void accumulate_narrow(const DenseRows<T>& rows, const Segment& segment, const T* slope, T* gradient) {
  constexpr int N = lanes<T>;
  const Index last = rows.features - (Registers - 1) * N, n = segment.count;
  const RowReader<T, Gathered> row(rows, segment);
  Vector<T> even[Registers], odd[Registers], x[Registers];  // two chains hide the latency of the multiply-add
  for (int k = 0; k < Registers; ++k) even[k] = odd[k] = Vector<T>(0.0);
  Index i = 0;
  for (; i + 2 <= n; i += 2) {
    const Vector<T> s0(slope[i]), s1(slope[i + 1]);
    load_row<Registers>(row(i), last, x);
    for (int k = 0; k < Registers; ++k) even[k] = s0 * x[k] + even[k];
    load_row<Registers>(row(i + 1), last, x);
    for (int k = 0; k < Registers; ++k) odd[k] = s1 * x[k] + odd[k];
  }
  if (i < n) {
    load_row<Registers>(row(i), last, x);
    for (int k = 0; k < Registers; ++k) even[k] = Vector<T>(slope[i]) * x[k] + even[k];
  }
  for (int k = 0; k < Registers - 1; ++k) add_to(gradient + k * N, even[k] + odd[k]);
  add_to_first(gradient + (Registers - 1) * N, last, even[Registers - 1] + odd[Registers - 1]);
}

/// gradient += sum of `Rows` rows times their slopes: one load and store of the gradient for all of them.
template <int Rows, bool Gathered, class T>
STEEPEST_INLINE void accumulate_group(const RowReader<T, Gathered>& row, Index i, Index d, const T* slope,
                                      T* gradient) {
  constexpr int N = lanes<T>;
  const Index whole = d / N * N;
  const T* x[Rows];
  Vector<T> s[Rows];
  for (int k = 0; k < Rows; ++k) {
    x[k] = row(i + k);
    s[k] = Vector<T>(slope[i + k]);
  }
  for (Index j = 0; j < whole; j += N) {
    Vector<T> sum = s[0] * Vector<T>::load(x[0] + j);
    for (int k = 1; k < Rows; ++k) sum = s[k] * Vector<T>::load(x[k] + j) + sum;
    add_to(gradient + j, sum);
  }
  if (whole < d) {
    Vector<T> sum = s[0] * Vector<T>::load_first(x[0] + whole, d - whole);
    for (int k = 1; k < Rows; ++k) sum = s[k] * Vector<T>::load_first(x[k] + whole, d - whole) + sum;
    add_to_first(gradient + whole, d - whole, sum);
  }
}

template <bool Gathered, class T>
void accumulate_wide(const DenseRows<T>& rows, const Segment& segment, const T* slope, T* gradient) {
  const RowReader<T, Gathered> row(rows, segment);
  Index i = 0;
  for (; i + 8 <= segment.count; i += 8) accumulate_group<8>(row, i, rows.features, slope, gradient);
  for (; i < segment.count; ++i) accumulate_group<1>(row, i, rows.features, slope, gradient);
}

template <bool Gathered, class T>
void accumulate_rows(const DenseRows<T>& rows, const Segment& segment, const T* slope, T* gradient) {
  switch ((rows.features + lanes<T> - 1) / lanes<T>) {
  case 1:
    return accumulate_narrow<1, Gathered>(rows, segment, slope, gradient);
  case 2:
    return accumulate_narrow<2, Gathered>(rows, segment, slope, gradient);
  case 3:
    return accumulate_narrow<3, Gathered>(rows, segment, slope, gradient);
  case 4:
    return accumulate_narrow<4, Gathered>(rows, segment, slope, gradient);
  default:
    return accumulate_wide<Gathered>(rows, segment, slope, gradient);
  }
}

template <class T>
T sum(const T* numbers, Index count) {
  constexpr int N = lanes<T>;
  Vector<T> even(0.0), odd(0.0);
  Index i = 0;
  for (; i + 2 * N <= count; i += 2 * N) {
    even = even + Vector<T>::load(numbers + i);
    odd = odd + Vector<T>::load(numbers + i + N);
  }
  T total = (even + odd).sum();
  for (; i < count; ++i) total += numbers[i];
  return total;
}

template <class T>
void accumulate(const DenseRows<T>& rows, const Segment& segment, const T* slope, T* gradient) {
  if (rows.constant())
    gradient[0] += sum(slope, segment.count);
  else if (segment.offset)
    accumulate_rows<true>(rows, segment, slope, gradient);
  else
    accumulate_rows<false>(rows, segment, slope, gradient);
}

/// As many offsets as T fit a register.
template <class T>
struct Offsets {
  typedef std::uint32_t Native __attribute__((vector_size(lanes<T> * sizeof(std::uint32_t))));
};

/// Whether `lanes<T>` rows follow one another in memory.
template <class T>
STEEPEST_INLINE bool consecutive(const std::uint32_t* offset) {
  constexpr int N = lanes<T>;
  if (offset[N - 1] - offset[0] != std::uint32_t(N - 1)) return false;
  typename Offsets<T>::Native given, step;
  __builtin_memcpy(&given, offset, sizeof(given));
  for (int k = 0; k < N; ++k) step[k] = std::uint32_t(k);
  const auto differ = given - step - offset[0];
  std::uint64_t words[N / 2], any = 0;
  __builtin_memcpy(words, &differ, sizeof(words));
  for (const std::uint64_t word : words) any |= word;
  return any == 0;
}

/// A register of numbers at the offsets, in one load where they follow one another.
template <class T>
STEEPEST_INLINE Vector<T> load_at(const T* from, const std::uint32_t* offset, bool together) {
  constexpr int N = lanes<T>;
  if (together) return Vector<T>::load(from + offset[0]);
  Vector<T> result;
  for (int k = 0; k < N; ++k) result.v[k] = from[offset[k]];
  return result;
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
    const Index reachable = n + segment.ahead;
    for (Index i = 0; i < n; ++i) {
      if (segment.offset && i + prefetch_rows < reachable)
        prefetch_row(rows.data + segment[i + prefetch_rows] * rows.row_stride, d);
      __builtin_memcpy(packed + i * d, rows.data + segment[i] * rows.row_stride, std::size_t(d) * sizeof(T));
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
  from += segment.begin;
  const Index far = segment.count + segment.ahead - 2 * prefetch_rows;
  Index i = 0;
  while (i < segment.count) {
    if (i + N <= segment.count && consecutive<T>(segment.offset + i)) {
      if (i < far) __builtin_prefetch(from + segment.offset[i + 2 * prefetch_rows], 0, 2);
      Vector<T>::load(from + segment.offset[i]).store(to + i);
      i += N;
      continue;
    }
    // Runs rarely begin where a register does: after the rest of one, the next is copied whole again.
    const Index stop = i + N < segment.count ? i + N : segment.count;
    const bool runs = i + 1 < stop && segment.offset[i + 1] == segment.offset[i] + 1;
    do {
      if (i < far) __builtin_prefetch(from + segment.offset[i + 2 * prefetch_rows], 0, 2);
      to[i] = from[segment.offset[i]];
      ++i;
    } while (i < stop && !(runs && segment.offset[i] != segment.offset[i - 1] + 1));
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
void add(const T* from, Index count, T* to) {
  for (Index i = 0; i < count; ++i) to[i] += from[i];
}

template <class T>
constexpr RowKernels<T> row_kernels{
    &predict<T>, &accumulate<T>, &predict_columns<T>, &accumulate_columns<T>, &pack<T>, &gather<T>,
    &add<T>,     &sum<T>,        &finite<T>};

}  // namespace

const RowKernels<float>& row_kernels_f32() { return row_kernels<float>; }
const RowKernels<double>& row_kernels_f64() { return row_kernels<double>; }

}  // namespace steepest::STEEPEST_LEVEL
