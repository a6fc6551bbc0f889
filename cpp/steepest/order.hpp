// In which order the rows are visited in epoch e.
//
// An order depends on (seed, epoch) alone, through a counter-based generator: any epoch can be started without the ones
// before it, so a run that goes on visits the rows that an uninterrupted run would have. Every order visits each row exactly once.
//
// On data larger than the caches the order is the bottleneck, not the arithmetic: rows in uniformly random order come at a
// quarter of the speed of rows in sequence. `order_stream` keeps the hardware's prefetchers at work: it walks many random
// blocks at once, each in sequence, and takes rows from them in turn.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "steepest/rows.hpp"
#include "steepest/threads.hpp"

namespace steepest {

/// The 64-bit finalizer of splitmix64: a bijection that looks random in every bit.
constexpr std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// The random numbers of one key, by their position.
struct CounterGenerator {
  std::uint64_t key;
  constexpr std::uint64_t operator[](std::uint64_t position) const {
    return mix(key + (position + 1) * 0x9e3779b97f4a7c15u);
  }
};

/// The generator of an epoch.
constexpr CounterGenerator generator_of(std::uint64_t seed, std::uint64_t epoch) {
  return {mix(mix(seed + 0x9e3779b97f4a7c15u) + epoch)};
}

/// Writes 0 ... n-1 in an order uniform over all n! of them, for n < 2^32. Shared with a team, unless that is null, it is the
/// same order.
void shuffle(CounterGenerator random, std::int64_t n, std::uint32_t* order, const std::function<void()>& poll = {},
             Team* team = nullptr);

class Order {
 public:
  virtual ~Order() = default;
  /// Called now and then while a long epoch is begun; throws to interrupt.
  std::function<void()> poll;
  /// From now on an epoch is begun with this team, which outlives the order.
  virtual void use(Team*) {}
  /// Begins an epoch; epochs may be begun in any sequence.
  virtual void start(std::uint64_t epoch) = 0;
  /// The next rows of the epoch, at most `limit` and at least one of them while any is left.
  virtual Segment next(std::int64_t limit) = 0;
};

/// One row after the other.
std::unique_ptr<Order> order_in_sequence(std::int64_t rows);
/// Reshuffled every epoch, or with `once` the order of epoch 0 always.
std::unique_ptr<Order> order_full(std::int64_t rows, std::uint64_t seed, bool once);
/// Every epoch cuts the rows anew into blocks, at a random offset, and visits the blocks in a random order, `streams` of them
/// side by side: `turn` rows of each in turn. So a batch of b rows comes from min(streams, b / turn) places of the data. With
/// two sides, the first half of a batch comes from the first half of the streams, if no block ends within.
struct Streaming {
  std::int64_t streams = 1, turn = 1, block_rows = 1, batch_size = 1, sides = 1;
};
std::unique_ptr<Order> order_stream(std::int64_t rows, std::uint64_t seed, Streaming streaming);
/// How the numbers of rows lie: row after row, column after column, or as sparse rows, in one array and their columns in another.
enum class Layout { rows, columns, sparse };
/// What suits rows of this many bytes in batches of this size; streams = 0 where a full shuffle costs no more.
Streaming streaming_for(std::int64_t rows, std::int64_t row_bytes, std::int64_t batch_size, Layout layout);
/// Asks for a permutation of all rows at the start of every epoch; the answer is used as it is, so it must have been checked.
std::unique_ptr<Order> order_given(std::function<std::vector<std::uint32_t>(std::uint64_t)> give);

/// Batches that hold every class in proportion: each full one as many rows of a class as its share is, rounded down or up.
/// Within a class orders are uniform. `labels` are the classes of the rows, from 0.
std::unique_ptr<Order> order_stratified(const std::vector<std::uint32_t>& labels, std::int64_t batch_size,
                                        std::uint64_t seed);

}  // namespace steepest
