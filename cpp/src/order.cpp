#include "steepest/order.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "steepest/kernels.hpp"
#include "steepest/memory.hpp"

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
    position_ += count;
    return {position_ - count, nullptr, count, rows_ - position_};
  }

 private:
  Index rows_, position_ = 0;
};

using Rows = std::vector<std::uint32_t, HugePages<std::uint32_t>>;

class Permuted : public Order {
 public:
  Segment next(Index limit) override {
    const Index count = std::min(limit, Index(order_.size()) - position_);
    const std::uint32_t* first = order_.data() + std::exchange(position_, position_ + count);
    return {0, first, count, Index(order_.size()) - position_, true};
  }

 protected:
  Rows order_;
  Index position_ = 0;
};

class Full final : public Permuted {
 public:
  Full(Index rows, std::uint64_t seed, bool once) : seed_(seed), once_(once) { order_.resize(std::size_t(rows)); }
  void use(Team* team) override { team_ = team; }
  void start(std::uint64_t epoch) override {
    position_ = 0;
    if (once_ && started_) return;
    started_ = true;
    shuffle(generator_of(seed_, once_ ? 0 : epoch), Index(order_.size()), order_.data(), poll, team_);
  }

 private:
  Team* team_ = nullptr;
  std::uint64_t seed_;
  bool once_, started_ = false;
};

class Given final : public Permuted {
 public:
  explicit Given(std::function<std::vector<std::uint32_t>(std::uint64_t)> give) : give_(std::move(give)) {}
  void start(std::uint64_t epoch) override {
    position_ = 0;
    const std::vector<std::uint32_t> given = give_(epoch);
    order_.assign(given.begin(), given.end());
  }

 private:
  std::function<std::vector<std::uint32_t>(std::uint64_t)> give_;
};

class Stream final : public Order {
 public:
  Stream(Index rows, std::uint64_t seed, Streaming streaming) : rows_(rows), seed_(seed), plan_(streaming) {
    // Every group of blocks that are walked side by side is complete, and all blocks are equally long but for one turn.
    groups_ = (rows + plan_.streams * plan_.block_rows - 1) / (plan_.streams * plan_.block_rows);
    drawn_.resize(std::size_t(groups_ * plan_.streams));
    at_.resize(std::size_t(plan_.streams));
    end_.resize(std::size_t(plan_.streams));
    row_.resize(std::size_t(plan_.streams));
    const Index batches = std::max<Index>(1, (window_rows + plan_.batch_size - 1) / plan_.batch_size);
    lookahead_ = std::clamp<Index>(plan_.batch_size, farthest_asked, 8192);
    // What is left of the room may be too small for what comes at once.
    const Index at_once = plan_.sides > 1 ? plan_.batch_size : plan_.streams * plan_.turn;
    window_.resize(std::size_t(batches * plan_.batch_size + lookahead_ + at_once));
  }

  void start(std::uint64_t epoch) override {
    const CounterGenerator random = generator_of(seed_, epoch);
    shuffle({mix(random.key + 1)}, Index(drawn_.size()), drawn_.data());
    group_blocks();
    phase_ = Index((static_cast<unsigned __int128>(random[0]) * std::uint64_t(rows_)) >> 64);
    group_ = made_ = given_ = first_ = 0;
    live_ = 0;
  }

  Segment next(Index limit) override {
    if (made_ - first_ < limit + lookahead_) refill();
    const Index count = std::min(limit, made_ - first_);
    const Segment segment{0, window_.data() + first_, count, made_ - first_ - count};
    first_ += count;
    return segment;
  }

 private:
  static constexpr Index window_rows = 4096;
  /// Kernels ask for rows so far ahead (prefetch_run_rows of kernels/reading.hpp): those of one number, in runs.
  static constexpr Index farthest_asked = 1024;

  Index first_of(Index block) const {
    const Index blocks = Index(drawn_.size());
    return block < blocks ? block * rows_ / blocks / plan_.turn * plan_.turn : rows_;
  }

