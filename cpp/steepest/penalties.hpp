// Penalties on the coefficients: value, gradient of the smooth part, proximal step of the rest.
//
// The smooth part enters through the gradient, so that w <- (1 - step alpha) w - step g; only what is not smooth uses the
// proximal step, which is why L1 gives exact zeros. Intercepts never reach this room. A penalty is one struct and one name
// in the list; what it was given comes as Terms. Constraints are penalties too, in a header of their own.
#pragma once

#include "steepest/constraints.hpp"

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
  for (std::int64_t i = 0; i < n; ++i) sum += size_of(double(w[i]));
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

/// The proximal point of strength |w|_1 for a step, or for one step per coordinate where `metric` is not null; likewise
/// for the strength, of which `each` holds a share of 1 per coordinate.
template <class T>
STEEPEST_INLINE void soft_threshold(std::int64_t n, double strength, const double* each, T step, const T* metric,
                                    T* w) {
  if (each) {
    for (std::int64_t i = 0; i < n; ++i)
      w[i] = soft_threshold(T((metric ? metric[i] : step) * T(strength * each[i])), w[i]);
  } else if (metric) {
    for (std::int64_t i = 0; i < n; ++i) w[i] = soft_threshold(T(metric[i] * T(strength)), w[i]);
  } else {
    const T threshold = T(step * strength);
    for (std::int64_t i = 0; i < n; ++i) w[i] = soft_threshold(threshold, w[i]);
  }
}

/// A subgradient of strength |w|_1: the shortest, 0 at 0.
template <class T>
STEEPEST_INLINE void add_signs(std::int64_t n, double strength, const double* each, const T* w, T* gradient) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T slope = T(strength * (each ? each[i] : 1.0));
    gradient[i] += w[i] > 0 ? slope : w[i] < 0 ? -slope : T(0);
  }
}

constexpr Param strength_param{"alpha", 1.0, 0.0, infinity, "strength", Closed::low, true};

struct L1 : Penalty {
  static constexpr std::string_view name = "l1";
  static constexpr std::string_view summary = "Shrinks useless coefficients to exactly zero.";
  static constexpr std::string_view formula = "sum(alpha * abs(w))";
  static constexpr bool smooth = false;
  static constexpr std::array params{strength_param};
  STEEPEST_INLINE static void elastic(const double* params, double* l1, double* l2) { *l1 = params[0], *l2 = 0; }
  template <class T>
  STEEPEST_INLINE static double value(const Terms& terms, std::int64_t n, const T* w) {
    if (!terms.each[0]) return terms.params[0] * sum_of_sizes(n, w);
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += terms.each[0][i] * size_of(double(w[i]));
    return sum;
  }
  template <class T>
  STEEPEST_INLINE static void kink_gradient(const Terms& terms, std::int64_t n, const T* w, T* gradient) {
    add_signs(n, terms.each[0] ? 1.0 : terms.params[0], terms.each[0], w, gradient);
  }
  template <class T>
  STEEPEST_INLINE static void prox(const Terms& terms, std::int64_t n, T step, const T* metric, T* w) {
    soft_threshold(n, terms.each[0] ? 1.0 : terms.params[0], terms.each[0], step, metric, w);
  }
};

struct L2 : Penalty {
  static constexpr std::string_view name = "l2";
  static constexpr std::string_view summary =
      "Pulls coefficients towards zero in proportion to their size (weight decay).";
  static constexpr std::string_view formula = "sum(alpha/2 * w**2)";
  static constexpr std::array params{strength_param};
  STEEPEST_INLINE static void elastic(const double* params, double* l1, double* l2) { *l1 = 0, *l2 = params[0]; }
  template <class T>
  STEEPEST_INLINE static double value(const Terms& terms, std::int64_t n, const T* w) {
    if (!terms.each[0]) return 0.5 * terms.params[0] * sum_of_squares(n, w);
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += terms.each[0][i] * double(w[i]) * double(w[i]);
    return 0.5 * sum;
  }
  template <class T>
  STEEPEST_INLINE static void smooth_gradient(const Terms& terms, std::int64_t n, const T* w, T* gradient) {
    if (!terms.each[0]) return add_scaled(n, T(terms.params[0]), w, gradient);
    for (std::int64_t i = 0; i < n; ++i) gradient[i] += T(terms.each[0][i]) * w[i];
  }
};

