// Vector registers, and nothing but them: this is the only file that knows how wide they are.
//
// `Simd<T, N>` is N lanes of T through the compilers' vector extensions; `Simd<T, 1>` is a plain number with the same
// operations, so that one body of a loss serves whole registers and single rows. Conditions are lanes too: write
// `select(condition, a, b)`, never `if`. Everything lives in a namespace named after the CPU level it is compiled for and
// is inlined by force: a symbol compiled for one level must never be picked by the linker for another.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#ifndef STEEPEST_LEVEL
#define STEEPEST_LEVEL portable
#endif

#define STEEPEST_INLINE [[gnu::always_inline]] inline
/// After the parameters of a lambda, which take no other form of the attribute.
#define STEEPEST_INLINE_LAMBDA __attribute__((always_inline))

namespace steepest::STEEPEST_LEVEL {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif

/// How many T fit in one register of this level.
template <class T>
inline constexpr int lanes = vector_bytes / int(sizeof(T));

template <class Step, int... I>
STEEPEST_INLINE void unrolled(const Step& step, std::integer_sequence<int, I...>) {
  (step.template operator()<I>(), ...);
}

/// Calls step.template operator()<i>() for i from 0 to Count - 1. Arrays of registers want it: a compiler that meets them
/// indexed by a loop, however short, has given them a place in memory before it unrolls.
template <int Count, class Step>
STEEPEST_INLINE void unrolled(const Step& step) {
  unrolled(step, std::make_integer_sequence<int, Count>{});
}

/// The integer as wide as T, and the constants of its binary format.
template <class T>
struct Format;
template <>
struct Format<float> {
  using Int = std::int32_t;
  using Unsigned = std::uint32_t;
  static constexpr int mantissa_bits = 23;
  static constexpr Unsigned mantissa_mask = 0x007fffffu;
  static constexpr Unsigned one = 0x3f800000u;
  static constexpr float bias = 127.0f;
  static constexpr float rounding = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  static constexpr float integer = 8388608.0f;    // 2^23
  static constexpr float smallest_normal = 1.17549435e-38f;
  static constexpr float infinity = __builtin_huge_valf();
};
template <>
struct Format<double> {
  using Int = std::int64_t;
  using Unsigned = std::uint64_t;
  static constexpr int mantissa_bits = 52;
  static constexpr Unsigned mantissa_mask = 0x000fffffffffffffu;
  static constexpr Unsigned one = 0x3ff0000000000000u;
  static constexpr double bias = 1023.0;
  static constexpr double rounding = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double integer = 4503599627370496.0;   // 2^52
  static constexpr double smallest_normal = 2.2250738585072014e-308;
  static constexpr double infinity = __builtin_huge_val();
};

template <class T, int N>
struct Simd {
  using Scalar = T;
  using Int = typename Format<T>::Int;
  using Unsigned = typename Format<T>::Unsigned;
  static constexpr int size = N;
  typedef T Native __attribute__((vector_size(N * sizeof(T))));
  typedef Int Mask __attribute__((vector_size(N * sizeof(T))));
  typedef Unsigned Bits __attribute__((vector_size(N * sizeof(T))));

  Native v;

  Simd() = default;
  STEEPEST_INLINE Simd(Native native) : v(native) {}
  /// Minus zero changes no number, so compilers leave the subtraction out (plus zero would change -0).
  STEEPEST_INLINE explicit Simd(double number) : v(T(number) - Native{}) {}

  STEEPEST_INLINE static Simd load(const T* from) {
    Simd result;
    __builtin_memcpy(&result.v, from, sizeof(Native));
    return result;
  }
  STEEPEST_INLINE void store(T* to) const { __builtin_memcpy(to, &v, sizeof(Native)); }

