// Epochs of plain descent in batches that touch few columns.
#include <algorithm>
#include <cmath>

#include "steepest/fit.hpp"
#include "steepest/registry.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

/// Single rows whose steps are looked up at once.
constexpr Index rows_at_once = 256;

/// A list of the parameters touched costs several times as much per parameter as meeting them all.
constexpr double worth_a_list = 0.25;

}  // namespace

/// Chooses among the ways of an epoch that leave untouched columns alone, where there is one: plain descent with an elastic
/// penalty of one strength, or a rule that says so without a penalty.
template <class T>
void Fit<T>::choose_lazy_descent() {
  const RuleSpec& rule = rule_specs()[options_.rule.index];
  if (full_batch_ || options_.stepping != Stepping::schedule) return;
  if (rule.name == "sgd" && elastic_ && !options_.tempering.any()) {
    Restraint held = options_.held;
    if (options_.batch_size > 1) {
      // Of single rows only.
      held.slope_limit = Restraint().slope_limit;
      held.least_kept = Restraint().least_kept;
    }
    lazy_ = sum_.lazily(held, options_.batch_size);
  } else {
    by_touch_ = rule.lazy && !penalty_ && !(options_.tempering.weight_decay > 0) &&
                sum_.touched_share(options_.batch_size) < worth_a_list;
  }
}

/// The next rows of the order in one segment.
template <class T>
Segment Fit<T>::next_rows(Index rows) {
  const Segment segment = order_->next(rows);
  if (segment.count == rows) return segment;
  gathered_.clear();
  for (Segment piece = segment;; piece = order_->next(rows - Index(gathered_.size()))) {
    for (Index i = 0; i < piece.count; ++i) gathered_.push_back(std::uint32_t(piece[i]));
    if (Index(gathered_.size()) == rows) return {0, gathered_.data(), rows};
  }
}

/// An update along the next rows of the order. Returns the sum of their objectives.
template <class T>
double Fit<T>::descend_together(Index rows) {
  last_segment_ = next_rows(rows);
  step_ = next_step(double(epoch_) + double(batch_) / double(updates_per_epoch_), 0);
  return lazy_->update(last_segment_, double(rows) * mean_weight_, step_) / mean_weight_;
}

/// An update for each of the next rows of the order, of so many at most.
template <class T>
double Fit<T>::descend_each(Index most) {
  last_segment_ = order_->next(most);
  steps_.resize(std::size_t(last_segment_.count));
  for (Index i = 0; i < last_segment_.count; ++i)
    if (i == 0 || !options_.steady)
      steps_[std::size_t(i)] =
          T(step_ = next_step(double(epoch_) + double(batch_ + i) / double(updates_per_epoch_), 0));
    else
      steps_[std::size_t(i)] = steps_[0];
  return lazy_->update_each(last_segment_, mean_weight_, steps_.data()) / mean_weight_;
}

template <class T>
bool Fit<T>::run_epoch_lazily() {
  const bool by_rows = options_.batch_size == 1;
  double running = 0;
  try {
    batch_ = 0;
    for (Index done = 0; done < n_; done += last_segment_.count) {
      const double objectives = by_rows ? descend_each(std::min(rows_at_once, n_ - done))
                                        : descend_together(std::min(options_.batch_size, n_ - done));
      const Index updates = by_rows ? last_segment_.count : 1;
      evaluations_ += updates;
      if (!std::isfinite(objectives)) {
        lazy_->flush(nullptr);
        return met(objectives, last_segment_);
      }
      batch_ += updates;
      updates_ += updates;
      running += objectives;
      worked(last_segment_.count);
    }
  } catch (...) {
    lazy_->flush(nullptr);
    throw;
  }
  running += lazy_->flush(gradient_.data());
  ++epoch_;
  return end_of_epoch(running / double(n_));
}

template <class T>
bool Fit<T>::run_epoch_by_touch() {
  double running = 0;
  std::fill(gradient_.begin(), gradient_.end(), T(0));
  Index batch = 0;
  for (Index done = 0; done < n_; ++batch) {
    const Index rows = std::min(options_.batch_size, n_ - done), penalised = sum_.penalised();
    last_segment_ = next_rows(rows);
    const double divisor = double(rows) * mean_weight_;
    const double objective = sum_.add(last_segment_, x_.data(), gradient_.data()) / divisor;
    ++evaluations_;
    if (!met(objective, last_segment_)) return false;
    step_ = next_step(double(epoch_) + double(batch) / double(updates_per_epoch_), objective);
    const T scale = T(1 / divisor), intercept_scale = T(options_.held.intercept_pace / divisor);
    if (descent_.leaves_others(step_)) {
      sum_.touched(last_segment_, touched_);
      for (const Index j : touched_) gradient_[std::size_t(j)] *= j < penalised ? scale : intercept_scale;
      descent_.update_some(x_, gradient_, touched_, step_, objective);
    } else {
      for (Index j = 0; j < parameters_; ++j) gradient_[std::size_t(j)] *= j < penalised ? scale : intercept_scale;
      descent_.update(x_, gradient_, step_, objective);
      std::fill(gradient_.begin(), gradient_.end(), T(0));
    }
    ++updates_;
    running += objective * double(rows);
    done += rows;
    worked(rows);
  }
  ++epoch_;
  return end_of_epoch(running / double(n_));
}

template bool Fit<float>::run_epoch_by_touch();
template bool Fit<double>::run_epoch_by_touch();
template void Fit<float>::choose_lazy_descent();
template void Fit<double>::choose_lazy_descent();
template Segment Fit<float>::next_rows(Index);
template Segment Fit<double>::next_rows(Index);
template double Fit<float>::descend_together(Index);
template double Fit<double>::descend_together(Index);
template double Fit<float>::descend_each(Index);
template double Fit<double>::descend_each(Index);
template bool Fit<float>::run_epoch_lazily();
template bool Fit<double>::run_epoch_lazily();

}  // namespace steepest
