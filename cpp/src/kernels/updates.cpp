// Penalties and update rules behind the table's function pointers.
#include "level.hpp"
#include "steepest/optim.hpp"
#include "steepest/penalties.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

using Index = std::int64_t;

template <class P, class T>
PenaltyKernels<T> penalty_kernels() {
  static_assert(P::params.size() <= most_params);
  PenaltyKernels<T> kernels{};
  kernels.value = [](const Terms& terms, Index n, const T* w) { return P::value(terms, n, w); };
  if constexpr (requires(const double* params, double* l) { P::elastic(params, l, l); })
    kernels.elastic = [](const double* params, double* l1, double* l2) { P::elastic(params, l1, l2); };
  if constexpr (requires(const Terms& terms, T* w) { P::smooth_gradient(terms, Index(0), w, w); })
    kernels.smooth_gradient = [](const Terms& terms, Index n, const T* w, T* gradient) {
      P::smooth_gradient(terms, n, w, gradient);
    };
  if constexpr (requires(const Terms& terms, T* w) { P::kink_gradient(terms, Index(0), w, w); })
    kernels.kink_gradient = [](const Terms& terms, Index n, const T* w, T* gradient) {
      P::kink_gradient(terms, n, w, gradient);
    };
  if constexpr (requires(const Terms& terms, T* w) { P::prox(terms, Index(0), T(0), w, w); })
    kernels.prox = [](const Terms& terms, Index n, T step, const T* metric, T* w) {
      P::prox(terms, n, step, metric, w);
    };
  return kernels;
}

template <class T, class... Ps>
const PenaltyKernels<T>* kernels_of_list(PenaltyList<Ps...>) {
  static const PenaltyKernels<T> list[] = {penalty_kernels<Ps, T>()...};
  return list;
}

template <class R, class T>
RuleKernels<T> rule_kernels() {
  RuleKernels<T> kernels{};
  kernels.step = [](const double* params, const Update<T>& update) { return R::step(update, params); };
  if constexpr (requires(const Update<T>& update, const double* params) { R::settle(update, params); })
    kernels.settle = [](const double* params, const Update<T>& update) { R::settle(update, params); };
  return kernels;
}

template <class T, class... Rs>
const RuleKernels<T>* kernels_of_list(RuleList<Rs...>) {
  static const RuleKernels<T> list[] = {rule_kernels<Rs, T>()...};
  return list;
}

}  // namespace

const PenaltyKernels<float>* penalty_kernels_f32() { return kernels_of_list<float>(Penalties{}); }
const PenaltyKernels<double>* penalty_kernels_f64() { return kernels_of_list<double>(Penalties{}); }
const RuleKernels<float>* rule_kernels_f32() { return kernels_of_list<float>(Rules{}); }
const RuleKernels<double>* rule_kernels_f64() { return kernels_of_list<double>(Rules{}); }

}  // namespace steepest::STEEPEST_LEVEL
