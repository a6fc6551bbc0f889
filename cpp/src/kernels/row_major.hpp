// Dense rows of C order: predict and accumulate. Up to four registers of features ("narrow") the coefficients or the gradient
// stay in registers over the whole segment; wider rows go four at a time, so that each register of coefficients is loaded
// once for four rows.
//
// Rows of type S meet coefficients of type T: narrower numbers are widened in registers, twice, because a widened copy of a
// chunk would leave the first-level cache before it is read. Both give the same bits: sums of products begin at zero, because
// of two products alone a compiler rounds either one before the addition, and not the same one everywhere.
#pragma once

#include <type_traits>

#include "reading.hpp"
#include "steepest/simd_narrow.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

template <class T, class S>
STEEPEST_INLINE Vector<T> load_as(const S* from) {
  if constexpr (std::is_same_v<T, S>)
    return Vector<T>::load(from);
  else
    return widened<T, lanes<T>>(from);
}

/// The first `count` of a register's numbers, zeros behind them.
template <class T, class S>
STEEPEST_INLINE Vector<T> load_first_as(const S* from, Index count) {
  if constexpr (std::is_same_v<T, S>)
    return Vector<T>::load_first(from, count);
  else
    return widened_first<T, lanes<T>>(from, count);
}

/// Register K of a row of as many as `Registers`, the last of which may be partial.
template <int K, int Registers, class T, class S>
STEEPEST_INLINE Vector<T> part_of(const S* row, Index last) {
  if constexpr (K < Registers - 1)
    return load_as<T>(row + K * lanes<T>);
  else
    return load_first_as<T>(row + K * lanes<T>, last);
}

/// What asks for rows of so many registers of T, however they are stored.
template <int Registers, class T, class Reader>
STEEPEST_INLINE auto lookout_of(const Reader& row, Index d, const Segment& segment) {
  constexpr int lines = (Registers * lanes<T> * int(sizeof(*row(0))) + 63) / 64;
  return Lookout<lines, Reader>(row, d, segment);
}

/// A row of coefficients, or of the gradient, in registers.
template <int Registers, class T>
struct Parts {
  Vector<T> part[Registers];
};

template <int Registers, class T>
STEEPEST_INLINE Parts<Registers, T> parts_of(const T* numbers, Index last) {
  Parts<Registers, T> all;
  unrolled<Registers>([&]<int K>() { all.part[K] = part_of<K, Registers, T>(numbers, last); });
  return all;
}

template <int Registers, class T, class Reader, class Lookout>
STEEPEST_INLINE void predict_parts(const Reader& row, Index n, Index last, const Parts<Registers, T>& w, T intercept,
                                   const Lookout& lookout, T* z) {
  constexpr int N = lanes<T>;
  const auto product = [&](Index i) STEEPEST_INLINE_LAMBDA {
    if (i % 2 == 0) lookout.first_pass(i);
    const auto* x = row(i);
    Vector<T> sum(0.0);
    unrolled<Registers>([&]<int K>() { sum = w.part[K] * part_of<K, Registers, T>(x, last) + sum; });
    return sum;
  };
  Index i = 0;
  for (; i + N <= n; i += N)
    (ops::sums<Vector<T>>([&](int k) STEEPEST_INLINE_LAMBDA { return product(i + k); }) + Vector<T>(intercept))
        .store(z + i);
  for (; i < n; ++i) z[i] = product(i).sum() + intercept;
}

template <int Registers, class T, class Reader>
void predict_narrow(const Reader& row, Index d, const Segment& segment, const T* coef, T intercept, T* z) {
  const Index last = d - (Registers - 1) * lanes<T>;
  predict_parts(row, segment.count, last, parts_of<Registers>(coef, last), intercept,
                lookout_of<Registers, T>(row, d, segment), z);
}

/// Wide rows that meet each register of coefficients, or of the gradient, together; those left over come one by one.
constexpr Index wide_predicted = 4, wide_accumulated = 8;

