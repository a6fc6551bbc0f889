#include "steepest/reduced.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "steepest/order.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

/// A sum that is another but for what a batch adds.
template <class T>
class ReducedSum : public RowSum<T> {
 public:
  ReducedSum(RowSum<T>& sum, std::function<void()> poll)
      : sum_(sum), poll_(std::move(poll)), own_(std::size_t(sum.parameters())), total_(std::size_t(sum.parameters())) {}

  Index rows() const override { return sum_.rows(); }
  Index parameters() const override { return sum_.parameters(); }
  Index penalised() const override { return sum_.penalised(); }
  double mean_weight() const override { return sum_.mean_weight(); }
  double add(const Segment& segment, const T* x, T* gradient) override { return sum_.add(segment, x, gradient); }
  double value(const Segment& segment, const T* x) override { return sum_.value(segment, x); }
  bool bend(const Segment& segment, const T* x, const T* direction, T* product) override {
    return sum_.bend(segment, x, direction, product);
  }
  Index row_bytes() const override { return sum_.row_bytes(); }
  void use(Team* team) override { sum_.use(team); }
  void draw(bool on, std::uint64_t key) override { sum_.draw(on, key); }
  void forget_offsets() override { sum_.forget_offsets(); }
  bool outside() const override { return sum_.outside(); }
  Index block_rows() const override { return sum_.block_rows(); }
  std::string complaint(const Segment& segment) const override { return sum_.complaint(segment); }

 protected:
  /// Adds to the gradient the share of `rows` rows in what is known of all.
  void add_share(Index rows, T* gradient) const {
    const double share = double(rows) / double(sum_.rows());
    for (std::size_t j = 0; j < total_.size(); ++j) gradient[j] += T(share * total_[j]);
  }

  RowSum<T>& sum_;
  std::function<void()> poll_;
  std::vector<T> own_;         // gradient of a batch's corrections
  std::vector<double> total_;  // what is known of all rows, summed
};

template <class T>
class SvrgSum final : public ReducedSum<T> {
 public:
  SvrgSum(RowSum<T>& sum, double every, std::uint64_t seed, std::function<void()> poll)
      : ReducedSum<T>(sum, std::move(poll)), rate_(1 / (every * double(sum.rows()))),
        // Not the generator of any epoch's order: coins and rows must not go together.
        coins_{mix(seed ^ 0x5bd1e9955bd1e995u)} {}

  double batch(const Segment& segment, const T* x, T* gradient) override {
    const double coin = double(coins_[thrown_++] >> 11) * 0x1p-53;
    if (anchor_.empty() || coin < double(segment.count) * rate_) {
      anchor_.assign(x, x + sum_.parameters());
      full_sum<T>(sum_, x, total_.data(), own_, poll_);
    }
    std::fill(own_.begin(), own_.end(), T(0));
    sum_.add(segment, anchor_.data(), own_.data());
    const double value = sum_.add(segment, x, gradient);
    for (std::size_t j = 0; j < own_.size(); ++j) gradient[j] -= own_[j];
    this->add_share(segment.count, gradient);
    return value;
  }

 private:
  using ReducedSum<T>::sum_;
  using ReducedSum<T>::poll_;
  using ReducedSum<T>::own_;
  using ReducedSum<T>::total_;

  double rate_;
  CounterGenerator coins_;
  std::uint64_t thrown_ = 0;
  std::vector<T> anchor_;
};

template <class T>
class SagaSum final : public ReducedSum<T> {
 public:
  SagaSum(RowSum<T>& sum, std::function<void()> poll) : ReducedSum<T>(sum, std::move(poll)) {
    if (sum.slopes() == 0)
      throw std::invalid_argument("saga notes one slope per row and score, which only a linear model has: take svrg");
  }

  double batch(const Segment& segment, const T* x, T* gradient) override {
    if (noted_.empty()) note_all(x);
    const double value = exchange(segment, x);
    for (std::size_t j = 0; j < own_.size(); ++j) gradient[j] += own_[j];
    this->add_share(segment.count, gradient);
    for (std::size_t j = 0; j < own_.size(); ++j) total_[j] += double(own_[j]);
    return value;
  }

 private:
  using ReducedSum<T>::sum_;
  using ReducedSum<T>::poll_;
  using ReducedSum<T>::own_;
  using ReducedSum<T>::total_;

  double exchange(const Segment& segment, const T* x) {
    std::fill(own_.begin(), own_.end(), T(0));
    return sum_.exchange(segment, x, noted_.data(), own_.data());
  }

  void note_all(const T* x) {
    const Index n = sum_.rows(), block = sum_.block_rows();
    noted_.assign(std::size_t(sum_.slopes()), T(0));
    for (Index from = 0; from < n; from += block) {
      exchange({from, nullptr, std::min(block, n - from)}, x);
      for (std::size_t j = 0; j < own_.size(); ++j) total_[j] += double(own_[j]);
      if (poll_) poll_();
    }
  }

  std::vector<T> noted_;
};

}  // namespace

template <class T>
std::unique_ptr<RowSum<T>> svrg_sum(RowSum<T>& sum, double every, std::uint64_t seed, std::function<void()> poll) {
  return std::make_unique<SvrgSum<T>>(sum, every, seed, std::move(poll));
}

template <class T>
std::unique_ptr<RowSum<T>> saga_sum(RowSum<T>& sum, std::function<void()> poll) {
  return std::make_unique<SagaSum<T>>(sum, std::move(poll));
}

template std::unique_ptr<RowSum<float>> svrg_sum(RowSum<float>&, double, std::uint64_t, std::function<void()>);
template std::unique_ptr<RowSum<double>> svrg_sum(RowSum<double>&, double, std::uint64_t, std::function<void()>);
template std::unique_ptr<RowSum<float>> saga_sum(RowSum<float>&, std::function<void()>);
template std::unique_ptr<RowSum<double>> saga_sum(RowSum<double>&, std::function<void()>);

}  // namespace steepest
