// Schedules: the step size over time (A10).
//
// Time is counted in epochs, as a fraction: updates done / updates per epoch. So a schedule means the same at every batch size,
// and sweeps over batch sizes compare like with like; for full batches time is 0, 1, 2, ... as in the textbooks.
#pragma once

#include <array>
#include <cmath>
#include <string_view>

#include "steepest/spec.hpp"

namespace steepest::schedules {

inline constexpr Param step_param{"step_size", 0.1, 0.0, infinity, "the step at time 0"};

struct Constant {
  static constexpr std::string_view name = "constant";
  static constexpr std::string_view summary = "The same step always.";
  static constexpr std::string_view formula = "step_size";
  static constexpr std::array params{step_param};
  static double at(const double* p, double, double) { return p[0]; }
};

struct InverseScaling {
  static constexpr std::string_view name = "inverse_scaling";
  static constexpr std::string_view summary = "Falls as a power of time.";
  static constexpr std::string_view formula = "step_size / (1 + rate*t)**power";
  static constexpr std::array params{step_param, Param{"power", 0.5, 0.0, infinity, "how fast it falls", Closed::low},
                                     Param{"rate", 1.0, 0.0, infinity, "how soon it begins to fall"}};
  static double at(const double* p, double t, double) {
    const double base = 1 + p[2] * t;
    return p[0] / (p[1] == 0.5 ? std::sqrt(base) : std::pow(base, p[1]));
  }
};

struct InverseTime {
  static constexpr std::string_view name = "inverse_time";
  static constexpr std::string_view summary = "Falls as 1/t: the classical rate for strongly convex losses.";
  static constexpr std::string_view formula = "step_size / (1 + decay*t)";
  static constexpr std::array params{step_param, Param{"decay", 1.0, 0.0, infinity, "how fast it falls", Closed::low}};
  static double at(const double* p, double t, double) { return p[0] / (1 + p[1] * t); }
};

struct Exponential {
  static constexpr std::string_view name = "exponential";
  static constexpr std::string_view summary = "Multiplied by the same factor every epoch.";
  static constexpr std::string_view formula = "step_size * factor**t";
  static constexpr std::array params{step_param, Param{"factor", 0.9, 0.0, infinity, "per epoch"}};
  static double at(const double* p, double t, double) { return p[0] * std::pow(p[1], t); }
};

struct Step {
  static constexpr std::string_view name = "step";
  static constexpr std::string_view summary = "Multiplied by a factor every few epochs, constant between.";
  static constexpr std::string_view formula = "step_size * factor**floor(t / every)";
  static constexpr std::array params{step_param, Param{"factor", 0.5, 0.0, infinity, "at every drop"},
                                     Param{"every", 10.0, 0.0, infinity, "epochs between drops"}};
  static double at(const double* p, double t, double) { return p[0] * std::pow(p[1], std::floor(t / p[2])); }
};

struct Cosine {
  static constexpr std::string_view name = "cosine";
  static constexpr std::string_view summary =
      "Half a cosine from the step size at the start to the final one at the end of the run.";
  static constexpr std::string_view formula = "final + (step_size - final) * (1 + cos(pi * t / epochs)) / 2";
  static constexpr std::array params{step_param,
                                     Param{"final", 0.0, 0.0, infinity, "the step at the end", Closed::low}};
  static double at(const double* p, double t, double epochs) {
    const double done = t < epochs ? t / epochs : 1.0;
    return p[1] + (p[0] - p[1]) * 0.5 * (1 + std::cos(3.14159265358979323846 * done));
  }
};

template <class... Ss>
struct ScheduleList {
  static constexpr std::size_t size = sizeof...(Ss);
};

/// The registration.
using Schedules = ScheduleList<Constant, InverseScaling, InverseTime, Exponential, Step, Cosine>;

}  // namespace steepest::schedules
