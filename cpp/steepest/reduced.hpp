// Batches whose gradients lose their noise as the run goes on: what is known of all rows corrects what a batch says.
//
// Both wrap a sum over rows and are one themselves, so the loop, its orders, penalties and stops stay as they are. The sum over a batch
// B is estimated by sum_B (g_i(x) - h_i) + |B|/n sum_all h_i, which is right in expectation whatever the h_i are, and
// whose variance falls with g_i - h_i. Loopless SVRG takes h_i = g_i(anchor), the anchor moving to x now and then; SAGA
// takes the last g_i that was seen, which for a linear model is one number per row and score.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "steepest/objective.hpp"

namespace steepest {

/// Loopless SVRG: before each piece of a batch the anchor moves with a probability such that it does so once in `every`
/// passes over the rows on average. The coins depend on the seed alone. `poll` is called during full gradients.
template <class T>
std::unique_ptr<RowSum<T>> svrg_sum(RowSum<T>& sum, double every, std::uint64_t seed, std::function<void()> poll);

/// SAGA; throws std::invalid_argument where the sum has no slopes to note.
template <class T>
std::unique_ptr<RowSum<T>> saga_sum(RowSum<T>& sum, std::function<void()> poll);

}  // namespace steepest
