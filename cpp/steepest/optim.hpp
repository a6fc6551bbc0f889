// Update rules: what one update does with the gradient of a batch.
//
// A rule is one struct and one name in the list at the bottom. It says how many vectors and numbers of state it keeps, and
// steps; the step size comes from outside, from a schedule, so that every rule goes with every schedule. Clipping, weight
// decay and proximal steps are the loop's, so that every rule has them. Conventions and defaults are PyTorch's where it has
// the rule. A formula is statements in Python: names not set before are zeros at first, `t` counts updates from 1.
#pragma once

#include <array>
#include <string_view>

#include "steepest/kernels.hpp"
#include "steepest/simd.hpp"
#include "steepest/spec.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace optim {

STEEPEST_INLINE float root(float a) { return __builtin_sqrtf(a); }
STEEPEST_INLINE double root(double a) { return __builtin_sqrt(a); }

/// The sum of powers 1 + a + ... + a^(count - 1).
STEEPEST_INLINE double powers(double a, std::int64_t count) { return (1 - __builtin_pow(a, double(count))) / (1 - a); }

/// What a rule says of itself where it has nothing special to say.
struct Rule {
  static constexpr std::string_view class_name = "";  ///< in Python, where capitals do not follow from the name
  static constexpr std::string_view reports = "";     ///< formula of the parameters it reports, where they are not x
  static constexpr int state_vectors = 0;             ///< as long as x
  static constexpr int state_numbers = 1;             ///< the first counts updates
  static constexpr int from_start = 0;     ///< so many of the vectors, from the first, start as x, not as zeros
  static constexpr int iterate = itself;   ///< what proximal steps act on: x or a vector of the state
  static constexpr int reported = itself;  ///< what callers get to see: x or a vector of the state
  static constexpr double lr = computed;
  static constexpr double weight_decay = 0;
  static constexpr bool decoupled = false;  ///< whether weight decay is so by default
  static constexpr Decoupling decoupling = Decoupling::by_loop;
  static constexpr bool lazy = false;               ///< columns with no gradient stay as they are
  static constexpr bool lazy_while_steady = false;  ///< but only as long as the step size stays the same
  static constexpr bool per_coordinate = false;     ///< steps differ from one coordinate to the next
  static constexpr bool steady = false;             ///< wants steps that do not diminish
  static constexpr bool scaled = false;             ///< wants to know the sizes of the features
  static constexpr std::array<Param, 0> params{};
};

constexpr Param share(std::string_view name, double value, std::string_view meaning) {
  return {name, value, 0.0, 1.0, meaning, Closed::low};
}

constexpr Param eps_param(double value) { return {"eps", value, 0.0, infinity, "keeps divisors from zero"}; }

struct SGD : Rule {
  static constexpr std::string_view name = "sgd";
  static constexpr std::string_view summary = "A step against the gradient (A4).";
  static constexpr std::string_view formula = "x = x - lr*g";
  static constexpr bool lazy = true;
  template <class T>
  STEEPEST_INLINE static double step(const Update<T>& u, const double*) {
    const T step = T(u.step);
    for (std::int64_t i = 0; i < u.n; ++i) u.x[i] -= step * u.gradient[i];
    return u.step;
  }
};

struct Momentum : Rule {
  static constexpr std::string_view name = "momentum";
  static constexpr std::string_view summary = "Steps along a decaying sum of gradients (heavy ball).";
  static constexpr std::string_view formula =
      "buf = where(t == 1, g, momentum*buf + (1 - dampening)*g); x = x - lr*buf";
  static constexpr int state_vectors = 1;
  static constexpr std::array params{share("momentum", 0.9, "share of the sum that stays"),
                                     share("dampening", 0.0, "share of the gradient that is left out")};
  /// The proximal step is as long as the weights in the sum add up to: then what it leaves in place is optimal.
  template <class T>
  STEEPEST_INLINE static double step(const Update<T>& u, const double* p) {
    const double fresh = u.number == 1 ? 1 : 1 - p[1];
    const T keep = T(p[0]), take = T(fresh), step = T(u.step);
    for (std::int64_t i = 0; i < u.n; ++i) {
      u.state[i] = keep * u.state[i] + take * u.gradient[i];
      u.x[i] -= step * u.state[i];
    }
    return u.step * (__builtin_pow(p[0], double(u.number - 1)) + (1 - p[1]) * powers(p[0], u.number - 1));
  }
};

