// Update rules on eager tensors: all tensors of an optimizer are one vector of parameters, as they are in the loop.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cmath>
#include <cstring>
#include <map>
#include <tuple>
#include <vector>

#include "bind.hpp"
#include "steepest/stepping.hpp"
#include "tensors.hpp"

namespace py = pybind11;
using namespace steepest;

namespace {

using Index = std::int64_t;
using Tensor = Handle<Variable>;

/// A tensor to step, with what the rule keeps for it.
template <class T>
struct Stepped {
  Variable* variable;
  T* state;
  double* numbers;
  Index size() const { return variable->node()->shape.count(); }
};

/// One update of tensors that have met equally many updates, as one vector of parameters. They get memory of their own.
template <class T>
void step_together(const std::vector<Stepped<T>>& group, const Choice& rule, double size, const Tempering& tempering) {
  const RuleSpec& spec = rule_specs()[rule.index];
  std::size_t n = 0;
  for (const Stepped<T>& one : group) n += std::size_t(one.size());
  std::vector<T> x(n), gradient(n), state(n * std::size_t(spec.state_vectors));
  const bool first = group[0].numbers[0] == 0;
  const auto each = [&](const auto& work) {
    Index from = 0;
    for (const Stepped<T>& one : group) {
      work(one, from, one.size());
      from += one.size();
    }
  };
  each([&](const Stepped<T>& one, Index from, Index count) {
    std::memcpy(x.data() + from, one.variable->node()->data(), std::size_t(count) * sizeof(T));
    std::memcpy(gradient.data() + from, one.variable->gradient()->node()->data(), std::size_t(count) * sizeof(T));
    for (int k = 0; k < spec.state_vectors; ++k)
      std::copy_n(first && k < spec.from_start ? x.data() + from : one.state + k * count, count,
                  state.data() + k * Index(n) + from);
  });
  Update<T> u{};
  u.n = Index(n);
  u.x = x.data();
  u.state = state.data();
  u.numbers = group[0].numbers;
  u.step = size;
  u.row_size = 1;
  update_with(rule, tempering, Index(n), gradient.data(), u, [](double) {});
  const Recording off(false);
  each([&](const Stepped<T>& one, Index from, Index count) {
    const Ref before = one.variable->node(), after = array(before->shape, before->number);
    std::memcpy(count == 1 ? after->single : after->memory->data(), x.data() + from, std::size_t(count) * sizeof(T));
    for (int k = 0; k < spec.state_vectors; ++k)
      std::copy_n(state.data() + k * Index(n) + from, count, one.state + k * count);
    std::copy_n(group[0].numbers, spec.state_numbers, one.numbers);
    one.variable->assign(after);
  });
}

template <class T>
void step_those_of(Number number, const std::vector<Tensor>& tensors, const py::list& states, const py::list& numbers,
                   const Choice& rule, double size, const Tempering& tempering) {
  const std::size_t counted = std::size_t(rule_specs()[rule.index].state_numbers);
  std::map<std::vector<double>, std::vector<Stepped<T>>> groups;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i]->node()->number != number || !tensors[i]->gradient()) continue;
    auto state = py::cast<py::array_t<T, py::array::c_style>>(states[i]);
    auto own = py::cast<py::array_t<double, py::array::c_style>>(numbers[i]);
    double* of = own.mutable_data();
    groups[{of, of + counted}].push_back({tensors[i].get(), state.mutable_data(), of});
  }
  for (const auto& [counts, group] : groups) step_together<T>(group, rule, size, tempering);
}

/// Scales gradients down together, over tensors of either dtype.
Tempering clipped_together(const std::vector<Tensor>& tensors, Tempering tempering) {
  if (tempering.clip_norm == infinity) return tempering;
  double squares = 0;
  for (const Tensor& tensor : tensors) {
    if (!tensor->gradient()) continue;
    const Ref& gradient = tensor->gradient()->node();
    for (Index i = 0; i < gradient->shape.count(); ++i) {
      const double g = gradient->number == Number::f64 ? static_cast<const double*>(gradient->data())[i]
                                                       : double(static_cast<const float*>(gradient->data())[i]);
      squares += g * g;
    }
  }
  tempering.norm = std::sqrt(squares);
  return tempering;
}

/// One update of all tensors that have a gradient.
void step(const std::vector<Tensor>& tensors, std::size_t rule, std::vector<double> params, const py::list& states,
          const py::list& numbers, double size, std::tuple<double, double, double, bool> asked) {
  const auto [clip_norm, clip_value, weight_decay, decoupled] = asked;
  const Choice choice{rule, std::move(params)};
  const Tempering tempering = clipped_together(tensors, {clip_norm, clip_value, weight_decay, decoupled});
  step_those_of<double>(Number::f64, tensors, states, numbers, choice, size, tempering);
  step_those_of<float>(Number::f32, tensors, states, numbers, choice, size, tempering);
}

}  // namespace

void bind_step(py::module_& m) { m.def("step", &step); }
