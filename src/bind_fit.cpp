// Problems (data, loss) and the loop over them: arrays to views, one switch on the dtype, GIL off, call, back.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bind.hpp"
#include "options.hpp"
#include "outside.h"
#include "sparse_arrays.hpp"
#include "steepest/fit.hpp"
#include "steepest/reduced.hpp"
#include "steepest/registry.hpp"
#include "steepest/sparse.hpp"
#include "steepest/subset.hpp"
#include "sums.hpp"

namespace py = pybind11;
using namespace steepest;

namespace {

using Index = std::int64_t;

void check_signals() {
  py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

/// Lets Ctrl-C through a long pass, a hundred times a second at the most.
std::function<void()> patient_poll() {
  return [last = std::chrono::steady_clock::now()]() mutable {
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(10)) return;
    last = now;
    check_signals();
  };
}

/// A sum over rows together with the Python objects that own its memory.
template <class T>
class Problem {
 public:
  /// `scores`: how many each row has, where the loss is one of several; 0 for a pointwise loss.
  Problem(std::size_t loss, std::vector<double> params, py::object X, ArrayOf<T> y, py::object weight, bool intercept,
          double mean_weight, Index scores, py::object scale, py::object shift)
      : X_(std::move(X)), y_(std::move(y)), weight_(std::move(weight)), scale_(std::move(scale)),
        shift_(std::move(shift)) {
    const Index rows = y_.shape(0);
    const T* weights = nullptr;
    if (!weight_.is_none()) {
      const auto given = py::cast<Contiguous<T>>(weight_);
      if (given.size() != rows) throw std::invalid_argument("as many weights as rows are needed");
      weights = given.data();
    }
    if (scores && y_.size() != rows * (row_loss_specs()[loss].target == Target::labels ? 1 : scores))
      throw std::invalid_argument("y must have a label per row, or as many targets as there are scores");
    if (is_sparse(X_)) {
      layout_ = Layout::sparse;
      SparseData<T> data{sparse_rows<T>(X_, rows), y_.data(), weights, intercept, mean_weight, {}};
      data.scaling = scaling_of<T>(scale_, shift_, data.rows.features);
      sum_ = std::make_unique<SparseSum<T>>(loss, std::move(params), data, scores);
      return;
    }
    RowData<T> data{dense_rows<T>(X_, rows), y_.data(), weights, intercept, mean_weight, {}};
    data.scaling = scaling_of<T>(scale_, shift_, data.rows.features);
    if (data.rows.column_major() && !data.rows.row_major()) layout_ = Layout::columns;
    if (scores)
      sum_ = std::make_unique<ScoresSum<T>>(loss, std::move(params), data, scores);
    else
      sum_ = std::make_unique<PointwiseSum<T>>(loss, std::move(params), data);
  }

  /// A sum made by another chapter.
  explicit Problem(SumHandle<T>& handle) : X_(handle.owner), sum_(std::move(handle.sum)) {}

  /// Some rows of another problem, which stays alive.
  Problem(py::object whole, Contiguous<std::uint32_t> rows, double mean_weight) : X_(std::move(whole)) {
    auto& problem = py::cast<Problem&>(X_);
    layout_ = problem.layout_;
    threads = problem.threads;
    mutex_ = problem.mutex_;
    sum_ = subset_sum<T>(*problem.sum_, {rows.data(), rows.data() + rows.size()}, mean_weight);
  }

  /// A loss outside the core; the capsule keeps it alive.
  explicit Problem(py::capsule outside) : X_(outside) {
    if constexpr (std::is_same_v<T, double>) {
      const auto* loss = outside.get_pointer<steepest_outside>();
      sum_ = outside_sum({loss->rows, loss->parameters, [loss](const Segment& s, const double* x, double* gradient) {
                            double value = 0;
                            if (loss->add(loss->user, s.begin, s.offset, s.count, x, gradient, &value) != 0)
                              throw Stopped();
                            return value;
                          }});
    }
  }

  /// Thrown when a loss outside the core stops; the reason is kept on the Python side.
  struct Stopped {};

  RowSum<T>& sum() { return *sum_; }
  Layout layout() const { return layout_; }
  Index row_bytes() const { return std::max<Index>(sum_->row_bytes(), 1); }

  double value(Contiguous<T> x) {
    check(x.size());
    const T* at = x.data();
    double total = 0;
    alone([&] { total = full_sum<T>(*sum_, at, nullptr, patient_poll()); });
    return total / rows_times_weight();
  }