struct ElasticNet : Penalty {
  static constexpr std::string_view name = "elastic_net";
  static constexpr std::string_view summary = "A mixture of L1 and L2.";
  static constexpr std::string_view formula = "sum(alpha * (l1_ratio * abs(w) + (1 - l1_ratio)/2 * w**2))";
  static constexpr bool smooth = false;
  static constexpr std::array params{strength_param, Param{"l1_ratio", 0.5, 0.0, 1.0, "share of L1", Closed::both}};
  STEEPEST_INLINE static void elastic(const double* params, double* l1, double* l2) {
    *l1 = params[0] * params[1];
    *l2 = params[0] * (1 - params[1]);
  }
  template <class T>
  STEEPEST_INLINE static double value(const Terms& terms, std::int64_t n, const T* w) {
    // A part that is off stays off where its sum overflows.
    const double share = terms.params[1];
    if (!terms.each[0]) {
      const double sizes = share > 0 ? share * sum_of_sizes(n, w) : 0;
      const double squares = share < 1 ? 0.5 * (1 - share) * sum_of_squares(n, w) : 0;
      return terms.params[0] * (sizes + squares);
    }
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const double size = size_of(double(w[i]));
      sum += terms.each[0][i] * ((share > 0 ? share * size : 0) + (share < 1 ? 0.5 * (1 - share) * size * size : 0));
    }
    return sum;
  }
  template <class T>
  STEEPEST_INLINE static void smooth_gradient(const Terms& terms, std::int64_t n, const T* w, T* gradient) {
    const double rest = 1 - terms.params[1];
    if (!terms.each[0]) return add_scaled(n, T(terms.params[0] * rest), w, gradient);
    for (std::int64_t i = 0; i < n; ++i) gradient[i] += T(terms.each[0][i] * rest) * w[i];
  }
  template <class T>
  STEEPEST_INLINE static void kink_gradient(const Terms& terms, std::int64_t n, const T* w, T* gradient) {
    add_signs(n, terms.params[1] * (terms.each[0] ? 1.0 : terms.params[0]), terms.each[0], w, gradient);
  }
  template <class T>
  STEEPEST_INLINE static void prox(const Terms& terms, std::int64_t n, T step, const T* metric, T* w) {
    const double strength = terms.each[0] ? terms.params[1] : terms.params[0] * terms.params[1];
    soft_threshold(n, strength, terms.each[0], step, metric, w);
  }
};

struct GroupLasso : Penalty {
  static constexpr std::string_view name = "group_lasso";
  static constexpr std::string_view summary =
      "Shrinks useless groups of coefficients to exactly zero, each as a whole (Yuan and Lin 2006).";
  static constexpr std::string_view formula = "alpha * sum([sqrt(g.size) * sqrt(sum(w[g]**2)) for g in groups])";
  static constexpr bool separable = false, smooth = false, grouped = true;
  static constexpr std::array params{Param{"alpha", 1.0, 0.0, infinity, "strength", Closed::low}};

