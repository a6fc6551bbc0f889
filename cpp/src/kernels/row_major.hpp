// Dense rows of C order: predict and accumulate. Up to four registers of features ("narrow"), eight where there are 32, the
// coefficients or the gradient stay in registers over the whole segment; wider rows go eight at a time, so that each register of
// coefficients is loaded once for all of them.
//
// Rows of type S meet coefficients of type T: narrower numbers are widened in registers, twice, because a widened copy of a
// chunk would leave the first-level cache before it is read. Both give the same bits: sums of products begin at zero, because
// of two products alone a compiler rounds either one before the addition, and not the same one everywhere.
#pragma once

#include <utility>

#include "reading.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

/// Registers of coefficients that leave room for what is done with them: where they are of 64 bytes, there are 32.
template <class T>
constexpr int most_registers = lanes<T> * sizeof(T) == 64 ? 8 : 4;
template <class T>
constexpr Index most_in_registers = most_registers<T> * lanes<T>;

/// Calls use<Registers>() for rows of so many features, at most as many as fit registers.
template <class T, int Registers = 1, class Use>
STEEPEST_INLINE auto with_registers(Index features, const Use& use) {
  if constexpr (Registers < most_registers<T>)
    if (features > Registers * lanes<T>) return with_registers<T, Registers + 1>(features, use);
  return use.template operator()<Registers>();
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
  for (; i + N <= n; i += N) {
    // Row by row, as they lie: summed up, they would be met in another order, which the hardware's prefetcher cannot follow.
    Vector<T> products[N];
    unrolled<N>([&]<int K>() STEEPEST_INLINE_LAMBDA { products[K] = product(i + K); });
    (ops::sums<Vector<T>>([&](int k) STEEPEST_INLINE_LAMBDA { return products[k]; }) + Vector<T>(intercept))
        .store(z + i);
  }
  for (; i < n; ++i) z[i] = product(i).sum() + intercept;
}

template <int Registers, class T, class Reader>
void predict_narrow(const Reader& row, Index d, const Segment& segment, const T* coef, T intercept, T* z) {
  const Index last = d - (Registers - 1) * lanes<T>;
  predict_parts(row, segment.count, last, parts_of<Registers>(coef, last), intercept,
                lookout_of<Registers, T>(row, d, segment), z);
}

/// Calls group.operator()<Rows>(i) for groups of wide rows from row i on: so many meet each register of coefficients, or of the
/// gradient, together. Eight side by side are eight streams for the hardware's prefetcher.
template <class Group>
STEEPEST_INLINE void in_groups(Index rows, const Group& group) {
  Index i = 0;
  for (; i + 8 <= rows; i += 8) group.template operator()<8>(i);
  for (; i + 4 <= rows; i += 4) group.template operator()<4>(i);
  for (; i < rows; ++i) group.template operator()<1>(i);
}

/// Asks for half of the rows that follow a segment in the places of a group's, either half in one pass, line by line as the group is
/// walked: asked for in bursts, lines fill the buffers for lines on their way, and the work waits.
template <int Rows, bool Second, class T, class Reader>
class Successors {
 public:
  STEEPEST_INLINE Successors(const Reader& row, const Segment& segment, Index i) {
    for (int k = 0; k < asked; ++k) {
      const Index own = i + (Second ? Rows - asked : 0) + k, next = segment.count + own;
      // What has none asks for its own line, which is near.
      row_[k] = row(next < segment.count + segment.ahead ? segment.soon(next) : own);
    }
  }
  STEEPEST_INLINE void step(Index j) const {
    constexpr Index registers_a_line = line > lanes<T> ? line / lanes<T> : 1;
    if (j / lanes<T> % registers_a_line != 0) return;
    for (int k = 0; k < asked; ++k) __builtin_prefetch(row_[k] + j, 0, 2);
  }
  /// What is left behind the whole registers. A row may begin anywhere in a line, and so reach into one more.
  STEEPEST_INLINE void finish(Index features) const {
    const Index last = features - 1;
    for (int k = 0; k < asked; ++k) {
      __builtin_prefetch(row_[k] + last / line * line, 0, 2);
      __builtin_prefetch(row_[k] + last, 0, 2);
    }
  }

 private:
  using S = std::remove_cvref_t<decltype(*std::declval<Reader>()(0))>;
  static constexpr Index line = 64 / Index(sizeof(S));
  static constexpr int asked = Second ? Rows / 2 : (Rows + 1) / 2;
  const S* row_[asked > 0 ? asked : 1];
};

