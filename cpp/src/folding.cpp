#include "steepest/folding.hpp"

#include <algorithm>

namespace steepest {
namespace {

using Index = std::int64_t;

/// In double: the shifts of far-off columns nearly cancel. Four chains, because one would wait for each addition.
template <class T>
double product(const T* a, const T* b, Index count) {
  double sum[4] = {};
  Index i = 0;
  for (; i + 4 <= count; i += 4)
    for (Index k = 0; k < 4; ++k) sum[k] += double(a[i + k]) * double(b[i + k]);
  for (; i < count; ++i) sum[0] += double(a[i]) * double(b[i]);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

}  // namespace

template <class T>
Folding<T>::Folding(const Scaling<T>& scaling, Index features, Index scores, bool intercept)
    : scaling_(scaling), features_(features), scores_(scores), intercept_(intercept),
      x_(std::size_t(scores * (features + 1))), gradient_(x_.size()) {}

template <class T>
const T* Folding<T>::fold(const T* x) {
  const T* intercepts = x + scores_ * features_;
  T* folded_intercepts = x_.data() + scores_ * features_;
  for (Index k = 0; k < scores_; ++k) {
    const T* w = x + k * features_;
    T* folded = x_.data() + k * features_;
    for (Index j = 0; j < features_; ++j) folded[j] = w[j] * scaling_.scale[j];
    const double moved = scaling_.shift ? product(scaling_.shift, w, features_) : 0.0;
    folded_intercepts[k] = T(moved + (intercept_ ? double(intercepts[k]) : 0.0));
  }
  return x_.data();
}

template <class T>
T* Folding<T>::folded_gradient() {
  std::fill(gradient_.begin(), gradient_.end(), T(0));
  return gradient_.data();
}

template <class T>
void Folding<T>::unfold(T* gradient) const {
  const T* sums = gradient_.data() + scores_ * features_;
  for (Index k = 0; k < scores_; ++k) {
    const T* folded = gradient_.data() + k * features_;
    T* g = gradient + k * features_;
    if (scaling_.shift)
      for (Index j = 0; j < features_; ++j) g[j] += folded[j] * scaling_.scale[j] + scaling_.shift[j] * sums[k];
    else
      for (Index j = 0; j < features_; ++j) g[j] += folded[j] * scaling_.scale[j];
    if (intercept_) gradient[scores_ * features_ + k] += sums[k];
  }
}

template class Folding<float>;
template class Folding<double>;

}  // namespace steepest