  /// Walks blocks together that are equally long, so that every round of turns is complete: a batch comes from as many places
  /// where groups change, and at the end of an epoch, as elsewhere. The last group takes what is left over, and last of all
  /// the block that holds the rest of a turn: behind it, turns and batches would begin apart.
  void group_blocks() {
    const Index blocks = Index(drawn_.size()), least = rows_ / (blocks * plan_.turn) * plan_.turn;
    const bool rest = rows_ % plan_.turn != 0;
    std::vector<std::uint32_t> alike[2];
    blocks_.clear();
    for (const std::uint32_t b : drawn_) {
      if (rest && b == blocks - 1) continue;
      std::vector<std::uint32_t>& those = alike[first_of(b + 1) - first_of(b) > least];
      those.push_back(b);
      if (Index(those.size()) < plan_.streams) continue;
      blocks_.insert(blocks_.end(), those.begin(), those.end());
      those.clear();
    }
    for (const auto& those : alike) blocks_.insert(blocks_.end(), those.begin(), those.end());
    if (rest) blocks_.push_back(std::uint32_t(blocks - 1));
  }

  /// Moves what is left to the front and fills the rest of the window.
  void refill() {
    std::copy(window_.begin() + first_, window_.begin() + made_, window_.begin());
    made_ -= first_;
    first_ = 0;
    while (given_ < rows_ && take_turns()) {
    }
  }

  /// One turn of every stream, or many; false where there is no room.
  bool take_turns() {
    const Index room = Index(window_.size()) - made_;
    if (room < plan_.streams * plan_.turn) return false;
    if (live_ == 0) open_group();
    switch (take_whole_turns(room / plan_.streams)) {
    case Taken::rows:
      return true;
    case Taken::room_wanted:
      return false;
    case Taken::none:
      break;
    }
    std::uint32_t* write = window_.data() + made_;
    Index live = 0;
    for (std::size_t s = 0; s < at_.size(); ++s) {
      const Index at = at_[s], stop = std::min(at + plan_.turn, end_[s]);
      for (Index row = at; row < stop; ++row) *write++ = std::uint32_t(row < rows_ ? row : row - rows_);
      at_[s] = stop;
      live += stop < end_[s];
    }
    given_ += write - (window_.data() + made_);
    made_ = write - window_.data();
    live_ = live;
    return true;
  }

  enum class Taken { rows, none, room_wanted };

  /// Many turns at once, as far as no stream ends or wraps around, with room for so many rows of each. Batches come by sides where
  /// no stream ends within; others in turns, as ever.
  Taken take_whole_turns(Index room) {
    Index rows = rows_;
    for (std::size_t s = 0; s < at_.size(); ++s) {
      const bool wrapped = at_[s] >= rows_;
      rows = std::min(rows, (wrapped ? end_[s] : std::min(end_[s], rows_)) - at_[s]);
      row_[s] = std::uint32_t(wrapped ? at_[s] - rows_ : at_[s]);
    }
    if (rows < plan_.turn) return Taken::none;
    // Whether a batch is dealt by sides must not depend on the room, which depends on who asks.
    const bool by_sides = plan_.sides > 1 && given_ % plan_.batch_size == 0 && rows >= plan_.batch_size / plan_.streams;
    rows = std::min(rows, room);
    rows -= rows % plan_.turn;
    rows = by_sides ? take_by_sides(rows) : take_rows(0, plan_.streams, up_to_batch(rows), window_.data() + made_);
    if (rows == 0) return Taken::room_wanted;
    live_ = 0;
    for (std::size_t s = 0; s < at_.size(); ++s) live_ += (at_[s] += rows) < end_[s];
    made_ += rows * plan_.streams;
    given_ += rows * plan_.streams;
    return Taken::rows;
  }

  /// So many rows of each of some streams.
  Index take_rows(Index first, Index streams, Index rows, std::uint32_t* to) {
    kernels().take_turns(row_.data() + first, streams, plan_.turn, rows / plan_.turn, to);
    return rows;
  }

