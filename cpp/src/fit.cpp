#include "steepest/fit.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace steepest {
namespace {

using Index = std::int64_t;
using Clock = std::chrono::steady_clock;

constexpr double infinity = std::numeric_limits<double>::infinity();

/// An objective this many times the scale of the data at the start has left for good.
constexpr double explosion = 1e6;

/// Epochs over which progress is judged: single epochs may well go up, and those of subgradient steps go up and down.
constexpr std::size_t patience = 5, subgradient_patience = 50;

/// The share of the step's squared length over the step size by which an accepted step must lower the objective.
constexpr double sufficient_decrease = 0.25;
constexpr double growth = 1.3, backtrack = 0.5;

template <class T>
double largest_change(const std::vector<T>& a, const std::vector<T>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(double(a[i]) - double(b[i])));
  return largest;
}

template <class T>
double squared_distance(const std::vector<T>& a, const std::vector<T>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
  return sum;
}

template <class Numbers>
double squared_norm(const Numbers& a) {
  double sum = 0;
  for (const double number : a) sum += number * number;
  return sum;
}

}  // namespace

/// Lets the outside have a word a hundred times a second, at the cost of a look at the clock now and then.
template <class T>
class Fit<T>::Pacer {
 public:
  Pacer(const std::function<void()>& poll, Index row_cost) : poll_(poll), row_cost_(row_cost) {}

  void worked(Index rows) {
    work_ += rows * row_cost_;
    if (work_ < Index(1) << 18 || !poll_) return;
    work_ = 0;
    const auto now = Clock::now();
    if (now - last_ < std::chrono::milliseconds(10)) return;
    last_ = now;
    poll_();
  }

  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  const std::function<void()>& poll_;
  Index row_cost_, work_ = 0;
  Clock::time_point start_ = Clock::now(), last_ = start_;
};

template <class T>
Fit<T>::Fit(RowSum<T>& sum, std::unique_ptr<Order> order, FitOptions options, std::vector<T> x0, std::vector<T> state)
    : sum_(sum), order_(std::move(order)), options_(std::move(options)), kernels_(kernels_of<T>(kernels())),
      penalty_(options_.penalty ? &kernels_.penalties[options_.penalty->index] : nullptr), n_(sum.rows()),
      parameters_(sum.parameters()), x_(std::move(x0)), state_(std::move(state)), epoch_(options_.epochs_before),
      updates_(options_.updates_before) {
  full_batch_ = options_.batch_size >= n_;
  updates_per_epoch_ = (n_ + options_.batch_size - 1) / options_.batch_size;
  gradient_.resize(std::size_t(parameters_));
  full_gradient_.resize(std::size_t(parameters_));
  best_x_ = start_ = x_;
  history_.reserve(std::size_t(std::min<Index>(options_.epochs, 1024)));
}

template <class T>
Fit<T>::~Fit() {
  sum_.use(nullptr);
}

template <class T>
void Fit<T>::run() {
  if (options_.threads > 1) {
    team_ = std::make_unique<Team>(options_.threads);
    sum_.use(team_.get());
  }
  Pacer pacer(options_.poll, std::max<Index>(parameters_, 8));
  pacer_ = std::make_unique<Pacer>(pacer);
  // The natural size of the objective, by which an explosion is told from a bad start.
  scale_ = natural_scale();
  const Index last = epoch_ + options_.epochs;
  while (epoch_ < last && status_ == Status::running)
    if (!run_epoch()) break;
  if (status_ == Status::running) status_ = Status::ran_all_epochs;
  finish();
}

/// The objective of the first rows at the start and at zero, whichever is larger; 0 where evaluating costs the caller.
template <class T>
double Fit<T>::natural_scale() {
  if (sum_.outside()) return 0;
  const Segment sample{0, nullptr, std::min<Index>(n_, 1024)};
  const double at_start = std::abs(objective_of(sum_.value(sample, x_.data()), sample.count));
  std::fill(gradient_.begin(), gradient_.end(), T(0));
  const double at_zero = std::abs(sum_.value(sample, gradient_.data()) / (double(sample.count) * sum_.mean_weight()));
  return std::isfinite(at_start) ? std::max(at_start, at_zero) : 0;
}

