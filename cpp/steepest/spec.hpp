// What a member of a list (loss, penalty, rule, schedule) says about itself in words and numbers, apart from its arithmetic.
#pragma once

#include <limits>
#include <string_view>

namespace steepest {

inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// Stands for "the second derivative in z is not bounded".
inline constexpr double no_curvature_bound = -1.0;

/// How the mean of the target follows from the raw prediction: identity z, log exp(z), logit 1/(1+exp(-z)), softmax
/// exp(z)/sum(exp(z)).
enum class Link { identity, log, logit, half_logit, softmax };

/// Which targets a loss accepts.
enum class Target { real, non_negative, positive, binary, labels };

/// Which ends of a parameter's range belong to it.
enum class Closed { neither, low, both };

/// Who adds weight decay that does not pass through the rule's own arithmetic.
enum class Decoupling {
  by_loop,  ///< x shrinks by the step size times the decay before the update
  by_rule,
  never,  ///< the rule has no place for it
};

/// Stands for "the rule's x", where a vector of its state could be meant.
inline constexpr int itself = -1;

/// Stands for a default step size that follows from loss and data.
inline constexpr double computed = 0;

/// A parameter of a loss, penalty, rule or schedule: its name, default and range.
struct Param {
  std::string_view name;
  double default_value, low, high;
  std::string_view meaning;
  Closed closed = Closed::neither;
  bool each = false;  ///< may also be one number per coefficient
};

constexpr std::string_view name_of(Link link) {
  switch (link) {
  case Link::identity:
    return "identity";
  case Link::log:
    return "log";
  case Link::logit:
    return "logit";
  case Link::half_logit:
    return "half_logit";
  case Link::softmax:
    return "softmax";
  }
  return "";
}

constexpr std::string_view name_of(Target target) {
  switch (target) {
  case Target::real:
    return "real";
  case Target::non_negative:
    return "non_negative";
  case Target::positive:
    return "positive";
  case Target::binary:
    return "binary";
  case Target::labels:
    return "labels";
  }
  return "";
}

/// What is asked of the targets, in words: "... of this loss must be ...".
constexpr std::string_view domain_of(Target target) {
  switch (target) {
  case Target::real:
    return "finite numbers";
  case Target::non_negative:
    return "zero or positive";
  case Target::positive:
    return "positive";
  case Target::binary:
    return "of two classes";
  case Target::labels:
    return "labels of at least two classes";
  }
  return "";
}

}  // namespace steepest
