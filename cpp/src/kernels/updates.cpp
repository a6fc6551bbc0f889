// Penalties and update rules behind the table's function pointers.
#include "level.hpp"
#include "steepest/optim.hpp"
#include "steepest/penalties.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

using Index = std::int64_t;

/// A member of a list from its parameters, in the order of its `params`.
template <class Member>
STEEPEST_INLINE Member make(const double* p) {
  if constexpr (Member::params.size() == 0)
    return Member{};
  else if constexpr (Member::params.size() == 1)
    return Member{p[0]};
  else if constexpr (Member::params.size() == 2)
    return Member{p[0], p[1]};
  else
    return Member{p[0], p[1], p[2]};
}

template <class P, class T>
PenaltyKernels<T> penalty_kernels() {
  PenaltyKernels<T> kernels{};
  kernels.value = [](const double* params, Index n, const T* w) { return make<P>(params).value(n, w); };
  if constexpr (requires(const P& p, double* l) { p.elastic(l, l); })
    kernels.elastic = [](const double* params, double* l1, double* l2) { make<P>(params).elastic(l1, l2); };
  if constexpr (requires(const P& p, T* w) { p.smooth_gradient(Index(0), w, w); })
    kernels.smooth_gradient = [](const double* params, Index n, const T* w, T* gradient) {
      make<P>(params).smooth_gradient(n, w, gradient);
    };
  if constexpr (requires(const P& p, T* w) { p.prox(Index(0), T(0), w, w); })
    kernels.prox = [](const double* params, Index n, T step, const T* metric, T* w) {
      make<P>(params).prox(n, step, metric, w);
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
