#include "steepest/fit.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <utility>

namespace steepest {
namespace {

using Index = std::int64_t;
using Clock = std::chrono::steady_clock;

/// Starting a thread costs as much as reading this many bytes.
constexpr Index worth_threads = Index(1) << 20;
constexpr int most_threads = 16;  // as many as the shares that a segment is cut into

/// A kilobyte of history, which allocators keep at hand.
constexpr Index few_epochs = 1024 / Index(sizeof(Epoch));

/// An objective this many times the scale of the data at the start has left for good.
constexpr double explosion = 1e6;

/// Epochs over which progress is judged: single epochs may well go up, and those of a line search or of subgradients do.
constexpr std::size_t patience = 5, uneven_patience = 50;
constexpr int most_narrowings = 8;

template <class T>
double largest_change(const Numbers<T>& a, const Numbers<T>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(double(a[i]) - double(b[i])));
  return largest;
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
Fit<T>::Fit(RowSum<T>& sum, std::unique_ptr<Order> order, FitOptions options, Numbers<T> x0,
            const std::vector<double>& state)
    : sum_(sum), order_(std::move(order)), options_(std::move(options)), kernels_(kernels_of<T>(kernels())),
      penalty_(options_.penalty ? &kernels_.penalties[options_.penalty->index] : nullptr),
      terms_(options_.penalty ? options_.penalty->terms() : Terms{}), n_(sum.rows()), parameters_(sum.parameters()),
      mean_weight_(sum.mean_weight()), x_(feasible(std::move(x0))),
      descent_({options_.rule, options_.tempering, std::move(options_.scale), options_.row_size, options_.penalty},
               parameters_, sum.penalised()),
      line_search_(options_.stepping == Stepping::line_search ? options_.schedule(0) : 0),
      distance_(options_.stepping == Stepping::distance ? x_ : Numbers<T>()), epoch_(options_.epochs_before),
      updates_(options_.updates_before) {
  full_batch_ = options_.batch_size >= n_;
  updates_per_epoch_ = (n_ + options_.batch_size - 1) / options_.batch_size;
  gradient_.resize(std::size_t(parameters_));
  full_gradient_.resize(std::size_t(parameters_));
  best_x_ = x_;
  descent_.restore(state, x_);
  const bool same_for_all =
      std::all_of(terms_.each.begin(), terms_.each.end(), [](const double* each) { return !each; });
  elastic_ = !penalty_ || (penalty_->elastic && same_for_all);
  if (penalty_ && elastic_) penalty_->elastic(options_.penalty->params.data(), &options_.held.l1, &options_.held.l2);
  by_sum_ = !full_batch_ && elastic_ && options_.stepping == Stepping::schedule &&
            rule_specs()[options_.rule.index].name == "sgd" && !options_.tempering.any() &&
            sum_.descends(options_.batch_size);
  choose_lazy_descent();
  history_.reserve(std::size_t(std::min<Index>(options_.epochs, few_epochs)));
}

/// The start: where a constraint forbids it, the nearest point that it allows.
template <class T>
Numbers<T> Fit<T>::feasible(Numbers<T> x) const {
  if (penalty_ && penalty_specs()[options_.penalty->index].constraint)
    penalty_->prox(terms_, sum_.penalised(), T(1), nullptr, x.data());
  return x;
}

template <class T>
Fit<T>::~Fit() {
  sum_.use(nullptr);
  if (held_out_) held_out_->use(nullptr);
}

template <class T>
void Fit<T>::hold_out(RowSum<T>& rows, Index patience) {
  held_out_ = &rows;
  patience_ = patience;
}

template <class T>
void Fit<T>::run() {
  if (options_.threads > 1 && n_ * sum_.row_bytes() >= worth_threads) {
    team_ = std::make_unique<Team>(std::min(options_.threads, most_threads));
    sum_.use(team_.get());
    order_->use(team_.get());
    if (held_out_) held_out_->use(team_.get());
  }
  const Index row_cost = lazy_ ? lazy_->row_cost() : parameters_;
  pacer_ = std::make_unique<Pacer>(options_.poll, std::max<Index>(row_cost, 8));
  order_->poll = options_.poll;
  // The natural size of the objective, by which an explosion is told from a bad start.
  if (options_.judged) scale_ = natural_scale();
  if (held_out_) validate();
  if (lazy_) lazy_->begin(x_.data());
  const Index last = epoch_ + options_.epochs;
  try {
    while (epoch_ < last && status_ == Status::running)
      if (!run_epoch()) break;
  } catch (...) {
    descent_.show(x_);
    throw;
  }
  if (status_ == Status::running) status_ = Status::ran_all_epochs;
  finish();
}

/// The objective of some rows, from all over the data, at the start and at zero, whichever is larger; 0 where evaluating is
/// somebody else's code.
template <class T>
double Fit<T>::natural_scale() {
  if (sum_.outside()) return 0;
  constexpr Index pieces = 16, piece_rows = 64;
  std::fill(gradient_.begin(), gradient_.end(), T(0));
  double at_start = 0, at_zero = 0;
  Index rows = 0;
  for (Index i = 0; i < pieces; ++i) {
    const Segment piece{i * (n_ / pieces), nullptr, std::min(piece_rows, n_ - i * (n_ / pieces))};
    at_start += sum_.value(piece, x_.data());
    at_zero += sum_.value(piece, gradient_.data());
    rows += piece.count;
    if (n_ <= piece_rows) break;  // the first piece holds them all
  }
  const double start = std::abs(objective_of(at_start, rows));
  return std::isfinite(start) ? std::max(start, std::abs(at_zero) / (double(rows) * mean_weight_)) : 0;
}

template <class T>
bool Fit<T>::run_epoch() {
  order_->start(std::uint64_t(epoch_));
  sum_.forget_offsets();
  sum_.draw(true, generator_of(options_.seed, std::uint64_t(epoch_)).key);
  // A copy of many parameters costs as much as some hundred sparse batches.
  if (options_.step_tolerance >= 0 || full_batch_) epoch_start_ = x_;
  descent_.hide(x_);
  if (by_sum_) return run_epoch_by_sum();
  if (lazy_) return run_epoch_lazily();
  if (by_touch_) return run_epoch_by_touch();
  double running = 0;
  Index& batch = batch_ = 0;
  for (Index done = 0; done < n_; ++batch) {
    const Index rows = std::min(options_.batch_size, n_ - done);
    double objective = objective_of(evaluate_batch(rows), rows);
    // A line search takes a leap to where there are no numbers back like any other that leads up.
    const bool leapt = options_.stepping == Stepping::line_search && !line_search_.accepted().empty();
    if (!leapt && !met(objective, last_segment_)) return false;
    if (options_.stepping == Stepping::line_search) step_taken_back_ = !line_search_.accept(x_, gradient_, objective);
    if (options_.strong_convexity > 0) squared_gradient_ = squared_norm(gradient_);
    // From the epoch's number, not from a count of updates: a run that goes on computes the same bits.
    step_ = next_step(double(epoch_) + double(batch) / double(updates_per_epoch_), objective);
    descent_.update(x_, gradient_, step_, objective);
    ++updates_;
    running += objective * double(rows);
    done += rows;
    pacer_->worked(rows);
  }
  ++epoch_;
  return end_of_epoch(running / double(n_));
}

template <class T>
void Fit<T>::worked(Index rows) {
  pacer_->worked(rows);
}

/// Whether a batch's objective is a number; where it is not, either the data or the descent is to blame.
template <class T>
bool Fit<T>::met(double objective, const Segment& segment) {
  if (std::isfinite(objective)) return true;
  const std::string place = "in batch " + std::to_string(batch_) + " of epoch " + std::to_string(epoch_);
  what_stopped_ = "The objective was no finite number " + place;
  const std::string complaint = sum_.complaint(segment);
  diverge();
  if (!complaint.empty()) throw NonFinite(complaint + ", " + place);
  return false;
}

/// Many batches at a time: what happens between two of them is the sum's own.
template <class T>
bool Fit<T>::run_epoch_by_sum() {
  // The outside has no word in between.
  constexpr Index bytes_at_once = Index(1) << 23, most_at_once = 1024;
  const Index rows_at_once = std::min(most_at_once, bytes_at_once / std::max<Index>(1, sum_.row_bytes()));
  const Index batch_size = options_.batch_size, batches_at_once = std::max<Index>(1, rows_at_once / batch_size);
  steps_.resize(std::size_t(batches_at_once));
  double running = 0;
  batch_ = 0;
  if (options_.steady) std::fill(steps_.begin(), steps_.end(), T(step_ = next_step(double(epoch_), 0)));
  for (Index done = 0; done < n_;) {
    Segment segment = next_rows(std::min(batches_at_once * batch_size, n_ - done));
    Index batches = (segment.count + batch_size - 1) / batch_size;
    // A schedule that stops the run leaves the updates that it has given steps for.
    std::exception_ptr stopped;
    for (Index i = 0; i < batches && !options_.steady; ++i) {
      try {
        steps_[std::size_t(i)] =
            T(step_ = next_step(double(epoch_) + double(batch_ + i) / double(updates_per_epoch_), 0));
      } catch (...) {
        stopped = std::current_exception();
        segment = segment.part(0, i * batch_size);
        batches = i;
      }
    }
    if (stopped && batches == 0) std::rethrow_exception(stopped);
    const Index went = sum_.descend(segment, batch_size, steps_.data(), options_.held, x_.data(), running);
    const Index updates = went == segment.count ? batches : went / batch_size;
    batch_ += updates;
    updates_ += updates;
    const bool through = went == segment.count;
    evaluations_ += updates + !through;
    // Of single rows only their segment is known.
    if (!through)
      return met(running, batch_size == 1 ? segment : segment.part(went, std::min(batch_size, segment.count - went)));
    if (stopped) std::rethrow_exception(stopped);
    done += segment.count;
    pacer_->worked(segment.count);
  }
  ++epoch_;
  return end_of_epoch(running / double(n_));
}

/// The sum over the next rows of the order; its gradient, divided and with the smooth penalty, in gradient_.
template <class T>
double Fit<T>::evaluate_batch(Index rows) {
  ++evaluations_;
  const T scale = T(1 / (double(rows) * mean_weight_));
  bool scaled = false;
  double total = 0;
  if (full_batch_) {
    // All rows are all rows in any order: the sequential one is the fast one.
    last_segment_ = {0, nullptr, n_};
    total =
        full_sum<T>(sum_, x_.data(), full_gradient_.data(), partial_, [this] { pacer_->worked(sum_.block_rows()); });
    std::copy(full_gradient_.begin(), full_gradient_.end(), gradient_.begin());
  } else {
    scaled = sum_.begin_batch(scale);
    if (!scaled) std::fill(gradient_.begin(), gradient_.end(), T(0));
    for (Index done = 0; done < rows; done += last_segment_.count) {
      const Segment segment = order_->next(rows - done);
      total += sum_.batch(segment, x_.data(), gradient_.data());
      last_segment_ = segment;
    }
  }
  if (!scaled)
    for (T& g : gradient_) g *= scale;
  if (options_.held.intercept_pace != 1)
    for (Index j = sum_.penalised(); j < parameters_; ++j) gradient_[std::size_t(j)] *= T(options_.held.intercept_pace);
  if (penalty_ && penalty_->smooth_gradient)
    penalty_->smooth_gradient(terms_, sum_.penalised(), x_.data(), gradient_.data());
  return total;
}

template <class T>
double Fit<T>::objective_of(double sum, Index rows) const {
  return sum / (double(rows) * mean_weight_) + penalty_value();
}

/// Whether an objective is no number, or has left the scale of the data upwards for good.
template <class T>
bool Fit<T>::exploded(double objective) const {
  return std::isnan(objective) || objective == infinity || (scale_ > 0 && objective > explosion * scale_);
}

template <class T>
double Fit<T>::penalty_value() const {
  return penalty_ ? penalty_->value(terms_, sum_.penalised(), x_.data()) : 0.0;
}

template <class T>
double Fit<T>::next_step(double time, double objective) {
  switch (options_.stepping) {
  case Stepping::schedule: {
    if (options_.steady && step_ > 0) return step_;
    const double step = options_.schedule(time);
    if (!(step > 0) || !std::isfinite(step))
      throw std::invalid_argument("the schedule gave " + std::to_string(step) + " at time " + std::to_string(time) +
                                  "; step sizes must be positive and finite");
    return step;
  }
  case Stepping::line_search:
    return line_search_.step();
  case Stepping::distance:
    return options_.schedule(0) * distance_.next(x_, gradient_, objective);
  }
  return 0;
}

template <class T>
bool Fit<T>::end_of_epoch(double running) {
  descent_.show(x_);
  const bool need_exact = options_.exact_history || (options_.tolerance > 0 && !judged_on_the_way());
  double exact = std::numeric_limits<double>::quiet_NaN();
  if (need_exact) exact = evaluate_full(options_.strong_convexity > 0);
  const double held_out = held_out_ ? validate() : std::numeric_limits<double>::quiet_NaN();
  if (!options_.keep_history) history_.clear();
  history_.push_back({epoch_, running, exact, step_, pacer_->seconds(), held_out});

  const double objective = need_exact ? exact : running;
  if (sum_.outside() && epoch_ == options_.epochs_before + 1) scale_ = std::abs(objective);
  if (exploded(objective)) {
    diverge();
    return false;
  }
  // Comparisons swallow NaN: a loss may stay finite with parameters that are not.
  const bool known_finite = lazy_ && lazy_->known_finite();
  if (std::isfinite(running) && !known_finite && !kernels_.rows.finite(x_.data(), parameters_)) {
    what_stopped_ = "A gradient in epoch " + std::to_string(epoch_ - 1) +
                    " left parameters that are no finite numbers, though the objective stayed one";
    diverge();
    return false;
  }
  if (objective < best_objective_) {
    best_objective_ = objective;
    if (lazy_)
      best_x_.swap(gradient_);  // where flush() has left a copy: such runs have no other use for it
    else
      best_x_ = judged_on_the_way() && !need_exact ? epoch_start_ : x_;  // a full batch is judged before its update
  }
  if (options_.on_epoch && options_.on_epoch(history_.back()))
    status_ = Status::stopped;
  else if (options_.step_tolerance >= 0 && largest_change(x_, epoch_start_) < options_.step_tolerance)
    status_ = Status::converged;
  else if (options_.tolerance > 0)
    status_ = judge_progress(objective);
  if (status_ == Status::running && patience_ > 0 && epochs_without_better_ >= patience_)
    status_ = Status::early_stopped;
  return status_ == Status::running;
}

/// The mean loss of the held-out rows at the parameters reached, remembered where it is the best yet.
template <class T>
double Fit<T>::validate() {
  ++evaluations_;
  const Numbers<T>& at = reached();
  held_out_->draw(false, 0);
  const auto poll = [this] { pacer_->worked(held_out_->block_rows()); };
  const double total = full_sum<T>(*held_out_, at.data(), nullptr, poll);
  const double loss = total / (double(held_out_->rows()) * held_out_->mean_weight());
  if (!step_taken_back_) ++epochs_without_better_;
  if (loss < best_held_out_ || best_held_out_x_.empty()) {
    best_held_out_ = loss;
    best_held_out_x_ = at;
    best_held_out_state_ = descent_.state();
    best_epoch_ = epoch_;
    epochs_without_better_ = 0;
  }
  return loss;
}

/// Whether the bound of the gap is within the tolerance, or the best objective of the last epochs is hardly better than
/// the best before them. Where there is a bound, only rounding may end the run before it is met.
template <class T>
Status Fit<T>::judge_progress(double objective) {
  const double allowed = options_.tolerance * std::max(std::abs(objective), 1e-6 * scale_);
  double hardly = allowed;
  if (options_.strong_convexity > 0) {
    // F - F* <= |gradient|^2 / (2 mu) for a strongly convex F
    const bool at_end = options_.exact_history || !judged_on_the_way();
    const double squares = at_end ? squared_norm(full_gradient_) : squared_gradient_;
    if (squares / (2 * options_.strong_convexity) <= allowed) return Status::converged;
  }
  if (options_.strong_convexity > 0 || options_.bounded)
    hardly = std::min(allowed, double(std::numeric_limits<T>::epsilon()) * std::abs(objective));
  if (step_taken_back_) return Status::running;  // a shorter step is on its way
  recent_best_.push_back(recent_best_.empty() ? objective : std::min(recent_best_.back(), objective));
  const std::size_t seen = recent_best_.size();
  const std::size_t back = full_batch_ && options_.stepping != Stepping::schedule ? uneven_patience : patience;
  if (seen <= back) return Status::running;
  const double gained = recent_best_[seen - 1 - back] - recent_best_.back();
  const bool narrows = full_batch_ && options_.stepping == Stepping::distance && narrowed_ < most_narrowings;
  if (narrows && gained <= allowed) {
    // Subgradient steps circle the minimum at the distance they assume: begin again at the best point, much closer.
    ++narrowed_;
    x_ = best_x_;
    descent_.start(x_);
    distance_.narrow(x_);
    recent_best_.clear();
    return Status::running;
  }
  return gained <= hardly ? Status::no_progress : Status::running;
}

/// The objective at x_ over all rows; with_gradient: its gradient, smooth penalty included, in full_gradient_.
template <class T>
double Fit<T>::evaluate_full(bool with_gradient) {
  ++evaluations_;
  sum_.draw(false, 0);
  const auto poll = [this] { pacer_->worked(sum_.block_rows()); };
  const double objective =
      objective_of(full_sum<T>(sum_, x_.data(), with_gradient ? full_gradient_.data() : nullptr, partial_, poll), n_);
  if (with_gradient) {
    const double scale = 1 / (double(n_) * mean_weight_);
    for (double& g : full_gradient_) g *= scale;
    if (penalty_ && penalty_->smooth_gradient) {
      Numbers<T> pull(std::size_t(sum_.penalised()));
      penalty_->smooth_gradient(terms_, sum_.penalised(), x_.data(), pull.data());
      for (std::size_t j = 0; j < pull.size(); ++j) full_gradient_[j] += double(pull[j]);
    }
  }
  return objective;
}

template <class T>
void Fit<T>::diverge() {
  status_ = Status::diverged;
  descent_.show(x_);
  x_ = best_x_;
}

template <class T>
void Fit<T>::finish() {
  descent_.show(x_);
  if (patience_ > 0) {
    x_ = best_held_out_x_;
    descent_.restore(best_held_out_state_, x_);
  }
  if (!held_out_) best_epoch_ = epoch_;
  if (!options_.judged) return;
  objective_ = evaluate_full(true);
  // What fits the held-out rows best stays, whatever the others say.
  if (patience_ == 0) prefer_best();
  if (options_.strong_convexity > 0) gap_ = squared_norm(full_gradient_) / (2 * options_.strong_convexity);
}

/// Where the last update left the objective worse than it has been, goes back.
template <class T>
void Fit<T>::prefer_best() {
  if (!(objective_ <= line_search_.best_objective()) && !line_search_.best().empty()) {
    // The last step of a line search is judged here, or by nobody.
    x_ = line_search_.best();
    objective_ = evaluate_full(true);
  } else if (options_.stepping == Stepping::distance && full_batch_ && !(objective_ <= best_objective_)) {
    x_ = best_x_;
    objective_ = evaluate_full(true);
  } else if (status_ != Status::diverged && exploded(objective_)) {
    diverge();
    objective_ = evaluate_full(true);
  }
}

template class Fit<float>;
template class Fit<double>;

}  // namespace steepest