template <Index Group>
constexpr Index steps_of(Index rows) {
  return rows / Group + rows % Group;
}

/// Walks a segment of wide rows in so many steps, and asks between them for half of the rows behind it: both passes do, for the
/// second one reads from the cache and would leave the memory idle. What asks takes registers, and is left out where nothing
/// is to be asked for.
template <class Reader, class Pass>
STEEPEST_INLINE void with_requests(const Reader& row, Index d, const Segment& segment, bool second, Index steps,
                                   const Pass& pass) {
  using S = std::remove_cvref_t<decltype(*row.first)>;
  const Index all = asked_for(segment), half = (all + 1) / 2;
  if (all == 0) {
    NoRequests none;
    return pass(none);
  }
  Requests<S> requests(row.first, row.stride, d, segment, second ? half : 0, second ? all : half, steps);
  pass(requests);
}

template <class T, class Reader, class Requests>
void predict_wide(const Reader& row, Index d, Index n, const T* coef, T intercept, Requests& requests, T* z) {
  constexpr int N = lanes<T>;
  constexpr Index group = wide_predicted;
  const Index whole = d / N * N;
  Index i = 0;
  for (; i + group <= n; i += group) {
    const auto *x0 = row(i), *x1 = row(i + 1), *x2 = row(i + 2), *x3 = row(i + 3);
    Vector<T> s0(0.0), s1(0.0), s2(0.0), s3(0.0);
    for (Index j = 0; j < whole; j += N) {
      requests.step();
      const auto w = Vector<T>::load(coef + j);
      s0 = w * load_as<T>(x0 + j) + s0;
      s1 = w * load_as<T>(x1 + j) + s1;
      s2 = w * load_as<T>(x2 + j) + s2;
      s3 = w * load_as<T>(x3 + j) + s3;
    }
    if (whole < d) {
      const auto w = Vector<T>::load_first(coef + whole, d - whole);
      s0 = w * load_first_as<T>(x0 + whole, d - whole) + s0;
      s1 = w * load_first_as<T>(x1 + whole, d - whole) + s1;
      s2 = w * load_first_as<T>(x2 + whole, d - whole) + s2;
      s3 = w * load_first_as<T>(x3 + whole, d - whole) + s3;
    }
    z[i] = s0.sum() + intercept;
    z[i + 1] = s1.sum() + intercept;
    z[i + 2] = s2.sum() + intercept;
    z[i + 3] = s3.sum() + intercept;
  }
  for (; i < n; ++i) {
    const auto* x = row(i);
    Vector<T> s(0.0);
    for (Index j = 0; j < whole; j += N) {
      requests.step();
      s = Vector<T>::load(coef + j) * load_as<T>(x + j) + s;
    }
    if (whole < d) s = Vector<T>::load_first(coef + whole, d - whole) * load_first_as<T>(x + whole, d - whole) + s;
    z[i] = s.sum() + intercept;
  }
}

template <class T, class Reader>
STEEPEST_INLINE void predict_rows(const Reader& row, Index d, const Segment& segment, const T* coef, T intercept,
                                  T* z) {
  switch ((d + lanes<T> - 1) / lanes<T>) {
  case 1:
    return predict_narrow<1>(row, d, segment, coef, intercept, z);
  case 2:
    return predict_narrow<2>(row, d, segment, coef, intercept, z);
  case 3:
    return predict_narrow<3>(row, d, segment, coef, intercept, z);
  case 4:
    return predict_narrow<4>(row, d, segment, coef, intercept, z);
  default:
    return with_requests(row, d, segment, false, steps_of<wide_predicted>(segment.count) * (d / lanes<T>),
                         [&](auto& requests) { predict_wide(row, d, segment.count, coef, intercept, requests, z); });
  }
}