  py::tuple value_and_gradient(Contiguous<T> x) {
    check(x.size());
    const T* at = x.data();
    py::array_t<double> gradient(sum_->parameters());
    double *to = gradient.mutable_data(), total = 0;
    alone([&] {
      total = full_sum<T>(*sum_, at, to, patient_poll());
      for (Index j = 0; j < sum_->parameters(); ++j) to[j] /= rows_times_weight();
    });
    return py::make_tuple(total / rows_times_weight(), gradient);
  }

  /// The Hessian of the loss part at x times a direction; None where the sum cannot say. `again` says that it may be asked for
  /// at the same x again, and the data stay as they are.
  py::object hessp(Contiguous<T> x, Contiguous<T> direction, bool again) {
    check(x.size());
    check(direction.size());
    const T *at = x.data(), *along = direction.data();
    py::array_t<double> product(sum_->parameters());
    double* to = product.mutable_data();
    bool known = false;
    alone([&] {
      sum_->keep_scores(again);
      known = full_bend<T>(*sum_, at, along, to, patient_poll());
      for (Index j = 0; j < sum_->parameters(); ++j) to[j] /= rows_times_weight();
    });
    return known ? py::object(std::move(product)) : py::none();
  }

  /// The objective's loss part at each of several points: rows are read once for all of them.
  py::array_t<double> values(Contiguous<T> points) {
    if (points.ndim() != 2) throw std::invalid_argument("points must be 2-D");
    check(points.shape(1));
    const Index count = points.shape(0), k = points.shape(1);
    py::array_t<double> result(count);
    double* to = result.mutable_data();
    const T* from = points.data();
    alone([&] {
      const auto poll = patient_poll();
      std::fill_n(to, count, 0.0);
      const Index block = std::min<Index>(sum_->block_rows(), sum_->rows());
      for (Index row = 0; row < sum_->rows(); row += block)
        for (Index p = 0; p < count; ++p, poll())
          to[p] += sum_->value({row, nullptr, std::min(block, sum_->rows() - row)}, from + p * k);
      for (Index p = 0; p < count; ++p) to[p] /= rows_times_weight();
    });
    return result;
  }

  int threads = 1;  ///< that a pass over much data may use

 private:
  /// Without the GIL, one evaluation at a time, and with helpers where the data is worth them.
  template <class Work>
  void alone(const Work& work) {
    py::gil_scoped_release release;
    const std::lock_guard<std::mutex> lock(*mutex_);
    if (threads < 2 || sum_->rows() * sum_->row_bytes() < worth_threads) return work();
    Team team(std::min(threads, 16));
    sum_->use(&team);
    try {
      work();
    } catch (...) {
      sum_->use(nullptr);
      throw;
    }
    sum_->use(nullptr);
  }

  double rows_times_weight() const { return double(sum_->rows()) * sum_->mean_weight(); }

  static constexpr Index worth_threads = Index(16) << 20;

  void check(Index parameters) const {
    if (parameters != sum_->parameters())
      throw std::invalid_argument("x has " + std::to_string(parameters) + " parameters, the problem " +
                                  std::to_string(sum_->parameters()));
  }