  /// No more rows of each stream than there are to the end of the batch: the next may be dealt by sides.
  Index up_to_batch(Index rows) const {
    if (plan_.sides == 1) return rows;
    const Index left = (plan_.batch_size - given_ % plan_.batch_size) / plan_.streams / plan_.turn * plan_.turn;
    return std::clamp(left, plan_.turn, rows);
  }

  /// Whole batches, of no more than so many rows of each stream; returns of how many.
  Index take_by_sides(Index rows) {
    const Index of_batch = plan_.batch_size / plan_.streams, batches = rows / of_batch;
    const Index streams = plan_.streams / plan_.sides;
    std::uint32_t* to = window_.data() + made_;
    for (Index batch = 0; batch < batches; ++batch) {
      for (Index first = 0; first < plan_.streams; first += streams, to += streams * of_batch)
        take_rows(first, streams, of_batch, to);
      for (std::uint32_t& row : row_) row += std::uint32_t(of_batch);
    }
    return batches * of_batch;
  }

  void open_group() {
    for (Index s = 0; s < plan_.streams; ++s) {
      const Index b = blocks_[std::size_t(group_ * plan_.streams + s)];
      at_[std::size_t(s)] = phase_ + first_of(b);
      end_[std::size_t(s)] = phase_ + first_of(b + 1);
      // A block that begins behind the end begins at the front; only one that straddles the end needs care row by row.
      if (at_[std::size_t(s)] >= rows_) at_[std::size_t(s)] -= rows_, end_[std::size_t(s)] -= rows_;
    }
    ++group_;
    live_ = plan_.streams;  // it may have to wait for room
  }

  Index rows_;
  std::uint64_t seed_;
  Streaming plan_;
  Index groups_ = 0, phase_ = 0, group_ = 0, live_ = 0;
  Index made_ = 0, first_ = 0,
        given_ = 0;  // the window holds rows first_ to made_; given_ of the epoch have entered it
  Index lookahead_;
  std::vector<std::uint32_t> drawn_, blocks_, window_, row_;  // blocks as they were drawn, and as they are walked
  std::vector<Index> at_, end_;
};

}  // namespace

// Two passes of a distribution shuffle: every row draws a bucket, buckets are shuffled where they fit the cache. Uniform
// draws into buckets followed by uniform orders inside them are a uniform order of the whole, whatever the buckets' sizes.
// Runs of rows are thrown one by one or at the same time: where each begins in every bucket is counted beforehand.
void shuffle(CounterGenerator random, Index n, std::uint32_t* order, const std::function<void()>& poll, Team* team) {
  constexpr Index bucket_rows = Index(1) << 15;  // 128 KB of offsets
  constexpr Index line_rows = 16;                // offsets in a cache line
  constexpr Index at_once = 64;                  // runs or buckets between two polls
  int bits = 0;
  while (bits < 10 && (n >> bits) > bucket_rows) ++bits;
  if (bits == 0) {
    std::iota(order, order + n, 0u);
    return fisher_yates(random, n, order);
  }
  const auto each = [&](Index count, const auto& piece) {
    for (Index from = 0; from < count; from += at_once) {
      share(team, std::uint32_t(std::min(at_once, count - from)),
            [&](std::uint32_t i, int) { piece(from + Index(i)); });
      if (poll) poll();
    }
  };
  // One random word serves six rows with up to ten bits each; the draw is made twice, which is cheaper than storing it.
  constexpr Index per_word = 6, run_rows = per_word << 15;
  const std::size_t buckets = std::size_t(1) << bits;
  const std::uint64_t mask = buckets - 1;
  const Index runs = (n + run_rows - 1) / run_rows;
  const auto throw_run = [&](Index run, const auto& into) {
    const Index stop = std::min(n, (run + 1) * run_rows);
    for (Index i = run * run_rows; i < stop; i += per_word) {
      std::uint64_t word = random[std::uint64_t(i / per_word)];
      for (Index k = i; k < std::min(i + per_word, stop); ++k, word >>= 10) into(word & mask, k);
    }
  };
  std::vector<std::uint32_t> next(std::size_t(runs) * buckets), end(buckets);
  each(runs, [&](Index run) {
    std::uint32_t* count = next.data() + std::size_t(run) * buckets;
    throw_run(run, [&](std::uint64_t bucket, Index) { ++count[bucket]; });
  });
  std::uint32_t position = 0;
  for (std::size_t b = 0; b < buckets; ++b) {
    for (std::size_t at = b; at < next.size(); at += buckets) position += std::exchange(next[at], position);
    end[b] = position;
  }
  each(runs, [&](Index run) {
    std::uint32_t* place = next.data() + std::size_t(run) * buckets;
    throw_run(run, [&](std::uint64_t bucket, Index k) {
      const std::uint32_t at = place[bucket]++;
      order[at] = std::uint32_t(k);
      __builtin_prefetch(order + at + line_rows, 1);  // the bucket's next line, before it is waited for
    });
  });
  each(Index(buckets), [&](Index b) {
    const Index from = b ? end[std::size_t(b) - 1] : 0, stop = end[std::size_t(b)];
    for (Index i = from; i < stop; i += line_rows) __builtin_prefetch(order + i, 1, 2);
    fisher_yates({mix(random.key ^ (0xd1b54a32d192ed03u * (std::uint64_t(b) + 1)))}, stop - from, order + from);
  });
}

