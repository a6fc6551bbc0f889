#include "steepest/objective.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace steepest {
namespace {

using Index = std::int64_t;

/// Rows are read twice, for the prediction and for the gradient: a chunk of this size is still in cache the second time.
constexpr Index chunk_bytes = 64 * 1024;
constexpr Index most_chunk_rows = 2048, least_chunk_rows = 16;

/// A part is worth a handshake between threads, some hundred nanoseconds on an idle machine and more on a busy one, when
/// reading its rows takes several microseconds.
constexpr Index part_bytes = 32 * 1024;
constexpr Index most_parts = 16;

}  // namespace

template <class T>
PointwiseSum<T>::PointwiseSum(std::size_t loss, std::vector<double> params, Data data)
    : kernels_(kernels_of<T>(kernels())), loss_(kernels_.losses[loss]), params_(std::move(params)), data_(data) {
  row_bytes_ = std::max<Index>(data.rows.features, 1) * Index(sizeof(T));
  chunk_rows_ = std::clamp(chunk_bytes / row_bytes_, least_chunk_rows, most_chunk_rows);
  chunk_rows_ = std::max<Index>(1, std::min(chunk_rows_, data.rows.rows));
  partial_.resize(std::size_t(std::min(most_parts, data.rows.rows * row_bytes_ / part_bytes + 1) * parameters()));
  values_.resize(std::size_t(most_parts));
  use(nullptr);
}

template <class T>
void PointwiseSum<T>::use(Team* team) {
  team_ = team;
  scratch_.resize(std::size_t(team ? team->threads() : 1));
  for (Scratch& s : scratch_)
    for (auto* buffer : {&s.y, &s.weight, &s.prediction, &s.slope}) buffer->resize(std::size_t(chunk_rows_));
}

template <class T>
bool PointwiseSum<T>::descend(const Segment& segment, const T* step, double l1, double l2, T* x, double& objectives) {
  if (data_.rows.constant() || !data_.rows.row_major()) return false;
  objectives = loss_.descend(params_.data(), data_.rows, segment,
                             {data_.y, data_.weight, step, x, data_.intercept, l1, l2, data_.mean_weight});
  return true;
}

template <class T>
double PointwiseSum<T>::in_parts(const Segment& segment, const T* x, T* gradient) {
  const Index parts =
      std::clamp<Index>(segment.count * row_bytes_ / part_bytes, 1, std::min(most_parts, segment.count));
  if (parts == 1) return walk(segment, x, gradient, scratch_[0]);
  const Index k = parameters();
  const auto piece = [&](std::uint32_t i, int thread) {
    const Index from = segment.count * i / parts, to = segment.count * (i + 1) / parts;
    T* own = gradient ? partial_.data() + Index(i) * k : nullptr;
    if (own) std::fill_n(own, k, T(0));
    values_[i] = walk(segment.part(from, to - from), x, own, scratch_[std::size_t(thread)]);
  };
  if (team_)
    team_->run(std::uint32_t(parts), piece);
  else
    for (Index i = 0; i < parts; ++i) piece(std::uint32_t(i), 0);
  double total = 0;
  for (Index i = 0; i < parts; ++i) {
    total += values_[std::size_t(i)];
    if (gradient) kernels_.rows.add(partial_.data() + i * k, k, gradient);
  }
  return total;
}

template <class T>
std::pair<DenseRows<T>, Segment> PointwiseSum<T>::readable(const Segment& chunk, Scratch& scratch) const {
  const DenseRows<T>& rows = data_.rows;
  if (rows.constant() || rows.row_major() || rows.column_major()) return {rows, chunk};
  scratch.packed.resize(std::size_t(chunk_rows_ * rows.features));
  kernels_.rows.pack(rows, chunk, scratch.packed.data());
  return {{scratch.packed.data(), chunk.count, rows.features, rows.features, 1}, {0, nullptr, chunk.count}};
}

