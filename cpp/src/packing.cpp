#include "steepest/packing.hpp"

#include <algorithm>
#include <functional>

namespace steepest {
namespace {

using Index = std::int64_t;

/// A block takes a thread some tens of microseconds: short beside what the system's scheduler does, long beside a handshake.
/// All blocks together fit the second-level cache of a core.
constexpr Index block_bytes = 64 * 1024, most_block_rows = 4096;

/// Looks at a block that somebody else is packing, before its rows are fetched in place: he may not be running at all.
constexpr int patience = 1000;

}  // namespace

template <class T>
PackedAhead<T>::PackedAhead(const DenseRows<T>& rows, const T* y, const T* weight, const KernelsOf<T>& kernels)
    : rows_(rows), y_(y), weight_(weight), kernels_(kernels), features_(rows.constant() ? 0 : rows.features) {}

template <class T>
bool PackedAhead<T>::start(const Segment& segment, Team& team) {
  stop(team);
  const Index row_numbers = features_ + 1 + (weight_ != nullptr);
  const Index fit = std::min(block_bytes / (row_numbers * Index(sizeof(T))), most_block_rows);
  block_rows_ = std::max<Index>(1, fit / segment.count) * segment.count;
  all_ = segment;
  all_.count = segment.count + segment.ahead;
  all_.ahead = 0;
  last_ = (all_.count - 1) / block_rows_;
  if (last_ < blocks) return false;
  block_numbers_ = block_rows_ * row_numbers;
  memory_.resize(std::size_t(blocks * block_numbers_));
  for (Block& block : blocks_) block.holds.store(-1, std::memory_order_relaxed);
  next_.store(0, std::memory_order_relaxed);
  begun_.store(0, std::memory_order_relaxed);
  in_place_ = -1;
  runs_ = true;
  team.meanwhile(this);
  return true;
}

template <class T>
void PackedAhead<T>::stop(Team& team) {
  if (runs_) team.meanwhile(nullptr);
  runs_ = false;
}

template <class T>
auto PackedAhead<T>::find(const Segment& segment, Team& team) -> std::optional<Rows> {
  const std::less<> before;
  const bool follows = runs_ && !before(segment.offset, all_.offset) &&
                       before(segment.offset, all_.offset + all_.count) &&
                       (segment.offset - all_.offset) / block_rows_ >= begun_.load(std::memory_order_relaxed);
  if (!follows && !start(segment, team)) return {};
  const Index row = segment.offset - all_.offset, number = row / block_rows_, at = row - number * block_rows_;
  if (number != begun_.load(std::memory_order_relaxed)) {
    begun_.store(number, std::memory_order_release);
    team.wake();  // there is room for one more
  }
  const bool ready = at + segment.count <= block_rows_ && wait_for(number);
  // With the last rows in hand nobody has anything left to pack, and what the offsets stand in may be made anew.
  if (row + segment.count == all_.count) stop(team);
  if (!ready) return {};
  const T *x = place(number), *y = x + block_rows_ * features_;
  return Rows{x + at * features_, y + at, weight_ ? y + block_rows_ + at : nullptr};
}

/// Packs other blocks until this one is ready; false where its rows are to be fetched in place, now and until it ends.
template <class T>
bool PackedAhead<T>::wait_for(Index number) {
  if (in_place_ == number) return false;
  Block& block = blocks_[std::size_t(number % blocks)];
  // Where no helper is ahead, to pack alone would only be a detour.
  Index next = number;
  const bool free = number < blocks || block.holds.load(std::memory_order_acquire) == number - blocks;
  if (free && next_.compare_exchange_strong(next, number + 1, std::memory_order_acq_rel)) {
    block.holds.store(number, std::memory_order_release);
    in_place_ = number;
    return false;
  }
  for (int looks = 0; block.holds.load(std::memory_order_acquire) != number;) {
    if (pack_next()) continue;
    if (++looks == patience) {
      in_place_ = number;
      return false;
    }
    relax();
  }
  return true;
}

template <class T>
bool PackedAhead<T>::pack_next() {
  Index number = next_.load(std::memory_order_relaxed);
  do {
    if (number > last_ || number >= begun_.load(std::memory_order_acquire) + blocks) return false;
    // Who packed into this place before may still be at it, where the loop has gone on without him.
    const Index before = blocks_[std::size_t(number % blocks)].holds.load(std::memory_order_acquire);
    if (number >= blocks && before != number - blocks) return false;
  } while (!next_.compare_exchange_weak(number, number + 1, std::memory_order_acq_rel));
  // What the loop has passed, because it could not wait, is of no use any more.
  if (number >= begun_.load(std::memory_order_acquire)) pack(number);
  blocks_[std::size_t(number % blocks)].holds.store(number, std::memory_order_release);
  return true;
}

template <class T>
void PackedAhead<T>::pack(Index number) {
  const Index from = number * block_rows_;
  const Segment rows = all_.part(from, std::min(block_rows_, all_.count - from));
  T *x = place(number), *y = x + block_rows_ * features_;
  if (features_) (rows_.narrow() ? kernels_.widening.widen : kernels_.rows.pack)(rows_, rows, x);
  kernels_.rows.gather(y_, rows, y);
  if (weight_) kernels_.rows.gather(weight_, rows, y + block_rows_);
}

template class PackedAhead<float>;
template class PackedAhead<double>;

}  // namespace steepest
