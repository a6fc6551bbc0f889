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

/// More than two shares are of at least as many: each has a gradient of its own, which has to be added. None is of twice as many,
/// which a chunk of short rows holds.
constexpr Index share_bytes = 24 * 1024;
constexpr Index most_shares = 16, least_share_rows = 16;

/// With one score a row a team is worth a trial from the first of these on, a sum its handshakes for sure from the second.
constexpr Index pointwise_team_bytes = 16 * 1024, surely_shared_bytes = 512 * 1024;

/// A row that may lie anywhere takes as long as so many bytes in sequence: each of its lines is waited for, and its target.
constexpr Index longest_packed = 1024;
constexpr Index scattered_bytes(Index row_bytes) { return 2 * (row_bytes + 128); }

/// Half of the first-level cache of common processors.
constexpr Index first_cache_bytes = 16 * 1024;

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
  for (Scratch& scratch : scratch_) reserve(scratch);
}

template <class T>
Index DenseSum<T>::shares_of(const Segment& segment) const {
  if (packs_ahead(segment)) return 1;
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
  // What is tried are batches: values alone and the blocks of a long sum are walks of other kinds.
  const bool choice = team && gradient && shares_of(segment) > 1 && segment.count < this->block_rows() &&
                      cost(segment) < surely_shared_bytes;
  const FasterWay::Timed way(sharing_, choice, segment.count);
  return in_shares(segment, x, gradient, choice && !way.first() ? nullptr : team);
}

template <class T>
double DenseSum<T>::in_shares(const Segment& segment, const T* x, T* gradient, Team* team) {
  const Index shares = shares_of(segment);
  if (shares == 1) {
    if (const auto chunk = packed(segment)) return evaluate(*chunk, x, gradient, scratch_[0]);
    return walk(segment, x, gradient, scratch_[0]);
  }
  const Index k = scores_ * (width_ + data_.intercept);
  // A share that is added at once has the same bits without a gradient of its own, which only threads need.
  const bool straight = !team && (segment.count + shares - 1) / shares <= std::min(chunk_rows_, cut_.added_rows);
  if (!straight && Index(partial_.size()) < shares * partial_size_)
    partial_.resize(std::size_t(shares * partial_size_));
  std::array<Value, most_shares> values;
  const auto own_share = [&](std::uint32_t i, int thread) {
    const Index from = segment.count * i / shares, to = segment.count * (i + 1) / shares;
    T* own = gradient;
    if (own && i > 0 && !straight) {
      own = partial_.data() + Index(i) * partial_size_;
      std::fill_n(own, k, T(0));
    }
    const Segment rows = team ? segment.share(from, to - from) : segment.part(from, to - from);
    values[i].value = walk(rows, x, own, scratch_[std::size_t(thread)]);
  };
  share(team, std::uint32_t(shares), own_share);
  double total = values[0].value;
  for (Index i = 1; i < shares; ++i) {
    total += values[std::size_t(i)].value;
    if (gradient && !straight) kernels_.rows.add(partial_.data() + i * partial_size_, k, gradient);
  }
  return total;
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
  double total = 0;
  for (Index from = 0; from < segment.count; from += chunk_rows_)
    total += evaluate(brought(segment.part(from, std::min(chunk_rows_, segment.count - from)), scratch, cut_.widens), x,
                      gradient, scratch);
  return total;
}

template <class T>
Segment DenseSum<T>::asking(Segment given) const {
  if (data_.rows.rows * row_bytes_ <= always_cached) given.ahead = 0;
  return given;
}

