// The sum of a loss of K scores: predict, evaluate and accumulate a chunk, with scores, slopes and targets class by class.
#include <algorithm>
#include <utility>

#include "steepest/objective.hpp"
#include "steepest/registry.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

/// The gradient is K times as long as a row: it is met once per chunk and once per share, so both are of many rows.
constexpr Index chunk_bytes = 256 * 1024;
constexpr Index share_rows = 64;

constexpr Index widest_register = 64;

/// Scores are kept where they are so much smaller than the rows.
constexpr Index least_row_bytes_per_score_byte = 16;

}  // namespace

template <class T>
ScoresSum<T>::ScoresSum(std::size_t loss, std::vector<double> params, const RowData<T>& data, Index scores)
    : DenseSum<T>(data, scores,
                  {.chunk_bytes = chunk_bytes,
                   .scratch_bytes = 3 * scores * Index(sizeof(T)),
                   .share_rows = share_rows,
                   .added_rows = score_block_rows,
                   .targets = row_loss_specs()[loss].target == Target::labels ? 1 : scores,
                   .packs_columns = true}),
      loss_(kernels_.row_losses[loss]), change_(kernels_.curvature.row_losses[loss]), params_(std::move(params)),
      labels_(row_loss_specs()[loss].target == Target::labels) {
  constexpr Index lanes = widest_register / Index(sizeof(T));
  stride_ = (chunk_rows_ + lanes - 1) / lanes * lanes;
  this->use(nullptr);
}

template <class T>
void ScoresSum<T>::reserve(Scratch& s) const {
  for (auto* buffer : {&s.prediction, &s.slope}) buffer->resize(std::size_t(scores_ * stride_));
  s.y.resize(std::size_t(labels_ ? stride_ : scores_ * stride_));
  s.weight.resize(std::size_t(stride_));
}

template <class T>
void ScoresSum<T>::keep_scores(bool on) {
  const Index bytes = scores_ * Index(sizeof(T));
  keeps_ = on && !data_.rows.constant() && this->row_bytes() >= least_row_bytes_per_score_byte * bytes;
  if (!keeps_) kept_scores_ = {}, kept_at_ = {};
}

template <class T>
bool ScoresSum<T>::bend(const Segment& segment, const T* x, const T* direction, T* product) {
  kept_ = Kept::none;
  if (keeps_ && !segment.offset) {
    const bool same = Index(kept_at_.size()) == this->parameters() && std::equal(kept_at_.begin(), kept_at_.end(), x);
    if (same && segment.begin + segment.count <= kept_rows_) {
      kept_ = Kept::read;
    } else if (segment.begin == (same ? kept_rows_ : 0)) {
      kept_ = Kept::written;
      kept_at_.assign(x, x + this->parameters());
      kept_rows_ = segment.begin;
      kept_scores_.resize(std::size_t(data_.rows.rows * scores_));
    }
  }
  DenseSum<T>::bend(segment, x, direction, product);
  if (kept_ == Kept::written) kept_rows_ = segment.begin + segment.count;
  return true;
}

template <class T>
double ScoresSum<T>::evaluate(const Chunk& chunk, const T* x, T* gradient, Scratch& scratch) const {
  const auto& [rows, visible, given, weight, targets] = chunk;
  T *z = scratch.prediction.data(), *slope = scratch.slope.data();
  const Index after_coefficients = rows.constant() ? 0 : this->penalised();
  const bool intercept = data_.intercept || rows.constant();
  const ScoreLayout layout{1, stride_};
  const Kept kept = direction_ ? kept_ : Kept::none;
  T* own = kept_scores_.data() + given.begin;
  const auto each_score = [&](const auto& copy) {
    for (Index k = 0; k < scores_; ++k) copy(own + k * data_.rows.rows, z + k * stride_);
  };
  if (kept == Kept::read)
    each_score([&](const T* from, T* to) { std::copy_n(from, given.count, to); });
  else
    kernels_.scores.predict(rows, visible, scores_, x, intercept ? x + after_coefficients : nullptr, layout, z);
  if (kept == Kept::written) each_score([&](T* to, const T* from) { std::copy_n(from, given.count, to); });
  const T* y = data_.y + given.begin;
  if (!labels_) {
    kernels_.scores.transpose(data_.y, given, scores_, stride_, scratch.y.data());
    y = scratch.y.data();
  } else if (given.offset) {
    kernels_.rows.gather(data_.y, given, scratch.y.data());
    y = scratch.y.data();
  }
  double total = 0;
  if (direction_) {
    scratch.direction.resize(std::size_t(scores_ * stride_));
    scratch.change.resize(std::size_t(scores_ * stride_));
    T *along = scratch.direction.data(), *change = scratch.change.data();
    kernels_.scores.predict(rows, visible, scores_, direction_, intercept ? direction_ + after_coefficients : nullptr,
                            layout, along);
    change_(params_.data(), given.count, scores_, stride_, y, z, along, weight, slope, change);
    slope = change;
  } else {
    total = loss_.reduce(params_.data(), given.count, scores_, stride_, y, z, weight, slope);
  }
  if (!gradient) return total;
  if (noted_) this->exchange_slopes(given, stride_, slope);
  kernels_.scores.accumulate(rows, visible, scores_, slope, layout, {}, rows.features, gradient);
  if (intercept)
    for (Index k = 0; k < scores_; ++k)
      gradient[after_coefficients + k] += kernels_.rows.sum(slope + k * stride_, given.count);
  return total;
}

template class ScoresSum<float>;
template class ScoresSum<double>;

}  // namespace steepest
