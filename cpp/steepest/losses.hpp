// The pointwise losses: how wrong the raw prediction z of one row is for its target y, and the slope in z.
//
// A loss is one struct here and one name in the list at the bottom; everything else (Python class, docstring, stub,
// error messages, tests, benchmarks) is derived from it. The struct says its formula in Python syntax, which is at once
// documentation and the tests' oracle, and computes value and gradient together, because they share their exp().
// The body is a template over vectors, plain numbers and duals of both (dual.hpp), through which it gives second
// derivatives too: conditions are `select`, never `if`. Targets of classification
// losses arrive as -1 and +1. Losses of several scores per row are another list (row_losses.hpp): this concept is for one z.
#pragma once

#include <array>
#include <concepts>
#include <limits>
#include <string_view>

#include "steepest/dual.hpp"
#include "steepest/spec.hpp"

namespace steepest::STEEPEST_LEVEL {

template <class V>
struct ValueGradient {
  V value, gradient;
};

namespace losses {

inline constexpr double none = no_curvature_bound;

struct SquaredError {
  static constexpr std::string_view name = "squared_error";
  static constexpr std::string_view summary = "Half the squared residual; its minimizer is the mean.";
  static constexpr std::string_view formula = "0.5*(z - y)**2";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::real;
  static constexpr double curvature = 1.0;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array<Param, 0> params{};
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V r = z - y;
    return {V(0.5) * r * r, r};
  }
};

struct MSE {
  static constexpr std::string_view name = "mse";
  static constexpr std::string_view summary = "The squared residual without the half, as textbooks write it (A1).";
  static constexpr std::string_view formula = "(z - y)**2";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::real;
  static constexpr double curvature = 2.0;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array<Param, 0> params{};
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V r = z - y;
    return {r * r, V(2.0) * r};
  }
};

struct AbsoluteError {
  static constexpr std::string_view name = "absolute_error";
  static constexpr std::string_view summary = "The size of the residual; its minimizer is the median (A1).";
  static constexpr std::string_view formula = "abs(z - y)";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::real;
  static constexpr double curvature = none;
  static constexpr bool convex = true, smooth = false;
  static constexpr std::array<Param, 0> params{};
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V r = z - y;
    return {ops::abs(r), ops::sign(r)};
  }
};

struct Huber {
  static constexpr std::string_view name = "huber";
  static constexpr std::string_view summary = "Quadratic near the target, linear in the tails (A1).";
  static constexpr std::string_view formula =
      "where(abs(z - y) <= delta, 0.5*(z - y)**2, delta*(abs(z - y) - 0.5*delta))";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::real;
  static constexpr double curvature = 1.0;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array params{Param{"delta", 1.0, 0.0, infinity, "where the tails begin"}};
  double delta;
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V d(delta), r = z - y, clipped = ops::max(ops::min(r, d), -d);
    return {clipped * (r - V(0.5) * clipped), clipped};
  }
};

struct Quantile {
  static constexpr std::string_view name = "quantile";
  static constexpr std::string_view summary = "The pinball loss; its minimizer is the quantile.";
  static constexpr std::string_view formula = "where(y >= z, quantile*(y - z), (1 - quantile)*(z - y))";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::real;
  static constexpr double curvature = none;
  static constexpr bool convex = true, smooth = false;
  static constexpr std::array params{Param{"quantile", 0.5, 0.0, 1.0, "which quantile"}};
  double quantile;
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V r = z - y, slope = ops::select(y >= z, V(-quantile), V(1.0 - quantile));
    return {slope * r, slope};
  }
};

struct EpsilonInsensitive {
  static constexpr std::string_view name = "epsilon_insensitive";
  static constexpr std::string_view summary =
      "Residuals up to epsilon are free, then linear (support vector regression).";
  static constexpr std::string_view formula = "maximum(0, abs(z - y) - epsilon)";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::real;
  static constexpr double curvature = none;
  static constexpr bool convex = true, smooth = false;
  static constexpr std::array params{Param{"epsilon", 0.1, 0.0, infinity, "the free residual", Closed::low}};
  double epsilon;
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V r = z - y, excess = ops::abs(r) - V(epsilon), zero(0.0);
    return {ops::max(excess, zero), ops::select(excess > zero, ops::sign(r), zero)};
  }
};

