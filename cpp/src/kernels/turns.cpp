// Streams of rows that are walked side by side, see order.hpp.
#include "level.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

using Index = std::int64_t;

constexpr int N = lanes<float>;  // offsets are as wide
typedef std::uint32_t Offsets __attribute__((vector_size(N * sizeof(std::uint32_t))));

STEEPEST_INLINE Offsets counted() {
  Offsets result;
  for (int k = 0; k < N; ++k) result[k] = std::uint32_t(k);
  return result;
}

}  // namespace

void take_turns(const std::uint32_t* first, Index streams, Index turn, Index turns, std::uint32_t* to) {
  const Offsets count = counted();
  for (std::uint32_t moved = 0; moved != std::uint32_t(turn * turns); moved += std::uint32_t(turn)) {
    if (turn == 1) {
      for (Index s = 0; s < streams; ++s) *to++ = first[s] + moved;
      continue;
    }
    // Said by hand: the compiler would take the streams for lanes, and transpose.
    for (Index s = 0; s < streams; ++s) {
      const std::uint32_t from = first[s] + moved;
      Index k = 0;
      for (; k + N <= turn; k += N) {
        const Offsets rows = count + (from + std::uint32_t(k));
        __builtin_memcpy(to + k, &rows, sizeof(rows));
      }
      for (; k < turn; ++k) to[k] = from + std::uint32_t(k);
      to += turn;
    }
  }
}

}  // namespace steepest::STEEPEST_LEVEL
