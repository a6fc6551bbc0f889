// What Python is allowed to know of the lists: names, formulas, parameters, domains. Order and index are those of the kernels.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "steepest/spec.hpp"

namespace steepest {

struct LossSpec {
  std::string_view name, summary, formula;
  Link link;
  Target target;
  double curvature;
  bool convex, smooth;
  std::span<const Param> params;
};

struct PenaltySpec {
  std::string_view name, summary, formula, class_name;
  bool separable, smooth, convex, constraint, grouped;
  std::span<const Param> params;
};

struct RuleSpec {
  std::string_view name, summary, formula, class_name, reports;
  int state_vectors, state_numbers, from_start, iterate, reported;
  double lr, weight_decay;
  bool decoupled;
  Decoupling decoupling;
  bool lazy, lazy_while_steady, per_coordinate, steady, scaled;
  std::span<const Param> params;
};

struct ScheduleSpec {
  std::string_view name, summary, formula;
  std::span<const Param> params;
  double (*at)(const double* params, double t, double epochs);
};

std::span<const LossSpec> loss_specs();
std::span<const LossSpec> row_loss_specs();
std::span<const PenaltySpec> penalty_specs();
std::span<const RuleSpec> rule_specs();
std::span<const ScheduleSpec> schedule_specs();

/// Where `name` stands in a list; throws std::invalid_argument with all candidates where it does not.
template <class Spec>
std::size_t index_of(std::span<const Spec> specs, std::string_view name);

}  // namespace steepest
