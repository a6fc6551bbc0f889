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

}  // namespace

template <class T>
PointwiseSum<T>::PointwiseSum(std::size_t loss, std::vector<double> params, Data data)
    : kernels_(kernels_of<T>(kernels())), loss_(kernels_.losses[loss]), params_(std::move(params)), data_(data) {
  const Index row_bytes = std::max<Index>(data.rows.features, 1) * Index(sizeof(T));
  chunk_rows_ = std::clamp(chunk_bytes / row_bytes, least_chunk_rows, most_chunk_rows);
  chunk_rows_ = std::max<Index>(1, std::min(chunk_rows_, data.rows.rows));
  for (auto* scratch : {&y_, &weight_, &prediction_, &slope_}) scratch->resize(std::size_t(chunk_rows_));
}

template <class T> std::pair<DenseRows<T>, Segment> PointwiseSum<T>::readable(const Segment& chunk) {
  const DenseRows<T>& rows = data_.rows;
  if (rows.constant() || rows.row_major() || (rows.column_major() && !chunk.offset)) return {rows, chunk};
  packed_.resize(std::size_t(chunk_rows_ * rows.features));
  kernels_.rows.pack(rows, chunk, packed_.data());
  return {{packed_.data(), chunk.count, rows.features, rows.features, 1}, {0, nullptr, chunk.count}};
}

template <class T>
void PointwiseSum<T>::predict_chunk(const DenseRows<T>& rows, const Segment& chunk, const T* x, T* z) const {
  const T intercept = data_.intercept ? x[data_.rows.features] : T(0);
  (rows.row_major() ? kernels_.rows.predict : kernels_.rows.predict_columns)(rows, chunk, x, intercept, z);
}

template <class T> double PointwiseSum<T>::walk(const Segment& segment, const T* x, T* gradient) {
  double total = 0;
  for (Index from = 0; from < segment.count; from += chunk_rows_) {
    const Segment chunk = segment.part(from, std::min(chunk_rows_, segment.count - from));
    const auto [rows, visible] = readable(chunk);
    predict_chunk(rows, visible, x, prediction_.data());
    const T* y = data_.y + chunk.begin;
    const T* weight = data_.weight ? data_.weight + chunk.begin : nullptr;
    if (chunk.offset) {
      kernels_.rows.gather(data_.y, chunk, y_.data());
      y = y_.data();
      if (weight) {
        kernels_.rows.gather(data_.weight, chunk, weight_.data());
        weight = weight_.data();
      }
    }
    total += loss_.reduce(params_.data(), chunk.count, y, prediction_.data(), weight, slope_.data());
    if (!gradient) continue;
    (rows.row_major() ? kernels_.rows.accumulate : kernels_.rows.accumulate_columns)(rows, visible, slope_.data(),
                                                                                     gradient);
    if (data_.intercept) gradient[data_.rows.features] += kernels_.rows.sum(slope_.data(), chunk.count);
  }
  return total;
}

template <class T> void PointwiseSum<T>::predict(const Segment& segment, const T* x, T* z) {
  for (Index from = 0; from < segment.count; from += chunk_rows_) {
    const auto [rows, visible] = readable(segment.part(from, std::min(chunk_rows_, segment.count - from)));
    predict_chunk(rows, visible, x, z + from);
  }
}

template <class T> std::string PointwiseSum<T>::complaint(const Segment& segment) const {
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

template <class T> double full_sum(RowSum<T>& sum, const T* x, double* gradient, const std::function<void()>& poll) {
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