template <class T>
bool Fit<T>::run_epoch() {
  order_->start(std::uint64_t(epoch_));
  if (options_.step_tolerance >= 0) epoch_start_ = x_;
  double running = 0;
  Index batch = 0;
  for (Index done = 0; done < n_; ++batch) {
    const Index rows = std::min(options_.batch_size, n_ - done);
    double objective = objective_of(evaluate_batch(rows), rows);
    if (!std::isfinite(objective)) {
      const std::string complaint = sum_.complaint(last_segment_);
      if (!complaint.empty()) throw NonFinite(complaint);
      diverge();
      return false;
    }
    if (options_.stepping == Stepping::line_search && !accept_line_search(objective)) objective = accepted_objective_;
    // From the epoch's number, not from a count of updates: a run that goes on computes the same bits.
    step_ = next_step(double(epoch_) + double(batch) / double(updates_per_epoch_), objective);
    update(step_);
    running += objective * double(rows);
    done += rows;
    pacer_->worked(rows);
  }
  ++epoch_;
  return end_of_epoch(running / double(n_));
}

/// The sum over the next rows of the order; its gradient, divided and with the smooth penalty, in gradient_.
template <class T>
double Fit<T>::evaluate_batch(Index rows) {
  ++evaluations_;
  double total = 0;
  if (full_batch_) {
    // All rows are all rows in any order: the sequential one is the fast one.
    last_segment_ = {0, nullptr, n_};
    total = full_sum<T>(sum_, x_.data(), full_gradient_.data(), [this] { pacer_->worked(sum_.block_rows()); });
    std::copy(full_gradient_.begin(), full_gradient_.end(), gradient_.begin());
  } else {
    std::fill(gradient_.begin(), gradient_.end(), T(0));
    for (Index done = 0; done < rows; done += last_segment_.count) {
      last_segment_ = order_->next(rows - done);
      total += sum_.add(last_segment_, x_.data(), gradient_.data());
    }
  }
  const T scale = T(1 / (double(rows) * sum_.mean_weight()));
  for (T& g : gradient_) g *= scale;
  if (penalty_ && penalty_->smooth_gradient)
    penalty_->smooth_gradient(options_.penalty->params.data(), sum_.penalised(), x_.data(), gradient_.data());
  return total;
}

template <class T>
double Fit<T>::objective_of(double sum, Index rows) const {
  return sum / (double(rows) * sum_.mean_weight()) + penalty_value();
}

template <class T>
double Fit<T>::penalty_value() const {
  return penalty_ ? penalty_->value(options_.penalty->params.data(), sum_.penalised(), x_.data()) : 0.0;
}

template <class T>
double Fit<T>::next_step(double time, double objective) {
  switch (options_.stepping) {
  case Stepping::schedule: {
    const double step = options_.schedule(time);
    if (!(step > 0) || !std::isfinite(step))
      throw std::invalid_argument("the schedule gave " + std::to_string(step) + " at time " + std::to_string(time) +
                                  "; step sizes must be positive and finite");
    return step;
  }
  case Stepping::line_search:
    return step_ > 0 ? step_ : options_.schedule(0);
  case Stepping::distance:
    squared_gradients_ += squared_norm(gradient_);
    if (squared_gradients_ == 0) return 1;  // nothing to follow yet
    farthest_ =
        std::max(farthest_ > 0 ? farthest_ : first_distance(objective), std::sqrt(squared_distance(x_, start_)));
    return farthest_ / std::sqrt(squared_gradients_);
  }
  return 0;
}

/// A guess, on the small side, of how far the minimum is: a hundredth of the way to a zero objective along the gradient, in
/// the units of the data, but no more than a hundredth of the size that parameters usually have.
template <class T>
double Fit<T>::first_distance(double objective) const {
  const double along = std::abs(objective) / std::sqrt(squared_norm(gradient_));
  const double usual = 1 + std::sqrt(squared_norm(start_));
  return 0.01 * (along > 0 ? std::min(along, usual) : usual);
}

template <class T>
void Fit<T>::update(double step) {
  const Choice& rule = options_.rule;
  kernels_.rules[rule.index].step(rule.params.data(),
                                  {parameters_, x_.data(), gradient_.data(), state_.data(), step, ++updates_});
  if (penalty_ && penalty_->prox) penalty_->prox(options_.penalty->params.data(), sum_.penalised(), T(step), x_.data());
}

