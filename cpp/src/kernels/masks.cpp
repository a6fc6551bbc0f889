// Masks of dropout, from counters: each number depends on its key and position alone.
#include "level.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

/// Two rounds of a 32-bit finalizer, with the upper half of the key between them.
template <class T>
STEEPEST_INLINE void fill(std::uint64_t key, std::int64_t count, double rate, T* out) {
  const auto low = std::uint32_t(key), high = std::uint32_t(key >> 32);
  const auto dropped = std::uint32_t(rate * 4294967296.0);
  const T kept = T(1.0 / (1.0 - rate));
  for (std::int64_t j = 0; j < count; ++j) {
    std::uint32_t h = low + std::uint32_t(j) * 0x9e3779b9u;
    h = (h ^ (h >> 16)) * 0x7feb352du;
    h = (h ^ (h >> 15)) + high;
    h = (h ^ (h >> 16)) * 0x846ca68bu;
    h = (h ^ (h >> 13)) * 0xc2b2ae35u;
    h ^= h >> 16;
    out[j] = h < dropped ? T(0) : kept;
  }
}

}  // namespace

void mask(std::uint64_t key, std::int64_t count, double rate, float* out) { fill(key, count, rate, out); }
void mask(std::uint64_t key, std::int64_t count, double rate, double* out) { fill(key, count, rate, out); }

}  // namespace steepest::STEEPEST_LEVEL