struct SquaredEpsilonInsensitive {
  static constexpr std::string_view name = "squared_epsilon_insensitive";
  static constexpr std::string_view summary = "Residuals up to epsilon are free, then quadratic.";
  static constexpr std::string_view formula = "maximum(0, abs(z - y) - epsilon)**2";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::real;
  static constexpr double curvature = 2.0;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array params{Param{"epsilon", 0.1, 0.0, infinity, "the free residual", Closed::low}};
  double epsilon;
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V r = z - y, excess = ops::max(ops::abs(r) - V(epsilon), V(0.0));
    return {excess * excess, V(2.0) * excess * ops::sign(r)};
  }
};

struct LogCosh {
  static constexpr std::string_view name = "log_cosh";
  static constexpr std::string_view summary = "Quadratic near the target, linear in the tails, smooth everywhere.";
  static constexpr std::string_view formula = "log(cosh(z - y))";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::real;
  static constexpr double curvature = 1.0;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array<Param, 0> params{};
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V r = z - y, a = ops::abs(r), e = ops::expm1(V(-2.0) * a);  // exp(-2a) - 1, in (-1, 0]
    const V slope = -e / (e + V(2.0));
    // log cosh a = a + log((1 + exp(-2a)) / 2), and (1 + exp(-2a)) / 2 = 1 + e / 2
    return {a + ops::log1p(V(0.5) * e), ops::select(r > V(0.0), slope, -slope)};
  }
};

struct LogLoss {
  static constexpr std::string_view name = "log_loss";
  static constexpr std::string_view summary = "Binary cross-entropy of logistic regression (B3).";
  static constexpr std::string_view formula = "log1p(exp(-y*z))";
  static constexpr Link link = Link::logit;
  static constexpr Target target = Target::binary;
  static constexpr double curvature = 0.25;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array<Param, 0> params{};
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V zero(0.0), one(1.0), margin = y * z, e = ops::exp_of_nonpositive(-ops::abs(margin));
    const V value = ops::max(-margin, zero) + ops::log1p_up_to_one(e);
    return {value, -y * (ops::select(margin > zero, e, one) / (e + one))};
  }
};

struct Hinge {
  static constexpr std::string_view name = "hinge";
  static constexpr std::string_view summary = "The margin loss of support vector machines.";
  static constexpr std::string_view formula = "maximum(0, 1 - y*z)";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::binary;
  static constexpr double curvature = none;
  static constexpr bool convex = true, smooth = false;
  static constexpr std::array<Param, 0> params{};
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V zero(0.0), one(1.0), margin = y * z;
    return {ops::max(one - margin, zero), ops::select(margin <= one, -y, zero)};
  }
};

struct SquaredHinge {
  static constexpr std::string_view name = "squared_hinge";
  static constexpr std::string_view summary = "The squared margin loss: smooth, and harder on wide misses.";
  static constexpr std::string_view formula = "maximum(0, 1 - y*z)**2";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::binary;
  static constexpr double curvature = 2.0;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array<Param, 0> params{};
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V missing = ops::max(V(1.0) - y * z, V(0.0));
    return {missing * missing, V(-2.0) * y * missing};
  }
};

struct ModifiedHuber {
  static constexpr std::string_view name = "modified_huber";
  static constexpr std::string_view summary = "The squared hinge with linear tails: a margin loss that bears outliers.";
  static constexpr std::string_view formula = "where(y*z >= -1, maximum(0, 1 - y*z)**2, -4*y*z)";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::binary;
  static constexpr double curvature = 2.0;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array<Param, 0> params{};
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V margin = y * z, missing = ops::max(V(1.0) - margin, V(0.0));
    const auto near = margin >= V(-1.0);
    return {ops::select(near, missing * missing, V(-4.0) * margin), ops::select(near, V(-2.0) * missing, V(-4.0)) * y};
  }
};

struct Perceptron {
  static constexpr std::string_view name = "perceptron";
  static constexpr std::string_view summary = "Only misclassified rows count, by how far they are off.";
  static constexpr std::string_view formula = "maximum(0, -y*z)";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::binary;
  static constexpr double curvature = none;
  static constexpr bool convex = true, smooth = false;
  static constexpr std::array<Param, 0> params{};
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V zero(0.0), margin = y * z;
    // A row on the boundary counts as wrong: otherwise a start at zero would never move.
    return {ops::max(-margin, zero), ops::select(margin <= zero, -y, zero)};
  }
};

