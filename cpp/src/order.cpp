#include "steepest/order.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace steepest {
namespace {

using Index = std::int64_t;

/// A uniform whole number below `bound` from 32 random bits at a time (Lemire's multiplication, with its rejection).
class Bounded {
 public:
  explicit Bounded(CounterGenerator random) : random_(random) {}

  std::uint32_t below(std::uint32_t bound) {
    std::uint64_t product = std::uint64_t(bits()) * bound;
    if (std::uint32_t(product) < bound) {
      const std::uint32_t unfair = -bound % bound;
      while (std::uint32_t(product) < unfair) product = std::uint64_t(bits()) * bound;
    }
    return std::uint32_t(product >> 32);
  }

 private:
  std::uint32_t bits() {
    if (half_) return half_ = false, std::uint32_t(word_ >> 32);
    word_ = random_[position_++];
    half_ = true;
    return std::uint32_t(word_);
  }

  CounterGenerator random_;
  std::uint64_t position_ = 0, word_ = 0;
  bool half_ = false;
};

void fisher_yates(CounterGenerator random, Index n, std::uint32_t* order) {
  Bounded uniform(random);
  for (Index i = n - 1; i > 0; --i) std::swap(order[i], order[uniform.below(std::uint32_t(i + 1))]);
}

class InSequence final : public Order {
 public:
  explicit InSequence(Index rows) : rows_(rows) {}
  void start(std::uint64_t) override { position_ = 0; }
  Segment next(Index limit) override {
    const Index count = std::min(limit, rows_ - position_);
    return {std::exchange(position_, position_ + count), nullptr, count};
  }

 private:
  Index rows_, position_ = 0;
};

class Permuted : public Order {
 public:
  Segment next(Index limit) override {
    const Index count = std::min(limit, Index(order_.size()) - position_);
    const std::uint32_t* first = order_.data() + std::exchange(position_, position_ + count);
    return {0, first, count, Index(order_.size()) - position_};
  }

 protected:
  std::vector<std::uint32_t> order_;
  Index position_ = 0;
};

class Full final : public Permuted {
 public:
  Full(Index rows, std::uint64_t seed, bool once) : seed_(seed), once_(once) { order_.resize(std::size_t(rows)); }
  void start(std::uint64_t epoch) override {
    position_ = 0;
    if (once_ && started_) return;
    started_ = true;
    shuffle(generator_of(seed_, once_ ? 0 : epoch), Index(order_.size()), order_.data());
  }

 private:
  std::uint64_t seed_;
  bool once_, started_ = false;
};

class Given final : public Permuted {
 public:
  explicit Given(std::function<std::vector<std::uint32_t>(std::uint64_t)> give) : give_(std::move(give)) {}
  void start(std::uint64_t epoch) override {
    position_ = 0;
    order_ = give_(epoch);
  }

 private:
  std::function<std::vector<std::uint32_t>(std::uint64_t)> give_;
};

}  // namespace

// Two passes of a distribution shuffle: every row draws a bucket, buckets are shuffled where they fit the cache. Uniform
// draws into buckets followed by uniform orders inside them are a uniform order of the whole, whatever the buckets' sizes.
void shuffle(CounterGenerator random, Index n, std::uint32_t* order) {
  constexpr Index bucket_rows = Index(1) << 15;  // 128 KB of offsets
  int bits = 0;
  while (bits < 10 && (n >> bits) > bucket_rows) ++bits;
  if (bits == 0) {
    std::iota(order, order + n, 0u);
    return fisher_yates(random, n, order);
  }
  // One random word serves six rows with up to ten bits each; the draw is made twice, which is cheaper than storing it.
  constexpr Index per_word = 6;
  const std::uint64_t mask = (std::uint64_t(1) << bits) - 1;
  std::vector<std::uint32_t> end(std::size_t(mask) + 1);
  for (Index i = 0; i < n; i += per_word) {
    std::uint64_t word = random[std::uint64_t(i / per_word)];
    for (Index k = i; k < std::min(i + per_word, n); ++k, word >>= 10) ++end[word & mask];
  }
  std::exclusive_scan(end.begin(), end.end(), end.begin(), 0u);
  for (Index i = 0; i < n; i += per_word) {
    std::uint64_t word = random[std::uint64_t(i / per_word)];
    for (Index k = i; k < std::min(i + per_word, n); ++k, word >>= 10) order[end[word & mask]++] = std::uint32_t(k);
  }
  Index from = 0;
  for (std::size_t b = 0; b <= mask; ++b) {
    fisher_yates({mix(random.key ^ (0xd1b54a32d192ed03u * (b + 1)))}, Index(end[b]) - from, order + from);
    from = end[b];
  }
}

std::unique_ptr<Order> order_in_sequence(Index rows) { return std::make_unique<InSequence>(rows); }
std::unique_ptr<Order> order_full(Index rows, std::uint64_t seed, bool once) {
  return std::make_unique<Full>(rows, seed, once);
}
std::unique_ptr<Order> order_given(Index, std::function<std::vector<std::uint32_t>(std::uint64_t)> give) {
  return std::make_unique<Given>(std::move(give));
}

}  // namespace steepest