struct Nesterov : Rule {
  static constexpr std::string_view name = "nesterov";
  static constexpr std::string_view summary = "Momentum that looks one step ahead.";
  static constexpr std::string_view formula = "buf = momentum*buf + g; x = x - lr*(g + momentum*buf)";
  static constexpr int state_vectors = 1;
  static constexpr std::array params{share("momentum", 0.9, "share of the sum that stays")};
  template <class T>
  STEEPEST_INLINE static double step(const Update<T>& u, const double* p) {
    const T keep = T(p[0]), step = T(u.step);
    for (std::int64_t i = 0; i < u.n; ++i) {
      u.state[i] = keep * u.state[i] + u.gradient[i];
      u.x[i] -= step * (u.gradient[i] + keep * u.state[i]);
    }
    return u.step * powers(p[0], u.number + 1);
  }
};

struct AdaGrad : Rule {
  static constexpr std::string_view name = "adagrad";
  static constexpr std::string_view class_name = "AdaGrad";
  static constexpr std::string_view summary =
      "Divides by the root of the sum of all squared gradients, per coordinate.";
  static constexpr std::string_view formula =
      "s = where(t == 1, initial_accumulator_value, s) + g**2; x = x - lr*g / (sqrt(s) + eps)";
  static constexpr int state_vectors = 1;
  static constexpr double lr = 0.01;
  static constexpr bool lazy = true, per_coordinate = true;
  static constexpr std::array params{eps_param(1e-10), Param{"initial_accumulator_value", 0.0, 0.0, infinity,
                                                             "where the sum of squares starts", Closed::low}};
  template <class T>
  STEEPEST_INLINE static double step(const Update<T>& u, const double* p) {
    const T step = T(u.step), eps = T(p[0]), first = T(u.number == 1 ? p[1] : 0);
    for (std::int64_t i = 0; i < u.n; ++i) {
      u.state[i] += first + u.gradient[i] * u.gradient[i];
      const T own = step / (root(u.state[i]) + eps);
      u.x[i] -= own * u.gradient[i];
      if (u.metric) u.metric[i] = own;
    }
    return u.step;
  }
};

struct RMSprop : Rule {
  static constexpr std::string_view name = "rmsprop";
  static constexpr std::string_view class_name = "RMSprop";
  static constexpr std::string_view summary = "Divides by the root of a running mean of squared gradients.";
  static constexpr std::string_view formula =
      "v = alpha*v + (1 - alpha)*g**2; buf = momentum*buf + g / (sqrt(v) + eps); x = x - lr*buf";
  static constexpr int state_vectors = 2;
  static constexpr double lr = 0.01;
  static constexpr bool per_coordinate = true;
  static constexpr std::array params{share("alpha", 0.99, "share of the mean that stays"), eps_param(1e-8),
                                     share("momentum", 0.0, "share of the sum of steps that stays")};
  template <class T>
  STEEPEST_INLINE static double step(const Update<T>& u, const double* p) {
    T *v = u.state, *buf = u.state + u.n;
    const T step = T(u.step), keep = T(p[0]), take = T(1 - p[0]), eps = T(p[1]), momentum = T(p[2]);
    const T weights = T(u.step * powers(p[2], u.number));
    for (std::int64_t i = 0; i < u.n; ++i) {
      v[i] = keep * v[i] + take * u.gradient[i] * u.gradient[i];
      const T size = root(v[i]) + eps;
      buf[i] = momentum * buf[i] + u.gradient[i] / size;
      u.x[i] -= step * buf[i];
      if (u.metric) u.metric[i] = weights / size;
    }
    return u.step;
  }
};

struct Adam : Rule {
  static constexpr std::string_view name = "adam";
  static constexpr std::string_view summary = "Running means of gradients and of their squares, freed of their bias.";
  static constexpr std::string_view formula = "m = beta1*m + (1 - beta1)*g; v = beta2*v + (1 - beta2)*g**2; "
                                              "x = x - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)";
  static constexpr int state_vectors = 2;
  static constexpr double lr = 1e-3;
  static constexpr bool per_coordinate = true;
  static constexpr std::array params{share("beta1", 0.9, "share of the mean that stays"),
                                     share("beta2", 0.999, "share of the mean of squares that stays"), eps_param(1e-8)};
  template <class T>
  STEEPEST_INLINE static double step(const Update<T>& u, const double* p) {
    T *m = u.state, *v = u.state + u.n;
    const T keep1 = T(p[0]), take1 = T(1 - p[0]), keep2 = T(p[1]), take2 = T(1 - p[1]), eps = T(p[2]);
    const T unbias1 = T(1 / (1 - __builtin_pow(p[0], double(u.number))));
    const T unbias2 = T(1 / (1 - __builtin_pow(p[1], double(u.number)))), step = T(u.step);
    for (std::int64_t i = 0; i < u.n; ++i) {
      const T g = u.gradient[i];
      m[i] = keep1 * m[i] + take1 * g;
      v[i] = keep2 * v[i] + take2 * g * g;
      const T own = step / (root(v[i] * unbias2) + eps);
      u.x[i] -= own * (m[i] * unbias1);
      if (u.metric) u.metric[i] = own;
    }
    return u.step;
  }
};

