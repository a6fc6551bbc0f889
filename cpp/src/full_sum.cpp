// Sums over all rows, block by block, and sums that a callable outside the core computes.
#include <algorithm>
#include <utility>

#include "steepest/objective.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

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

template <class T>
double full_sum(RowSum<T>& sum, const T* x, double* gradient, std::vector<T>& partial,
                const std::function<void()>& poll) {
  const Index n = sum.rows(), k = sum.parameters(), block_rows = sum.block_rows();
  if (gradient) {
    partial.resize(std::size_t(k));
    std::fill_n(gradient, k, 0.0);
  }
  double total = 0;
  for (Index from = 0; from < n; from += block_rows) {
    const Segment block = Segment{0, nullptr, n}.part(from, std::min(block_rows, n - from));
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

template <class T>
bool full_bend(RowSum<T>& sum, const T* x, const T* direction, double* product, const std::function<void()>& poll) {
  const Index n = sum.rows(), k = sum.parameters(), block_rows = sum.block_rows();
  std::vector<T> partial(static_cast<std::size_t>(k));
  std::fill_n(product, k, 0.0);
  for (Index from = 0; from < n; from += block_rows) {
    std::fill(partial.begin(), partial.end(), T(0));
    const Segment block = Segment{0, nullptr, n}.part(from, std::min(block_rows, n - from));
    if (!sum.bend(block, x, direction, partial.data())) return false;
    for (Index j = 0; j < k; ++j) product[j] += double(partial[std::size_t(j)]);
    if (poll) poll();
  }
  return true;
}

std::unique_ptr<RowSum<double>> outside_sum(OutsideLoss loss) { return std::make_unique<OutsideSum>(std::move(loss)); }

template double full_sum(RowSum<float>&, const float*, double*, std::vector<float>&, const std::function<void()>&);
template double full_sum(RowSum<double>&, const double*, double*, std::vector<double>&, const std::function<void()>&);
template bool full_bend(RowSum<float>&, const float*, const float*, double*, const std::function<void()>&);
template bool full_bend(RowSum<double>&, const double*, const double*, double*, const std::function<void()>&);

}  // namespace steepest