template <class T>
auto DenseSum<T>::brought(const Segment& rows_given, Scratch& scratch, bool widens) const -> Chunk {
  const DenseRows<T>& rows = data_.rows;
  const Segment given = asking(rows_given);
  const bool by_columns = rows.column_major() && !rows.row_major() && !cut_.packs_columns;
  const bool in_registers = widens && rows.row_major() && kernels_.widening.predict;
  const bool in_place = rows.narrow() ? in_registers : rows.constant() || rows.row_major() || by_columns;
  Chunk chunk{rows, given, given, data_.weight ? data_.weight + given.begin : nullptr, nullptr};
  if (!in_place) {
    scratch.packed.resize(std::size_t(chunk_rows_ * rows.features));
    T* packed = scratch.packed.data();
    chunk.rows = {packed, given.count, rows.features, rows.features, 1};
    chunk.visible = {0, nullptr, given.count};
    if (!rows.narrow()) {
      kernels_.rows.pack(rows, given, packed);
    } else if (by_columns) {
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

/// Rows are read twice, for the prediction and for the gradient: a chunk of this size is still in cache the second time.
template <class T>
PointwiseSum<T>::PointwiseSum(std::size_t loss, std::vector<double> params, const RowData<T>& data)
    : DenseSum<T>(data, 1,
                  {.chunk_bytes = 64 * 1024,
                   .scratch_bytes = 0,
                   .share_rows = 1,
                   .team_bytes = pointwise_team_bytes,
                   .packs_ahead = true,
                   .widens = true}),
      loss_(kernels_.losses[loss]), change_(kernels_.curvature.losses[loss]), params_(std::move(params)) {
  this->use(nullptr);
}

template <class T>
void PointwiseSum<T>::reserve(Scratch& s) const {
  for (auto* buffer : {&s.y, &s.weight, &s.prediction, &s.slope}) buffer->resize(std::size_t(chunk_rows_));
}

/// Batches that go by in less time than what happens between two of them would take elsewhere.
template <class T>
bool PointwiseSum<T>::descends(Index batch_size) const {
  if (data_.scaling) return false;
  if (fit_registers(data_.rows)) return batch_size <= this->most_descended;
  if (data_.rows.constant() || batch_size > 1) return batch_size <= chunk_rows_ && this->undivided(batch_size);
  return data_.rows.row_major();
}

template <class T>
Index PointwiseSum<T>::descend(const Segment& segment, Index batch_size, const T* step, const Restraint& held, T* x,
                               double& objectives) {
  if (data_.rows.constant()) return descend_constant(segment, batch_size, step, held, x, objectives);
  if (batch_size > 1) return descend_in_batches(segment, batch_size, step, held, x, objectives);
  const double met = descend_by_rows(segment, step, held, x);
  objectives += met;
  return std::isfinite(met) ? segment.count : 0;
}

template <class T>
double PointwiseSum<T>::descend_by_rows(const Segment& segment, const T* step, const Restraint& held, T* x) {
  SingleRows<T> single{data_.y, data_.weight, step, x, data_.intercept, data_.mean_weight, held};
  if (!data_.rows.narrow()) return loss_.descend(params_.data(), data_.rows, segment, single);
  // Widened rows are read twice each, and stay in the first-level cache meanwhile.
  const Index fit = first_cache_bytes / (data_.rows.features * Index(sizeof(T)));
  const Index at_once = std::clamp<Index>(fit, 1, chunk_rows_);
  double met = 0;
  Scratch& scratch = this->scratch();
  for (Index from = 0; from < segment.count; from += at_once) {
    const Segment part = segment.part(from, std::min(at_once, segment.count - from));
    const Chunk chunk = this->brought(part, scratch, false);
    single.y = along(data_.y, chunk.given, scratch.y);
    single.weight = chunk.weight;
    single.step = step + from;
    met += loss_.descend(params_.data(), chunk.rows, chunk.visible, single);
  }
  return met;
}

/// Rows are brought for many batches at once; scattered ones, which a team may pack, batch by batch.
template <class T>
Index PointwiseSum<T>::descend_in_batches(const Segment& segment, Index batch_size, const T* step,
                                          const Restraint& held, T* x, double& objectives) {
  if (fit_registers(data_.rows)) return descend_in_registers(segment, batch_size, step, held, x, objectives);
  const Index at_once = segment.scattered ? batch_size : chunk_rows_ / batch_size * batch_size;
  Scratch& scratch = this->scratch();
  for (Index from = 0; from < segment.count; from += at_once) {
    const Segment part = segment.part(from, std::min(at_once, segment.count - from));
    const auto ready = this->packed(part);
    const Chunk chunk = ready ? *ready : this->brought(part, scratch, true);
    const T* y = chunk.y ? chunk.y : along(data_.y, chunk.given, scratch.y);
    for (Index at = 0; at < part.count; at += batch_size, ++step) {
      const Index rows = std::min(batch_size, part.count - at);
      Segment visible = chunk.visible.part(at, rows);
      if (chunk.visible.ahead == 0) visible.ahead = 0;  // the chunk is in a cache, or the last one
      const Chunk batch{chunk.rows, visible, chunk.given.part(at, rows), chunk.weight ? chunk.weight + at : nullptr,
                        y + at};
      T* gradient = cleared_gradient();
      if (!descend_by(gradient, evaluate(batch, x, gradient, scratch), rows, *step, held, x, objectives))
        return from + at;
    }
  }
  return segment.count;
}

/// All batches are of one size but the last.
template <class T>
Index PointwiseSum<T>::descend_in_registers(const Segment& segment, Index batch_size, const T* step,
                                            const Restraint& held, T* x, double& objectives) {
  const Index rest = segment.count % batch_size, whole = segment.count - rest;
  Index went = 0;
  if (whole > 0) went = descend_alike(segment.part(0, whole), batch_size, step, held, x, objectives);
  if (rest > 0 && went == whole)
    went += descend_alike(segment.part(whole, rest), rest, step + whole / batch_size, held, x, objectives);
  return went;
}

/// A team shares each batch, where they are large, or packs it, where its rows are scattered; else one kernel walks through
/// all. Either way has the same bits.
template <class T>
Index PointwiseSum<T>::descend_alike(const Segment& segment, Index size, const T* step, const Restraint& held, T* x,
                                     double& objectives) {
  const Segment first = segment.part(0, size);
  const Index shares = this->shares_of(first);
  const bool shareable = shares > 1 && this->team_for(first);
  const FasterWay::Timed way(this->sharing_, shareable, segment.count);
  const bool shared = !kernels_in_place() || (shareable && way.first());
  const Index at_once = shared || (segment.scattered && this->team()) ? size : segment.count;
  for (Index from = 0; from < segment.count; from += at_once, step += at_once / size) {
    const Segment part = segment.part(from, at_once);
    if (shared) {
      T* gradient = cleared_gradient();
      Team* const team = way.first() ? this->team_for(part) : nullptr;
      const double total = this->in_shares(part, x, gradient, team);
      if (!descend_by(gradient, total, size, *step, held, x, objectives)) return from;
      continue;
    }
    const SmallBatches<T> batches{size, shares, step, data_.mean_weight, held};
    const auto descend = [&](const DenseRows<T>& rows, const Segment& visible, const RowLosses<T>& losses) {
      return (rows.narrow() ? kernels_.widening.descend_in_registers
                            : kernels_.rows.descend_in_registers)(rows, visible, losses, batches, x, &objectives);
    };
    const auto ready = this->packed(part);
    const Index went = ready ? descend(ready->rows, ready->visible, losses_of(ready->y, ready->weight))
                             : descend(data_.rows, this->asking(part), losses_in_place(part));
    if (went < at_once) return from + went;
  }
  return segment.count;
}

template <class T>
T* PointwiseSum<T>::cleared_gradient() {
  std::vector<T>& gradient = this->scratch().gradient;
  gradient.assign(std::size_t(data_.rows.features + data_.intercept), T(0));
  return gradient.data();
}

/// One step down the gradient of a batch; false where no number was met.
template <class T>
bool PointwiseSum<T>::descend_by(const T* gradient, double total, Index rows, T step, const Restraint& held, T* x,
                                 double& objectives) {
  double met = total / data_.mean_weight;
  if (std::isfinite(total)) {
    const ElasticStep down{double(step), double(rows) * data_.mean_weight, held.l1, held.l2, held.intercept_pace};
    met += kernels_.rows.descend(down, rows, gradient, data_.rows.features, data_.intercept, x);
  }
  objectives += met;
  return std::isfinite(met);
}

template <class T>
RowLosses<T> PointwiseSum<T>::losses_of(const T* y, const T* weight) const {
  return {loss_, params_.data(), y, weight, data_.intercept};
}

template <class T>
RowLosses<T> PointwiseSum<T>::losses_in_place(const Segment& segment) const {
  return losses_of(data_.y + segment.begin, data_.weight ? data_.weight + segment.begin : nullptr);
}

template <class T>
bool PointwiseSum<T>::fit_registers(const DenseRows<T>& rows) const {
  return !rows.constant() && rows.row_major() && rows.features <= kernels_.rows.in_registers;
}

template <class T>
bool PointwiseSum<T>::kernels_in_place() const {
  return !data_.rows.narrow() || kernels_.widening.sum_in_registers;
}

template <class T>
double PointwiseSum<T>::walk(const Segment& segment, const T* x, T* gradient, Scratch& scratch) const {
  if (direction_ || noted_ || !fit_registers(data_.rows) || !kernels_in_place())
    return DenseSum<T>::walk(segment, x, gradient, scratch);
  const auto sum = data_.rows.narrow() ? kernels_.widening.sum_in_registers : kernels_.rows.sum_in_registers;
  double total = 0;
  for (Index from = 0; from < segment.count; from += chunk_rows_) {
    const Segment part = segment.part(from, std::min(chunk_rows_, segment.count - from));
    total += sum(data_.rows, this->asking(part), losses_in_place(part), x, gradient);
  }
  return total;
}

/// One parameter that many rows share: it stays in a register, and a batch costs no more than its targets.
template <class T>
Index PointwiseSum<T>::descend_constant(const Segment& segment, Index batch_size, const T* step, const Restraint& held,
                                        T* x, double& objectives) {
  T at = *x;
  Index from = 0;
  for (; from < segment.count; from += batch_size, ++step) {
    const Segment batch = segment.part(from, std::min(batch_size, segment.count - from));
    const LossSums sums = constant_sums(batch, at);
    const double rows = double(batch.count), by = double(*step), size = std::abs(double(at));
    const double met = sums.value / data_.mean_weight + rows * size * (held.l1 + 0.5 * held.l2 * size);
    objectives += met;
    if (!std::isfinite(met)) break;
    const double moved = (1 - by * held.l2) * double(at) - by / (rows * data_.mean_weight) * sums.slope;
    at = T(moved - std::clamp(moved, -by * held.l1, by * held.l1));
  }
  *x = at;
  return std::min(from, segment.count);
}

/// The sums of a batch of the constant model, whoever fetches its targets.
template <class T>
LossSums PointwiseSum<T>::constant_sums(const Segment& batch, T at) {
  if (const auto chunk = this->packed(batch))
    return loss_.constant(params_.data(), chunk->visible, chunk->y, chunk->weight, at);
  const T* weight = data_.weight ? along(data_.weight, batch, this->scratch().weight) : nullptr;
  return loss_.constant(params_.data(), batch, data_.y, weight, at);
}

/// The numbers of a segment's rows side by side.
template <class T>
const T* PointwiseSum<T>::along(const T* numbers, const Segment& given, std::vector<T>& room) const {
  if (!given.offset) return numbers + given.begin;
  kernels_.rows.gather(numbers, given, room.data());
  return room.data();
}

template <class T>
double PointwiseSum<T>::evaluate(const Chunk& chunk, const T* x, T* gradient, Scratch& scratch) const {
  const auto& [rows, visible, given, weight, targets] = chunk;
  if (rows.constant() && !direction_ && !noted_) {
    const LossSums sums =
        loss_.constant(params_.data(), targets ? visible : given, targets ? targets : data_.y, weight, x[0]);
    if (gradient) gradient[0] += T(sums.slope);
    return sums.value;
  }
  // First, so that they are where registers load them from by the time these do.
  const T* y = targets ? targets : along(data_.y, given, scratch.y);
  if (!direction_ && !noted_ && !visible.offset && !rows.narrow() && fit_registers(rows))
    return kernels_.rows.sum_in_registers(rows, visible, losses_of(y, weight), x, gradient);
  const T intercept = data_.intercept ? x[data_.rows.features] : T(0);
  T *z = scratch.prediction.data(), *slope = scratch.slope.data();
  const auto [predict, accumulate] = rows.narrow() ? std::pair(kernels_.widening.predict, kernels_.widening.accumulate)
                                     : rows.row_major() || rows.constant()
                                         ? std::pair(kernels_.rows.predict, kernels_.rows.accumulate)
                                         : std::pair(kernels_.rows.predict_columns, kernels_.rows.accumulate_columns);
  predict(rows, visible, x, intercept, z);
  double total = 0;
  if (direction_) {
    scratch.direction.resize(std::size_t(chunk_rows_));
    T* along = scratch.direction.data();
    predict(rows, visible, direction_, data_.intercept ? direction_[data_.rows.features] : T(0), along);
    change_(params_.data(), given.count, y, z, along, weight, slope);
  } else {
    total = loss_.reduce(params_.data(), given.count, y, z, weight, slope);
  }
  if (!gradient) return total;
  if (noted_) this->exchange_slopes(given, chunk_rows_, slope);
  accumulate(rows, visible, slope, gradient);
  if (data_.intercept) gradient[data_.rows.features] += kernels_.rows.sum(slope, given.count);
  return total;
}

template class DenseSum<float>;
template class DenseSum<double>;
template class PointwiseSum<float>;
template class PointwiseSum<double>;

}  // namespace steepest