struct AdamW : Adam {
  static constexpr std::string_view name = "adamw";
  static constexpr std::string_view class_name = "AdamW";
  static constexpr std::string_view summary = "Adam whose weight decay does not pass through the running means.";
  static constexpr std::string_view formula =
      "x = x - lr*weight_decay*x; m = beta1*m + (1 - beta1)*g; v = beta2*v + (1 - beta2)*g**2; "
      "x = x - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)";
  static constexpr double weight_decay = 0.01;
  static constexpr bool decoupled = true;
};

struct FTRL : Rule {
  static constexpr std::string_view name = "ftrl";
  static constexpr std::string_view class_name = "FTRL";
  static constexpr std::string_view summary =
      "Follows the regularised leader, with proximal steps per coordinate (McMahan et al. 2013). Its own l1 and l2 are "
      "for the whole run; penalties count anew with every update.";
  static constexpr std::string_view formula =
      "d = where(t == 1, beta/lr, d); z = where(t == 1, -x*(d + l2) - sign(x)*l1, z); n = n + g**2; "
      "z = z + g - ((beta + sqrt(n))/lr - d)*x; d = (beta + sqrt(n))/lr; "
      "x = where(d + l2 > 0, -sign(z)*maximum(abs(z) - l1, 0) / (d + l2 + (d + l2 == 0)), x)";
  static constexpr int state_vectors = 2, state_numbers = 2;
  static constexpr double lr = 0.1;
  static constexpr Decoupling decoupling = Decoupling::never;
  static constexpr bool lazy_while_steady = true;
  static constexpr bool lazy = true, per_coordinate = true;
  static constexpr std::array params{Param{"beta", 1.0, 0.0, infinity, "how slowly steps begin to fall", Closed::low},
                                     Param{"l1", 0.0, 0.0, infinity, "total strength of L1", Closed::low},
                                     Param{"l2", 0.0, 0.0, infinity, "total strength of L2", Closed::low}};
  /// The sum starts so that its leader is the start. Penalties weigh as much as all gradients in it.
  template <class T>
  STEEPEST_INLINE static double step(const Update<T>& u, const double* p) {
    T *z = u.state, *squares = u.state + u.n;
    const T beta = T(p[0]), l1 = T(p[1]), l2 = T(p[2]), updates = T(u.number);
    const T before = T(u.number == 1 ? u.step : u.numbers[1]), step = T(u.step);
    for (std::int64_t i = 0; i < u.n; ++i) {
      const T g = u.gradient[i], x = u.x[i];
      const T strength_before = (beta + root(squares[i])) / before;
      if (u.number == 1) z[i] = -x * (strength_before + l2) - (x > 0 ? l1 : x < 0 ? -l1 : T(0));
      squares[i] += g * g;
      const T strength = (beta + root(squares[i])) / step;
      z[i] += g - (strength - strength_before) * x;
      if (u.metric) u.metric[i] = strength + l2 > 0 ? updates / (strength + l2) : T(0);
      if (strength + l2 > 0) u.x[i] = ((z[i] > l1 ? l1 : z[i] < -l1 ? -l1 : z[i]) - z[i]) / (strength + l2);
    }
    u.numbers[1] = u.step;
    return u.step;
  }
};

