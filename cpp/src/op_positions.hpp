// Where operations stand in their list, for those who make or recognise nodes.
#pragma once

#include "steepest/ops.hpp"

namespace steepest {

namespace operations = STEEPEST_LEVEL::operations;

template <class Op>
inline constexpr int op_of = STEEPEST_LEVEL::position_in<Op>(STEEPEST_LEVEL::Ops{});

}  // namespace steepest