struct Exponential {
  static constexpr std::string_view name = "exponential";
  static constexpr std::string_view summary = "The loss of AdaBoost.";
  static constexpr std::string_view formula = "exp(-y*z)";
  static constexpr Link link = Link::half_logit;
  static constexpr Target target = Target::binary;
  static constexpr double curvature = none;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array<Param, 0> params{};
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V e = ops::exp(-(y * z));
    return {e, -y * e};
  }
};

struct Poisson {
  static constexpr std::string_view name = "poisson";
  static constexpr std::string_view summary = "Counts: half the Poisson deviance under a log link, less its constant.";
  static constexpr std::string_view formula = "exp(z) - y*z";
  static constexpr Link link = Link::log;
  static constexpr Target target = Target::non_negative;
  static constexpr double curvature = none;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array<Param, 0> params{};
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V e = ops::exp(z);
    return {e - y * z, e - y};
  }
};

struct Gamma {
  static constexpr std::string_view name = "gamma";
  static constexpr std::string_view summary =
      "Positive targets: half the gamma deviance under a log link, less its constant.";
  static constexpr std::string_view formula = "z + y*exp(-z)";
  static constexpr Link link = Link::log;
  static constexpr Target target = Target::positive;
  static constexpr double curvature = none;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array<Param, 0> params{};
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V scaled = y * ops::exp(-z);
    return {z + scaled, V(1.0) - scaled};
  }
};

struct Tweedie {
  static constexpr std::string_view name = "tweedie";
  static constexpr std::string_view summary =
      "Non-negative targets with a mass at 0: half the Tweedie deviance, log link.";
  static constexpr std::string_view formula = "exp((2 - power)*z)/(2 - power) - y*exp((1 - power)*z)/(1 - power)";
  static constexpr Link link = Link::log;
  static constexpr Target target = Target::non_negative;
  static constexpr double curvature = none;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array params{
      Param{"power", 1.5, 1.0, 2.0, "the variance's power of the mean, between Poisson (1) and gamma (2)"}};
  double power;
  template <class V>
  STEEPEST_INLINE ValueGradient<V> operator()(V y, V z) const {
    const V zero(0.0), mean = ops::exp_of_product(2.0 - power, z);
    const V weighted = ops::select(y > zero, y * ops::exp_of_product(1.0 - power, z), zero);  // 0 also times infinity
    return {mean * V(1.0 / (2.0 - power)) - weighted * V(1.0 / (1.0 - power)), mean - weighted};
  }
};

}  // namespace losses

template <class L>
concept PointwiseLoss = requires(const L& loss, Simd<double, 1> number) {
  { L::name } -> std::convertible_to<std::string_view>;
  { L::summary } -> std::convertible_to<std::string_view>;
  { L::formula } -> std::convertible_to<std::string_view>;
  { L::link } -> std::convertible_to<Link>;
  { L::target } -> std::convertible_to<Target>;
  { L::curvature } -> std::convertible_to<double>;
  { L::convex } -> std::convertible_to<bool>;
  { L::smooth } -> std::convertible_to<bool>;
  { L::params.size() } -> std::convertible_to<std::size_t>;
  { loss(number, number) } -> std::same_as<ValueGradient<Simd<double, 1>>>;
};

template <PointwiseLoss... Ls>
struct LossList {
  static constexpr std::size_t size = sizeof...(Ls);
};

/// The registration: a loss is in the library when its name stands here.
using Losses = LossList<losses::SquaredError, losses::MSE, losses::AbsoluteError, losses::Huber, losses::Quantile,
                        losses::EpsilonInsensitive, losses::SquaredEpsilonInsensitive, losses::LogCosh, losses::LogLoss,
                        losses::Hinge, losses::SquaredHinge, losses::ModifiedHuber, losses::Perceptron,
                        losses::Exponential, losses::Poisson, losses::Gamma, losses::Tweedie>;

/// A loss from its parameters, in the order of its `params`.
template <class L>
STEEPEST_INLINE L make_loss(const double* params) {
  static_assert(L::params.size() <= 2, "one more case below hands on one more parameter");
  if constexpr (L::params.size() == 0)
    return L{};
  else if constexpr (L::params.size() == 1)
    return L{params[0]};
  else
    return L{params[0], params[1]};
}

}  // namespace steepest::STEEPEST_LEVEL