template <class T>
double PointwiseSum<T>::walk(const Segment& segment, const T* x, T* gradient, Scratch& scratch) const {
  const T intercept = data_.intercept ? x[data_.rows.features] : T(0);
  double total = 0;
  for (Index from = 0; from < segment.count; from += chunk_rows_) {
    const Segment chunk = segment.part(from, std::min(chunk_rows_, segment.count - from));
    const auto [rows, visible] = readable(chunk, scratch);
    T *z = scratch.prediction.data(), *slope = scratch.slope.data();
    const bool by_columns = rows.column_major() && !rows.constant();
    (by_columns ? kernels_.rows.predict_columns : kernels_.rows.predict)(rows, visible, x, intercept, z);
    const T* y = data_.y + chunk.begin;
    const T* weight = data_.weight ? data_.weight + chunk.begin : nullptr;
    if (chunk.offset) {
      kernels_.rows.gather(data_.y, chunk, scratch.y.data());
      y = scratch.y.data();
      if (weight) {
        kernels_.rows.gather(data_.weight, chunk, scratch.weight.data());
        weight = scratch.weight.data();
      }
    }
    total += loss_.reduce(params_.data(), chunk.count, y, z, weight, slope);
    if (!gradient) continue;
    (by_columns ? kernels_.rows.accumulate_columns : kernels_.rows.accumulate)(rows, visible, slope, gradient);
    if (data_.intercept) gradient[data_.rows.features] += kernels_.rows.sum(slope, chunk.count);
  }
  return total;
}

template <class T>
std::string PointwiseSum<T>::complaint(const Segment& segment) const {
  const DenseRows<T>& rows = data_.rows;
  const auto say = [](const char* what, Index row, T number) {
    return std::string(what) + " holds " + (std::isnan(number) ? "NaN" : "an infinity") + ", first in row " +
           std::to_string(row);
  };
  for (Index i = 0; i < segment.count; ++i) {
    const Index row = segment[i];
    if (!std::isfinite(data_.y[row])) return say("y", row, data_.y[row]);
    if (data_.weight && !std::isfinite(data_.weight[row])) return say("sample_weight", row, data_.weight[row]);
    for (Index j = 0; j < rows.features; ++j) {
      const T number = rows.data[row * rows.row_stride + j * rows.column_stride];
      if (!std::isfinite(number)) return say("X", row, number) + ", column " + std::to_string(j);
    }
  }
  return {};
}

template <class T>
double full_sum(RowSum<T>& sum, const T* x, double* gradient, const std::function<void()>& poll) {
  const Index n = sum.rows(), k = sum.parameters(), block_rows = sum.block_rows();
  std::vector<T> partial(std::size_t(gradient ? k : 0));
  if (gradient) std::fill_n(gradient, k, 0.0);
  double total = 0;
  for (Index from = 0; from < n; from += block_rows) {
    const Segment block{from, nullptr, std::min(block_rows, n - from)};
    if (gradient) {
      std::fill(partial.begin(), partial.end(), T(0));
      total += sum.add(block, x, partial.data());
      for (Index j = 0; j < k; ++j) gradient[j] += double(partial[std::size_t(j)]);
    } else {
      total += sum.value(block, x);
    }
    if (poll) poll();
  }
  return total;
}

namespace {

class OutsideSum final : public RowSum<double> {
 public:
  explicit OutsideSum(OutsideLoss loss) : loss_(std::move(loss)), gradient_(std::size_t(loss_.parameters)) {}
  Index rows() const override { return loss_.rows; }
  Index parameters() const override { return loss_.parameters; }
  bool outside() const override { return true; }
  Index block_rows() const override { return loss_.rows; }  // a callable sees the batch whole
  double add(const Segment& segment, const double* x, double* gradient) override {
    std::fill(gradient_.begin(), gradient_.end(), 0.0);
    const double value = loss_.add(segment, x, gradient_.data());
    for (Index j = 0; j < loss_.parameters; ++j) gradient[j] += gradient_[std::size_t(j)];
    return value;
  }
  double value(const Segment& segment, const double* x) override { return loss_.add(segment, x, nullptr); }

 private:
  OutsideLoss loss_;
  std::vector<double> gradient_;
};

}  // namespace

std::unique_ptr<RowSum<double>> outside_sum(OutsideLoss loss) { return std::make_unique<OutsideSum>(std::move(loss)); }

template class PointwiseSum<float>;
template class PointwiseSum<double>;
template double full_sum(RowSum<float>&, const float*, double*, const std::function<void()>&);
template double full_sum(RowSum<double>&, const double*, double*, const std::function<void()>&);

}  // namespace steepest
