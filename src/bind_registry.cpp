// What Python knows of the lists, and of the build and machine.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bind.hpp"
#include "steepest/kernels.hpp"
#include "steepest/order.hpp"
#include "steepest/registry.hpp"

namespace py = pybind11;
using namespace steepest;

namespace {

py::str text(std::string_view s) { return py::str(s.data(), s.size()); }

py::list params_of(std::span<const Param> params) {
  py::list list;
  for (const Param& p : params) {
    py::dict d;
    d["name"] = text(p.name);
    d["default"] = p.default_value;
    d["low"] = p.low;
    d["high"] = p.high;
    d["closed"] = p.closed == Closed::neither ? "neither" : p.closed == Closed::low ? "low" : "both";
    d["each"] = p.each;
    d["meaning"] = text(p.meaning);
    list.append(d);
  }
  return list;
}

template <class Spec>
py::dict common(const Spec& spec) {
  py::dict d;
  d["name"] = text(spec.name);
  d["summary"] = text(spec.summary);
  d["formula"] = text(spec.formula);
  d["params"] = params_of(spec.params);
  return d;
}

py::list losses_of(std::span<const LossSpec> specs) {
  py::list list;
  for (const LossSpec& spec : specs) {
    py::dict d = common(spec);
    d["link"] = text(name_of(spec.link));
    d["target"] = text(name_of(spec.target));
    d["domain"] = text(domain_of(spec.target));
    d["curvature"] = spec.curvature == no_curvature_bound ? py::object(py::none()) : py::cast(spec.curvature);
    d["convex"] = spec.convex;
    d["smooth"] = spec.smooth;
    list.append(d);
  }
  return list;
}

py::dict registry() {
  py::list penalties, rules, schedules;
  for (const PenaltySpec& spec : penalty_specs()) {
    py::dict d = common(spec);
    d["class_name"] = text(spec.class_name);
    d["constraint"] = spec.constraint;
    d["_grouped"] = spec.grouped;
    d["separable"] = spec.separable;
    d["smooth"] = spec.smooth;
    d["convex"] = spec.convex;
    penalties.append(d);
  }
  for (const RuleSpec& spec : rule_specs()) {
    py::dict d = common(spec);
    d["class_name"] = text(spec.class_name);
    d["reports"] = spec.reports.empty() ? text("x") : text(spec.reports);
    d["state_vectors"] = spec.state_vectors;
    // Numbers, the vectors, and the x behind the parameters reported.
    d["_state_numbers"] = spec.state_numbers;
    d["_live_vectors"] = spec.state_vectors + (spec.reported != itself);
    d["default_lr"] = spec.lr == computed ? py::object(py::none()) : py::cast(spec.lr);
    d["_default_decay"] = spec.weight_decay;
    d["_default_decoupled"] = spec.decoupled;
    d["_decouples"] = spec.decoupling != Decoupling::never;
    d["lazy"] = spec.lazy;
    d["_lazy_while_steady"] = spec.lazy_while_steady;
    d["per_coordinate"] = spec.per_coordinate;
    d["_steady"] = spec.steady;
    d["_scaled"] = spec.scaled;
    d["_reported"] = spec.reported;
    rules.append(d);
  }
  for (const ScheduleSpec& spec : schedule_specs()) schedules.append(common(spec));
  py::dict all;
  all["losses"] = losses_of(loss_specs());
  all["row_losses"] = losses_of(row_loss_specs());
  all["penalties"] = penalties;
  all["rules"] = rules;
  all["schedules"] = schedules;
  return all;
}

template <class T>
void pointwise(std::size_t loss, const std::vector<double>& params, Contiguous<T> y, Contiguous<T> z,
               py::array_t<T> value, py::array_t<T> slope) {
  const T *from_y = y.data(), *from_z = z.data();
  T *to_value = value.mutable_data(), *to_slope = slope.mutable_data();
  const auto n = y.size();
  if (loss >= loss_specs().size()) throw std::out_of_range("no pointwise loss has this index");
  if (z.size() != n || value.size() != n || slope.size() != n)
    throw std::invalid_argument("arrays of different lengths");
  py::gil_scoped_release release;
  kernels_of<T>(kernels()).losses[loss].pointwise(params.data(), n, from_y, from_z, to_value, to_slope);
}

/// The same for K scores per row; z and slope hold the scores of all rows class by class, y a label per row or K targets.
template <class T>
void row_pointwise(std::size_t loss, const std::vector<double>& params, Contiguous<T> y, Contiguous<T> z,
                   py::array_t<T> value, py::array_t<T> slope) {
  const T *from_y = y.data(), *from_z = z.data();
  T *to_value = value.mutable_data(), *to_slope = slope.mutable_data();
  const auto n = value.size(), classes = z.shape(0);
  const auto targets = row_loss_specs()[loss].target == Target::labels ? 1 : classes;
  if (z.size() != n * classes || slope.size() != n * classes || y.size() != n * targets)
    throw std::invalid_argument("arrays of different lengths");
  py::gil_scoped_release release;
  kernels_of<T>(kernels()).row_losses[loss].pointwise(params.data(), n, classes, n, from_y, from_z, to_value, to_slope);
}

py::array_t<std::uint32_t> full_order(std::int64_t n, std::uint64_t seed, std::uint64_t epoch) {
  py::array_t<std::uint32_t> order(n);
  std::uint32_t* to = order.mutable_data();
  py::gil_scoped_release release;
  shuffle(generator_of(seed, epoch), n, to);
  return order;
}

py::array_t<std::uint32_t> stratified_order(Contiguous<std::uint32_t> labels, std::int64_t batch_size,
                                            std::uint64_t seed, std::uint64_t epoch) {
  const auto order = order_stratified({labels.data(), labels.data() + labels.size()}, batch_size, seed);
  order->start(epoch);
  return py::array_t<std::uint32_t>(labels.size(), order->next(labels.size()).offset);
}

double penalty_value(const PenaltyChoice& penalty, Contiguous<double> w) {
  return kernels().f64.penalties[penalty.index].value(penalty.terms(), w.size(), w.data());
}

/// The gradient of the smooth part, or a subgradient of the rest.
py::array_t<double> penalty_gradient(const PenaltyChoice& penalty, Contiguous<double> w, bool smooth) {
  py::array_t<double> gradient(w.size());
  std::fill_n(gradient.mutable_data(), w.size(), 0.0);
  const auto& found = kernels().f64.penalties[penalty.index];
  if (const auto add = smooth ? found.smooth_gradient : found.kink_gradient)
    add(penalty.terms(), w.size(), w.data(), gradient.mutable_data());
  return gradient;
}

/// The metric may be empty.
py::array_t<double> penalty_prox(const PenaltyChoice& penalty, Contiguous<double> w, double step,
                                 Contiguous<double> metric) {
  py::array_t<double> point(w.size(), w.data());
  if (const auto prox = kernels().f64.penalties[penalty.index].prox)
    prox(penalty.terms(), w.size(), step, metric.size() ? metric.data() : nullptr, point.mutable_data());
  return point;
}

/// The rows of one epoch in the streaming order, so many batches asked for at once.
py::array_t<std::uint32_t> stream_order(std::int64_t n, std::int64_t row_bytes, std::int64_t batch_size,
                                        const std::string& layout, std::uint64_t seed, std::uint64_t epoch,
                                        std::int64_t batches) {
  const Streaming streaming = streaming_for(n, row_bytes, batch_size,
                                            layout == "columns"  ? Layout::columns
                                            : layout == "sparse" ? Layout::sparse
                                                                 : Layout::rows);
  const auto order = streaming.streams ? order_stream(n, seed, streaming) : order_full(n, seed, false);
  py::array_t<std::uint32_t> rows(n);
  std::uint32_t* to = rows.mutable_data();
  order->start(epoch);
  for (std::int64_t done = 0; done < n;) {
    const Segment segment = order->next(std::min(batches * batch_size, n - done));
    for (std::int64_t i = 0; i < segment.count; ++i) *to++ = std::uint32_t(segment[i]);
    done += segment.count;
  }
  return rows;
}

}  // namespace

