// The operations of the graph behind the table's function pointers.
#include "steepest/ops.hpp"

#include "level.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

using Index = std::int64_t;

/// Not inlined into the loop around it: there would be two copies of every body.
template <class Op, class T>
[[gnu::noinline]] void line(Index n, const T* const* in, const Index* step, T* out, std::int32_t option) {
  loops::line<Op>(n, in, step, out, option);
}

template <class Op, class T>
void elementwise(const Geometry& g, std::int32_t option, const T* const* in, T* out) {
  const auto last = std::size_t(g.axes - 1);
  Index step[3];
  for (int k = 0; k < Op::arity; ++k) step[k] = g.stride[std::size_t(k)][last];
  loops::for_each_line(g, in, Op::arity, out,
                       [&](const T* const* from, T* to) { line<Op>(g.size[last], from, step, to, option); });
}

template <class Op, class T>
constexpr OpKernels<T> op_kernels() {
  if constexpr (Op::loops == Loops::elementwise)
    return {&line<Op, T>, &elementwise<Op, T>};
  else
    return {nullptr, &Op::template run<T>};
}

template <class T, class... Os>
const OpKernels<T>* kernels_of_list(OpList<Os...>) {
  static constexpr OpKernels<T> list[] = {op_kernels<Os, T>()...};
  return list;
}

}  // namespace

const OpKernels<float>* op_kernels_f32() { return kernels_of_list<float>(Ops{}); }
const OpKernels<double>* op_kernels_f64() { return kernels_of_list<double>(Ops{}); }

}  // namespace steepest::STEEPEST_LEVEL
