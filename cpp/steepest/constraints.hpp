// Constraints on the coefficients: penalties of 0 inside a set and infinity outside, whose proximal step is a projection.
//
// Where a rule has a step per coordinate, nearness is measured accordingly; then the projection onto a ball is found by
// Newton's method on one number, whose iterates rise to the solution from below. The boundary of a set is a millionth
// wide, so that the rounding of float32 does not leave it.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

#include "steepest/simd.hpp"
#include "steepest/spec.hpp"
#include "steepest/terms.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace penalties {

/// What a penalty says of itself where it has nothing special to say.
struct Penalty {
  static constexpr std::string_view class_name = "";  ///< in Python, where capitals do not follow from the name
  static constexpr bool constraint = false;           ///< values are 0 or infinity
  static constexpr bool grouped = false;              ///< wants to know which coefficients belong together
  static constexpr bool separable = true, smooth = true, convex = true;
  static constexpr std::array<Param, 0> params{};
};

constexpr double boundary = 1e-6;

/// A norm is within a radius where it is beyond by no more than rounding: what was projected stays as it is.
template <class T>
STEEPEST_INLINE bool within(double norm, double radius) {
  return norm <= radius * (1 + 4 * double(std::numeric_limits<T>::epsilon()));
}

STEEPEST_INLINE double size_of(double a) { return __builtin_fabs(a); }
template <class T>
STEEPEST_INLINE double metric_at(const T* metric, std::int64_t i) {
  return metric ? double(metric[i]) : 1.0;
}

struct Constraint : Penalty {
  static constexpr bool constraint = true, smooth = false;
};

struct NonNegative : Constraint {
  static constexpr std::string_view name = "non_negative";
  static constexpr std::string_view summary = "Keeps coefficients at zero or above.";
  static constexpr std::string_view formula = "where(all(w >= 0), 0.0, inf)";
  template <class T>
  STEEPEST_INLINE static double value(const Terms&, std::int64_t n, const T* w) {
    for (std::int64_t i = 0; i < n; ++i)
      if (!(w[i] >= 0)) return infinity;
    return 0;
  }
  template <class T>
  STEEPEST_INLINE static void prox(const Terms&, std::int64_t n, T, const T*, T* w) {
    for (std::int64_t i = 0; i < n; ++i) w[i] = w[i] < 0 ? T(0) : w[i];
  }
};

struct Box : Constraint {
  static constexpr std::string_view name = "box";
  static constexpr std::string_view class_name = "Box";
  static constexpr std::string_view summary = "Keeps coefficients between two bounds.";
  static constexpr std::string_view formula = "where(all((lower <= w) & (w <= upper)), 0.0, inf)";
  static constexpr std::array params{Param{"lower", 0.0, -infinity, infinity, "smallest value", Closed::both, true},
                                     Param{"upper", 1.0, -infinity, infinity, "largest value", Closed::both, true}};
  template <class T>
  STEEPEST_INLINE static double value(const Terms& terms, std::int64_t n, const T* w) {
    for (std::int64_t i = 0; i < n; ++i) {
      const double low = terms.at(0, i), high = terms.at(1, i), at = double(w[i]);
      const bool above = at >= low || at >= low - boundary * size_of(low);
      const bool below = at <= high || at <= high + boundary * size_of(high);
      if (!above || !below) return infinity;
    }
    return 0;
  }
  template <class T>
  STEEPEST_INLINE static void prox(const Terms& terms, std::int64_t n, T, const T*, T* w) {
    const auto clip = [](T at, T low, T high) { return at < low ? low : at > high ? high : at; };
    if (!terms.each[0] && !terms.each[1]) {
      const T low = T(terms.params[0]), high = T(terms.params[1]);
      for (std::int64_t i = 0; i < n; ++i) w[i] = clip(w[i], low, high);
    } else {
      for (std::int64_t i = 0; i < n; ++i) w[i] = clip(w[i], T(terms.at(0, i)), T(terms.at(1, i)));
    }
  }
};