/// Walks a segment of wide rows, pass(i, Rows, requests) being a group. Either pass spreads requests for half of the rows behind
/// the segment: the second one reads from the cache, and would leave the memory idle.
template <bool Second, class T, class Reader, class Pass>
STEEPEST_INLINE void with_requests(const Reader& row, Index d, const Segment& segment, const Pass& pass) {
  const WideLookout<Reader> lookout(row, d, segment);
  if (lookout.spread()) {
    return in_groups(segment.count, [&]<int Rows>(Index i) {
      const Successors<Rows, Second, T, Reader> successors(row, segment, i);
      pass.template operator()<Rows>(i, successors);
      successors.finish(d);
    });
  }
  NoRequests none;
  in_groups(segment.count, [&]<int Rows>(Index i) {
    Second ? lookout.second_pass(i, Rows) : lookout.first_pass(i, Rows);
    pass.template operator()<Rows>(i, none);
  });
}

/// The predictions of a group of wide rows.
template <int Rows, class T, class Reader, class Requests>
STEEPEST_INLINE void predict_group(const Reader& row, Index i, Index d, const T* coef, T intercept,
                                   const Requests& requests, T* z) {
  constexpr int N = lanes<T>;
  const Index whole = d / N * N;
  decltype(row(0)) x[Rows];
  Vector<T> sum[Rows];
  unrolled<Rows>([&]<int K>() {
    x[K] = row(i + K);
    sum[K] = Vector<T>(0.0);
  });
  for (Index j = 0; j < whole; j += N) {
    requests.step(j);
    const auto w = Vector<T>::load(coef + j);
    unrolled<Rows>([&]<int K>() { sum[K] = w * load_as<T>(x[K] + j) + sum[K]; });
  }
  if (whole < d) {
    const auto w = Vector<T>::load_last(coef + d, d - whole);
    unrolled<Rows>([&]<int K>() { sum[K] = w * load_last_as<T>(x[K] + d, d - whole) + sum[K]; });
  }
  ops::store_sums<Rows, Vector<T>>([&](int k) STEEPEST_INLINE_LAMBDA { return sum[k]; }, z + i);
  for (int k = 0; k < Rows; ++k) z[i + k] += intercept;
}

template <class T, class Reader>
void predict_wide(const Reader& row, Index d, const Segment& segment, const T* coef, T intercept, T* z) {
  with_requests<false, T>(row, d, segment, [&]<int Rows>(Index i, const auto& requests) {
    predict_group<Rows>(row, i, d, coef, intercept, requests, z);
  });
}

template <class T, class Reader>
STEEPEST_INLINE void predict_rows(const Reader& row, Index d, const Segment& segment, const T* coef, T intercept,
                                  T* z) {
  if (d > most_in_registers<T>) return predict_wide(row, d, segment, coef, intercept, z);
  with_registers<T>(d, [&]<int Registers>() { predict_narrow<Registers>(row, d, segment, coef, intercept, z); });
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
                                store_part<K, Registers>(part_of<K, Registers, T>(gradient, last) + sum, gradient,
                                                         last);
                              });
}

/// gradient += sum of `Rows` rows times their slopes: one load and store of the gradient for all of them.
template <int Rows, class T, class Reader, class Requests>
STEEPEST_INLINE void accumulate_group(const Reader& row, Index i, Index d, const T* slope, const Requests& requests,
                                      T* gradient, Vector<T>& rest) {
  constexpr int N = lanes<T>;
  const Index whole = d / N * N;
  decltype(row(0)) x[Rows];
  Vector<T> s[Rows];
  unrolled<Rows>([&]<int K>() {
    x[K] = row(i + K);
    s[K] = Vector<T>(slope[i + K]);
  });
  for (Index j = 0; j < whole; j += N) {
    requests.step(j);
    Vector<T> sum(0.0);
    unrolled<Rows>([&]<int K>() { sum = s[K] * load_as<T>(x[K] + j) + sum; });
    add_to(gradient + j, sum);
  }
  if (whole < d) {
    Vector<T> sum(0.0);
    unrolled<Rows>([&]<int K>() { sum = s[K] * load_last_as<T>(x[K] + d, d - whole) + sum; });
    rest = rest + sum;
  }
}

/// The part of the gradient behind the last whole register stays in one: it would overlap with what was just stored.
template <class T, class Reader>
void accumulate_wide(const Reader& row, Index d, const Segment& segment, const T* slope, T* gradient) {
  const Index partial = d % lanes<T>;
  auto rest = Vector<T>::load_last(gradient + d, partial);
  with_requests<true, T>(row, d, segment, [&]<int Rows>(Index i, const auto& requests) {
    accumulate_group<Rows>(row, i, d, slope, requests, gradient, rest);
  });
  rest.store_last(gradient + d, partial);
}

template <class T, class Reader>
STEEPEST_INLINE void accumulate_rows(const Reader& row, Index d, const Segment& segment, const T* slope, T* gradient) {
  if (d > most_in_registers<T>) return accumulate_wide(row, d, segment, slope, gradient);
  with_registers<T>(d, [&]<int Registers>() { accumulate_narrow<Registers>(row, d, segment, slope, gradient); });
}

}  // namespace
}  // namespace steepest::STEEPEST_LEVEL
