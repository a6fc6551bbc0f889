// The loop over epochs and batches: the only place where rows, loss, penalty, rule, schedule and order meet.
//
// The caller owns the Fit, so whatever stops it (an exception of a callback, Ctrl-C) leaves the parameters reached.
// Nothing is allocated inside an epoch.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "steepest/kernels.hpp"
#include "steepest/objective.hpp"
#include "steepest/order.hpp"
#include "steepest/registry.hpp"
#include "steepest/stepping.hpp"

namespace steepest {

enum class Status {
  converged,       ///< the tolerance asked for is met
  ran_all_epochs,  ///< every epoch asked for was run
  no_progress,     ///< the objective stopped falling by more than the tolerance
  stopped,         ///< the callback asked to stop
  diverged,        ///< the objective grew without bound
  early_stopped,   ///< the held-out rows fitted no better for as many epochs as there was patience
  running,         ///< interrupted between two updates
};

/// What an epoch reports.
struct Epoch {
  std::int64_t number;       ///< epochs done, this one included, earlier runs included
  double running_objective;  ///< mean over the batches, each at the parameters it met
  double objective;          ///< at the end of the epoch; not a number where it was not computed
  double step_size;          ///< of the last update
  double seconds;            ///< since the start of the run
  double validation;         ///< mean loss of the held-out rows, without the penalty; not a number without such
};

struct FitOptions {
  Choice rule;
  Tempering tempering;
  std::vector<double> scale;  ///< the largest size of each feature, for rules that ask
  double row_size = 1;        ///< see Update
  std::optional<PenaltyChoice> penalty;
  Stepping stepping = Stepping::schedule;
  std::function<double(double)> schedule;  ///< for Stepping::schedule; the first step for line_search is its value at 0
  bool steady = false;  ///< the schedule is one number at all times: it need not be asked for every row
  std::int64_t batch_size = 1, epochs = 1;
  int threads = 1;
  std::uint64_t seed = 0;                              ///< of what losses draw at random
  std::int64_t epochs_before = 0, updates_before = 0;  ///< of the run that this one goes on from
  double step_tolerance = -1;                          ///< stop when no parameter moved farther in an epoch; < 0: never
  double tolerance = 0;                                ///< relative optimality; 0: never
  double strong_convexity = 0;                         ///< of the objective, where it is known
  bool bounded = false;                                ///< on_epoch knows a bound of the gap and stops on the tolerance
  bool keep_history = true;                            ///< else only the last epoch's
  bool exact_history = false;                          ///< the objective at the end of every epoch
  bool judged = true;                                  ///< else, with a schedule: nothing is an explosion while finite,
                                                       ///< and there is no last look at all rows
  Restraint held;              ///< l1 and l2 are the penalty's; all but intercept_pace are for updates by single rows
  std::function<void()> poll;  ///< called a hundred times a second or so; throws to interrupt
  std::function<bool(const Epoch&)> on_epoch;  ///< true to stop
};

/// A number in the data that is not finite, met on the way.
struct NonFinite : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class T>
class Fit {
 public:
  Fit(RowSum<T>& sum, std::unique_ptr<Order> order, FitOptions options, Numbers<T> x0,
      const std::vector<double>& state = {});
  ~Fit();

  /// Evaluates other rows after every epoch. With patience > 0 a run ends after as many epochs in a row that brought nothing
  /// better, and x is that of the best epoch, the start being one. `rows` outlives the fit.
  void hold_out(RowSum<T>& rows, std::int64_t patience);
  void run();

