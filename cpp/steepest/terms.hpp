// What a penalty was given: numbers, and what differs from one coefficient to the next.
//
// Most parameters are single numbers. Those that a list marks as `each` may also be one number per coefficient, and
// penalties of groups are told which coefficients belong together. Both come as plain spans, so that kernels allocate
// nothing and know nothing of features, scores or layouts.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace steepest {

constexpr std::size_t most_params = 3;

struct Terms {
  const double* params = nullptr;
  std::array<const double*, most_params> each{};  ///< by parameter: one number per coefficient; null: the same for all
  std::int64_t groups = 0;
  const std::int64_t* starts = nullptr;   ///< groups + 1 positions in `members`
  const std::int64_t* members = nullptr;  ///< coefficients, group by group; those of no group are missing

  double at(std::size_t param, std::int64_t coefficient) const {
    return each[param] ? each[param][coefficient] : params[param];
  }
};

/// A penalty of the list with all that it was given.
struct PenaltyChoice {
  std::size_t index = 0;
  std::vector<double> params;
  std::vector<std::vector<double>> each;  ///< by parameter; empty: the same for all
  std::vector<std::int64_t> starts, members;

  Terms terms() const {
    Terms terms;
    terms.params = params.data();
    for (std::size_t i = 0; i < each.size(); ++i) terms.each[i] = each[i].empty() ? nullptr : each[i].data();
    terms.groups = starts.empty() ? 0 : std::int64_t(starts.size()) - 1;
    terms.starts = starts.data();
    terms.members = members.data();
    return terms;
  }
};

}  // namespace steepest
