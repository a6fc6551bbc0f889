// Dual numbers over lanes: a value and its derivative along one direction, through the very body that a loss is written in.
//
// A loss gives its value and its slope; run on duals whose derivative is a direction in z, that slope's derivative is the
// second derivative times the direction, exact and in one pass, with nothing to write per loss. Conditions look at values.
// At a kink the derivative is that of the side that `select(x > 0, ...)` leaves to "no": |x| falls at 0.
#pragma once

#include "steepest/simd.hpp"

namespace steepest::STEEPEST_LEVEL {

template <class V>
struct Dual {
  using Scalar = typename V::Scalar;
  using Unsigned = typename V::Unsigned;
  using Mask = typename V::Mask;
  static constexpr int size = V::size;

  V value, change;

  Dual() = default;
  STEEPEST_INLINE explicit Dual(double number) : value(number), change(0.0) {}
  STEEPEST_INLINE Dual(V at, V along) : value(at), change(along) {}

  STEEPEST_INLINE friend Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.change + b.change}; }
  STEEPEST_INLINE friend Dual operator-(Dual a, Dual b) { return {a.value - b.value, a.change - b.change}; }
  STEEPEST_INLINE friend Dual operator-(Dual a) { return {-a.value, -a.change}; }
  STEEPEST_INLINE friend Dual operator*(Dual a, Dual b) {
    return {a.value * b.value, a.value * b.change + a.change * b.value};
  }
  STEEPEST_INLINE friend Dual operator/(Dual a, Dual b) {
    const V quotient = a.value / b.value;
    return {quotient, (a.change - quotient * b.change) / b.value};
  }
  STEEPEST_INLINE friend Mask operator<(Dual a, Dual b) { return a.value < b.value; }
  STEEPEST_INLINE friend Mask operator<=(Dual a, Dual b) { return a.value <= b.value; }
  STEEPEST_INLINE friend Mask operator>(Dual a, Dual b) { return a.value > b.value; }
  STEEPEST_INLINE friend Mask operator>=(Dual a, Dual b) { return a.value >= b.value; }
  STEEPEST_INLINE friend Mask operator==(Dual a, Dual b) { return a.value == b.value; }
};

namespace ops {

template <class V>
STEEPEST_INLINE Dual<V> select(typename V::Mask condition, Dual<V> yes, Dual<V> no) {
  return {select(condition, yes.value, no.value), select(condition, yes.change, no.change)};
}

template <class V>
STEEPEST_INLINE Dual<V> max(Dual<V> a, Dual<V> b) {
  return select(a > b, a, b);
}

template <class V>
STEEPEST_INLINE Dual<V> min(Dual<V> a, Dual<V> b) {
  return select(a < b, a, b);
}

template <class V>
STEEPEST_INLINE Dual<V> abs(Dual<V> a) {
  return {abs(a.value), select(a.value > V(0.0), a.change, -a.change)};
}

template <class V>
STEEPEST_INLINE Dual<V> sign(Dual<V> a) {
  return {sign(a.value), V(0.0)};
}

template <class V>
STEEPEST_INLINE Dual<V> exp(Dual<V> a) {
  const V e = exp(a.value);
  return {e, e * a.change};
}

template <class V>
STEEPEST_INLINE Dual<V> exp_of_nonpositive(Dual<V> a) {
  const V e = exp_of_nonpositive(a.value);
  return {e, e * a.change};
}

template <class V>
STEEPEST_INLINE Dual<V> exp_of_product(double factor, Dual<V> a) {
  const V e = exp_of_product(factor, a.value);
  return {e, e * (V(factor) * a.change)};
}

template <class V>
STEEPEST_INLINE Dual<V> expm1(Dual<V> a) {
  const V e = expm1(a.value);
  return {e, (e + V(1.0)) * a.change};
}

template <class V>
STEEPEST_INLINE Dual<V> log(Dual<V> a) {
  return {log(a.value), a.change / a.value};
}

template <class V>
STEEPEST_INLINE Dual<V> log1p(Dual<V> a) {
  return {log1p(a.value), a.change / (a.value + V(1.0))};
}

template <class V>
STEEPEST_INLINE Dual<V> log1p_up_to_one(Dual<V> a) {
  return {log1p_up_to_one(a.value), a.change / (a.value + V(1.0))};
}

}  // namespace ops
}  // namespace steepest::STEEPEST_LEVEL
