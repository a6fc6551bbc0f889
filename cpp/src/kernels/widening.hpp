// Narrow numbers side by side, widened: what dense and sparse rows have in common.
#pragma once

#include "reading.hpp"
#include "steepest/simd_narrow.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

/// Calls work.template operator()<S>() with the type that numbers are stored in.
template <class Work>
STEEPEST_INLINE auto with_storage(Storage storage, const Work& work) {
  switch (storage) {
  case Storage::u8:
    return work.template operator()<std::uint8_t>();
  case Storage::i8:
    return work.template operator()<std::int8_t>();
  case Storage::u16:
    return work.template operator()<std::uint16_t>();
  case Storage::i16:
    return work.template operator()<std::int16_t>();
  case Storage::f16:
    return work.template operator()<Half>();
  default:
    return work.template operator()<Brain>();
  }
}

template <class T, class S>
STEEPEST_INLINE void widen_line(const S* from, Index count, T* to) {
  constexpr int N = lanes<T>;
  Index i = 0;
  for (; i + N <= count; i += N) widened<T, N>(from + i).store(to + i);
  if (i == count) return;
  if (count >= N) return widened<T, N>(from + count - N).store(to + count - N);  // some of them once more
  for (; i < count; ++i) to[i] = widened<T>(from[i]);
}

}  // namespace
}  // namespace steepest::STEEPEST_LEVEL
