// Chooses the kernels once, when they are first asked for.
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "steepest/kernels.hpp"

namespace steepest {

// The build says which levels it holds.
#if defined(STEEPEST_HAS_v4)
namespace v4 {
const Kernels& table();
}
#endif
#if defined(STEEPEST_HAS_v3)
namespace v3 {
const Kernels& table();
}
#endif
#if defined(STEEPEST_HAS_v2)
namespace v2 {
const Kernels& table();
}
#endif
#if defined(STEEPEST_HAS_portable)
namespace portable {
const Kernels& table();
}
#endif

namespace {

struct Level {
  bool runs;
  const Kernels& (*table)();
};

/// Best first.
std::vector<Level> levels() {
  std::vector<Level> held;
#if defined(STEEPEST_HAS_portable)
  held.push_back({true, &portable::table});
#else
  __builtin_cpu_init();
  [[maybe_unused]] const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  [[maybe_unused]] const bool v3 =
      v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  [[maybe_unused]] const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                   __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                                   __builtin_cpu_supports("avx512vl");
#if defined(STEEPEST_HAS_v4)
  held.push_back({v4, &v4::table});
#endif
#if defined(STEEPEST_HAS_v3)
  held.push_back({v3, &v3::table});
#endif
#if defined(STEEPEST_HAS_v2)
  held.push_back({v2, &v2::table});
#endif
#endif
  return held;
}

const Kernels& choose() {
  const char* wanted = std::getenv("STEEPEST_LEVEL");
  for (const Level& level : levels())
    if (level.runs && (!wanted || !*wanted || level.table().level == wanted)) return level.table();
  std::string candidates;
  for (const std::string& name : available_levels()) candidates += (candidates.empty() ? "" : ", ") + name;
  if (candidates.empty())
    throw std::runtime_error("this processor lacks SSE4.2, the least that steepest's kernels need");
  throw std::invalid_argument("STEEPEST_LEVEL=" + std::string(wanted) +
                              " is none of the levels of this machine: " + candidates);
}

}  // namespace

std::vector<std::string> available_levels() {
  std::vector<std::string> names;
  for (const Level& level : levels())
    if (level.runs) names.emplace_back(level.table().level);
  return names;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace steepest