struct NormalizedAdaptiveInvariant : Rule {
  static constexpr std::string_view name = "normalized_adaptive_invariant";
  static constexpr std::string_view summary =
      "Vowpal Wabbit's updates, the same whatever the units of the features and safe for any lr. Adapted to batches: "
      "the largest size of a feature (scale) and the mean squared size of a row so scaled (row_size) are those of the "
      "whole data; instead of each row's loss, the batch's f is followed down along the parabola with its value and "
      "slope "
      "whose minimum is 0.";
  static constexpr std::string_view formula =
      "s = s + g**2; own = lr / (scale * sqrt(row_size * s + (s == 0))); "
      "tau = maximum(sum(own * g**2) / (2*maximum(f, 1e-300)), 1e-9) * (f > 0) + 1e-9 * (f <= 0); "
      "x = x - own * g * -expm1(-tau) / tau";
  static constexpr int state_vectors = 1;
  static constexpr double lr = 0.5;
  static constexpr bool lazy = true, per_coordinate = true, scaled = true;
  template <class T>
  STEEPEST_INLINE static double step(const Update<T>& u, const double*) {
    const double base = u.step / __builtin_sqrt(u.row_size > 0 ? u.row_size : 1);
    const auto own = [&](std::int64_t i) -> T {
      const double scale = u.scale ? double(u.scale[i]) : 1;
      return u.state[i] > 0 ? T(base / (scale * __builtin_sqrt(double(u.state[i])))) : T(0);
    };
    double falls = 0;
    for (std::int64_t i = 0; i < u.n; ++i) {
      u.state[i] += u.gradient[i] * u.gradient[i];
      falls += double(own(i)) * double(u.gradient[i]) * double(u.gradient[i]);
    }
    const double tau = u.objective > 0 ? falls / (2 * u.objective) : 0;
    const T safe = T(tau > 1e-9 ? -__builtin_expm1(-tau) / tau : 1);
    for (std::int64_t i = 0; i < u.n; ++i) {
      u.x[i] -= safe * own(i) * u.gradient[i];
      if (u.metric) u.metric[i] = safe * own(i);
    }
    return u.step;
  }
};

struct AveragedSGD : Rule {
  static constexpr std::string_view name = "averaged_sgd";
  static constexpr std::string_view class_name = "AveragedSGD";
  static constexpr std::string_view summary =
      "SGD that reports the mean of its iterates: of all (Polyak, Ruppert), or of the tail after t0 updates.";
  static constexpr std::string_view formula = "x = x - lr*g; mean = mean + (x - mean) / maximum(t - t0, 1)";
  static constexpr std::string_view reports = "mean";
  static constexpr int state_vectors = 1, from_start = 1, reported = 0;
  static constexpr std::array params{Param{"t0", 0.0, 0.0, infinity, "updates before the mean begins", Closed::low}};
  template <class T>
  STEEPEST_INLINE static double step(const Update<T>& u, const double* p) {
    return SGD::step(u, p);
  }
  template <class T>
  STEEPEST_INLINE static void settle(const Update<T>& u, const double* p) {
    const double count = double(u.number) - p[0];
    const T share = T(1 / (count > 1 ? count : 1));
    for (std::int64_t i = 0; i < u.n; ++i) u.state[i] += share * (u.x[i] - u.state[i]);
  }
};

/// The means of schedule-free rules, weighted by the square of the largest step so far.
template <class T>
STEEPEST_INLINE void settle_schedule_free(const Update<T>& u, double interpolation) {
  T *z = u.state, *mean = u.state + u.n;
  if (u.step > u.numbers[1]) u.numbers[1] = u.step;
  const double weight = u.numbers[1] * u.numbers[1];
  u.numbers[2] += weight;
  const T share = T(weight / u.numbers[2]), beta = T(interpolation);
  for (std::int64_t i = 0; i < u.n; ++i) {
    mean[i] += share * (z[i] - mean[i]);
    u.x[i] = z[i] + beta * (mean[i] - z[i]);
  }
}

struct ScheduleFreeSGD : Rule {
  static constexpr std::string_view name = "schedule_free_sgd";
  static constexpr std::string_view class_name = "ScheduleFreeSGD";
  static constexpr std::string_view summary =
      "SGD whose gradients are taken between its iterate z and their mean, which it reports (Defazio et al. 2024).";
  static constexpr std::string_view formula =
      "z = z - lr*g; largest = maximum(largest, lr); weights = weights + largest**2; "
      "mean = mean + largest**2 / weights * (z - mean); x = (1 - momentum)*z + momentum*mean";
  static constexpr std::string_view reports = "mean";
  static constexpr int state_vectors = 2, state_numbers = 3, from_start = 2, iterate = 0, reported = 1;
  static constexpr Decoupling decoupling = Decoupling::by_rule;
  static constexpr bool steady = true;
  static constexpr std::array params{share("momentum", 0.9, "where gradients are taken, from z (0) to the mean (1)")};
  template <class T>
  STEEPEST_INLINE static double step(const Update<T>& u, const double*) {
    const T step = T(u.step), decay = T(u.step * u.decay);
    for (std::int64_t i = 0; i < u.n; ++i) u.state[i] -= step * u.gradient[i];
    for (std::int64_t i = 0; i < u.decayed; ++i) u.state[i] -= decay * u.x[i];
    return u.step;
  }
  template <class T>
  STEEPEST_INLINE static void settle(const Update<T>& u, const double* p) {
    settle_schedule_free(u, p[0]);
  }
};