  const Numbers<T>& x() const { return x_; }
  /// What an epoch is about: x, but with a line search the last accepted point, from where a step is yet to be judged.
  const Numbers<T>& reached() const { return line_search_.accepted().empty() ? x_ : line_search_.accepted(); }
  /// All that the rule needs to go on, beside x.
  std::vector<double> state() const { return descent_.state(); }
  const std::vector<Epoch>& history() const { return history_; }
  const std::vector<double>& gradient() const { return full_gradient_; }  ///< at x, once run() has returned
  double objective() const { return objective_; }                         ///< at x, once run() has returned
  double gap() const { return gap_; }  ///< bound of objective - optimum; infinite if none
  Status status() const { return status_; }
  const std::string& what_stopped() const { return what_stopped_; }  ///< and where, if numbers were no numbers any more
  std::int64_t epochs() const { return epoch_; }
  std::int64_t best_epoch() const { return best_epoch_; }  ///< on the held-out rows; epochs() without such
  std::int64_t updates() const { return updates_; }
  std::int64_t evaluations() const { return evaluations_; }

 private:
  class Pacer;

  Numbers<T> feasible(Numbers<T> x) const;
  double natural_scale();
  bool exploded(double objective) const;
  bool run_epoch();
  bool run_epoch_by_sum();
  void choose_lazy_descent();
  double descend_together(std::int64_t rows);
  double descend_each(std::int64_t most);
  bool run_epoch_lazily();
  bool run_epoch_by_touch();
  Segment next_rows(std::int64_t rows);
  void worked(std::int64_t rows);
  bool met(double objective, const Segment& segment);
  void finish();
  void prefer_best();
  double evaluate_batch(std::int64_t rows);
  double evaluate_full(bool with_gradient);
  double objective_of(double sum, std::int64_t rows) const;
  double penalty_value() const;
  double next_step(double time, double objective);
  /// Whether a full batch's objective is that of the parameters reported, at the start of the epoch.
  bool judged_on_the_way() const { return full_batch_ && !descent_.reports_another(); }
  bool end_of_epoch(double running_objective);
  double validate();
  Status judge_progress(double objective);
  void diverge();

  RowSum<T>& sum_;
  std::unique_ptr<Order> order_;
  FitOptions options_;
  const KernelsOf<T>& kernels_;
  const PenaltyKernels<T>* penalty_;
  Terms terms_;
  std::int64_t n_, parameters_, updates_per_epoch_;
  double mean_weight_;
  bool full_batch_;
  bool elastic_;  // no penalty, or L1 and L2 of one strength each, which are in options_.held

  bool by_sum_ = false;  // plain descent that the sum does by itself: few parameters stay in registers
  Numbers<T> steps_;
  std::unique_ptr<LazyDescent<T>> lazy_;  // where an update need not move all parameters
  bool by_touch_ = false;                 // updates leave alone what a batch does not touch
  std::vector<std::int64_t> touched_;
  std::vector<std::uint32_t> gathered_;
  Numbers<T> x_, gradient_, epoch_start_, best_x_;
  Descent<T> descent_;
  LineSearch<T> line_search_;
  DistanceSteps<T> distance_;
  std::vector<double> full_gradient_;
  std::vector<T> partial_;  // of sums over all rows
  std::vector<Epoch> history_;
  std::unique_ptr<Pacer> pacer_;
  std::unique_ptr<Team> team_;

  Segment last_segment_;
  std::int64_t batch_ = 0;
  std::string what_stopped_;
  Status status_ = Status::running;
  std::int64_t epoch_ = 0, updates_ = 0, evaluations_ = 0;
  double objective_ = std::numeric_limits<double>::quiet_NaN();
  double gap_ = std::numeric_limits<double>::infinity();
  double step_ = 0, best_objective_ = std::numeric_limits<double>::infinity(), scale_ = 0;
  double squared_gradient_ = 0;  // of the last batch, before clipping and decay

  bool step_taken_back_ = false;
  int narrowed_ = 0;
  std::vector<double> recent_best_;
  // held-out rows: the best epoch's loss, parameters and state
  RowSum<T>* held_out_ = nullptr;
  std::int64_t patience_ = 0, best_epoch_ = 0, epochs_without_better_ = 0;
  double best_held_out_ = std::numeric_limits<double>::infinity();
  Numbers<T> best_held_out_x_;
  std::vector<double> best_held_out_state_;
};

}  // namespace steepest
