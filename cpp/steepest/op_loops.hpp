// The loops that operations of the graph run: compiled once per CPU level, on geometries made elsewhere.
#pragma once

#include "steepest/geometry.hpp"
#include "steepest/matmul.hpp"
#include "steepest/simd_math.hpp"

namespace steepest::STEEPEST_LEVEL::loops {

using Index = std::int64_t;
template <class T>
using Vector = Simd<T, lanes<T>>;

/// Calls line(in, out) for every line along the last axis of a geometry.
template <class T, class Line>
STEEPEST_INLINE void for_each_line(const Geometry& g, const T* const* in, int inputs, T* out, Line line) {
  if (g.count == 0) return;
  const T* from[3];
  for (int k = 0; k < inputs; ++k) from[k] = in[k];
  Index at[max_axes] = {};
  for (;;) {
    line(from, out);
    int axis = g.axes - 2;
    for (; axis >= 0; --axis) {
      const auto i = std::size_t(axis);
      for (int k = 0; k < inputs; ++k) from[k] += g.stride[std::size_t(k)][i];
      out += g.stride[3][i];
      if (++at[i] < g.size[i]) break;
      for (int k = 0; k < inputs; ++k) from[k] -= g.size[i] * g.stride[std::size_t(k)][i];
      out -= g.size[i] * g.stride[3][i];
      at[i] = 0;
    }
    if (axis < 0) return;
  }
}

/// A register of results; `operand(k)` is one of the k-th input.
template <class Op, class Operand>
STEEPEST_INLINE auto apply(std::int32_t option, const Operand& operand) {
  if constexpr (Op::arity == 1) {
    const auto x = operand(0);
    if constexpr (requires { Op::forward(x, option); })
      return Op::forward(x, option);
    else
      return Op::forward(x);
  } else if constexpr (Op::arity == 2) {
    return Op::forward(operand(0), operand(1));
  } else {
    return Op::forward(operand(0), operand(1), operand(2));
  }
}

/// n results of an elementwise operation; operands step by 0 or 1. The last few share a register: lines are often as short as
/// there are classes.
template <class Op, class T>
STEEPEST_INLINE void line(Index n, const T* const* in, const Index* step, T* out, std::int32_t option) {
  using V = Vector<T>;
  Index i = 0;
  for (; i + V::size <= n; i += V::size)
    apply<Op>(option, [&](int k) { return step[k] ? V::load(in[k] + i) : V(*in[k]); }).store(out + i);
  const Index rest = n - i;
  if (rest == 1)
    apply<Op>(option, [&](int k) { return Simd<T, 1>::load(in[k] + (step[k] ? i : 0)); }).store(out + i);
  else if (rest > 0)
    apply<Op>(option, [&](int k) {
      return step[k] ? V::load_first(in[k] + i, rest) : V(*in[k]);
    }).store_first(out + i, rest);
}

/// The first `count` lanes, another number behind them.
template <class V>
STEEPEST_INLINE V filled(V first, Index count, V rest) {
  return [&]<int... I>(std::integer_sequence<int, I...>) {
    using T = typename V::Scalar;
    const V lane(typename V::Native{T(I)...});
    return ops::select(lane < V(double(count)), first, rest);
  }(std::make_integer_sequence<int, V::size>{});
}

/// The largest of all lanes.
template <class T, int N>
STEEPEST_INLINE T largest(Simd<T, N> x) {
  if constexpr (N == 1)
    return x.v;
  else if constexpr (N == 2)
    return ops::maximum(Simd<T, 1>(x.v[0]), Simd<T, 1>(x.v[1])).v;
  else
    return [&]<int... I>(std::integer_sequence<int, I...>) {
      using Half = Simd<T, N / 2>;
      return largest(ops::maximum(Half(__builtin_shufflevector(x.v, x.v, I...)),
                                  Half(__builtin_shufflevector(x.v, x.v, (I + N / 2)...))));
    }(std::make_integer_sequence<int, N / 2>{});
}

/// out = the combination of the middle of three extents.
template <class Step, class T>
void reduce(const Geometry& g, const T* in, T* out) {
  constexpr int N = lanes<T>;
  const auto [outer, n, inner] = g.extent;
  for (Index o = 0; o < outer; ++o, in += n * inner, out += inner) {
    if (inner == 1) {
      *out = Step::template along<T>(in, n);
      continue;
    }
    Index j = 0;
    for (; j + N <= inner; j += N) Step::template across<Vector<T>>(in + j, n, inner).store(out + j);
    for (; j < inner; ++j) Step::template across<Simd<T, 1>>(in + j, n, inner).store(out + j);
  }
}

/// Along memory, sums of a lane move on to double now and then; across it, they are added up in two levels.
struct Sum {
  template <class T>
  STEEPEST_INLINE static T along(const T* in, Index n) {
    constexpr int N = lanes<T>;
    double total = 0;
    Index i = 0;
    while (i + N <= n) {
      const Index stop = n - i > 128 * N ? i + 128 * N : n;
      Vector<T> even(0.0), odd(0.0);
      for (; i + 2 * N <= stop; i += 2 * N) {
        even = even + Vector<T>::load(in + i);
        odd = odd + Vector<T>::load(in + i + N);
      }
      for (; i + N <= stop; i += N) even = even + Vector<T>::load(in + i);
      total += double((even + odd).sum());
    }
    if (i < n) total += double(Vector<T>::load_first(in + i, n - i).sum());
    return T(total);
  }
  template <class V>
  STEEPEST_INLINE static V across(const typename V::Scalar* in, Index n, Index stride) {
    V total(0.0);
    while (n > 0) {
      const Index some = n > 128 ? 128 : n;
      V sum(0.0);
      for (Index i = 0; i < some; ++i, in += stride) sum = sum + V::load(in);
      total = total + sum;
      n -= some;
    }
    return total;
  }
};

struct Max {
  template <class T>
  STEEPEST_INLINE static T along(const T* in, Index n) {
    using V = Vector<T>;
    // Behind the last number comes the first one again.
    const V first(double{in[0]});
    V most = first;
    Index i = 0;
    for (; i + V::size <= n; i += V::size) most = ops::maximum(most, V::load(in + i));
    if (i < n) most = ops::maximum(most, filled(V::load_first(in + i, n - i), n - i, first));
    return largest(most);
  }
  template <class V>
  STEEPEST_INLINE static V across(const typename V::Scalar* in, Index n, Index stride) {
    V largest = V::load(in);
    for (Index i = 1; i < n; ++i) largest = ops::maximum(largest, V::load(in + i * stride));
    return largest;
  }
};

struct LogSumExp {
  /// The shift that keeps exponentials in range; an infinite maximum is the answer by itself.
  template <class V>
  STEEPEST_INLINE static V shift(V largest) {
    return ops::select(ops::abs(largest) < V(Format<typename V::Scalar>::infinity), largest, V(0.0));
  }
  template <class T>
  STEEPEST_INLINE static T along(const T* in, Index n) {
    constexpr int N = lanes<T>;
    using One = Simd<T, 1>;
    const One m = shift(One(Max::along<T>(in, n)));
    const Vector<T> by(double(m.v));
    Vector<T> sum(0.0);
    Index i = 0;
    for (; i + N <= n; i += N) sum = sum + ops::exp(Vector<T>::load(in + i) - by);
    if (i < n) sum = sum + filled(ops::exp(Vector<T>::load_first(in + i, n - i) - by), n - i, Vector<T>(0.0));
    return (m + ops::log(One(sum.sum()))).v;
  }
  template <class V>
  STEEPEST_INLINE static V across(const typename V::Scalar* in, Index n, Index stride) {
    const V m = shift(Max::across<V>(in, n, stride));
    V sum(0.0);
    for (Index i = 0; i < n; ++i) sum = sum + ops::exp(V::load(in + i * stride) - m);
    return m + ops::log(sum);
  }
};

template <class T>
void read(const Geometry& g, const T* in, T* out) {
  const auto last = std::size_t(g.axes - 1);
  const Index n = g.size[last], step = g.stride[0][last];
  const T* begin = in + g.start[0];
  for_each_line(g, &begin, 1, out, [&](const T* const* from, T* to) {
    if (step == 1)
      __builtin_memcpy(to, *from, std::size_t(n) * sizeof(T));
    else
      for (Index i = 0; i < n; ++i) to[i] = (*from)[i * step];
  });
}

template <class T>
void write(const Geometry& g, const T* in, T* out) {
  for (Index i = 0; i < g.count; ++i) out[i] = T(0);
  const auto last = std::size_t(g.axes - 1);
  const Index n = g.size[last], from_step = g.stride[0][last], to_step = g.stride[3][last];
  for (int axis = 0; axis < g.axes; ++axis)
    if (g.size[std::size_t(axis)] == 0) return;
  for_each_line(g, &in, 1, out + g.start[1], [&](const T* const* from, T* to) {
    for (Index i = 0; i < n; ++i) to[i * to_step] = (*from)[i * from_step];
  });
}

/// Whether a number names one of `rows` rows; the way back counts negative numbers from the end.
template <class T>
STEEPEST_INLINE Index row_of(T number, Index rows) {
  if (!(number >= T(-rows) && number < T(rows))) return -1;
  const Index row = Index(number);
  if (T(row) != number) return -1;
  return row < 0 ? row + rows : row;
}

/// A number that names no row gives a row that is not a number.
template <class T>
void take(const Geometry& g, const T* table, const T* numbers, T* out) {
  const auto [count, inner, rows] = g.extent;
  for (Index i = 0; i < count; ++i, out += inner) {
    const Index row = row_of(numbers[i], rows);
    for (Index j = 0; j < inner; ++j) out[j] = row < 0 ? T(__builtin_nan("")) : table[row * inner + j];
  }
}

template <class T>
void put(const Geometry& g, const T* from, const T* numbers, T* table) {
  const auto [count, inner, rows] = g.extent;
  for (Index i = 0; i < g.count; ++i) table[i] = T(0);
  for (Index i = 0; i < count; ++i, from += inner) {
    const Index row = row_of(numbers[i], rows);
    if (row < 0) continue;
    for (Index j = 0; j < inner; ++j) table[row * inner + j] += from[j];
  }
}

template <class T>
void join(const Geometry& g, const T* a, const T* b, T* out) {
  const auto [outer, first, second] = g.extent;
  for (Index o = 0; o < outer; ++o, a += first, b += second, out += first + second) {
    __builtin_memcpy(out, a, std::size_t(first) * sizeof(T));
    __builtin_memcpy(out + first, b, std::size_t(second) * sizeof(T));
  }
}

template <class T>
STEEPEST_INLINE T dot(const T* a, const T* b, Index n) {
  constexpr int N = lanes<T>;
  Vector<T> even(0.0), odd(0.0);
  Index i = 0;
  for (; i + 2 * N <= n; i += 2 * N) {
    even = Vector<T>::load(a + i) * Vector<T>::load(b + i) + even;
    odd = Vector<T>::load(a + i + N) * Vector<T>::load(b + i + N) + odd;
  }
  T total = (even + odd).sum();
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

/// One matrix product, A of m x k (bit 0 of option: stored transposed), B of k x n (bit 1: stored transposed).
template <class T>
void product(const Geometry& g, std::int32_t option, const T* a, const T* b, T* c) {
  const auto [m, n, k] = g.extent;
  const bool first = option & 1, second = option & 2;
  if (n == 1 && !first) {
    for (Index i = 0; i < m; ++i) c[i] = dot(a + i * k, b, k);
    return;
  }
  multiply(Product<T>{m, n, k, a, first ? 1 : k, first ? m : 1, b, second ? k : n, second, c, n, false});
}

template <class T>
void contract(const Geometry& g, std::int32_t option, const T* const* in, T* out) {
  if (g.count == 0) return;
  const auto last = std::size_t(g.axes - 1);
  for_each_line(g, in, 2, out, [&](const T* const* from, T* to) {
    for (Index i = 0; i < g.size[last]; ++i)
      product(g, option, from[0] + i * g.stride[0][last], from[1] + i * g.stride[1][last], to + i * g.stride[3][last]);
  });
}

}  // namespace steepest::STEEPEST_LEVEL::loops

namespace steepest::STEEPEST_LEVEL {

template <class... Os>
struct OpList {
  static constexpr std::size_t size = sizeof...(Os);
};

/// Where an operation stands in the list.
template <class Op, class... Os>
constexpr int position_in(OpList<Os...>) {
  constexpr bool found[] = {std::is_same_v<Op, Os>...};
  for (int i = 0; i < int(sizeof...(Os)); ++i)
    if (found[i]) return i;
  return -1;
}

}  // namespace steepest::STEEPEST_LEVEL