struct ScheduleFreeAdamW : Rule {
  static constexpr std::string_view name = "schedule_free_adamw";
  static constexpr std::string_view class_name = "ScheduleFreeAdamW";
  static constexpr std::string_view summary =
      "AdamW with the mean of its iterates z in place of momentum and schedule, which it reports.";
  static constexpr std::string_view formula =
      "v = beta2*v + (1 - beta2)*g**2; z = z - lr*g / (sqrt(v / (1 - beta2**t)) + eps); "
      "largest = maximum(largest, lr); weights = weights + largest**2; "
      "mean = mean + largest**2 / weights * (z - mean); x = (1 - beta1)*z + beta1*mean";
  static constexpr std::string_view reports = "mean";
  static constexpr int state_vectors = 3, state_numbers = 3, from_start = 2, iterate = 0, reported = 1;
  static constexpr double lr = 0.0025;
  static constexpr bool decoupled = true;
  static constexpr Decoupling decoupling = Decoupling::by_rule;
  static constexpr bool per_coordinate = true, steady = true;
  static constexpr std::array params{share("beta1", 0.9, "where gradients are taken, from z (0) to the mean (1)"),
                                     share("beta2", 0.999, "share of the mean of squares that stays"), eps_param(1e-8)};
  template <class T>
  STEEPEST_INLINE static double step(const Update<T>& u, const double* p) {
    T *z = u.state, *v = u.state + 2 * u.n;
    const T keep = T(p[1]), take = T(1 - p[1]), eps = T(p[2]), step = T(u.step), decay = T(u.step * u.decay);
    const T unbias = T(1 / (1 - __builtin_pow(p[1], double(u.number))));
    for (std::int64_t i = 0; i < u.n; ++i) {
      v[i] = keep * v[i] + take * u.gradient[i] * u.gradient[i];
      const T own = step / (root(v[i] * unbias) + eps);
      z[i] -= own * u.gradient[i];
      if (u.metric) u.metric[i] = own;
    }
    for (std::int64_t i = 0; i < u.decayed; ++i) z[i] -= decay * u.x[i];
    return u.step;
  }
  template <class T>
  STEEPEST_INLINE static void settle(const Update<T>& u, const double* p) {
    settle_schedule_free(u, p[0]);
  }
};

struct DoG : Rule {
  static constexpr std::string_view name = "dog";
  static constexpr std::string_view class_name = "DoG";
  static constexpr std::string_view summary =
      "Distance over gradients: the farthest yet from the start over the root of all squared gradients (Ivgi et al. "
      "2023).";
  static constexpr std::string_view formula =
      "farthest = maximum(farthest, maximum(reps_rel*(1 + sqrt(sum(x0**2))), sqrt(sum((x - x0)**2)))); "
      "squares = squares + sum(g**2); x = x - lr * farthest / sqrt(squares + eps) * g";
  static constexpr int state_vectors = 1, state_numbers = 3, from_start = 1;
  static constexpr double lr = 1;
  static constexpr Decoupling decoupling = Decoupling::never;
  static constexpr std::array params{
      Param{"reps_rel", 1e-6, 0.0, infinity, "first distance, relative to 1 + the size of the start"}, eps_param(1e-8)};
  template <class T>
  STEEPEST_INLINE static double step(const Update<T>& u, const double* p) {
    double away = 0, size = 0, squares = 0;
    for (std::int64_t i = 0; i < u.n; ++i) {
      const double start = double(u.state[i]), moved = double(u.x[i]) - start, g = double(u.gradient[i]);
      size += start * start;
      away += moved * moved;
      squares += g * g;
    }
    double& farthest = u.numbers[1];
    for (const double distance : {p[0] * (1 + __builtin_sqrt(size)), __builtin_sqrt(away)})
      if (distance > farthest) farthest = distance;
    u.numbers[2] += squares;
    const double step = u.step * farthest / __builtin_sqrt(u.numbers[2] + p[1]);
    for (std::int64_t i = 0; i < u.n; ++i) u.x[i] -= T(step) * u.gradient[i];
    return step;
  }
};

}  // namespace optim

template <class... Rs>
struct RuleList {
  static constexpr std::size_t size = sizeof...(Rs);
};

/// The registration.
using Rules = RuleList<optim::SGD, optim::Momentum, optim::Nesterov, optim::AdaGrad, optim::RMSprop, optim::Adam,
                       optim::AdamW, optim::FTRL, optim::NormalizedAdaptiveInvariant, optim::AveragedSGD,
                       optim::ScheduleFreeSGD, optim::ScheduleFreeAdamW, optim::DoG>;

}  // namespace steepest::STEEPEST_LEVEL
