// The table of functions that are compiled once per CPU level and chosen at run time; all else calls through it.
//
// Rows, losses, penalties and update rules each fill their part, so a new member of one list costs one function per level
// and number type, not one per combination.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "steepest/geometry.hpp"
#include "steepest/lazy.hpp"
#include "steepest/rows.hpp"
#include "steepest/sparse_rows.hpp"
#include "steepest/terms.hpp"

namespace steepest {

/// A step down a gradient under an elastic penalty: its length, what the gradient is divided by, the penalty's strengths, the
/// factor of an intercept's step.
struct ElasticStep {
  double length, divisor, l1, l2, intercept_pace;
};

template <class T>
struct RowLosses;
template <class T>
struct SmallBatches;

template <class T>
struct RowKernels {
  /// z = X coef + intercept for the rows of a segment, C order.
  void (*predict)(const DenseRows<T>&, const Segment&, const T* coef, T intercept, T* z);
  /// gradient += X^T slope over a segment, C order.
  void (*accumulate)(const DenseRows<T>&, const Segment&, const T* slope, T* gradient);
  /// The same two for F order: fast where rows come in runs.
  void (*predict_columns)(const DenseRows<T>&, const Segment&, const T* coef, T intercept, T* z);
  void (*accumulate_columns)(const DenseRows<T>&, const Segment&, const T* slope, T* gradient);
  /// Copies the rows of a segment, from any strides, into C order.
  void (*pack)(const DenseRows<T>&, const Segment&, T* packed);
  /// to[i] = from[row i of the segment], for segments with offsets.
  void (*gather)(const T* from, const Segment&, T* to);
  /// x goes the step: so many coefficients, which are soft-thresholded, and an intercept if there is one. Returns the penalty of
  /// x as it was, times a number of rows.
  double (*descend)(const ElasticStep&, std::int64_t rows, const T* gradient, std::int64_t coefficients, bool intercept,
                    T* x);
  /// Rows of C order with at most so many features: the two functions below walk through such. The parameters x and the gradient
  /// are coefficients, then the intercept if there is one.
  std::int64_t in_registers;
  /// They go by blocks of so many.
  static constexpr std::int64_t block = 64;
  /// The sum of the losses over a segment; gradient += its gradient, unless that is null.
  double (*sum_in_registers)(const DenseRows<T>&, const Segment&, const RowLosses<T>&, const T* x, T* gradient);
  /// Plain descent by the batches of a segment, all of them whole. Adds their sums of objectives. Returns how many rows went by
  /// before a batch that met no number, if one did.
  std::int64_t (*descend_in_registers)(const DenseRows<T>&, const Segment&, const RowLosses<T>&, const SmallBatches<T>&,
                                       T* x, double* objectives);
  /// to += from.
  void (*add)(const T* from, std::int64_t count, T* to);
  T (*sum)(const T* numbers, std::int64_t count);
  /// Whether all numbers are finite.
  bool (*finite)(const T* numbers, std::int64_t count);
};

/// Rows of narrow numbers.
template <class T>
struct WideningKernels {
  /// As those of RowKernels<T> for C order, widening in registers; null in double, which narrow rows rarely meet.
  void (*predict)(const DenseRows<T>&, const Segment&, const T* coef, T intercept, T* z);
  void (*accumulate)(const DenseRows<T>&, const Segment&, const T* slope, T* gradient);
  double (*sum_in_registers)(const DenseRows<T>&, const Segment&, const RowLosses<T>&, const T* x, T* gradient);
  std::int64_t (*descend_in_registers)(const DenseRows<T>&, const Segment&, const RowLosses<T>&, const SmallBatches<T>&,
                                       T* x, double* objectives);
  /// Copies the rows of a segment, from any strides, into C order.
  void (*widen)(const DenseRows<T>&, const Segment&, T* packed);
  /// Copies the rows of a segment, from F order, into F order with columns this far apart.
  void (*widen_columns)(const DenseRows<T>&, const Segment&, std::int64_t stride, T* packed);
  /// Whether all of some numbers side by side are finite.
  bool (*finite)(Storage storage, const void* numbers, std::int64_t count);
};

/// What plain descent by one row at a time is held to beside the steps.
struct Restraint {
  double l1 = 0, l2 = 0;                                         ///< of an elastic penalty
  double slope_limit = std::numeric_limits<double>::infinity();  ///< largest size of a row's slope
  double least_kept = -std::numeric_limits<double>::infinity();  ///< least share of the coefficients that L2 leaves
  double intercept_pace = 1;                                     ///< factor of the intercept's steps
};

template <class T>
struct SparseKernels {
  /// z = X coef + intercept for the rows of a segment.
  void (*predict)(const SparseRows<T>&, const Segment&, const T* coef, T intercept, T* z);
  /// gradient += X^T slope over a segment.
  void (*accumulate)(const SparseRows<T>&, const Segment&, const T* slope, T* gradient);
};

/// Plain descent by one row at a time: what it changes and what it needs beside the rows.
template <class T>
struct SingleRows {
  const T* y;
  const T* weight;  ///< may be null
  const T* step;    ///< one for each row of the segment
  T* x;             ///< coefficients, then the intercept if there is one
  bool intercept;
  double mean_weight;
  Restraint held;
};

/// What the constant model needs of the losses of some rows.
struct LossSums {
  double value, slope;
};

template <class T>
struct LossKernels {
  /// The weighted sum of the losses (weight may be null), the weighted slopes in z into `slope`. A prediction that is not
  /// finite makes the sum not finite, whatever the loss.
  double (*reduce)(const double* params, std::int64_t n, const T* y, const T* z, const T* weight, T* slope);
  /// The slope in z of one row.
  T (*slope)(const double* params, T y, T z);
  /// The same two sums over a segment at one prediction for all its rows: nothing but the targets, where they lie, and the
  /// weights, one after the other, is read.
  LossSums (*constant)(const double* params, const Segment&, const T* y, const T* weight, T z);
  /// One update per row of a segment of C order; returns the sum of the objectives met, penalty included. The parameters
  /// stay in registers, which the loop through batches cannot offer.
  double (*descend)(const double* params, const DenseRows<T>&, const Segment&, const SingleRows<T>&);
  /// Each row's value and slope.
  void (*pointwise)(const double* params, std::int64_t n, const T* y, const T* z, T* value, T* slope);
};

/// The losses of rows.
template <class T>
struct RowLosses {
  const LossKernels<T>& loss;
  const double* params;
  const T* y;       ///< one for each row, as they lie: where a segment has offsets, its rows' are at these
  const T* weight;  ///< likewise; may be null
  bool intercept;
};

/// Plain descent by small batches, all of one size.
template <class T>
struct SmallBatches {
  std::int64_t size;
  std::int64_t shares;  ///< each is summed by itself, as threads would
  const T* step;        ///< one for each batch
  double mean_weight;
  const Restraint& held;
};

/// Plain descent on the columns that a batch touches.
template <class T>
struct LazyKernels {
  /// coef += X^T move over a segment. Returns by how much the sum of the squares of coef grew.
  double (*descend)(const SparseRows<T>&, const Segment&, const T* move, T* coef);
  /// One update per row, of coefficients that share a scale; the steps and weights of SingleRows go with the scaled ones.
  /// Adds the losses to `total`. Returns how many rows were met: it stops before the scale falls below `least_scale`, and
  /// behind a row that predicts no number, for which nothing is changed.
  std::int64_t (*descend_rows)(const SparseRows<T>&, const Segment&, const LossKernels<T>&, const double* params,
                               const SingleRows<T>&, double least_scale, SharedScale*, double* total);
  /// z = X coef for the rows of a segment, of coefficients kept as how far they reach beyond the thresholds passed.
  void (*predict)(const SparseRows<T>&, const Segment&, const double* reach, double passed, T* z);
  /// coef += X^T move over a segment, of such coefficients; adds to the sums what changes in them.
  void (*descend_reaching)(const SparseRows<T>&, const Segment&, const T* move, const PassedUpdates&, double* reach,
                           ReachSums*);
  /// coef = scale times what `count` such coefficients are by now; adds to the sums what was overdrawn.
  void (*settle)(const PassedUpdates&, std::int64_t count, const double* reach, double scale, T* coef, ReachSums*);
};

/// How far apart the scores of two rows are, and those of two classes: scores lie class by class or row by row.
struct ScoreLayout {
  std::int64_t row, score;
};

/// What becomes of a sum: it is multiplied by a number, and added or set.
template <class T>
struct Adding {
  T scale = 1;
  bool add = true;
};

/// A gradient is changed once for as many rows of a segment.
inline constexpr std::int64_t score_block_rows = 256;

/// K scores per row, from K rows of coefficients.
template <class T>
struct ScoreKernels {
  /// z_k = X coef_k + intercept_k for the rows of a segment, C order; without features z_k = intercept_k. The intercept may be
  /// null.
  void (*predict)(const DenseRows<T>&, const Segment&, std::int64_t classes, const T* coef, const T* intercept,
                  const ScoreLayout&, T* z);
  /// gradient_k = X^T slope_k over a segment, C order; the gradients are `stride` numbers apart.
  void (*accumulate)(const DenseRows<T>&, const Segment&, std::int64_t classes, const T* slope, const ScoreLayout&,
                     const Adding<T>&, std::int64_t stride, T* gradient);
  /// The targets of a segment's rows, which lie row by row, class by class.
  void (*transpose)(const T* from, const Segment&, std::int64_t classes, std::int64_t stride, T* to);
};

/// Scores, slopes and targets lie class by class, `stride` numbers apart; a stride is at least the number of rows, rounded up
/// to a whole register, and what lies between is anybody's.
template <class T>
struct RowLossKernels {
  /// The weighted sum of the losses (weight may be null), the weighted slopes in each score into `slope`. A score that is not
  /// finite makes the sum not finite, whatever the loss. y: a label per row, or targets laid out as the scores are.
  double (*reduce)(const double* params, std::int64_t n, std::int64_t classes, std::int64_t stride, const T* y,
                   const T* z, const T* weight, T* slope);
  /// Each row's value and slopes.
  void (*pointwise)(const double* params, std::int64_t n, std::int64_t classes, std::int64_t stride, const T* y,
                    const T* z, T* value, T* slope);
};

/// How the weighted slopes of rows change when their predictions move along a direction: the second derivative times it.
template <class T>
using SlopeChange = void (*)(const double* params, std::int64_t n, const T* y, const T* z, const T* direction,
                             const T* weight, T* change);

/// The same for K scores, all laid out as the scores are; `slope` is room for as many numbers.
template <class T>
using RowSlopeChange = void (*)(const double* params, std::int64_t n, std::int64_t classes, std::int64_t stride,
                                const T* y, const T* z, const T* direction, const T* weight, T* slope, T* change);

template <class T>
struct CurvatureKernels {
  const SlopeChange<T>* losses;
  const RowSlopeChange<T>* row_losses;
};

template <class T>
struct PenaltyKernels {
  double (*value)(const Terms&, std::int64_t n, const T* w);
  /// Writes l1 and l2 where the penalty is l1 |w|_1 + l2/2 |w|^2; null where it is not of this form.
  void (*elastic)(const double* params, double* l1, double* l2);
  /// gradient += the gradient of the smooth part.
  void (*smooth_gradient)(const Terms&, std::int64_t n, const T* w, T* gradient);
  /// gradient += a subgradient of the non-smooth part; null where there is none, and for constraints.
  void (*kink_gradient)(const Terms&, std::int64_t n, const T* w, T* gradient);
  /// w = the proximal point of step times the non-smooth part; null where there is none. Where `metric` is not null, it
  /// holds a step for each coordinate, and nearness is measured accordingly.
  void (*prox)(const Terms&, std::int64_t n, T step, const T* metric, T* w);
};

/// What an update rule sees of one update.
template <class T>
struct Update {
  std::int64_t n;       ///< parameters
  T* x;                 ///< parameters, changed in place
  const T* gradient;    ///< of the batch objective at x, smooth penalties included
  T* state;             ///< the rule's own vectors, one after the other, zeros at first
  double* numbers;      ///< the rule's own numbers, zeros at first; the first is counted by the loop
  double step;          ///< step size
  std::int64_t number;  ///< 1 for the first update
  double objective;     ///< of the batch
  T* metric;            ///< where rules with a step per coordinate write them; null where nobody asks
  double decay;         ///< weight decay that the rule is to add by itself, on the first `decayed` parameters
  std::int64_t decayed;
  const T* scale;   ///< the largest size of each feature, for rules that ask; null: ones
  double row_size;  ///< the mean of the squared sizes of the rows, each feature divided by its scale
};

template <class T>
struct RuleKernels {
  /// Returns the step that a proximal step is to take, where it is the same for all coordinates.
  double (*step)(const double* params, const Update<T>&);
  /// What is left to do once the proximal step is taken; may be null.
  void (*settle)(const double* params, const Update<T>&);
};

/// C (m x n, rows contiguous) = scale A B, or C + scale A B. An element of A is found at a[i * a_row + p * a_step]; B lies k x n with
/// contiguous rows `b_row` apart, or transposed, n x k.
template <class T>
struct Product {
  std::int64_t m, n, k;
  const T* a;
  std::int64_t a_row, a_step;
  const T* b;
  std::int64_t b_row;
  bool b_transposed;
  T* c;
  std::int64_t c_row;
  bool add;
  T scale = 1;
};

template <class T>
struct OpKernels {
  /// n results of an elementwise operation whose operands step by 0 or 1; null for other operations.
  void (*line)(std::int64_t n, const T* const* in, const std::int64_t* step, T* out, std::int32_t option);
  void (*run)(const Geometry&, std::int32_t option, const T* const* in, T* out);
};

template <class T>
struct KernelsOf {
  RowKernels<T> rows;
  WideningKernels<T> widening;
  const LossKernels<T>* losses;
  ScoreKernels<T> scores;
  const RowLossKernels<T>* row_losses;
  CurvatureKernels<T> curvature;
  const PenaltyKernels<T>* penalties;
  const RuleKernels<T>* rules;
  const OpKernels<T>* ops;
  SparseKernels<T> sparse;
  LazyKernels<T> lazy;
  void (*multiply)(const Product<T>&);
  /// count numbers 0 with the probability `rate`, else 1 / (1 - rate), drawn from the generator of a key.
  void (*mask)(std::uint64_t key, std::int64_t count, double rate, T* out);
};

struct Kernels {
  std::string_view level;
  int vector_bytes;
  KernelsOf<float> f32;
  KernelsOf<double> f64;
  /// Writes as many turns of some streams of rows: in its turn each gives `turn` rows, one behind the other, from its first.
  void (*take_turns)(const std::uint32_t* first, std::int64_t streams, std::int64_t turn, std::int64_t turns,
                     std::uint32_t* to);
};

template <class T>
const KernelsOf<T>& kernels_of(const Kernels& kernels) {
  if constexpr (sizeof(T) == 4)
    return kernels.f32;
  else
    return kernels.f64;
}

/// The kernels in use: the best level that this machine runs, or the one named by the environment variable STEEPEST_LEVEL.
/// Throws std::invalid_argument where that names none that runs here.
const Kernels& kernels();

/// The levels this build holds and this machine runs, best first.
std::vector<std::string> available_levels();

}  // namespace steepest