  /// The first `count` of N numbers, zeros behind them; memory behind them is never touched.
  STEEPEST_INLINE static Simd load_first(const T* from, std::ptrdiff_t count) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Native) == 64) {
      if constexpr (sizeof(T) == 4)
        return Simd(reinterpret_cast<Native>(_mm512_maskz_loadu_ps(__mmask16((1u << count) - 1u), from)));
      else
        return Simd(reinterpret_cast<Native>(_mm512_maskz_loadu_pd(__mmask8((1u << count) - 1u), from)));
    }
#if defined(__AVX512VL__)
    if constexpr (sizeof(T) == 4 && N == 8)
      return Simd(reinterpret_cast<Native>(_mm256_maskz_loadu_ps(__mmask8((1u << count) - 1u), from)));
#endif
#elif defined(__AVX2__)
    if constexpr (sizeof(Native) == 32) {
      if constexpr (sizeof(T) == 4) {
        const __m256i position = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(count)), position);
        return Simd(reinterpret_cast<Native>(_mm256_maskload_ps(from, mask)));
      } else {
        const __m256i position = _mm256_setr_epi64x(0, 1, 2, 3);
        const __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), position);
        return Simd(reinterpret_cast<Native>(_mm256_maskload_pd(from, mask)));
      }
    }
#endif
    Simd result(0.0);
    for (std::ptrdiff_t lane = 0; lane < count; ++lane) result.v[lane] = from[lane];
    return result;
  }

  /// The `count` numbers before `end` in the last lanes, zeros before them; memory before those is never touched. A masked
  /// load waits for every cache line that its register would cover: at the end of a row this one needs no line of the next.
  STEEPEST_INLINE static Simd load_last(const T* end, std::ptrdiff_t count) {
    const std::ptrdiff_t zeros = N - count;
#if defined(__AVX512F__)
    if constexpr (sizeof(Native) == 64) {
      if constexpr (sizeof(T) == 4)
        return Simd(reinterpret_cast<Native>(_mm512_maskz_loadu_ps(__mmask16(0xffffu << zeros), end - N)));
      else
        return Simd(reinterpret_cast<Native>(_mm512_maskz_loadu_pd(__mmask8(0xffu << zeros), end - N)));
    }
#elif defined(__AVX2__)
    if constexpr (sizeof(Native) == 32) {
      if constexpr (sizeof(T) == 4) {
        const __m256i position = _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 8);
        const __m256i mask = _mm256_cmpgt_epi32(position, _mm256_set1_epi32(int(zeros)));
        return Simd(reinterpret_cast<Native>(_mm256_maskload_ps(end - N, mask)));
      } else {
        const __m256i position = _mm256_setr_epi64x(1, 2, 3, 4);
        const __m256i mask = _mm256_cmpgt_epi64(position, _mm256_set1_epi64x(zeros));
        return Simd(reinterpret_cast<Native>(_mm256_maskload_pd(end - N, mask)));
      }
    }
