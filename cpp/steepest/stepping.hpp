// From the gradient of a batch to the next parameters: how long a step is, and all that happens in one update.
//
// What the loop and eager tensors share is `update_with`; what only a loop has (a state that outlives the run, parameters
// reported that are not those descended with, step sizes found on the way) is in classes of their own, so that the loop
// only says when.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "steepest/kernels.hpp"
#include "steepest/memory.hpp"
#include "steepest/registry.hpp"

namespace steepest {

/// A member of a list with its parameters.
struct Choice {
  std::size_t index = 0;
  std::vector<double> params;
};

/// Where the step sizes come from.
enum class Stepping {
  schedule,     ///< a function of time in epochs
  line_search,  ///< full batches: the inverse of the curvature met, shortened where the objective does not fall
  distance,     ///< distance over gradients: the farthest yet from the start over the root of all squared gradients
};

/// What every rule may be asked to do beside its own arithmetic. The gradient is clipped first, decayed then.
struct Tempering {
  double clip_norm = infinity, clip_value = infinity;  ///< largest norm, largest size of an entry of the gradient
  double weight_decay = 0;                             ///< never on the intercept
  bool decoupled = false;                              ///< whether weight decay stays out of the gradient
  double norm = -1;  ///< of the whole gradient, where an update sees a part of it; negative: computed
  bool any() const { return clip_norm < infinity || clip_value < infinity || weight_decay > 0; }
};

template <class Numbers>
double squared_norm(const Numbers& a) {
  double sum = 0;
  for (const double number : a) sum += number * number;
  return sum;
}

template <class T>
double squared_distance(const Numbers<T>& a, const Numbers<T>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
  return sum;
}

/// Clips the gradient and adds coupled weight decay, of the first `decayed` parameters, to it.
template <class T>
void temper(const Tempering& tempering, std::int64_t n, std::int64_t decayed, const T* x, T* gradient);

/// One update by a rule: clipping, decay, its arithmetic, then `prox(reach)`, a proximal step of this size, and what the
/// rule does after it. `u` lacks only what follows from the others here: the number of the update and the decay.
template <class T, class Prox>
void update_with(const Choice& rule, const Tempering& tempering, std::int64_t decayed, T* gradient, Update<T>& u,
                 const Prox& prox) {
  const RuleSpec& spec = rule_specs()[rule.index];
  const RuleKernels<T>& kernels = kernels_of<T>(steepest::kernels()).rules[rule.index];
  const bool decoupled = tempering.decoupled && tempering.weight_decay > 0;
  if (tempering.any()) temper(tempering, u.n, decayed, u.x, gradient);
  if (decoupled && spec.decoupling == Decoupling::by_loop) {
    const T keep = T(1 - u.step * tempering.weight_decay);
    for (std::int64_t j = 0; j < decayed; ++j) u.x[j] *= keep;
  }
  u.gradient = gradient;
  u.numbers[0] += 1;
  u.number = std::int64_t(u.numbers[0]);
  u.decay = decoupled && spec.decoupling == Decoupling::by_rule ? tempering.weight_decay : 0;
  u.decayed = u.decay > 0 ? decayed : 0;
  prox(kernels.step(rule.params.data(), u));
  if (kernels.settle) kernels.settle(rule.params.data(), u);
}

/// A rule at work in a loop.
template <class T>
class Descent {
 public:
  struct Options {
    Choice rule;
    Tempering tempering;
    std::vector<double> scale;  ///< the largest size of each feature, for rules that ask
    double row_size = 1;        ///< see Update
    std::optional<PenaltyChoice> penalty;
  };

  /// `penalised`: so many parameters, from the first, are not intercepts.
  Descent(Options options, std::int64_t parameters, std::int64_t penalised);

  /// Begins anew at x.
  void start(const Numbers<T>& x);
  /// Goes on from what `state()` of an earlier run said; begins anew where that is empty.
  void restore(const std::vector<double>& state, const Numbers<T>& x);
  /// All that a rule needs to go on, beside x: its numbers, the live x where another is reported, its vectors.
  std::vector<double> state() const;

  /// One update of x. The gradient is clipped and decayed in place.
  void update(Numbers<T>& x, Numbers<T>& gradient, double step, double objective);

  /// Whether parameters without a gradient stay as they are in an update of this step size.
  bool leaves_others(double step) const;
  /// The same as update() where that is so, given the parameters that may have a gradient; they have none afterwards.
  void update_some(Numbers<T>& x, Numbers<T>& gradient, const std::vector<std::int64_t>& some, double step,
                   double objective);

  /// Puts what the rule reports in the place of the parameters it descends with, and back.
  void show(Numbers<T>& x);
  void hide(Numbers<T>& x);
  bool reports_another() const { return spec_.reported != itself; }

 private:
  Options options_;
  const RuleSpec& spec_;
  const PenaltyKernels<T>* penalty_;
  Terms terms_;
  std::int64_t parameters_, penalised_;
  std::vector<double> numbers_;
  Numbers<T> vectors_, live_, metric_, scale_;
  Numbers<T> some_x_, some_gradient_, some_vectors_, some_scale_;
  double last_step_ = 0;
  bool shown_ = true;  // the loop's x is what the rule reports, live_ where it descends
};

/// Steps for full batches: the inverse of the curvature met on the way (Barzilai and Borwein). Such steps must be allowed
/// to go up now and then: they are measured against the worst of the last few points.
template <class T>
class LineSearch {
 public:
  explicit LineSearch(double first) : step_(first) {}

  double step() const { return step_; }
  /// Judges the last step by the objective it led to. A bad one is taken back: x, gradient and objective are those of the
  /// last accepted point again, and the step is shortened.
  bool accept(Numbers<T>& x, Numbers<T>& gradient, double& objective);
  /// The last point accepted, and the best; empty before the first.
  const Numbers<T>& accepted() const { return x_; }
  const Numbers<T>& best() const { return best_x_; }
  double best_objective() const { return best_; }

 private:
  double step_;
  Numbers<T> x_, gradient_, best_x_;  // x_, gradient_: of the last accepted point
  std::vector<double> objectives_;    // of the last few accepted points
  std::size_t accepted_ = 0;
  double best_ = infinity;
};

/// Steps as long as the farthest way yet from the start over the root of all squared gradients.
template <class T>
class DistanceSteps {
 public:
  explicit DistanceSteps(const Numbers<T>& start) : start_(start) {}

  double next(const Numbers<T>& x, const Numbers<T>& gradient, double objective);
  /// Begins again at x, with the belief that the minimum is much closer.
  void narrow(const Numbers<T>& x);

 private:
  double first_distance(const Numbers<T>& gradient, double objective) const;

  Numbers<T> start_;
  double farthest_ = 0, squared_gradients_ = 0;
};

}  // namespace steepest