std::unique_ptr<Order> order_in_sequence(Index rows) { return std::make_unique<InSequence>(rows); }
std::unique_ptr<Order> order_full(Index rows, std::uint64_t seed, bool once) {
  return std::make_unique<Full>(rows, seed, once);
}
std::unique_ptr<Order> order_stream(Index rows, std::uint64_t seed, Streaming streaming) {
  return std::make_unique<Stream>(rows, seed, streaming);
}

Streaming streaming_for(Index rows, Index row_bytes, Index batch_size, Layout layout) {
  constexpr Index followed = 16;              // as many places as the prefetchers of common processors follow
  constexpr Index least_groups = 512;         // more blocks mean less weight for each place of the data
  constexpr Index largest_block = 64 * 1024;  // longer ones are hardly faster
  constexpr Index smallest_block = 4 * 1024;  // a page, which is what a prefetcher follows
  constexpr Index turn_bytes = 64;            // a line
  constexpr Index sparse_turn_bytes = 2560;   // of sparse rows, with lines of two arrays to begin and to end with
  constexpr Index cached = 8 * 1024 * 1024;   // data of this size shuffles well enough in the caches
  constexpr Index least_shared = 16 * 1024;   // batches of these bytes two threads may share
  if (rows * row_bytes <= cached) return {0, 1, 1, batch_size};
  const Index streams = layout == Layout::sparse ? followed / 2 : followed;  // each is two places of memory, or one
  const Index block = std::clamp(rows * row_bytes / (followed * least_groups), smallest_block, largest_block);
  const Index longest = std::max<Index>(1, batch_size / streams);
  const Index whole_lines = layout == Layout::sparse ? sparse_turn_bytes : turn_bytes;
  // Rows of F order lie side by side in every column: the longer the run, the better.
  const Index turn =
      layout == Layout::columns ? std::min<Index>(longest, 64) : std::clamp<Index>(whole_lines / row_bytes, 1, longest);
  // A thread that follows places of its own goes on where it left off; places of both would be read by both ahead of time.
  const bool sides =
      layout == Layout::rows && batch_size * row_bytes >= least_shared && batch_size % (streams * turn) == 0;
  return {streams, turn, std::max<Index>(turn, block / row_bytes), batch_size, sides ? 2 : 1};
}

std::unique_ptr<Order> order_given(std::function<std::vector<std::uint32_t>(std::uint64_t)> give) {
  return std::make_unique<Given>(std::move(give));
}

}  // namespace steepest
