// The losses of K scores: how wrong the scores of one row are for its label or its K targets, and the slope in each score.
//
// As in losses.hpp, a loss is one struct and one name in the list at the bottom. Its body sees as many rows at a time as a
// register has lanes, walks over their scores (which lie class by class, so that every load is one of neighbours) and leaves
// the slopes where it is told. In a formula z are the scores and y the targets of a row, both along the last axis; for
// class labels y is 1 at the row's class and 0 elsewhere. Labels arrive as positions in the sorted classes, binary targets as
// -1 and +1.
#pragma once

#include "steepest/losses.hpp"

namespace steepest::STEEPEST_LEVEL {

/// The scores of some rows: class k of row i is at k * stride + i. Where fewer rows are left than the register has lanes,
/// zeros stand in for the others.
template <class V, bool Whole = true>
struct ScoreRows {
  using Vector = V;
  using T = typename V::Scalar;

  const T *y, *z;  ///< y: a label per row, or targets laid out as the scores are
  T* slopes;
  std::int64_t classes, stride, count;

  STEEPEST_INLINE V label() const { return load(y); }
  STEEPEST_INLINE V target(std::int64_t k) const { return load(y + k * stride); }
  STEEPEST_INLINE V score(std::int64_t k) const { return load(z + k * stride); }
  STEEPEST_INLINE V slope(std::int64_t k) const { return load(slopes + k * stride); }
  STEEPEST_INLINE void set_slope(std::int64_t k, V slope) const {
    if constexpr (Whole)
      slope.store(slopes + k * stride);
    else
      slope.store_first(slopes + k * stride, count);
  }

