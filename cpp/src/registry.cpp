#include "steepest/registry.hpp"

#include <stdexcept>

#include "steepest/losses.hpp"
#include "steepest/optim.hpp"
#include "steepest/penalties.hpp"
#include "steepest/row_losses.hpp"
#include "steepest/schedules.hpp"

namespace steepest {
namespace {

template <class... Ls>
constexpr auto specs_of_losses() {
  return std::array{LossSpec{Ls::name, Ls::summary, Ls::formula, Ls::link, Ls::target, Ls::curvature, Ls::convex,
                             Ls::smooth, std::span<const Param>(Ls::params)}...};
}

template <class... Ls>
constexpr auto specs_of(STEEPEST_LEVEL::LossList<Ls...>) {
  return specs_of_losses<Ls...>();
}

template <class... Ls>
constexpr auto specs_of(STEEPEST_LEVEL::RowLossList<Ls...>) {
  return specs_of_losses<Ls...>();
}

template <class... Ps>
constexpr auto specs_of(STEEPEST_LEVEL::PenaltyList<Ps...>) {
  return std::array{PenaltySpec{Ps::name, Ps::summary, Ps::formula, Ps::class_name, Ps::separable, Ps::smooth,
                                Ps::convex, Ps::constraint, Ps::grouped, std::span<const Param>(Ps::params)}...};
}

template <class... Rs>
constexpr auto specs_of(STEEPEST_LEVEL::RuleList<Rs...>) {
  return std::array{RuleSpec{Rs::name,
                             Rs::summary,
                             Rs::formula,
                             Rs::class_name,
                             Rs::reports,
                             Rs::state_vectors,
                             Rs::state_numbers,
                             Rs::from_start,
                             Rs::iterate,
                             Rs::reported,
                             Rs::lr,
                             Rs::weight_decay,
                             Rs::decoupled,
                             Rs::decoupling,
                             Rs::lazy,
                             Rs::lazy_while_steady,
                             Rs::per_coordinate,
                             Rs::steady,
                             Rs::scaled,
                             std::span<const Param>(Rs::params)}...};
}

template <class... Ss>
constexpr auto specs_of(schedules::ScheduleList<Ss...>) {
  return std::array{ScheduleSpec{Ss::name, Ss::summary, Ss::formula, std::span<const Param>(Ss::params), &Ss::at}...};
}

constexpr auto losses_table = specs_of(STEEPEST_LEVEL::Losses{});
constexpr auto row_losses_table = specs_of(STEEPEST_LEVEL::RowLosses{});
constexpr auto penalties_table = specs_of(STEEPEST_LEVEL::Penalties{});
constexpr auto rules_table = specs_of(STEEPEST_LEVEL::Rules{});
constexpr auto schedules_table = specs_of(schedules::Schedules{});

}  // namespace

std::span<const LossSpec> loss_specs() { return losses_table; }
std::span<const LossSpec> row_loss_specs() { return row_losses_table; }
std::span<const PenaltySpec> penalty_specs() { return penalties_table; }
std::span<const RuleSpec> rule_specs() { return rules_table; }
std::span<const ScheduleSpec> schedule_specs() { return schedules_table; }

template <class Spec>
std::size_t index_of(std::span<const Spec> specs, std::string_view name) {
  std::string candidates;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name == name) return i;
    candidates += (i ? ", " : "") + std::string(specs[i].name);
  }
  throw std::invalid_argument("'" + std::string(name) + "' is none of: " + candidates);
}

template std::size_t index_of(std::span<const LossSpec>, std::string_view);
template std::size_t index_of(std::span<const PenaltySpec>, std::string_view);
template std::size_t index_of(std::span<const RuleSpec>, std::string_view);
template std::size_t index_of(std::span<const ScheduleSpec>, std::string_view);

}  // namespace steepest
