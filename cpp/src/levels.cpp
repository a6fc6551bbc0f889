// Chooses the kernels once, when they are first asked for.
#include <array>
#include <cstdlib>
#include <stdexcept>

#include "steepest/kernels.hpp"

namespace steepest {

#define STEEPEST_LEVEL_TABLE(level)                                                                                    \
  namespace level {                                                                                                    \
  const Kernels& table();                                                                                              \
  }
#if defined(STEEPEST_X86_LEVELS)
STEEPEST_LEVEL_TABLE(v4)
STEEPEST_LEVEL_TABLE(v3)
STEEPEST_LEVEL_TABLE(v2)
#else
STEEPEST_LEVEL_TABLE(portable)
#endif

namespace {

struct Level {
  bool runs;
  const Kernels& (*table)();
};

std::array<Level,
#if defined(STEEPEST_X86_LEVELS)
           3
#else
           1
#endif
           >
levels() {
#if defined(STEEPEST_X86_LEVELS)
  __builtin_cpu_init();
  const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  const bool v3 =
      v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return {Level{v4, &v4::table}, Level{v3, &v3::table}, Level{v2, &v2::table}};
#else
  return {Level{true, &portable::table}};
#endif
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
