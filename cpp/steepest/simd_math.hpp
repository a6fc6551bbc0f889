// More mathematics on lanes: what the operations of the graph need beyond simd.hpp.
//
// Functions that losses rarely use (sin, cos, erf, power) call the C library lane by lane: right for every argument, and no
// second copy of its range reductions.
#pragma once

#include "steepest/simd.hpp"

namespace steepest::STEEPEST_LEVEL::ops {

/// One lane after the other through a function of plain numbers.
template <class V, class Function>
STEEPEST_INLINE V lanewise(V a, Function function) {
  if constexpr (V::size == 1) {
    a.v = function(a.v);
  } else {
    for (int lane = 0; lane < V::size; ++lane) a.v[lane] = function(a.v[lane]);
  }
  return a;
}

template <class V, class Function>
STEEPEST_INLINE V lanewise(V a, V b, Function function) {
  if constexpr (V::size == 1) {
    a.v = function(a.v, b.v);
  } else {
    for (int lane = 0; lane < V::size; ++lane) a.v[lane] = function(a.v[lane], b.v[lane]);
  }
  return a;
}

template <class V>
STEEPEST_INLINE V sqrt(V a) {
  return lanewise(a, [](auto x) { return decltype(x)(sizeof(x) == 4 ? __builtin_sqrtf(x) : __builtin_sqrt(x)); });
}

template <class V>
STEEPEST_INLINE V sin(V a) {
  return lanewise(a, [](auto x) { return decltype(x)(sizeof(x) == 4 ? __builtin_sinf(x) : __builtin_sin(x)); });
}

template <class V>
STEEPEST_INLINE V cos(V a) {
  return lanewise(a, [](auto x) { return decltype(x)(sizeof(x) == 4 ? __builtin_cosf(x) : __builtin_cos(x)); });
}

template <class V>
STEEPEST_INLINE V erf(V a) {
  return lanewise(a, [](auto x) { return decltype(x)(sizeof(x) == 4 ? __builtin_erff(x) : __builtin_erf(x)); });
}

template <class V>
STEEPEST_INLINE V pow(V a, V b) {
  return lanewise(
      a, b, [](auto x, auto p) { return decltype(x)(sizeof(x) == 4 ? __builtin_powf(x, p) : __builtin_pow(x, p)); });
}

/// a^k by repeated squaring, for a small whole k.
template <class V>
STEEPEST_INLINE V whole_power(V a, int k) {
  V result(1.0);
  for (unsigned left = k < 0 ? -k : k; left; left >>= 1, a = a * a)
    if (left & 1) result = result * a;
  return k < 0 ? V(1.0) / result : result;
}

/// 1 / (1 + e^-x) without overflow.
template <class V>
STEEPEST_INLINE V sigmoid(V x) {
  const V one(1.0), e = ops::exp_of_nonpositive(-ops::abs(x));
  return select(x < V(0.0), e, one) / (e + one);
}

/// log(1 + e^x) without overflow.
template <class V>
STEEPEST_INLINE V softplus(V x) {
  return ops::log1p_up_to_one(ops::exp_of_nonpositive(-ops::abs(x))) + select(x < V(0.0), V(0.0), x);
}

template <class V>
STEEPEST_INLINE V tanh(V x) {
  const V e = ops::expm1(V(-2.0) * ops::abs(x));  // in (-1, 0]
  const V size = -e / (e + V(2.0));
  return select(x < V(0.0), -size, size);
}

template <class V>
STEEPEST_INLINE V cosh(V x) {
  const V e = ops::exp(ops::abs(x) * V(0.5));  // in two halves: e^|x| overflows before cosh does
  return (V(0.5) * e) * e + V(0.5) / e / e;
}

template <class V>
STEEPEST_INLINE V sinh(V x) {
  const V a = ops::abs(x), small = ops::expm1(a), e = ops::exp(a * V(0.5));
  const V size = select(a < V(1.0), V(0.5) * (small + small / (small + V(1.0))), (V(0.5) * e) * e - V(0.5) / e / e);
  return select(x < V(0.0), -size, size);
}

/// log cosh x = |x| + log((1 + e^-2|x|) / 2).
template <class V>
STEEPEST_INLINE V log_cosh(V x) {
  const V a = ops::abs(x);
  return a + ops::log1p(V(0.5) * ops::expm1(V(-2.0) * a));
}

/// The larger; not a number where either is none.
template <class V>
STEEPEST_INLINE V maximum(V a, V b) {
  return select(a == a, ops::max(a, b), a);
}
template <class V>
STEEPEST_INLINE V minimum(V a, V b) {
  return select(a == a, ops::min(a, b), a);
}

}  // namespace steepest::STEEPEST_LEVEL::ops
