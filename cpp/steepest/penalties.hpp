// Penalties on the coefficients: value, gradient of the smooth part, proximal step of the rest.
//
// The smooth part enters through the gradient, so that w <- (1 - step alpha) w - step g; only what is not smooth uses the
// proximal step, which is why L1 gives exact zeros. Intercepts never reach this room. A penalty is one struct and one name in the list.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "steepest/simd.hpp"
#include "steepest/spec.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace penalties {

template <class T>
STEEPEST_INLINE double sum_of_squares(std::int64_t n, const T* w) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += double(w[i]) * double(w[i]);
  return sum;
}

template <class T>
STEEPEST_INLINE double sum_of_sizes(std::int64_t n, const T* w) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += __builtin_fabs(double(w[i]));
  return sum;
}

template <class T>
STEEPEST_INLINE void add_scaled(std::int64_t n, T scale, const T* w, T* gradient) {
  for (std::int64_t i = 0; i < n; ++i) gradient[i] += scale * w[i];
}

template <class T>
STEEPEST_INLINE T soft_threshold(T threshold, T w) {
  const T clipped = w > threshold ? threshold : w < -threshold ? -threshold : w;
  return w - clipped;
}

/// The proximal point of strength |w|_1 for a step, or for one step per coordinate where `metric` is not null.
template <class T>
STEEPEST_INLINE void soft_threshold(std::int64_t n, double strength, T step, const T* metric, T* w) {
  if (metric) {
    for (std::int64_t i = 0; i < n; ++i) w[i] = soft_threshold(T(metric[i] * T(strength)), w[i]);
  } else {
    const T threshold = T(step * strength);
    for (std::int64_t i = 0; i < n; ++i) w[i] = soft_threshold(threshold, w[i]);
  }
}

struct L2 {
  static constexpr std::string_view name = "l2";
  static constexpr std::string_view summary =
      "Pulls coefficients towards zero in proportion to their size (weight decay).";
  static constexpr std::string_view formula = "alpha/2 * sum(w**2)";
  static constexpr bool separable = true, smooth = true, convex = true;
  static constexpr std::array params{Param{"alpha", 1.0, 0.0, infinity, "strength", Closed::low}};
  double alpha;
  STEEPEST_INLINE void elastic(double* l1, double* l2) const { *l1 = 0, *l2 = alpha; }
  template <class T>
  STEEPEST_INLINE double value(std::int64_t n, const T* w) const {
    return 0.5 * alpha * sum_of_squares(n, w);
  }
  template <class T>
  STEEPEST_INLINE void smooth_gradient(std::int64_t n, const T* w, T* gradient) const {
    add_scaled(n, T(alpha), w, gradient);
  }
};

struct L1 {
  static constexpr std::string_view name = "l1";
  static constexpr std::string_view summary = "Shrinks useless coefficients to exactly zero.";
  static constexpr std::string_view formula = "alpha * sum(abs(w))";
  static constexpr bool separable = true, smooth = false, convex = true;
  static constexpr std::array params{Param{"alpha", 1.0, 0.0, infinity, "strength", Closed::low}};
  double alpha;
  STEEPEST_INLINE void elastic(double* l1, double* l2) const { *l1 = alpha, *l2 = 0; }
  template <class T>
  STEEPEST_INLINE double value(std::int64_t n, const T* w) const {
    return alpha * sum_of_sizes(n, w);
  }
  template <class T>
  STEEPEST_INLINE void prox(std::int64_t n, T step, const T* metric, T* w) const {
    soft_threshold(n, alpha, step, metric, w);
  }
};

struct ElasticNet {
  static constexpr std::string_view name = "elastic_net";
  static constexpr std::string_view summary = "A mixture of L1 and L2.";
  static constexpr std::string_view formula = "alpha * (l1_ratio * sum(abs(w)) + (1 - l1_ratio)/2 * sum(w**2))";
  static constexpr bool separable = true, smooth = false, convex = true;
  static constexpr std::array params{Param{"alpha", 1.0, 0.0, infinity, "strength", Closed::low},
                                     Param{"l1_ratio", 0.5, 0.0, 1.0, "share of L1", Closed::both}};
  double alpha, l1_ratio;
  STEEPEST_INLINE void elastic(double* l1, double* l2) const {
    *l1 = alpha * l1_ratio;
    *l2 = alpha * (1 - l1_ratio);
  }
  template <class T>
  STEEPEST_INLINE double value(std::int64_t n, const T* w) const {
    // A part that is off stays off where its sum overflows.
    const double sizes = l1_ratio > 0 ? l1_ratio * sum_of_sizes(n, w) : 0;
    const double squares = l1_ratio < 1 ? 0.5 * (1 - l1_ratio) * sum_of_squares(n, w) : 0;
    return alpha * (sizes + squares);
  }
  template <class T>
  STEEPEST_INLINE void smooth_gradient(std::int64_t n, const T* w, T* gradient) const {
    add_scaled(n, T(alpha * (1 - l1_ratio)), w, gradient);
  }
  template <class T>
  STEEPEST_INLINE void prox(std::int64_t n, T step, const T* metric, T* w) const {
    soft_threshold(n, alpha * l1_ratio, step, metric, w);
  }
};

}  // namespace penalties

template <class... Ps>
struct PenaltyList {
  static constexpr std::size_t size = sizeof...(Ps);
};

/// The registration.
using Penalties = PenaltyList<penalties::L1, penalties::L2, penalties::ElasticNet>;

}  // namespace steepest::STEEPEST_LEVEL