/// The sum of rows times their slopes, part by part to `take<K>`.
template <int Registers, class T, class Reader, class Lookout, class Take>
STEEPEST_INLINE void accumulate_parts(const Reader& row, Index n, Index last, const T* slope, const Lookout& lookout,
                                      const Take& take) {
  Vector<T> even[Registers], odd[Registers];  // two chains hide the latency of the multiply-add
  unrolled<Registers>([&]<int K>() { even[K] = odd[K] = Vector<T>(0.0); });
  const auto add_row = [&](Index i, Vector<T>* sum) STEEPEST_INLINE_LAMBDA {
    const Vector<T> s(slope[i]);
    const auto* x = row(i);
    unrolled<Registers>([&]<int K>() { sum[K] = s * part_of<K, Registers, T>(x, last) + sum[K]; });
  };
  Index i = 0;
  for (; i + 2 <= n; i += 2) {
    lookout.second_pass(i);
    add_row(i, even);
    add_row(i + 1, odd);
  }
  if (i < n) add_row(i, even);
  unrolled<Registers>([&]<int K>() { take.template operator()<K>(even[K] + odd[K]); });
}

template <int Registers, class T, class Reader>
void accumulate_narrow(const Reader& row, Index d, const Segment& segment, const T* slope, T* gradient) {
  const Index last = d - (Registers - 1) * lanes<T>;
  accumulate_parts<Registers>(row, segment.count, last, slope, lookout_of<Registers, T>(row, d, segment),
                              [&]<int K>(Vector<T> sum) STEEPEST_INLINE_LAMBDA {
                                if constexpr (K < Registers - 1)
                                  add_to(gradient + K * lanes<T>, sum);
                                else
                                  add_to_first(gradient + K * lanes<T>, last, sum);
                              });
}

/// gradient += sum of `Rows` rows times their slopes: one load and store of the gradient for all of them.
template <int Rows, class T, class Reader, class Requests>
STEEPEST_INLINE void accumulate_group(const Reader& row, Index i, Index d, const T* slope, Requests& requests,
                                      T* gradient) {
  constexpr int N = lanes<T>;
  const Index whole = d / N * N;
  decltype(row(0)) x[Rows];
  Vector<T> s[Rows];
  unrolled<Rows>([&]<int K>() {
    x[K] = row(i + K);
    s[K] = Vector<T>(slope[i + K]);
  });
  for (Index j = 0; j < whole; j += N) {
    requests.step();
    Vector<T> sum(0.0);
    unrolled<Rows>([&]<int K>() { sum = s[K] * load_as<T>(x[K] + j) + sum; });
    add_to(gradient + j, sum);
  }
  if (whole < d) {
    Vector<T> sum(0.0);
    unrolled<Rows>([&]<int K>() { sum = s[K] * load_first_as<T>(x[K] + whole, d - whole) + sum; });
    add_to_first(gradient + whole, d - whole, sum);
  }
}

template <class T, class Reader, class Requests>
void accumulate_wide(const Reader& row, Index d, Index n, const T* slope, Requests& requests, T* gradient) {
  constexpr Index group = wide_accumulated;
  Index i = 0;
  for (; i + group <= n; i += group) accumulate_group<group>(row, i, d, slope, requests, gradient);
  for (; i < n; ++i) accumulate_group<1>(row, i, d, slope, requests, gradient);
}

template <class T, class Reader>
STEEPEST_INLINE void accumulate_rows(const Reader& row, Index d, const Segment& segment, const T* slope, T* gradient) {
  switch ((d + lanes<T> - 1) / lanes<T>) {
  case 1:
    return accumulate_narrow<1>(row, d, segment, slope, gradient);
  case 2:
    return accumulate_narrow<2>(row, d, segment, slope, gradient);
  case 3:
    return accumulate_narrow<3>(row, d, segment, slope, gradient);
  case 4:
    return accumulate_narrow<4>(row, d, segment, slope, gradient);
  default:
    return with_requests(row, d, segment, true, steps_of<wide_accumulated>(segment.count) * (d / lanes<T>),
                         [&](auto& requests) { accumulate_wide(row, d, segment.count, slope, requests, gradient); });
  }
}

}  // namespace
}  // namespace steepest::STEEPEST_LEVEL
