#include <algorithm>
#include <memory>
#include <queue>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "steepest/order.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

/// Draws batches that hold every class in proportion, each row once per epoch.
///
/// A class of n_c rows has the share q = n_c b / n of a batch of b. Every full batch gets the whole part of q; the rows
/// that remain are like ticks of a clock of its own for every class, 1/frac(q) batches apart, and of the ticks that have
/// come the one that must be answered first is (the schedule of periodic tasks by their earliest deadlines). So every
/// full batch holds a class q rounded down or up, and a class smaller than one row a batch comes as evenly as can be.
class Stratified final : public Order {
 public:
  Stratified(const std::vector<std::uint32_t>& labels, Index batch_size, std::uint64_t seed)
      : seed_(seed), rows_(Index(labels.size())), batch_(std::min(batch_size, rows_)) {
    const std::uint32_t classes = 1 + *std::max_element(labels.begin(), labels.end());
    first_.resize(classes + 1);
    for (const std::uint32_t label : labels) ++first_[label + 1];
    for (std::uint32_t c = 0; c < classes; ++c) {
      const std::uint64_t share = std::uint64_t(first_[c + 1]) * std::uint64_t(batch_);  // below 2^64: both below 2^32
      whole_.push_back(Index(share / std::uint64_t(rows_)));
      rest_.push_back(Index(share % std::uint64_t(rows_)));
      if (whole_[c]) always_.push_back(c);
      extras_ -= whole_[c];
      first_[c + 1] += first_[c];
    }
    extras_ += batch_;
    for (auto* rows : {&members_, &shuffled_, &order_}) rows->resize(labels.size());
    std::vector<Index> at(first_.begin(), first_.end() - 1);
    for (std::size_t row = 0; row < labels.size(); ++row) members_[std::size_t(at[labels[row]]++)] = std::uint32_t(row);
  }

  void start(std::uint64_t epoch) override {
    const CounterGenerator random = generator_of(seed_, epoch);
    const Index full = rows_ / batch_;
    position_ = 0;
    shuffle_within(random);
    // The rhythm of the classes is the same in every epoch: which batch is which is not.
    std::vector<std::uint32_t> place(std::size_t(full), 0);
    shuffle({mix(random.key + 1)}, full, place.data(), poll);
    taken_.assign(whole_.size(), 0);
    spare_.clear();
    for (std::size_t c = 0; c < whole_.size(); ++c) spare_.push_back(first_[c + 1] - first_[c] - full * whole_[c]);
    waiting_ = {};
    due_ = {};
    met_.clear();
    for (std::uint32_t c = 0; c < rest_.size(); ++c)
      if (rest_[c]) waiting_.push(tick(c, 0));
    for (Index k = 0; k < full; ++k) {
      std::uint32_t* to = order_.data() + Index(place[std::size_t(k)]) * batch_;
      for (const std::uint32_t c : always_) to = take(c, whole_[c], to);
      for (Index i = 0; i < extras_; ++i) to = take(class_of_next(k), 1, to);
      for (const Tick& tick : met_) waiting_.push(tick);
      met_.clear();
      if (poll && k % 1024 == 0) poll();
    }
    std::uint32_t* to = order_.data() + full * batch_;
    for (std::uint32_t c = 0; c < whole_.size(); ++c) to = take(c, first_[c + 1] - first_[c] - taken_[c], to);
  }

  Segment next(Index limit) override {
    const Index count = std::min(limit, rows_ - position_);
    const std::uint32_t* first = order_.data() + std::exchange(position_, position_ + count);
    return {0, first, count, rows_ - position_, true};
  }

 private:
  /// The number-th time that a class has a row beyond the whole part: not before a batch, and soon. Of those
  /// that are as urgent the one of most ticks comes first: its next are the hardest to fit in.
  struct Tick {
    Index from, until, number, rest;
    std::uint32_t of;
  };
  struct Later {
    bool operator()(const Tick& a, const Tick& b) const {
      return std::tuple(a.from, b.rest, a.of) > std::tuple(b.from, a.rest, b.of);
    }
  };
  struct LessUrgent {
    bool operator()(const Tick& a, const Tick& b) const {
      return std::tuple(a.until, b.rest, a.of) > std::tuple(b.until, a.rest, b.of);
    }
  };

  Tick tick(std::uint32_t c, Index number) const {
    const auto rows = std::uint64_t(rows_), rest = std::uint64_t(rest_[c]), i = std::uint64_t(number);
    return {Index(i * rows / rest), Index(((i + 1) * rows - 1) / rest + 1), number, rest_[c], c};
  }

  /// The class whose row comes next in batch k beyond the whole parts.
  std::uint32_t class_of_next(Index k) {
    for (; !waiting_.empty() && waiting_.top().from <= k; waiting_.pop()) due_.push(waiting_.top());
    while (!due_.empty() || !waiting_.empty()) {
      const bool none_due = due_.empty();
      const Tick now = none_due ? waiting_.top() : due_.top();
      if (none_due)
        waiting_.pop();
      else
        due_.pop();
      if (spare_[now.of] == 0) continue;
      --spare_[now.of];
      Tick then = tick(now.of, now.number + 1);
      then.from = std::max(then.from, k + 1);
      met_.push_back(then);  // not twice in a batch, as long as others have rows to spare
      return now.of;
    }
    for (Tick& again : met_)
      if (spare_[again.of] > 0) {
        --spare_[again.of];
        again = tick(again.of, again.number + 1);
        again.from = std::max(again.from, k + 1);
        return again.of;
      }
    throw std::logic_error("the rows of the classes do not fill the batches");
  }

  std::uint32_t* take(std::uint32_t c, Index count, std::uint32_t* to) {
    const auto from = shuffled_.begin() + first_[c] + std::exchange(taken_[c], taken_[c] + count);
    return std::copy(from, from + count, to);
  }

  /// The rows of every class in an order uniform over all.
  void shuffle_within(CounterGenerator random) {
    for (std::size_t c = 0; c < whole_.size(); ++c) {
      const Index from = first_[c], count = first_[c + 1] - from;
      shuffle({mix(random.key + 2 + c)}, count, shuffled_.data() + from, poll);
      for (Index i = from; i < from + count; ++i)
        shuffled_[std::size_t(i)] = members_[std::size_t(from + shuffled_[std::size_t(i)])];
    }
  }

  std::uint64_t seed_;
  Index rows_, batch_, extras_ = 0, position_ = 0;
  std::vector<Index> first_, whole_, rest_, taken_;
  std::vector<Index> spare_;                                        ///< rows of the epoch that no whole part will need
  std::vector<std::uint32_t> always_, members_, shuffled_, order_;  ///< members_ class by class
  std::priority_queue<Tick, std::vector<Tick>, Later> waiting_;
  std::priority_queue<Tick, std::vector<Tick>, LessUrgent> due_;
  std::vector<Tick> met_;  ///< the next ticks of the classes that a batch has taken more of than their whole part
};

}  // namespace

std::unique_ptr<Order> order_stratified(const std::vector<std::uint32_t>& labels, Index batch_size,
                                        std::uint64_t seed) {
  return std::make_unique<Stratified>(labels, batch_size, seed);
}

}  // namespace steepest