  /// Calls work(first, last, strength) for every group: its members lie between the two.
  template <class Work>
  STEEPEST_INLINE static void each_group(const Terms& terms, const Work& work) {
    for (std::int64_t g = 0; g < terms.groups; ++g) {
      const std::int64_t *first = terms.members + terms.starts[g], *last = terms.members + terms.starts[g + 1];
      if (first != last) work(first, last, terms.params[0] * __builtin_sqrt(double(last - first)));
    }
  }
  template <class T>
  STEEPEST_INLINE static double length(const std::int64_t* first, const std::int64_t* last, const T* w) {
    double squares = 0;
    for (const std::int64_t* i = first; i != last; ++i) squares += double(w[*i]) * double(w[*i]);
    return __builtin_sqrt(squares);
  }
  template <class T>
  STEEPEST_INLINE static double value(const Terms& terms, std::int64_t, const T* w) {
    double sum = 0;
    each_group(terms, [&](const std::int64_t* first, const std::int64_t* last, double strength) {
      sum += strength * length(first, last, w);
    });
    return sum;
  }
  template <class T>
  STEEPEST_INLINE static void kink_gradient(const Terms& terms, std::int64_t, const T* w, T* gradient) {
    each_group(terms, [&](const std::int64_t* first, const std::int64_t* last, double strength) {
      const double norm = length(first, last, w);
      if (norm > 0)
        for (const std::int64_t* i = first; i != last; ++i) gradient[*i] += T(strength * double(w[*i]) / norm);
    });
  }
  template <class T>
  STEEPEST_INLINE static void prox(const Terms& terms, std::int64_t, T step, const T* metric, T* w) {
    each_group(terms, [&](const std::int64_t* first, const std::int64_t* last, double strength) {
      if (metric) return shrink(first, last, strength, metric, w);
      const double norm = length(first, last, w), threshold = double(step) * strength;
      if (threshold == 0 || !(norm < infinity)) return;
      const T left = T(norm > threshold ? 1 - threshold / norm : 0);
      for (const std::int64_t* i = first; i != last; ++i) w[*i] = left > 0 ? w[*i] * left : T(0);
    });
  }

 private:
  /// With a step m per coordinate a member ends at w s / (s + strength m), s the length of the group then: a root in s,
  /// found by Newton's method on the inverse of a length, whose iterates rise to it.
  template <class T>
  STEEPEST_INLINE static void shrink(const std::int64_t* first, const std::int64_t* last, double strength,
                                     const T* metric, T* w) {
    const double norm = length(first, last, w);
    if (strength == 0 || !(norm < infinity)) return;
    double pulled = 0, largest = 0, fixed = 0;
    for (const std::int64_t* i = first; i != last; ++i) {
      const double at = double(w[*i]), pull = double(metric[*i]);
      if (at == 0) continue;
      if (pull == 0 && size_of(at) > fixed) fixed = size_of(at);
      pulled += at / pull * (at / pull);
      if (pull > largest) largest = pull;
    }
    double s = norm - strength * largest;
    if (s < fixed) s = fixed;
    if (pulled <= strength * strength) {
      for (const std::int64_t* i = first; i != last; ++i) w[*i] = 0;
      return;
    }
    for (int pass = 0; pass < 100; ++pass) {
      double squares = 0, slope = 0;
      for (const std::int64_t* i = first; i != last; ++i) {
        if (w[*i] == 0) continue;
        const double below = s + strength * double(metric[*i]), ratio = double(w[*i]) / below;
        squares += ratio * ratio;
        slope += ratio * ratio / below;
      }
      const double next = s + squares * (__builtin_sqrt(squares) - 1) / slope;
      if (!(next > s)) break;
      s = next;
    }
    for (const std::int64_t* i = first; i != last; ++i)
      if (w[*i] != 0) w[*i] = T(double(w[*i]) * s / (s + strength * double(metric[*i])));
  }
};

}  // namespace penalties

template <class... Ps>
struct PenaltyList {
  static constexpr std::size_t size = sizeof...(Ps);
};

/// The registration.
using Penalties = PenaltyList<penalties::L1, penalties::L2, penalties::ElasticNet, penalties::GroupLasso,
                              penalties::NonNegative, penalties::Box, penalties::L1Ball, penalties::L2Ball>;

}  // namespace steepest::STEEPEST_LEVEL
