// Scattered rows, packed ahead of the loop by a team.
//
// Rows in random order wait for the memory, whatever is computed with them, and one core can wait for a dozen lines at a
// time. So while the loop works on rows, helpers fetch the next ones into blocks, each in sequence; where the loop comes to
// a block that a helper is still at, it packs the next itself meanwhile, and where no helper is ahead it fetches rows in
// place. So all wait for lines all the time. What the loop computes is the same as from the rows in place.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "steepest/kernels.hpp"
#include "steepest/memory.hpp"
#include "steepest/rows.hpp"
#include "steepest/threads.hpp"

namespace steepest {

template <class T>
class PackedAhead final : private Team::Errand {
 public:
  /// Rows, a target for each, and weights or null. Everything outlives the packing.
  PackedAhead(const DenseRows<T>& rows, const T* y, const T* weight, const KernelsOf<T>& kernels);

  struct Rows {
    const T *x, *y, *weight;
  };

  /// The rows of a scattered segment one after the other, until the next is asked for; nothing where it is better to fetch
  /// them in place. Segments are those of an epoch, one after the other and equally long but for the last.
  std::optional<Rows> find(const Segment& segment, Team& team);
  /// Nobody packs any more, or reads the offsets of the rows.
  void stop(Team& team);

 private:
  static constexpr std::int64_t blocks = 8;

  struct alignas(cache_line) Block {
    std::atomic<std::int64_t> holds{-1};  ///< the number of the block whose rows are here
  };

  bool work() override { return pack_next(); }
  bool start(const Segment& segment, Team& team);
  bool wait_for(std::int64_t number);
  bool pack_next();
  void pack(std::int64_t number);
  T* place(std::int64_t number) { return memory_.data() + number % blocks * block_numbers_; }

  const DenseRows<T> rows_;
  const T *y_, *weight_;
  const KernelsOf<T>& kernels_;
  std::int64_t features_;

  // Of the epoch: where its offsets begin, how many rows there are, and how many a block holds.
  Segment all_;
  std::int64_t block_rows_ = 0, block_numbers_ = 0, last_ = 0;
  bool runs_ = false;
  std::int64_t in_place_ = -1;  ///< the block that the loop goes through without packing
  std::vector<T, HugePages<T>> memory_;
  std::array<Block, blocks> blocks_;
  alignas(cache_line) std::atomic<std::int64_t> next_{0};   ///< the first block that nobody packs yet
  alignas(cache_line) std::atomic<std::int64_t> begun_{0};  ///< the first block that is still read
};

}  // namespace steepest