 private:
  STEEPEST_INLINE V load(const T* from) const {
    if constexpr (Whole)
      return V::load(from);
    else
      return V::load_first(from, count);
  }
};

namespace losses {

/// 1 in the lanes whose label is k, 0 in the others.
template <class V>
STEEPEST_INLINE V indicator(V label, std::int64_t k) {
  return ops::select(label == V(double(k)), V(1.0), V(0.0));
}

/// The score of each row's own class.
template <class Rows, class V = typename Rows::Vector>
STEEPEST_INLINE V own_score(const Rows& rows, V label) {
  V own = rows.score(0);
  for (std::int64_t k = 1; k < rows.classes; ++k) own = ops::select(label == V(double(k)), rows.score(k), own);
  return own;
}

/// The sum of a pointwise loss over the outputs.
template <class Pointwise, class Rows, class V = typename Rows::Vector>
STEEPEST_INLINE V over_outputs(const Pointwise& loss, const Rows& rows) {
  V total(0.0);
  for (std::int64_t k = 0; k < rows.classes; ++k) {
    const auto output = loss(rows.target(k), rows.score(k));
    rows.set_slope(k, output.gradient);
    total = total + output.value;
  }
  return total;
}

struct Softmax {
  static constexpr std::string_view name = "softmax";
  static constexpr std::string_view summary = "Cross-entropy of multinomial logistic regression (C2).";
  static constexpr std::string_view formula = "log(sum(exp(z), axis=-1)) - sum(y*z, axis=-1)";
  static constexpr Link link = Link::softmax;
  static constexpr Target target = Target::labels;
  static constexpr double curvature = 0.5;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array<Param, 0> params{};
  template <class Rows, class V = typename Rows::Vector>
  STEEPEST_INLINE V operator()(const Rows& rows) const {
    const V label = rows.label(), zero(0.0);
    V largest = rows.score(0), at(0.0);
    for (std::int64_t k = 1; k < rows.classes; ++k) {
      const V z = rows.score(k);
      const auto above = z > largest;
      largest = ops::select(above, z, largest);
      at = ops::select(above, V(double(k)), at);
    }
    // The largest term is exp(0) = 1 and joins last, inside log1p: a row that is nearly sure keeps the digits of its loss.
    V rest(0.0);
    for (std::int64_t k = 0; k < rows.classes; ++k) {
      const V e = ops::exp(rows.score(k) - largest);
      rows.set_slope(k, e);
      rest = rest + ops::select(at == V(double(k)), zero, e);
    }
    const V scale = V(1.0) / (rest + V(1.0));
    for (std::int64_t k = 0; k < rows.classes; ++k) rows.set_slope(k, rows.slope(k) * scale - indicator(label, k));
    return (largest - own_score(rows, label)) + ops::log1p(rest);
  }
};

struct MulticlassHinge {
  static constexpr std::string_view name = "multiclass_hinge";
  static constexpr std::string_view summary =
      "The multiclass support vector machine: every class that comes within the margin of the right one counts (D1).";
  static constexpr std::string_view formula =
      "sum((1 - y)*maximum(0, z - sum(y*z, axis=-1, keepdims=True) + margin), axis=-1)";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::labels;
  static constexpr double curvature = none;
  static constexpr bool convex = true, smooth = false;
  static constexpr std::array params{
      Param{"margin", 1.0, 0.0, infinity, "by how much the right score is to lead", Closed::low}};
  double margin;
  template <class Rows, class V = typename Rows::Vector>
  STEEPEST_INLINE V operator()(const Rows& rows) const {
    const V label = rows.label(), own = own_score(rows, label), zero(0.0);
    V total(0.0), over(0.0);
    for (std::int64_t k = 0; k < rows.classes; ++k) {
      // A class on the boundary counts: otherwise a start at zero would never move where the margin is zero.
      const V missing = ops::select(label == V(double(k)), V(-1.0), rows.score(k) - own + V(margin));
      const V counts = ops::select(missing >= zero, V(1.0), zero);
      total = total + ops::max(missing, zero);
      over = over + counts;
      rows.set_slope(k, counts);
    }
    for (std::int64_t k = 0; k < rows.classes; ++k)
      rows.set_slope(k, ops::select(label == V(double(k)), -over, rows.slope(k)));
    return total;
  }
};

struct CrammerSinger {
  static constexpr std::string_view name = "crammer_singer";
  static constexpr std::string_view summary =
      "The multiclass support vector machine after Crammer and Singer: only the worst offender counts.";
  static constexpr std::string_view formula = "max(z + margin*(1 - y), axis=-1) - sum(y*z, axis=-1)";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::labels;
  static constexpr double curvature = none;
  static constexpr bool convex = true, smooth = false;
  static constexpr std::array params{
      Param{"margin", 1.0, 0.0, infinity, "by how much the right score is to lead", Closed::low}};
  double margin;
  template <class Rows, class V = typename Rows::Vector>
  STEEPEST_INLINE V operator()(const Rows& rows) const {
    const V label = rows.label(), own = own_score(rows, label), zero(0.0);
    V worst(-Format<typename V::Scalar>::infinity), at = label;
    for (std::int64_t k = 0; k < rows.classes; ++k) {
      const V missing = rows.score(k) - own + V(margin);
      const auto above = ops::select(label == V(double(k)), worst, missing) > worst;
      worst = ops::select(above, missing, worst);
      at = ops::select(above, V(double(k)), at);
    }
    at = ops::select(worst >= zero, at, label);  // on the boundary too, for the sake of a start at zero
    for (std::int64_t k = 0; k < rows.classes; ++k) rows.set_slope(k, indicator(at, k) - indicator(label, k));
    return ops::max(worst, zero);
  }
};

struct MultiSquaredError {
  static constexpr std::string_view name = "multi_squared_error";
  static constexpr std::string_view summary = "Half the squared residual, summed over several outputs.";
  static constexpr std::string_view formula = "sum(0.5*(z - y)**2, axis=-1)";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::real;
  static constexpr double curvature = 1.0;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array<Param, 0> params{};
  template <class Rows, class V = typename Rows::Vector>
  STEEPEST_INLINE V operator()(const Rows& rows) const {
    return over_outputs(SquaredError{}, rows);
  }
};

struct MultiHuber {
  static constexpr std::string_view name = "multi_huber";
  static constexpr std::string_view summary = "The Huber loss, summed over several outputs.";
  static constexpr std::string_view formula =
      "sum(where(abs(z - y) <= delta, 0.5*(z - y)**2, delta*(abs(z - y) - 0.5*delta)), axis=-1)";
  static constexpr Link link = Link::identity;
  static constexpr Target target = Target::real;
  static constexpr double curvature = 1.0;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array params{Param{"delta", 1.0, 0.0, infinity, "where the tails begin"}};
  double delta;
  template <class Rows, class V = typename Rows::Vector>
  STEEPEST_INLINE V operator()(const Rows& rows) const {
    return over_outputs(Huber{delta}, rows);
  }
};

struct MultiLogLoss {
  static constexpr std::string_view name = "multi_log_loss";
  static constexpr std::string_view summary = "Binary cross-entropy, summed over several labels that may go together.";
  static constexpr std::string_view formula = "sum(log1p(exp(-y*z)), axis=-1)";
  static constexpr Link link = Link::logit;
  static constexpr Target target = Target::binary;
  static constexpr double curvature = 0.25;
  static constexpr bool convex = true, smooth = true;
  static constexpr std::array<Param, 0> params{};
  template <class Rows, class V = typename Rows::Vector>
  STEEPEST_INLINE V operator()(const Rows& rows) const {
    return over_outputs(LogLoss{}, rows);
  }
};

}  // namespace losses

template <class L>
concept RowLoss = requires(const L& loss, const ScoreRows<Simd<double, 1>>& rows) {
  { L::name } -> std::convertible_to<std::string_view>;
  { L::summary } -> std::convertible_to<std::string_view>;
  { L::formula } -> std::convertible_to<std::string_view>;
  { L::link } -> std::convertible_to<Link>;
  { L::target } -> std::convertible_to<Target>;
  { L::curvature } -> std::convertible_to<double>;  // of the Hessian in the scores: a bound of its largest eigenvalue
  { L::convex } -> std::convertible_to<bool>;
  { L::smooth } -> std::convertible_to<bool>;
  { L::params.size() } -> std::convertible_to<std::size_t>;
  { loss(rows) } -> std::same_as<Simd<double, 1>>;
};

template <RowLoss... Ls>
struct RowLossList {
  static constexpr std::size_t size = sizeof...(Ls);
};

/// The registration: a loss of K scores is in the library when its name stands here.
using RowLosses = RowLossList<losses::Softmax, losses::MulticlassHinge, losses::CrammerSinger,
                              losses::MultiSquaredError, losses::MultiHuber, losses::MultiLogLoss>;

}  // namespace steepest::STEEPEST_LEVEL