struct L1Ball : Constraint {
  static constexpr std::string_view name = "l1_ball";
  static constexpr std::string_view summary =
      "Keeps the sum of the coefficients' sizes within a radius: many are exactly zero (Duchi et al. 2008).";
  static constexpr std::string_view formula = "where(sum(abs(w)) <= radius, 0.0, inf)";
  static constexpr bool separable = false;
  static constexpr std::array params{Param{"radius", 1.0, 0.0, infinity, "largest sum of sizes"}};
  template <class T>
  STEEPEST_INLINE static double value(const Terms& terms, std::int64_t n, const T* w) {
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += size_of(double(w[i]));
    return sum <= terms.params[0] * (1 + boundary) ? 0 : infinity;
  }
  /// Soft thresholding by the threshold that leaves just the radius: a root of a function of straight pieces, which
  /// Newton's method meets exactly once no coefficient drops out any more (Michelot 1986).
  template <class T>
  STEEPEST_INLINE static void prox(const Terms& terms, std::int64_t n, T, const T* metric, T* w) {
    const double radius = terms.params[0];
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += size_of(double(w[i]));
    if (within<T>(sum, radius) || !(sum < infinity)) return;
    double threshold = 0;
    for (std::int64_t pass = 0; pass <= n; ++pass) {
      double left = 0, weight = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        const double size = size_of(double(w[i])), pull = metric_at(metric, i);
        if (size <= threshold * pull) continue;
        left += size;
        weight += pull;
      }
      const double next = (left - radius) / weight;
      if (!(weight > 0) || !(next > threshold)) break;
      threshold = next;
    }
    const auto shrunk = [&](std::int64_t i) {
      const double at = double(w[i]), most = threshold * metric_at(metric, i);
      return at > most ? at - most : at < -most ? at + most : 0;
    };
    // The differences are rounded: what they add up to may lie a little beyond.
    sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += size_of(shrunk(i));
    const double scale = sum > radius ? radius / sum : 1;
    for (std::int64_t i = 0; i < n; ++i) w[i] = T(shrunk(i) * scale);
  }
};

struct L2Ball : Constraint {
  static constexpr std::string_view name = "l2_ball";
  static constexpr std::string_view summary = "Keeps the length of the coefficients within a radius.";
  static constexpr std::string_view formula = "where(sqrt(sum(w**2)) <= radius, 0.0, inf)";
  static constexpr bool separable = false;
  static constexpr std::array params{Param{"radius", 1.0, 0.0, infinity, "largest length"}};
  template <class T>
  STEEPEST_INLINE static double length(std::int64_t n, const T* w) {
    double squares = 0;
    for (std::int64_t i = 0; i < n; ++i) squares += double(w[i]) * double(w[i]);
    return __builtin_sqrt(squares);
  }
  template <class T>
  STEEPEST_INLINE static double value(const Terms& terms, std::int64_t n, const T* w) {
    return length(n, w) <= terms.params[0] * (1 + boundary) ? 0 : infinity;
  }
  template <class T>
  STEEPEST_INLINE static void prox(const Terms& terms, std::int64_t n, T, const T* metric, T* w) {
    const double radius = terms.params[0];
    double norm = length(n, w);
    if (within<T>(norm, radius) || !(norm < infinity)) return;
    double multiplier = 0;
    for (int pass = 0; metric && pass < 100; ++pass) {
      double squares = 0, slope = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        const double pull = double(metric[i]), shrunk = double(w[i]) / (1 + multiplier * pull);
        squares += shrunk * shrunk;
        slope += pull * shrunk * shrunk / (1 + multiplier * pull);
      }
      norm = __builtin_sqrt(squares);
      const double next = multiplier + squares * (norm - radius) / (radius * slope);
      if (!(slope > 0) || !(next > multiplier) || norm <= radius * (1 + 1e-15)) break;
      multiplier = next;
    }
    // What is left is rounding, or coefficients that the rule does not move.
    const double scale = norm > radius ? radius / norm : 1;
    for (std::int64_t i = 0; i < n; ++i)
      w[i] = T(double(w[i]) / (1 + multiplier * (metric ? double(metric[i]) : 0.0)) * scale);
  }
};

}  // namespace penalties
}  // namespace steepest::STEEPEST_LEVEL
