// Registers of floats from narrower numbers in memory.
//
// Where a processor widens in one instruction it is named here: compilers make of the portable form below a shuffle in
// halves that takes ten times as long.
#pragma once

#include <type_traits>

#include "steepest/simd.hpp"

#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

namespace steepest::STEEPEST_LEVEL {

/// 16-bit floats have no arithmetic of their own here: five bits of exponent, or eight.
struct Half {
  std::uint16_t bits;
};
struct Brain {
  std::uint16_t bits;
};

namespace narrow {

template <class U, int N>
struct LanesOf {
  typedef U Native __attribute__((vector_size(N * sizeof(U))));
};
template <class U, int N>
using Lanes = typename LanesOf<U, N>::Native;

template <class Register, class S>
STEEPEST_INLINE Register load(const S* from) {
  Register result;
  __builtin_memcpy(&result, from, sizeof(Register));
  return result;
}

/// N whole numbers.
template <int N, class S>
STEEPEST_INLINE Lanes<std::int32_t, N> whole(const S* from) {
  using Result = Lanes<std::int32_t, N>;
  [[maybe_unused]] constexpr bool is_signed = std::is_signed_v<S>, byte = sizeof(S) == 1;
#if defined(__AVX512F__)
  if constexpr (N == 16) {
    constexpr __mmask16 all = 0xffff;  // without a mask GCC 12 warns of its own headers
    if constexpr (byte) {
      const auto x = load<__m128i>(from);
      return (Result)(is_signed ? _mm512_maskz_cvtepi8_epi32(all, x) : _mm512_maskz_cvtepu8_epi32(all, x));
    } else {
      const auto x = load<__m256i>(from);
      return (Result)(is_signed ? _mm512_maskz_cvtepi16_epi32(all, x) : _mm512_maskz_cvtepu16_epi32(all, x));
    }
  }
#endif
#if defined(__AVX2__)
  if constexpr (N == 8) {
    if constexpr (byte) {
      const __m128i x = _mm_cvtsi64_si128(load<long long>(from));
      return (Result)(is_signed ? _mm256_cvtepi8_epi32(x) : _mm256_cvtepu8_epi32(x));
    } else {
      const auto x = load<__m128i>(from);
      return (Result)(is_signed ? _mm256_cvtepi16_epi32(x) : _mm256_cvtepu16_epi32(x));
    }
  }
#endif
#if defined(__SSE4_1__)
  if constexpr (N == 4) {
    if constexpr (byte) {
      const __m128i x = _mm_cvtsi32_si128(load<int>(from));
      return (Result)(is_signed ? _mm_cvtepi8_epi32(x) : _mm_cvtepu8_epi32(x));
    } else {
      const __m128i x = _mm_cvtsi64_si128(load<long long>(from));
      return (Result)(is_signed ? _mm_cvtepi16_epi32(x) : _mm_cvtepu16_epi32(x));
    }
  }
#endif
  return __builtin_convertvector(load<Lanes<S, N>>(from), Result);
}

template <int N>
STEEPEST_INLINE Lanes<float, N> singles(const Brain* from) {
  return (Lanes<float, N>)(whole<N>(reinterpret_cast<const std::uint16_t*>(from)) << 16);
}

template <int N>
STEEPEST_INLINE Lanes<float, N> singles(const Half* from) {
#if defined(__AVX512F__)
  if constexpr (N == 16) return (Lanes<float, N>)_mm512_maskz_cvtph_ps(0xffff, load<__m256i>(from));
#endif
#if defined(__F16C__)
  if constexpr (N == 8) return (Lanes<float, N>)_mm256_cvtph_ps(load<__m128i>(from));
#endif
  const auto bits = whole<N>(reinterpret_cast<const std::uint16_t*>(from));
  // The exponent's bias grows by 112 in a product, which also makes normal numbers of subnormal ones.
  const auto magnitude = (Lanes<float, N>)((bits & 0x7fff) << 13) * 0x1p112f;
  const auto special = ((bits & 0x7c00) == 0x7c00) & 0x7f800000;
  return (Lanes<float, N>)((Lanes<std::int32_t, N>)magnitude | special | (bits & 0x8000) << 16);
}

}  // namespace narrow

/// N numbers.
template <class T, int N, class S>
STEEPEST_INLINE Simd<T, N> widened(const S* from) {
  using Native = typename Simd<T, N>::Native;
  if constexpr (std::is_integral_v<S>)
    return Simd<T, N>(__builtin_convertvector(narrow::whole<N>(from), Native));
  else if constexpr (sizeof(T) == sizeof(float))
    return Simd<T, N>((Native)narrow::singles<N>(from));
  else
    return Simd<T, N>(__builtin_convertvector(narrow::singles<N>(from), Native));
}

/// The first `count` of N numbers, zeros behind them; memory behind them is never touched.
template <class T, int N, class S>
STEEPEST_INLINE Simd<T, N> widened_first(const S* from, std::ptrdiff_t count) {
  S several[N];
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  if constexpr (N == 16 && sizeof(S) == 1) {
    const __m128i x = _mm_maskz_loadu_epi8(__mmask16((1u << count) - 1u), from);
    __builtin_memcpy(several, &x, sizeof(several));
    return widened<T, N>(several);
  } else if constexpr (N == 16) {
    const __m256i x = _mm256_maskz_loadu_epi16(__mmask16((1u << count) - 1u), from);
    __builtin_memcpy(several, &x, sizeof(several));
    return widened<T, N>(several);
  }
#endif
  __builtin_memset(several, 0, sizeof(several));
  for (std::ptrdiff_t lane = 0; lane < count; ++lane) several[lane] = from[lane];
  return widened<T, N>(several);
}

/// The `count` numbers before `end` in the last lanes, zeros before them; memory before those is never touched.
template <class T, int N, class S>
STEEPEST_INLINE Simd<T, N> widened_last(const S* end, std::ptrdiff_t count) {
  S several[N];
  const std::ptrdiff_t zeros = N - count;
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  if constexpr (N == 16 && sizeof(S) == 1) {
    const __m128i x = _mm_maskz_loadu_epi8(__mmask16(0xffffu << zeros), end - N);
    __builtin_memcpy(several, &x, sizeof(several));
    return widened<T, N>(several);
  } else if constexpr (N == 16) {
    const __m256i x = _mm256_maskz_loadu_epi16(__mmask16(0xffffu << zeros), end - N);
    __builtin_memcpy(several, &x, sizeof(several));
    return widened<T, N>(several);
  }
#endif
  __builtin_memset(several, 0, sizeof(several));
  for (std::ptrdiff_t lane = zeros; lane < N; ++lane) several[lane] = end[lane - N];
  return widened<T, N>(several);
}

/// One number.
template <class T, class S>
STEEPEST_INLINE T widened(S from) {
  if constexpr (std::is_integral_v<S>) {
    return T(from);
  } else {
    const S several[4] = {from, {}, {}, {}};
    return T(widened<float, 4>(several).v[0]);
  }
}

}  // namespace steepest::STEEPEST_LEVEL