#endif
    Simd result(0.0);
    for (std::ptrdiff_t lane = zeros; lane < N; ++lane) result.v[lane] = end[lane - N];
    return result;
  }

  STEEPEST_INLINE void store_first(T* to, std::ptrdiff_t count) const {
#if defined(__AVX512F__)
    if constexpr (sizeof(Native) == 64) {
      if constexpr (sizeof(T) == 4)
        return _mm512_mask_storeu_ps(to, __mmask16((1u << count) - 1u), reinterpret_cast<__m512>(v));
      else
        return _mm512_mask_storeu_pd(to, __mmask8((1u << count) - 1u), reinterpret_cast<__m512d>(v));
    }
#endif
    for (std::ptrdiff_t lane = 0; lane < count; ++lane) to[lane] = v[lane];
  }

  STEEPEST_INLINE void store_last(T* end, std::ptrdiff_t count) const {
    const std::ptrdiff_t kept = N - count;
#if defined(__AVX512F__)
    if constexpr (sizeof(Native) == 64) {
      if constexpr (sizeof(T) == 4)
        return _mm512_mask_storeu_ps(end - N, __mmask16(0xffffu << kept), reinterpret_cast<__m512>(v));
      else
        return _mm512_mask_storeu_pd(end - N, __mmask8(0xffu << kept), reinterpret_cast<__m512d>(v));
    }
#endif
    for (std::ptrdiff_t lane = kept; lane < N; ++lane) end[lane - N] = v[lane];
  }

  STEEPEST_INLINE Bits bits() const { return reinterpret_cast<Bits>(v); }
  STEEPEST_INLINE static Simd from_bits(Bits b) { return Simd(reinterpret_cast<Native>(b)); }

  /// The sum of the lanes, always in the same order: halves onto halves.
  STEEPEST_INLINE T sum() const {
    if constexpr (N == 1) {
      return v[0];
    } else {
      return folded().sum();
    }
  }

  /// Half as many lanes: the upper half added to the lower one.
  STEEPEST_INLINE Simd<T, N / 2> folded() const { return folded(std::make_integer_sequence<int, N / 2>()); }

 private:
  /// Shuffled: compilers take a copy through memory at its word, and wait for it.
  template <int... Lanes>
  STEEPEST_INLINE Simd<T, N / 2> folded(std::integer_sequence<int, Lanes...>) const {
    if constexpr (N == 2)
      return Simd<T, 1>(v[0] + v[1]);
    else
      return __builtin_shufflevector(v, v, Lanes...) + __builtin_shufflevector(v, v, (Lanes + N / 2)...);
  }
};

/// Whether all bits of a vector of integers are zero.
template <class Bits>
STEEPEST_INLINE bool all_zero(Bits bits) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Bits) == 64)
    return _mm512_test_epi64_mask(reinterpret_cast<__m512i>(bits), reinterpret_cast<__m512i>(bits)) == 0;
#endif
#if defined(__AVX__)
  if constexpr (sizeof(Bits) == 32)
    return _mm256_testz_si256(reinterpret_cast<__m256i>(bits), reinterpret_cast<__m256i>(bits));
#endif
  std::uint64_t words[sizeof(Bits) / 8], any = 0;
  __builtin_memcpy(words, &bits, sizeof(bits));
  for (const std::uint64_t word : words) any |= word;
  return any == 0;
}

/// One lane is a plain number: the remainder of a loop runs the same body as its vectors.
template <class T>
struct Simd<T, 1> {
  using Scalar = T;
  using Int = typename Format<T>::Int;
  using Unsigned = typename Format<T>::Unsigned;
  static constexpr int size = 1;
  using Native = T;
  using Mask = bool;
  using Bits = Unsigned;

  T v;

  Simd() = default;
  STEEPEST_INLINE explicit Simd(double number) : v(T(number)) {}
  STEEPEST_INLINE explicit Simd(float number) : v(T(number)) {}
  STEEPEST_INLINE static Simd load(const T* from) { return Simd(*from); }
  STEEPEST_INLINE void store(T* to) const { *to = v; }
  STEEPEST_INLINE Bits bits() const { return __builtin_bit_cast(Bits, v); }
  STEEPEST_INLINE static Simd from_bits(Bits b) { return Simd(__builtin_bit_cast(T, b)); }
  STEEPEST_INLINE T sum() const { return v; }
};

#define STEEPEST_OPERATOR(op)                                                                                          \
  template <class T, int N>                                                                                            \
  STEEPEST_INLINE Simd<T, N> operator op(Simd<T, N> a, Simd<T, N> b) {                                                 \
    return Simd<T, N>(a.v op b.v);                                                                                     \
  }
STEEPEST_OPERATOR(+)
STEEPEST_OPERATOR(-)
STEEPEST_OPERATOR(*)
STEEPEST_OPERATOR(/)
#undef STEEPEST_OPERATOR

template <class T, int N>
STEEPEST_INLINE Simd<T, N> operator-(Simd<T, N> a) {
  return Simd<T, N>(-a.v);
}

#define STEEPEST_COMPARISON(op)                                                                                        \
  template <class T, int N>                                                                                            \
  STEEPEST_INLINE typename Simd<T, N>::Mask operator op(Simd<T, N> a, Simd<T, N> b) {                                  \
    return a.v op b.v;                                                                                                 \
  }