void bind_registry(py::module_& m) {
  py::class_<PenaltyChoice>(m, "PenaltyChoice")
      .def(py::init<std::size_t, std::vector<double>, std::vector<std::vector<double>>, std::vector<std::int64_t>,
                    std::vector<std::int64_t>>());
  m.def("registry", &registry);
  m.def("schedule_at", [](std::size_t index, const std::vector<double>& params, double t, double epochs) {
    return schedule_specs()[index].at(params.data(), t, epochs);
  });
  m.def("pointwise", &pointwise<float>, py::arg(), py::arg(), py::arg().noconvert(), py::arg().noconvert(),
        py::arg().noconvert(), py::arg().noconvert());
  m.def("pointwise", &pointwise<double>, py::arg(), py::arg(), py::arg().noconvert(), py::arg().noconvert(),
        py::arg().noconvert(), py::arg().noconvert());
  m.def("row_pointwise", &row_pointwise<float>, py::arg(), py::arg(), py::arg().noconvert(), py::arg().noconvert(),
        py::arg().noconvert(), py::arg().noconvert());
  m.def("row_pointwise", &row_pointwise<double>, py::arg(), py::arg(), py::arg().noconvert(), py::arg().noconvert(),
        py::arg().noconvert(), py::arg().noconvert());
  m.def("penalty_value", &penalty_value);
  m.def("penalty_gradient", &penalty_gradient);
  m.def("penalty_prox", &penalty_prox);
  m.def("full_order", &full_order);
  m.def("stream_order", &stream_order, py::arg("rows"), py::arg("row_bytes"), py::arg("batch_size"), py::arg("layout"),
        py::arg("seed"), py::arg("epoch"), py::arg("batches") = 1);
  m.def("stratified_order", &stratified_order);
  m.def("level", [] { return std::string(kernels().level); });
  m.def("vector_bytes", [] { return kernels().vector_bytes; });
  m.def("levels", &available_levels);
  m.def("compiler", [] {
#if defined(__clang__)
    return std::string("clang " __clang_version__);
#else
    return std::string("gcc " __VERSION__);
#endif
  });
}
