// Numbers that lie apart, brought into a register by their positions.
//
// One instruction for a register of them keeps several times as many on their way from far caches as single loads do, which
// the processor looks ahead to one by one. Only where there are masks for the last few (AVX-512); elsewhere `gathered` is 1.
#pragma once

#include "steepest/simd.hpp"

namespace steepest::STEEPEST_LEVEL {

#if defined(__AVX512VL__)
/// How many T a gather brings by positions of type I.
template <class T, class I>
inline constexpr int gathered = vector_bytes / int(sizeof(T) > sizeof(I) ? sizeof(T) : sizeof(I));

/// Numbers at the first `count` positions, zeros behind them. Each position is read once, and taken for `last` where it is
/// beyond, which adds bits to `beyond`: what another thread does to it meanwhile changes what is read, but not that it lies
/// within.
template <class T, class I>
STEEPEST_INLINE Simd<T, gathered<T, I>> gather(const T* from, const I* position, std::ptrdiff_t count, I last,
                                               unsigned& beyond) {
  static_assert(gathered<T, I> >= 8);
  using V = Simd<T, gathered<T, I>>;
  using Native = typename V::Native;
  const auto mask = (1u << count) - 1u;
  if constexpr (sizeof(T) == 8 && sizeof(I) == 4) {
    __m256i at = _mm256_maskz_loadu_epi32(__mmask8(mask), position);
    asm("" : "+v"(at));
    const __m256i limit = _mm256_set1_epi32(int(last));
    beyond |= _mm256_cmpgt_epu32_mask(at, limit);
    at = _mm256_min_epu32(at, limit);
    return V((Native)_mm512_mask_i32gather_pd(_mm512_setzero_pd(), __mmask8(mask), at, from, 8));
  } else if constexpr (sizeof(T) == 4 && sizeof(I) == 4) {
    __m512i at = _mm512_maskz_loadu_epi32(__mmask16(mask), position);
    asm("" : "+v"(at));
    const __m512i limit = _mm512_set1_epi32(int(last));
    beyond |= _mm512_cmpgt_epu32_mask(at, limit);
    at = _mm512_maskz_min_epu32(0xffff, at, limit);
    return V((Native)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), __mmask16(mask), at, from, 4));
  } else {
    __m512i at = _mm512_maskz_loadu_epi64(__mmask8(mask), position);
    asm("" : "+v"(at));
    const __m512i limit = _mm512_set1_epi64(std::int64_t(last));
    beyond |= _mm512_cmpgt_epu64_mask(at, limit);
    at = _mm512_maskz_min_epu64(0xff, at, limit);
    if constexpr (sizeof(T) == 8)
      return V((Native)_mm512_mask_i64gather_pd(_mm512_setzero_pd(), __mmask8(mask), at, from, 8));
    else
      return V((Native)_mm512_mask_i64gather_ps(_mm256_setzero_ps(), __mmask8(mask), at, from, 4));
  }
}
#else
template <class T, class I>
inline constexpr int gathered = 1;
#endif

}  // namespace steepest::STEEPEST_LEVEL
