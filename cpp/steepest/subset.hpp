// Some of the rows of a sum, as a sum: held-out rows are left out, and evaluated, without a copy of any row.
//
// The subset's rows are positions 0 ... m-1; a segment of positions becomes one of rows on its way to the sum that holds
// the data. So orders, full passes and whatever else knows sums need not know subsets.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "steepest/objective.hpp"

namespace steepest {

/// `sum` outlives it and is not used at the same time. `rows` are positions of the sum's rows, of which each may occur once
/// or more; `mean_weight` is theirs.
template <class T>
std::unique_ptr<RowSum<T>> subset_sum(RowSum<T>& sum, const std::vector<std::uint32_t>& rows, double mean_weight);

}  // namespace steepest
