// Update rules: what one update does with the gradient of a batch.
//
// A rule is one struct and one name in the list at the bottom. It says how many vectors of state it keeps and steps; the
// step size comes from outside, from a schedule, so that every rule goes with every schedule.
#pragma once

#include <array>
#include <string_view>

#include "steepest/kernels.hpp"
#include "steepest/simd.hpp"
#include "steepest/spec.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace optim {

struct SGD {
  static constexpr std::string_view name = "sgd";
  static constexpr std::string_view summary = "A step against the gradient (A4).";
  static constexpr std::string_view formula = "x - lr*g";
  static constexpr int state_vectors = 0;
  static constexpr std::array<Param, 0> params{};
  template <class T>
  STEEPEST_INLINE void step(const Update<T>& u) const {
    const T step = T(u.step);
    for (std::int64_t i = 0; i < u.n; ++i) u.x[i] -= step * u.gradient[i];
  }
};

}  // namespace optim

template <class... Rs>
struct RuleList {
  static constexpr std::size_t size = sizeof...(Rs);
};

/// The registration.
using Rules = RuleList<optim::SGD>;

}  // namespace steepest::STEEPEST_LEVEL
