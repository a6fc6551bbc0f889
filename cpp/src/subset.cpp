#include "steepest/subset.hpp"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <utility>

#include "steepest/memory.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

/// As far as kernels look ahead of the rows they work on, generously.
constexpr Index lookahead = 256;

/// Of an epoch in random order so many rows are looked up at once: far more than are packed ahead, in little memory.
constexpr Index looked_up = Index(1) << 20;

template <class T>
class SubsetSum final : public RowSum<T> {
 public:
  SubsetSum(RowSum<T>& sum, const std::vector<std::uint32_t>& rows, double mean_weight)
      : sum_(sum), rows_(rows.begin(), rows.end()), count_(Index(rows_.size())), mean_weight_(mean_weight) {
    if (rows_.empty()) throw std::invalid_argument("a subset needs rows");
    if (Index(*std::max_element(rows_.begin(), rows_.end())) >= sum.rows())
      throw std::invalid_argument("a subset names rows that the data does not have");
    first_ = rows_.front();
    // Neighbours stay what they are: sequential reads, and no offsets to look up.
    for (std::size_t i = 1; i < rows_.size(); ++i)
      if (Index(rows_[i]) != first_ + Index(i)) return;
    rows_ = {};
  }

  Index rows() const override { return count_; }
  Index parameters() const override { return sum_.parameters(); }
  Index penalised() const override { return sum_.penalised(); }
  double mean_weight() const override { return mean_weight_; }
  double add(const Segment& segment, const T* x, T* gradient) override { return sum_.add(of(segment), x, gradient); }
  double value(const Segment& segment, const T* x) override { return sum_.value(of(segment), x); }
  bool bend(const Segment& segment, const T* x, const T* direction, T* product) override {
    return sum_.bend(of(segment), x, direction, product);
  }
  Index slopes() const override { return sum_.slopes(); }
  double exchange(const Segment& segment, const T* x, T* noted, T* change) override {
    return sum_.exchange(of(segment), x, noted, change);
  }
  bool descends(Index batch_size) const override {
    // Rows are weighed by the mean weight of the sum they belong to.
    return sum_.mean_weight() == mean_weight_ && sum_.descends(batch_size);
  }
  Index descend(const Segment& segment, Index batch_size, const T* step, const Restraint& held, T* x,
                double& objectives) override {
    return sum_.descend(of(segment), batch_size, step, held, x, objectives);
  }
  std::unique_ptr<LazyDescent<T>> lazily(const Restraint& held, Index batch_size) override {
    auto descent = sum_.lazily(held, batch_size);
    return descent ? std::make_unique<Lazy>(*this, std::move(descent)) : nullptr;
  }
  double touched_share(Index rows) const override { return sum_.touched_share(rows); }
  void touched(const Segment& segment, std::vector<Index>& parameters) override {
    sum_.touched(of(segment), parameters);
  }
  Index row_bytes() const override { return sum_.row_bytes(); }
  void use(Team* team) override { sum_.use(team); }
  void draw(bool on, std::uint64_t key) override { sum_.draw(on, key); }
  void forget_offsets() override {
    known_ = nullptr;
    sum_.forget_offsets();
  }
  bool begin_batch(T scale) override { return sum_.begin_batch(scale); }
  double batch(const Segment& segment, const T* x, T* gradient) override {
    return sum_.batch(of(segment), x, gradient);
  }
  bool outside() const override { return sum_.outside(); }
  Index block_rows() const override { return std::min(sum_.block_rows(), count_); }
  std::string complaint(const Segment& segment) const override { return sum_.complaint(of(segment)); }

 private:
  class Lazy final : public LazyDescent<T> {
   public:
    Lazy(const SubsetSum& subset, std::unique_ptr<LazyDescent<T>> descent)
        : subset_(subset), descent_(std::move(descent)) {}
    void begin(T* x) override { descent_->begin(x); }
    double update(const Segment& batch, double divisor, double step) override {
      return descent_->update(subset_.of(batch), divisor, step);
    }
    double update_each(const Segment& rows, double divisor, const T* steps) override {
      return descent_->update_each(subset_.of(rows), divisor, steps);
    }
    double flush(T* copy) override { return descent_->flush(copy); }
    Index row_cost() const override { return descent_->row_cost(); }
    bool known_finite() const override { return descent_->known_finite(); }

   private:
    const SubsetSum& subset_;
    std::unique_ptr<LazyDescent<T>> descent_;
  };

  /// The segment of the data's rows behind one of positions; valid until the next is asked for, scattered ones for longer.
  Segment of(const Segment& segment) const {
    if (rows_.empty()) return {first_ + segment.begin, segment.offset, segment.count, segment.ahead, segment.scattered};
    const std::uint32_t* from = rows_.data() + segment.begin;
    if (!segment.offset) return {0, from, segment.count, count_ - segment.begin - segment.count};
    if (segment.scattered) return of_epoch(segment);
    const Index ahead = std::min(segment.ahead, lookahead);
    known_ = nullptr;
    mapped_.resize(std::max(mapped_.size(), std::size_t(segment.count + ahead)));
    for (Index i = 0; i < segment.count + ahead; ++i) mapped_[std::size_t(i)] = from[segment.offset[i]];
    return {0, mapped_.data(), segment.count, ahead};
  }

  /// The same of a segment whose offsets stay where they are, as must the rows behind them, which a team may be packing.
  Segment of_epoch(const Segment& segment) const {
    const std::less<> before;
    const std::uint32_t* end = segment.offset + segment.count;
    if (!known_ || before(segment.offset, known_) || before(known_ + mapped_.size(), end)) {
      // Whole segments, which are equally long: with the last one in hand nobody packs any more, and the next are looked up.
      const Index whole = std::max<Index>(1, looked_up / segment.count) * segment.count;
      const std::uint32_t* from = rows_.data() + segment.begin;
      mapped_.resize(std::size_t(std::min(whole, segment.count + segment.ahead)));
      for (std::size_t i = 0; i < mapped_.size(); ++i) mapped_[i] = from[segment.offset[i]];
      known_ = segment.offset;
      sum_.forget_offsets();
    }
    const Index at = segment.offset - known_;
    return {0, mapped_.data() + at, segment.count, Index(mapped_.size()) - at - segment.count, true};
  }

  RowSum<T>& sum_;
  Numbers<std::uint32_t> rows_;  ///< empty where they are neighbours, the first being first_
  Index count_, first_ = 0;
  double mean_weight_;
  mutable Numbers<std::uint32_t> mapped_;         ///< the rows behind the offsets that were asked for,
  mutable const std::uint32_t* known_ = nullptr;  ///< which in an epoch in random order begin here
};

}  // namespace

template <class T>
std::unique_ptr<RowSum<T>> subset_sum(RowSum<T>& sum, const std::vector<std::uint32_t>& rows, double mean_weight) {
  return std::make_unique<SubsetSum<T>>(sum, rows, mean_weight);
}

template std::unique_ptr<RowSum<float>> subset_sum(RowSum<float>&, const std::vector<std::uint32_t>&, double);
template std::unique_ptr<RowSum<double>> subset_sum(RowSum<double>&, const std::vector<std::uint32_t>&, double);

}  // namespace steepest