  py::object X_;
  ArrayOf<T> y_;
  py::object weight_;
  py::object scale_, shift_;
  Layout layout_ = Layout::rows;
  std::unique_ptr<RowSum<T>> sum_;
  // A sum has scratch memory: one evaluation at a time, also of a subset, which shares it with the whole.
  std::mutex own_mutex_;
  std::mutex* mutex_ = &own_mutex_;
};

/// None is the order of the rows themselves.
std::unique_ptr<Order> make_order(const py::object& order, Index rows, std::uint64_t seed, Index row_bytes,
                                  Index batch_size, Layout layout) {
  if (order.is_none()) return order_in_sequence(rows);
  if (py::isinstance<py::str>(order)) {
    const auto name = py::cast<std::string>(order);
    // All rows are all rows in any order, and the loop reads them in sequence.
    const bool drawn = name == "full" || name == "stream" || name == "once";
    if (name == "sequence" || (drawn && batch_size >= rows)) return order_in_sequence(rows);
    if (name == "full") return order_full(rows, seed, false);
    if (name == "stream") {
      const Streaming streaming = streaming_for(rows, row_bytes, batch_size, layout);
      return streaming.streams ? order_stream(rows, seed, streaming) : order_full(rows, seed, false);
    }
    if (name == "once") return order_full(rows, seed, true);
    throw std::invalid_argument("there is no order " + name);
  }
  if (py::isinstance<py::array>(order)) {
    const auto labels = py::cast<Contiguous<std::uint32_t>>(order);
    if (labels.size() != rows) throw std::invalid_argument("a stratified order needs the class of every row");
    return order_stratified({labels.data(), labels.data() + labels.size()}, batch_size, seed);
  }
  return order_given([order](std::uint64_t epoch) {
    py::gil_scoped_acquire acquire;
    const auto given = py::cast<Contiguous<std::uint32_t>>(order(epoch));
    return std::vector<std::uint32_t>(given.data(), given.data() + given.size());
  });
}

using Member = std::pair<std::size_t, std::vector<double>>;  // of a list, with its parameters

/// A schedule of the list, or a callable.
void set_schedule(FitOptions& options, const py::object& schedule) {
  if (py::isinstance<py::tuple>(schedule)) {
    auto [index, params] = py::cast<Member>(schedule);
    const ScheduleSpec& spec = schedule_specs()[index];
    options.steady = spec.name == "constant";
    options.schedule = [at = spec.at, params = std::move(params),
                        epochs = double(options.epochs_before + options.epochs)](double t) {
      return at(params.data(), t, epochs);
    };
  } else {
    options.schedule = [schedule](double t) {
      py::gil_scoped_acquire acquire;
      return py::cast<double>(schedule(t));
    };
  }
}

Stepping stepping_of(const std::string& name) {
  if (name == "line_search") return Stepping::line_search;
  if (name == "distance") return Stepping::distance;
  return Stepping::schedule;
}

const char* name_of(Status status) {
  switch (status) {
  case Status::converged:
    return "converged";
  case Status::ran_all_epochs:
    return "ran_all_epochs";
  case Status::no_progress:
    return "no_progress";
  case Status::stopped:
    return "stopped";
  case Status::diverged:
    return "diverged";
  case Status::early_stopped:
    return "early_stopped";
  case Status::running:
    return "interrupted";
  }
  return "";
}

template <class T, class Allocator>
py::array_t<T> copy_of(const std::vector<T, Allocator>& numbers) {
  auto copy = new_array<T>(Index(numbers.size()));
  std::copy(numbers.begin(), numbers.end(), copy.mutable_data());
  return copy;
}

/// A number of every epoch.
template <class T>
py::array_t<T> column_of(const std::vector<Epoch>& history, T Epoch::* number) {
  auto column = new_array<T>(Index(history.size()));
  std::transform(history.begin(), history.end(), column.mutable_data(), [&](const Epoch& e) { return e.*number; });
  return column;
}

/// What a run reached, as the package names it: in the order of its Outcome, the history in that of its columns.
template <class T>
py::tuple outcome(const Fit<T>& fit) {
  const std::vector<Epoch>& history = fit.history();
  return py::make_tuple(
      copy_of(fit.x()), copy_of(fit.state()), fit.objective(), copy_of(fit.gradient()), fit.gap(),
      name_of(fit.status()), fit.what_stopped(), fit.epochs(), fit.best_epoch(), fit.updates(), fit.evaluations(),
      py::make_tuple(column_of(history, &Epoch::number), column_of(history, &Epoch::running_objective),
                     column_of(history, &Epoch::objective), column_of(history, &Epoch::step_size),
                     column_of(history, &Epoch::seconds), column_of(history, &Epoch::validation)));
}

FitOptions fit_options(Options& given) {
  FitOptions options;
  // What every run says, in the package's order, ...
  auto [rule, rule_params] = given.take<Member>("rule");
  options.rule = {rule, std::move(rule_params)};
  options.batch_size = given.take<Index>("batch_size");
  options.epochs = given.take<Index>("epochs");
  options.stepping = stepping_of(given.take<std::string>("stepping", "schedule"));
  const auto schedule = given.take<py::object>("schedule");
  options.step_tolerance = given.take("step_tolerance", options.step_tolerance);
  options.tolerance = given.take("tolerance", options.tolerance);
  options.threads = given.take("threads", options.threads);
  options.seed = given.take("seed", options.seed);
  // ... and what few do.
  const auto [clip_norm, clip_value, weight_decay, decoupled] =
      given.take<std::tuple<double, double, double, bool>>("tempering", {infinity, infinity, 0.0, false});
  options.tempering = {clip_norm, clip_value, weight_decay, decoupled};
  options.exact_history = given.take("exact_history", options.exact_history);
  options.keep_history = given.take("keep_history", options.keep_history);
  options.penalty = given.take<std::optional<PenaltyChoice>>("penalty", {});
  options.scale = given.take("scale", std::move(options.scale));
  options.row_size = given.take("row_size", options.row_size);
  options.epochs_before = given.take("epochs_before", options.epochs_before);
  options.updates_before = given.take("updates_before", options.updates_before);
  options.strong_convexity = given.take("strong_convexity", options.strong_convexity);
  options.bounded = given.take("bounded", options.bounded);
  options.judged = given.take("judged", options.judged);
  options.held.slope_limit = given.take("slope_limit", options.held.slope_limit);
  options.held.least_kept = given.take("least_kept", options.held.least_kept);
  options.held.intercept_pace = given.take("intercept_pace", options.held.intercept_pace);
  set_schedule(options, schedule);
  options.poll = &check_signals;
  return options;
}

/// Runs the loop with options by name; returns (outcome, exception or None): whatever stops the loop, what it reached is not lost.
template <class T>
py::tuple fit(Problem<T>& problem, const ArrayOf<T>& x0, py::dict options_by_name) {
  Options given(std::move(options_by_name));
  const auto named_order = given.take<py::object>("order", py::none());
  FitOptions options = fit_options(given);
  const auto on_epoch = given.take<py::object>("on_epoch", py::none());
  const auto seed = options.seed;
  auto order =
      make_order(named_order, problem.sum().rows(), seed, problem.row_bytes(), options.batch_size, problem.layout());
  const auto state = given.take<std::optional<Contiguous<double>>>("state", {});
  const auto held_out = given.take<py::object>("held_out", py::none());
  const auto patience = given.take<Index>("patience", 0);
  const auto reduction = given.take<std::string>("reduction", "");
  const auto every = given.take("reduction_every", 1.0);
  given.require_all_taken();
  if (!options.scale.empty() && Index(options.scale.size()) != problem.sum().parameters())
    throw std::invalid_argument("scale must have as many numbers as there are parameters");
  std::unique_ptr<RowSum<T>> reduced;
  if (reduction == "svrg") reduced = svrg_sum<T>(problem.sum(), every, seed, patient_poll());
  if (reduction == "saga") reduced = saga_sum<T>(problem.sum(), patient_poll());

  Fit<T>* running = nullptr;
  if (!on_epoch.is_none())
    options.on_epoch = [&](const Epoch& e) {
      py::gil_scoped_acquire acquire;
      return py::cast<bool>(on_epoch(e.number, e.running_objective, e.objective, e.step_size, e.seconds,
                                     running->updates(), copy_of(running->reached()), e.validation));
    };
  Fit<T> fit(reduced ? *reduced : problem.sum(), std::move(order), std::move(options),
             Numbers<T>(x0.data(), x0.data() + x0.size()),
             state ? std::vector<double>(state->data(), state->data() + state->size()) : std::vector<double>());
  running = &fit;
  if (!held_out.is_none()) fit.hold_out(py::cast<Problem<T>&>(held_out).sum(), patience);

  py::object failure = py::none();
  {
    py::gil_scoped_release release;
    try {
      fit.run();
    } catch (const typename Problem<T>::Stopped&) {
      py::gil_scoped_acquire acquire;
      failure = py::str("outside");
    } catch (py::error_already_set& error) {
      py::gil_scoped_acquire acquire;
      failure = error.value();
      if (error.trace()) PyException_SetTraceback(failure.ptr(), error.trace().ptr());
    } catch (const std::exception& error) {
      py::gil_scoped_acquire acquire;
      failure = py::reinterpret_borrow<py::object>(PyExc_ValueError)(error.what());
    }
  }
  return py::make_tuple(outcome(fit), failure);
}

/// Whether all numbers of an array of one or two axes are, with finite(first, count) for those side by side.
template <class Finite>
bool all_finite(const py::array& array, const Finite& finite) {
  const auto* first = static_cast<const char*>(array.data());
  const Index item = array.itemsize();
  // Along the axis whose numbers lie side by side, as far as memory is contiguous.
  Index outer = 1, inner = array.shape(0), outer_stride = 0, inner_stride = array.strides(0);
  if (array.ndim() == 2) {
    const int fast = array.strides(0) == item && array.strides(1) != item ? 0 : 1;
    inner = array.shape(fast), inner_stride = array.strides(fast);
    outer = array.shape(1 - fast), outer_stride = array.strides(1 - fast);
    if (inner_stride == item && outer_stride == inner * item) inner *= std::exchange(outer, 1);
  }
  constexpr Index few = 1024, block = Index(1) << 16;
  // Few numbers take less time than to let others go on meanwhile.
  if (outer == 1 && inner <= few && inner_stride == item) return finite(first, inner);
  py::gil_scoped_release release;
  const auto poll = patient_poll();
  Index seen = 0;
  for (Index i = 0; i < outer; ++i) {
    const char* line = first + i * outer_stride;
    for (Index from = 0; from < inner; from += block) {
      const Index count = std::min(block, inner - from);
      if (inner_stride == item) {
        if (!finite(line + from * item, count)) return false;
      } else {
        for (Index k = from; k < from + count; ++k)
          if (!finite(line + k * inner_stride, 1)) return false;
      }
      if ((seen += count) >= block) seen = 0, poll();
    }
  }
  return true;
}

/// What is wrong with the structure of sparse rows, as (kind, row, value); None where nothing is.
template <class I>
py::object sparse_fault(py::array_t<I> starts, py::array_t<I> indices, Index features, bool with_columns) {
  const I *first = starts.data(), *columns = with_columns ? indices.data() : nullptr;
  const Index rows = starts.size() - 1, entries = indices.size();
  SparseFault fault;
  {
    py::gil_scoped_release release;
    fault = fault_of(first, columns, rows, features, entries);
  }
  static constexpr const char* names[] = {"", "start", "order", "end", "column"};
  if (fault.kind == SparseFault::Kind::none) return py::none();
  return py::make_tuple(names[int(fault.kind)], fault.row, fault.value);
}

bool finite_numbers(const py::array& array) {
  const Kernels& all = kernels();
  const auto of = [&](const auto& rows) {
    return [&rows](const char* first, Index count) {
      using T = std::decay_t<decltype(rows.sum(nullptr, 0))>;
      return rows.finite(reinterpret_cast<const T*>(first), count);
    };
  };
  if (array.ndim() != 1 && array.ndim() != 2) throw py::value_error("one axis or two are looked through");
  const py::dtype dtype = array.dtype();
  if (dtype.equal(py::dtype::of<double>())) return all_finite(array, of(all.f64.rows));
  if (dtype.equal(py::dtype::of<float>())) return all_finite(array, of(all.f32.rows));
  const Storage storage = storage_of(dtype);
  if (storage == Storage::same) throw py::type_error("numbers of this dtype are not read in place");
  if (storage != Storage::f16 && storage != Storage::bf16) return true;
  return all_finite(array,
                    [&](const char* first, Index count) { return all.f32.widening.finite(storage, first, count); });
}

template <class T>
void bind_problem(py::module_& m, const char* name) {
  py::class_<Problem<T>> problem(m, name);
  problem
      .def(py::init<std::size_t, std::vector<double>, py::object, ArrayOf<T>, py::object, bool, double, Index,
                    py::object, py::object>(),
           py::arg("loss"), py::arg("params"), py::arg("X"), py::arg("y"), py::arg("weight"), py::arg("intercept"),
           py::arg("mean_weight"), py::arg("scores"), py::arg("scale") = py::none(), py::arg("shift") = py::none())
      .def_property_readonly("rows", [](Problem<T>& p) { return p.sum().rows(); })
      .def_property_readonly("parameters", [](Problem<T>& p) { return p.sum().parameters(); })
      .def_property_readonly("penalised", [](Problem<T>& p) { return p.sum().penalised(); })
      .def_readwrite("threads", &Problem<T>::threads)
      .def("value", &Problem<T>::value)
      .def("values", &Problem<T>::values)
      .def("value_and_gradient", &Problem<T>::value_and_gradient)
      .def("hessp", &Problem<T>::hessp, py::arg("x"), py::arg("direction"), py::arg("again") = false)
      .def("fit", &fit<T>);
  problem.def(py::init<SumHandle<T>&>());
  problem.def("subset", [](py::object self, Contiguous<std::uint32_t> rows, double mean_weight) {
    return std::make_unique<Problem<T>>(std::move(self), std::move(rows), mean_weight);
  });
  if constexpr (std::is_same_v<T, double>) problem.def(py::init<py::capsule>());
}

}  // namespace

void bind_fit(py::module_& m) {
  bind_problem<float>(m, "Problem32");
  bind_problem<double>(m, "Problem64");
  m.def("sparse_fault", &sparse_fault<std::int32_t>, py::arg().noconvert(), py::arg().noconvert(), py::arg(),
        py::arg());
  m.def("sparse_fault", &sparse_fault<std::int64_t>, py::arg().noconvert(), py::arg().noconvert(), py::arg(),
        py::arg());
  m.def("all_finite", &finite_numbers);
  m.def("reads", [](const py::dtype& dtype) { return storage_of(dtype) != Storage::same; });
}