/// Judges the last step by the objective it led to. A bad one is taken back: x_ and gradient_ are those of the last
/// accepted point again, and the step is halved; after a good one it grows.
template <class T>
bool Fit<T>::accept_line_search(double objective) {
  if (std::isfinite(accepted_objective_)) {
    const double moved = squared_distance(x_, accepted_x_);
    const double rounding = 1e-15 * std::abs(accepted_objective_);
    if (objective > accepted_objective_ - sufficient_decrease * moved / step_ + rounding) {
      x_ = accepted_x_;
      gradient_ = accepted_gradient_;
      step_ *= backtrack;
      return false;
    }
    step_ *= growth;
  }
  accepted_objective_ = objective;
  accepted_x_ = x_;
  accepted_gradient_ = gradient_;
  return true;
}

template <class T>
bool Fit<T>::end_of_epoch(double running) {
  const bool need_exact = options_.exact_history || (options_.tolerance > 0 && !full_batch_);
  double exact = std::numeric_limits<double>::quiet_NaN();
  if (need_exact) exact = evaluate_full(options_.strong_convexity > 0);
  history_.push_back({epoch_, running, exact, step_, pacer_->seconds()});

  const double reached = need_exact ? exact : running;
  if (scale_ == 0 && sum_.outside()) scale_ = std::abs(reached);
  if (!(std::abs(reached) <= explosion * scale_) && scale_ > 0) {
    diverge();
    return false;
  }
  if (reached < best_objective_) {
    best_objective_ = reached;
    best_x_ = x_;
  }
  if (options_.on_epoch && options_.on_epoch(history_.back()))
    status_ = Status::stopped;
  else if (options_.step_tolerance >= 0 && largest_change(x_, epoch_start_) < options_.step_tolerance)
    status_ = Status::converged;
  else if (options_.tolerance > 0 && progress_stalled(reached))
    status_ = gap_ < infinity ? Status::converged : Status::no_progress;
  return status_ == Status::running;
}

/// True where the bound of the gap is within the tolerance, or, without a bound, the best objective of the last epochs
/// is hardly better than the best before them.
template <class T>
bool Fit<T>::progress_stalled(double objective) {
  const double allowed = options_.tolerance * std::max(std::abs(objective), 1e-6 * scale_);
  if (options_.strong_convexity > 0) {
    // F - F* <= |gradient|^2 / (2 mu) for a strongly convex F
    const double squares = full_batch_ ? squared_norm(gradient_) : squared_norm(full_gradient_);
    const double bound = squares / (2 * options_.strong_convexity);
    if (bound > allowed) return false;
    gap_ = bound;
    return true;
  }
  recent_best_.push_back(recent_best_.empty() ? objective : std::min(recent_best_.back(), objective));
  const std::size_t seen = recent_best_.size();
  const std::size_t back = full_batch_ && options_.stepping == Stepping::distance ? subgradient_patience : patience;
  return seen > back && recent_best_[seen - 1 - back] - recent_best_.back() <= allowed;
}

/// The objective at x_ over all rows; with_gradient: its gradient, smooth penalty included, in full_gradient_.
template <class T>
double Fit<T>::evaluate_full(bool with_gradient) {
  ++evaluations_;
  const auto poll = [this] { pacer_->worked(sum_.block_rows()); };
  const double objective =
      objective_of(full_sum<T>(sum_, x_.data(), with_gradient ? full_gradient_.data() : nullptr, poll), n_);
  if (with_gradient) {
    const double scale = 1 / (double(n_) * sum_.mean_weight());
    for (double& g : full_gradient_) g *= scale;
    if (penalty_ && penalty_->smooth_gradient) {
      std::fill(gradient_.begin(), gradient_.end(), T(0));
      penalty_->smooth_gradient(options_.penalty->params.data(), sum_.penalised(), x_.data(), gradient_.data());
      for (std::size_t j = 0; j < full_gradient_.size(); ++j) full_gradient_[j] += double(gradient_[j]);
    }
  }
  return objective;
}

template <class T>
void Fit<T>::diverge() {
  status_ = Status::diverged;
  x_ = best_x_;
}

template <class T>
void Fit<T>::finish() {
  if (options_.stepping == Stepping::line_search && std::isfinite(accepted_objective_)) {
    // The last step was never judged.
    objective_ = evaluate_full(true);
    if (objective_ <= accepted_objective_) return;
    x_ = accepted_x_;
  }
  objective_ = evaluate_full(true);
  if (status_ != Status::diverged && !(std::abs(objective_) <= explosion * scale_) && scale_ > 0) {
    diverge();
    objective_ = evaluate_full(true);
  }
}

template class Fit<float>;
template class Fit<double>;

}  // namespace steepest