STEEPEST_COMPARISON(<)
STEEPEST_COMPARISON(<=)
STEEPEST_COMPARISON(>)
STEEPEST_COMPARISON(>=)
STEEPEST_COMPARISON(==)
#undef STEEPEST_COMPARISON

namespace ops {

template <class V>
STEEPEST_INLINE V select(typename V::Mask condition, V yes, V no) {
  return V(condition ? yes.v : no.v);
}

/// The larger; the second where either is not a number.
template <class V>
STEEPEST_INLINE V max(V a, V b) {
  return select(a > b, a, b);
}

/// The smaller; the second where either is not a number.
template <class V>
STEEPEST_INLINE V min(V a, V b) {
  return select(a < b, a, b);
}

template <class V>
STEEPEST_INLINE V abs(V a) {
  using Unsigned = typename V::Unsigned;
  return V::from_bits(a.bits() & (~Unsigned(0) >> 1));
}

/// a, moved towards zero by the threshold, but not beyond it.
template <class V>
STEEPEST_INLINE V soft_threshold(V a, V threshold) {
  return a - max(min(a, threshold), -threshold);
}

/// -1, 0 or 1.
template <class V>
STEEPEST_INLINE V sign(V a) {
  const V zero(0.0), one(1.0);
  return select(a > zero, one, select(a < zero, -one, zero));
}

/// 2^k for a whole k within the exponents of the format.
template <class V>
STEEPEST_INLINE V power_of_two(V k) {
  using F = Format<typename V::Scalar>;
  return V::from_bits((k + V(F::rounding + F::bias)).bits() << F::mantissa_bits);
}

/// The nearest whole number, for |a| well below 2^mantissa_bits.
template <class V>
STEEPEST_INLINE V nearest(V a) {
  const V magic(Format<typename V::Scalar>::rounding);
  return (a + magic) - magic;
}

/// x = k log(2) + r with a whole k and |r| <= log(2) / 2, and exp(r) - 1 by its Taylor series, which at this |r| is below
/// the last bit after 14 (double) or 8 (float) terms.
template <class V>
struct ReducedExponential {
  V k, expm1;
};

template <class V>
STEEPEST_INLINE ReducedExponential<V> reduce_exponential(V x, V rest = V(0.0)) {
  const V k = nearest(x * V(1.4426950408889634));
  // Coefficients meet in pairs (Estrin): where a single number is waited for, half of Horner's steps are saved.
  const auto pair = [](double low, double high, V at) { return V(high) * at + V(low); };
  if constexpr (sizeof(typename V::Scalar) == 8) {
    const V r = (x - k * V(6.93147180369123816490e-01)) - (k * V(1.90821492927058770002e-10) - rest);
    const V r2 = r * r, r4 = r2 * r2;
    const V a = pair(1.0 / 6.0, 1.0 / 24.0, r) * r + V(0.5), b = pair(1.0 / 120.0, 1.0 / 720.0, r);
    const V c = pair(1.0 / 5040.0, 1.0 / 40320.0, r), d = pair(1.0 / 362880.0, 1.0 / 3628800.0, r);
    const V e = pair(1.0 / 39916800.0, 1.0 / 479001600.0, r), f = V(1.0 / 6227020800.0);
    const V low = b * (r2 * r) + a, middle = d * r2 + c, high = f * r2 + e;
    return {k, r + r2 * (((high * r4 + middle) * (r4 * r)) + low)};
  } else {
    const V r = (x - k * V(0.693359375)) - (k * V(-2.12194440e-4) - rest);
    const V r2 = r * r;
    const V a = pair(0.5, 1.0 / 6.0, r), b = pair(1.0 / 24.0, 1.0 / 120.0, r), c = pair(1.0 / 720.0, 1.0 / 5040.0, r);
    return {k, r + r2 * ((c * r2 + b) * r2 + a)};
  }
}

template <class V>
STEEPEST_INLINE V clamp_exponent(V x) {
  constexpr double bound = sizeof(typename V::Scalar) == 8 ? 800.0 : 110.0;  // beyond overflow and underflow
  const V high(bound), low(-bound);
  return select(x > high, high, select(x < low, low, x));
}

/// e^x, to 2 ulp: 0 and infinity beyond the range, gradual underflow kept by scaling in two halves.
template <class V>
STEEPEST_INLINE V exp(V x) {
  const auto [k, p] = reduce_exponential(clamp_exponent(x));
  const V half = nearest(k * V(0.5));
  return ((p + V(1.0)) * power_of_two(half)) * power_of_two(k - half);
}

/// e^x for x <= 0, to 2 ulp, in half of the steps: 2^k times 2^`lift` stays normal however small it is, and one product with a
/// constant brings gradual underflow.
template <class V>
STEEPEST_INLINE V exp_of_nonpositive(V x) {
  using T = typename V::Scalar;
  constexpr double lowest = sizeof(T) == 8 ? -800.0 : -110.0, lift = sizeof(T) == 8 ? 200.0 : 40.0;
  constexpr double unlift = sizeof(T) == 8 ? 0x1p-200 : 0x1p-40;
  const auto [k, p] = reduce_exponential(max(V(lowest), x));
  const V scale = power_of_two(k + V(lift));
  return (p * scale + scale) * V(unlift);
}

/// e^(a x), to 2 ulp also where a x is large: the product is formed from halves of a and x, the upper of which multiply
/// without rounding.
template <class V>
STEEPEST_INLINE V exp_of_product(double a, V x) {
  using T = typename V::Scalar;
  using Unsigned = typename V::Unsigned;
  constexpr Unsigned upper = ~Unsigned(0) << (sizeof(T) == 8 ? 27 : 12);
  const T upper_a = __builtin_bit_cast(T, Unsigned(__builtin_bit_cast(Unsigned, T(a)) & upper));
  const V high_a(double{upper_a}), low_a(a - double(upper_a));
  const V bounded = clamp_exponent(x * V(a));
  const auto inside = bounded == x * V(a);
  const V high_x = V::from_bits(x.bits() & upper), low_x = x - high_x;
  const V product = select(inside, high_a * high_x, bounded);
  const V rest = select(inside, high_a * low_x + low_a * x, V(0.0));
  const auto [k, p] = reduce_exponential(product, rest);
  const V half = nearest(k * V(0.5));
  return ((p + V(1.0)) * power_of_two(half)) * power_of_two(k - half);
}

/// e^x - 1 without cancellation near 0, to 2 ulp.
template <class V>
STEEPEST_INLINE V expm1(V x) {
  const auto [k, p] = reduce_exponential(clamp_exponent(x));
  const V half = nearest(k * V(0.5));
  const V first = power_of_two(half), second = power_of_two(k - half);
  // Where 2^k alone overflows or swallows the 1, the product form is exact enough; elsewhere 2^k - 1 has no error.
  const V scale = first * second;
  const V large = ((p + V(1.0)) * first) * second - V(1.0);
  return select(abs(k) <= V(sizeof(typename V::Scalar) == 8 ? 52.0 : 23.0), p * scale + (scale - V(1.0)), large);
}

/// log(m 2^k) + correction for m in [sqrt(1/2), sqrt(2)): log(1 + f) = f - (f²/2 - s (f²/2 + R(s²))) with
/// s = f / (2 + f), R the tail of the series of 2 atanh(s).
template <class V>
STEEPEST_INLINE V log_reduced(V m, V k, V correction) {
  const V f = m - V(1.0), s = f / (f + V(2.0)), square = s * s, half = V(0.5) * f * f;
  if constexpr (sizeof(typename V::Scalar) == 8) {
    V r(2.0 / 23.0);
    r = r * square + V(2.0 / 21.0);
    r = r * square + V(2.0 / 19.0);
    r = r * square + V(2.0 / 17.0);
    r = r * square + V(2.0 / 15.0);
    r = r * square + V(2.0 / 13.0);
    r = r * square + V(2.0 / 11.0);
    r = r * square + V(2.0 / 9.0);
    r = r * square + V(2.0 / 7.0);
    r = r * square + V(2.0 / 5.0);
    r = (r * square + V(2.0 / 3.0)) * square;
    const V low = k * V(1.90821492927058770002e-10) + correction;
    return k * V(6.93147180369123816490e-01) - ((half - (s * (half + r) + low)) - f);
  } else {
    V r(2.0 / 11.0);
    r = r * square + V(2.0 / 9.0);
    r = r * square + V(2.0 / 7.0);
    r = r * square + V(2.0 / 5.0);
    r = (r * square + V(2.0 / 3.0)) * square;
    const V low = k * V(-2.12194440e-4) + correction;
    return k * V(0.693359375) - ((half - (s * (half + r) + low)) - f);
  }
}

/// Splits a normal positive x into m 2^k with m in [sqrt(1/2), sqrt(2)).
template <class V>
STEEPEST_INLINE void split_exponent(V x, V& m, V& k) {
  using F = Format<typename V::Scalar>;
  const auto bits = x.bits();
  m = V::from_bits((bits & F::mantissa_mask) | F::one);
  k = V::from_bits((bits >> F::mantissa_bits) | V(F::integer).bits()) - V(F::integer + F::bias);
  const auto large = m > V(1.4142135623730951);
  m = select(large, m * V(0.5), m);
  k = select(large, k + V(1.0), k);
}

/// The natural logarithm, to 2 ulp: -infinity at 0, not a number below.
template <class V>
STEEPEST_INLINE V log(V x) {
  using F = Format<typename V::Scalar>;
  constexpr double lift = sizeof(typename V::Scalar) == 8 ? 54.0 : 25.0;
  const V zero(0.0), infinity(F::infinity);
  const auto tiny = x < V(F::smallest_normal);
  V m, k;
  split_exponent(select(tiny, x * V(double(1ull << int(lift))), x), m, k);
  const V result = log_reduced(m, select(tiny, k - V(lift), k), zero);
  const V special = select(x == zero, -infinity, select(x == infinity, infinity, V(__builtin_nan(""))));
  return select(x > zero, select(x < infinity, result, special), special);
}

/// log(1 + x) without cancellation near 0, to 2 ulp, for x > -1 (not a number below, -infinity at -1).
template <class V>
STEEPEST_INLINE V log1p(V x) {
  using F = Format<typename V::Scalar>;
  const V one(1.0), zero(0.0), infinity(F::infinity), u = x + one;
  V m, k;
  split_exponent(u, m, k);
  const V lost = select(x > one, one - (u - x), x - (u - one));  // what rounding 1 + x threw away
  const V result = log_reduced(m, k, lost / u);
  const V special = select(x == -one, -infinity, select(x == infinity, infinity, V(__builtin_nan(""))));
  const V regular = select(abs(x) < V(F::smallest_normal), x, result);
  return select(u > zero, select(x < infinity, regular, special), special);
}

/// log(1 + x) for 0 <= x <= 1, to 2 ulp: x and x times the polynomial in x - 1/2 that is nearest to log(1 + x) / x - 1, its even
/// and odd powers side by side. Its first coefficient is such that log(2) comes out as it should.
template <class V>
STEEPEST_INLINE V log1p_up_to_one(V x) {
  constexpr auto coefficients = [] {
    if constexpr (sizeof(typename V::Scalar) == 8)
      return std::array{-0.18906978378367126,     -0.288527099099323889,     0.132609753754202907,
                        -0.0676886433109661559,   0.0366118545231570246,     -0.020548811918989134,
                        0.011833792109702011,     -0.00694539497921325914,   0.00413617912088300494,
                        -0.00249184112125172006,  0.0015153828357649261,     -0.000928858179225568748,
                        0.000573065310303075053,  -0.000354815850668763193,  0.000221074891904607736,
                        -0.000142117027995514028, 0.0000897312314578998462,  -0.0000447943475677128637,
                        0.0000275268360417598669, -0.0000383911532548231886, 0.0000250401835018282732};
    else
      return std::array{-0.18906978,     -0.2885271105,  0.13260900389,    -0.067687698742, 0.036635473779,
                        -0.020570295066, 0.011576144395, -0.0067499132453, 0.0052533623562, -0.0032440256501};
  }();
  constexpr int degree = int(coefficients.size()) - 1, even = degree / 2 * 2, odd = (degree - 1) / 2 * 2 + 1;
  const V t = x - V(0.5), square = t * t;
  V evens(coefficients[even]), odds(coefficients[odd]);
  unrolled<even / 2>([&]<int K>() { evens = evens * square + V(coefficients[even - 2 - 2 * K]); });
  unrolled<odd / 2>([&]<int K>() { odds = odds * square + V(coefficients[odd - 2 - 2 * K]); });
  return x * (odds * t + evens) + x;
}

/// Of each `Group` lanes of two registers the blocks of `Block` lanes with even numbers, added to those with odd ones: what
/// was in `a` comes first.
template <int Group, int Block, class T, int N, int... Lane>
STEEPEST_INLINE Simd<T, N> add_blocks(Simd<T, N> a, Simd<T, N> b, std::integer_sequence<int, Lane...>) {
  constexpr auto source = [](int lane, int odd) {
    const int from = lane % (Group / 2);
    return lane / Group * Group + (from / Block * 2 + odd) * Block + from % Block + (lane % Group < Group / 2 ? 0 : N);
  };
  return Simd<T, N>(__builtin_shufflevector(a.v, b.v, source(Lane, 0)...)) +
         Simd<T, N>(__builtin_shufflevector(a.v, b.v, source(Lane, 1)...));
}

/// The registers first, first + Step, ... , each folded to N / Count lanes, side by side in `Group` lanes.
template <int Count, int Step, int Group, class V, class Registers>
STEEPEST_INLINE V folded_together(const Registers& of, int first) {
  if constexpr (Count == 1) {
    return of(first);
  } else {
    const V a = folded_together<Count / 2, Step, Group, V>(of, first);
    const V b = folded_together<Count / 2, Step, Group, V>(of, first + Count / 2 * Step);
    return add_blocks<Group, Group / Count>(a, b, std::make_integer_sequence<int, V::size>());
  }
}

/// The sums over the lanes of as many registers, `of(i)`, as there are lanes. They are those of `sum()`, bit for bit, for a
/// third of the instructions: first across the sixteen bytes that shuffles cross slowly, then within them.
template <class V, class Registers>
STEEPEST_INLINE V sums(const Registers& of) {
  constexpr int all = V::size, bytes = 16, within = bytes / int(sizeof(typename V::Scalar));
  constexpr int side = all < within ? all : within;
  return folded_together<side, 1, side, V>(
      [&](int i) STEEPEST_INLINE_LAMBDA { return folded_together<all / side, side, all, V>(of, i); }, 0);
}

/// Writes the sums over the lanes of `Count` registers, `of(i)`, side by side: those of `sum()`, bit for bit.
template <int Count, class V, class Registers>
STEEPEST_INLINE void store_sums(const Registers& of, typename V::Scalar* to) {
  constexpr int N = V::size;
  if constexpr (N > Count)
    store_sums<Count, Simd<typename V::Scalar, N / 2>>([&](int i) STEEPEST_INLINE_LAMBDA { return of(i).folded(); },
                                                       to);
  else
    unrolled<Count / N>(
        [&]<int G>() { sums<V>([&](int i) STEEPEST_INLINE_LAMBDA { return of(G * N + i); }).store(to + G * N); });
}

}  // namespace ops
}  // namespace steepest::STEEPEST_LEVEL
