#include "steepest/objective.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>
#include <utility>

namespace steepest {
namespace {

using Index = std::int64_t;

constexpr Index most_chunk_rows = 2048, least_chunk_rows = 16;

/// A share is worth a handshake between threads, some hundred nanoseconds on an idle machine and more on a busy one, where
/// its rows take as long as so many bytes in sequence.
constexpr Index least_share_bytes = 8 * 1024;

/// More than two shares are of at least as many: each has a gradient of its own, which has to be added. Of rows in registers none is of
/// twice as many, see most_descended.
constexpr Index share_bytes = 24 * 1024;
constexpr Index least_share_rows = 16;

/// From here on a sum is worth the handshakes of a team for sure.
constexpr Index surely_shared_bytes = 512 * 1024;

/// A row that may lie anywhere takes as long as so many bytes in sequence: each of its lines is waited for, and its target.
constexpr Index longest_packed = 1024;
constexpr Index scattered_bytes(Index row_bytes) { return 2 * (row_bytes + 128); }

/// Data of so many bytes stay in a cache: to ask for rows ahead of time would only cost time.
constexpr Index always_cached = 4 << 20;

struct alignas(cache_line) Value {
  double value;
};

}  // namespace

template <class T>
DenseSum<T>::DenseSum(const RowData<T>& data, Index scores, const Cut& cut)
    : kernels_(kernels_of<T>(kernels())), data_(data), scores_(scores),
      width_(data.rows.constant() ? 1 : data.rows.features), cut_(cut), intercept_(data.intercept),
      row_bytes_(width_ * Index(sizeof(T))) {
  if (data.scaling) {
    folding_ = Folding<T>(data.scaling, width_, scores, intercept_);
    data_.intercept = true;
  }
  begins_ = cut.begins && data.rows.row_major() && width_ * data.rows.item_bytes() > longest_short_row;
  chunk_rows_ = std::clamp(cut.chunk_bytes / (row_bytes_ + cut.scratch_bytes), least_chunk_rows, most_chunk_rows);
  // Whole blocks of the kernels that go by blocks, and whole registers.
  chunk_rows_ -= chunk_rows_ % (chunk_rows_ < RowKernels<T>::block ? least_chunk_rows : RowKernels<T>::block);
  chunk_rows_ = std::max<Index>(1, std::min(chunk_rows_, data.rows.rows));
  const Index k = scores * (width_ + data_.intercept);
  partial_size_ = k + 2 * Index(cache_line / sizeof(T));  // two lines apart wherever the first begins
  partial_size_ -= partial_size_ % Index(cache_line / sizeof(T));
}

template <class T>
void DenseSum<T>::use(Team* team) {
  if (team_) ahead_->stop(*team_);
  team_ = team;
  if (team && !ahead_) ahead_ = std::make_unique<PackedAhead<T>>(data_.rows, data_.y, data_.weight, kernels_);
  scratch_.resize(std::size_t(team ? team->threads() : 1));
  for (Scratch& scratch : scratch_) {
    reserve(scratch);
    // Here, where memory that runs out ends a run: not in a share that other threads wait for.
    if (!in_place(cut_.widens)) scratch.packed.resize(std::size_t(chunk_rows_ * data_.rows.features));
  }
}

template <class T>
bool DenseSum<T>::by_columns() const {
  return data_.rows.column_major() && !data_.rows.row_major() && !cut_.packs_columns;
}

template <class T>
bool DenseSum<T>::in_place(bool widens) const {
  const DenseRows<T>& rows = data_.rows;
  if (rows.narrow()) return widens && rows.row_major() && kernels_.widening.predict;
  return rows.constant() || rows.row_major() || by_columns();
}

template <class T>
Index DenseSum<T>::shares_of(const Segment& segment) const {
  // Single numbers go by so fast that two threads would do nothing but meet.
  if (data_.rows.constant() && packs_ahead(segment)) return 1;
  const Index most = std::min(most_shares, segment.count / std::max(cut_.share_rows, least_share_rows));
  const Index bytes = cost(segment),
              worth = bytes < 2 * least_share_bytes ? 1 : std::max<Index>(2, bytes / share_bytes);
  return std::max<Index>(1, Index(std::bit_floor(std::uint64_t(std::min(worth, most)))));
}

template <class T>
Index DenseSum<T>::cost(const Segment& segment) const {
  return segment.count * (segment.scattered ? scattered_bytes(row_bytes_) : row_bytes_);
}

template <class T>
Team* DenseSum<T>::team_for(const Segment& segment) const {
  return cost(segment) < cut_.team_bytes ? nullptr : team_;
}

template <class T>
bool DenseSum<T>::tries(const Segment& batch) const {
  return team_for(batch) && shares_of(batch) > 1 && (cost(batch) < surely_shared_bytes || packs_ahead(batch));
}

template <class T>
bool DenseSum<T>::undivided(Index batch_size) const {
  const Segment scattered{.count = batch_size, .scattered = true}, in_runs{.count = batch_size};
  return shares_of(scattered) == 1 && shares_of(in_runs) == 1;
}

template <class T>
double DenseSum<T>::add(const Segment& segment, const T* x, T* gradient) {
  if (!data_.scaling) return in_shares(segment, x, gradient);
  const double total = in_shares(segment, folding_.fold(x), folding_.folded_gradient());
  folding_.unfold(gradient);
  return total;
}

template <class T>
double DenseSum<T>::value(const Segment& segment, const T* x) {
  return in_shares(segment, data_.scaling ? folding_.fold(x) : x, nullptr);
}

template <class T>
double DenseSum<T>::in_shares(const Segment& segment, const T* x, T* gradient) {
  Team* const team = team_for(segment);
  // Values alone are walks of another kind, and so are the blocks of a long sum, which a team shares for sure.
  if (!gradient) return in_shares(segment, x, gradient, team);
  const bool choice = segment.count < this->block_rows() && tries(segment);
  const Ways ways(*this, choice, segment.count);
  return in_shares(segment, x, gradient, choice && !ways.shared() ? nullptr : team);
}

template <class T>
double DenseSum<T>::in_shares(const Segment& segment, const T* x, T* gradient, Team* team) {
  const Index shares = shares_of(segment);
  if (shares == 1) team = nullptr;
  if (team) fetch_in_place();
  const std::optional<Chunk> ready = team ? std::nullopt : packed(segment);
  if (shares == 1) return ready ? evaluate(*ready, x, gradient, scratch_[0]) : walk(segment, x, gradient, scratch_[0]);
  const Index k = scores_ * (width_ + data_.intercept), half = shares / 2;
  // A share that is added at once has the same bits without a gradient of its own, which only threads need.
  const bool straight = !team && (segment.count + shares - 1) / shares <= std::min(chunk_rows_, cut_.added_rows);
  const Index rooms = (straight ? 2 : shares) * partial_size_;
  if (gradient && Index(partial_.size()) < rooms) partial_.resize(std::size_t(rooms));
  const auto gradient_of = [&](Index i) {
    const Index room = straight ? i / half : i;
    return room == 0 || !gradient ? gradient : partial_.data() + room * partial_size_;
  };
  const auto begin_of = [&](Index i) { return segment.count * i / shares; };
  // Rows are asked for along all shares that are a thread's own, as Team deals them out.
  const Index owners = team ? std::min<Index>(team->threads(), shares) : 1;
  const auto owned = [&](Index i) {
    const Index owner = ((i + 1) * owners - 1) / shares;
    const Index from = begin_of(shares * owner / owners), to = begin_of(shares * (owner + 1) / owners);
    return segment.share(from, to - from).part(begin_of(i) - from, begin_of(i + 1) - begin_of(i));
  };
  std::array<Value, most_shares> values;
  const auto own_share = [&](std::uint32_t i, int thread) {
    const Index from = begin_of(i), size = begin_of(i + 1) - from;
    T* own = gradient_of(i);
    if (own != gradient && !(straight && i > half)) std::fill_n(own, k, T(0));
    Scratch& scratch = scratch_[std::size_t(thread)];
    values[i].value = ready ? evaluate(ready->part(from, size), x, own, scratch)
                            : walk(team ? owned(i) : segment.part(from, size), x, own, scratch);
  };
  share(team, std::uint32_t(shares), own_share);
  const auto add = [&](Index i, Index to) {
    values[std::size_t(to)].value += values[std::size_t(i)].value;
    if (gradient_of(i) != gradient_of(to)) kernels_.rows.add(gradient_of(i), k, gradient_of(to));
  };
  // Either half by itself, as two threads in step do.
  for (Index i = 1; i < half; ++i) add(i, 0);
  for (Index i = half + 1; i < shares; ++i) add(i, half);
  add(half, 0);
  return values[0].value;
}

template <class T>
double DenseSum<T>::exchange(const Segment& segment, const T* x, T* noted, T* change) {
  noted_ = noted;
  const double total = add(segment, x, change);
  noted_ = nullptr;
  return total;
}

template <class T>
void DenseSum<T>::exchange_slopes(const Segment& given, Index stride, T* slope) const {
  for (Index i = 0; i < given.count; ++i) {
    T* noted = noted_ + given[i] * scores_;
    for (Index k = 0; k < scores_; ++k) {
      const T now = slope[k * stride + i];
      slope[k * stride + i] = now - noted[k];
      noted[k] = now;
    }
  }
}

template <class T>
bool DenseSum<T>::bend(const Segment& segment, const T* x, const T* direction, T* product) {
  if (data_.scaling) {
    // Folding is linear, so a direction folds as the parameters do.
    const T* along = folding_.fold(direction);
    folded_direction_.assign(along, along + scores_ * (width_ + 1));
    direction_ = folded_direction_.data();
    in_shares(segment, folding_.fold(x), folding_.folded_gradient());
    folding_.unfold(product);
  } else {
    direction_ = direction;
    in_shares(segment, x, product);
  }
  direction_ = nullptr;
  return true;
}

template <class T>
double DenseSum<T>::walk(const Segment& segment, const T* x, T* gradient, Scratch& scratch) const {
  if (segment.count <= chunk_rows_) return evaluate(brought(segment, scratch, cut_.widens), x, gradient, scratch);
  double total = 0;
  for (Index from = 0; from < segment.count; from += chunk_rows_)
    total += evaluate(brought(segment.part(from, std::min(chunk_rows_, segment.count - from)), scratch, cut_.widens), x,
                      gradient, scratch);
  return total;
}

template <class T>
void DenseSum<T>::ask_for(Segment& given) const {
  if (data_.rows.rows * row_bytes_ <= always_cached) given.ahead = 0;
  given.sparing = sparing_;
}

template <class T>
auto DenseSum<T>::brought(const Segment& rows_given, Scratch& scratch, bool widens) const -> Chunk {
  const DenseRows<T>& rows = data_.rows;
  Chunk chunk{rows, rows_given, rows_given, data_.weight ? data_.weight + rows_given.begin : nullptr, nullptr};
  const Segment& given = chunk.given;
  ask_for(chunk.given);
  ask_for(chunk.visible);
  if (!in_place(widens)) {
    scratch.packed.resize(std::size_t(chunk_rows_ * rows.features));
    T* packed = scratch.packed.data();
    chunk.rows = {packed, given.count, rows.features, rows.features, 1};
    chunk.visible = {0, nullptr, given.count};
    if (!rows.narrow()) {
      kernels_.rows.pack(rows, given, packed);
    } else if (by_columns()) {
      chunk.rows = {packed, given.count, rows.features, 1, chunk_rows_};
      kernels_.widening.widen_columns(rows, given, chunk_rows_, packed);
    } else {
      kernels_.widening.widen(rows, given, packed);
    }
  }
  if (given.offset && chunk.weight) {
    kernels_.rows.gather(data_.weight, given, scratch.weight.data());
    chunk.weight = scratch.weight.data();
  }
  return chunk;
}

/// Whether scattered rows are few and short enough to be packed ahead. F order is left to its own kernels: those of packed rows
/// round otherwise.
template <class T>
bool DenseSum<T>::packs_ahead(const Segment& segment) const {
  const bool by_columns = data_.rows.column_major() && !data_.rows.row_major() && !data_.rows.constant();
  return cut_.packs_ahead && !by_columns && segment.scattered && row_bytes_ <= longest_packed &&
         segment.count <= chunk_rows_;
}

template <class T>
auto DenseSum<T>::packed(const Segment& given) -> std::optional<Chunk> {
  if (!team_ || !packs_ahead(given)) return {};
  const auto packed = ahead_->find(given, *team_);
  if (!packed) return {};
  const Index d = data_.rows.features;
  const DenseRows<T> rows =
      data_.rows.constant() ? DenseRows<T>{nullptr, given.count} : DenseRows<T>{packed->x, given.count, d, d, 1};
  return Chunk{rows, {0, nullptr, given.count}, given, packed->weight, packed->y};
}

template <class T>
auto DenseSum<T>::Chunk::part(Index from, Index size) const -> Chunk {
  Chunk part{rows, visible.part(from, size), given.part(from, size), weight ? weight + from : nullptr,
             y ? y + from : nullptr};
  if (visible.ahead == 0) part.visible.ahead = 0;  // all of it is in a cache, or nothing is behind it
  return part;
}

template <class T>
void DenseSum<T>::fetch_in_place() {
  if (team_) ahead_->stop(*team_);
}

template <class T>
std::string DenseSum<T>::complaint(const Segment& segment) const {
  const DenseRows<T>& rows = data_.rows;
  const auto say = [](const char* what, Index row, T number) {
    return std::string(what) + " holds " + (std::isnan(number) ? "NaN" : "an infinity") + ", first in row " +
           std::to_string(row);
  };
  std::vector<T> numbers(std::size_t(rows.features));
  for (Index i = 0; i < segment.count; ++i) {
    const Index row = segment[i];
    for (Index k = 0; k < cut_.targets; ++k) {
      const T number = data_.y[row * cut_.targets + k];
      if (!std::isfinite(number)) return say("y", row, number);
    }
    if (data_.weight && !std::isfinite(data_.weight[row])) return say("sample_weight", row, data_.weight[row]);
    if (rows.constant()) continue;
    (rows.narrow() ? kernels_.widening.widen : kernels_.rows.pack)(rows, segment.part(i, 1), numbers.data());
    for (Index j = 0; j < rows.features; ++j)
      if (const T number = numbers[std::size_t(j)]; !std::isfinite(number))
        return say("X", row, number) + ", column " + std::to_string(j);
  }
  return {};
}

template class DenseSum<float>;
template class DenseSum<double>;

}  // namespace steepest
