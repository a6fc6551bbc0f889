// The sums of losses of one score a row, and plain descent by batches of it.
#include <algorithm>
#include <cmath>
#include <utility>

#include "steepest/objective.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

/// A team is worth a trial from here on.
constexpr Index team_bytes = 16 * 1024;

/// What widened rows may take of the first-level cache of common processors.
constexpr Index first_cache_bytes = 24 * 1024;

}  // namespace

/// Rows are read twice, for the prediction and for the gradient: a chunk of this size is still in cache the second time.
template <class T>
PointwiseSum<T>::PointwiseSum(std::size_t loss, std::vector<double> params, const RowData<T>& data)
    : DenseSum<T>(data, 1,
                  {.chunk_bytes = 64 * 1024,
                   .scratch_bytes = 0,
                   .share_rows = 1,
                   .team_bytes = team_bytes,
                   .packs_ahead = true,
                   .widens = true,
                   .begins = true}),
      loss_(kernels_.losses[loss]), change_(kernels_.curvature.losses[loss]), params_(std::move(params)) {
  this->use(nullptr);
}

template <class T>
void PointwiseSum<T>::reserve(Scratch& s) const {
  for (auto* buffer : {&s.y, &s.weight, &s.prediction, &s.slope}) buffer->resize(std::size_t(chunk_rows_));
}

/// Batches between which nothing happens but a step: elsewhere that takes as long as a small batch, and two threads could not go in
/// step.
template <class T>
bool PointwiseSum<T>::descends(Index batch_size) const {
  if (data_.scaling) return false;
  if (data_.rows.constant()) return batch_size <= chunk_rows_ && this->undivided(batch_size);
  return batch_size == 1 ? data_.rows.row_major() : batch_size <= this->most_descended;
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
  if (!data_.rows.narrow() && !fit_registers(data_.rows))
    return loss_.descend(params_.data(), data_.rows, segment, single);
  // Widened rows are read twice each, and stay in the first-level cache meanwhile. So many at once go by of others, too: with a row
  // in registers a kernel foresees the next one's prediction, and begins anew with every part. Both have the same bits.
  const Index fit = first_cache_bytes / (data_.rows.features * Index(sizeof(T)));
  const Index at_once = std::clamp<Index>(fit, 1, chunk_rows_);
  double met = 0;
  Scratch& scratch = this->scratch();
  for (Index from = 0; from < segment.count; from += at_once) {
    const Segment part = segment.part(from, std::min(at_once, segment.count - from));
    single.step = step + from;
    if (!data_.rows.narrow()) {
      met += loss_.descend(params_.data(), data_.rows, part, single);
      continue;
    }
    const Chunk chunk = this->brought(part, scratch, false);
    single.y = along(data_.y, chunk.given, scratch.y);
    single.weight = chunk.weight;
    met += loss_.descend(params_.data(), chunk.rows, chunk.visible, single);
  }
  return met;
}

/// Rows are brought for many batches at once; scattered ones, which a team may pack, batch by batch.
template <class T>
Index PointwiseSum<T>::descend_in_batches(const Segment& segment, Index batch_size, const T* step,
                                          const Restraint& held, T* x, double& objectives) {
  const bool undivided = batch_size <= chunk_rows_ && this->undivided(batch_size);
  if (fit_registers(data_.rows) || !undivided) return descend_shared(segment, batch_size, step, held, x, objectives);
  const Index at_once = segment.scattered ? batch_size : chunk_rows_ / batch_size * batch_size;
  const Ways ways(*this, false, segment.count);
  Scratch& scratch = this->scratch();
  for (Index from = 0; from < segment.count; from += at_once) {
    const Segment part = segment.part(from, std::min(at_once, segment.count - from));
    const auto ready = this->packed(part);
    Chunk chunk = ready ? *ready : this->brought(part, scratch, true);
    if (!chunk.y) chunk.y = along(data_.y, chunk.given, scratch.y);
    for (Index at = 0; at < part.count; at += batch_size, ++step) {
      const Index rows = std::min(batch_size, part.count - at);
      T* gradient = cleared_gradient();
      const double total = evaluate(chunk.part(at, rows), x, gradient, scratch);
      if (!descend_by(gradient, total, rows, *step, held, x, objectives)) return from + at;
    }
  }
  return segment.count;
}

/// All batches are of one size but the last.
template <class T>
Index PointwiseSum<T>::descend_shared(const Segment& segment, Index batch_size, const T* step, const Restraint& held,
                                      T* x, double& objectives) {
  const Index rest = segment.count % batch_size, whole = segment.count - rest;
  Index went = 0;
  if (whole > 0) went = descend_alike(segment.part(0, whole), batch_size, step, held, x, objectives);
  if (rest > 0 && went == whole)
    went += descend_alike(segment.part(whole, rest), rest, step + whole / batch_size, held, x, objectives);
  return went;
}

/// A team shares each batch, where they are large, or packs those of scattered rows, whichever is the faster; else one kernel
/// walks through all, if there is one. Every way has the same bits.
template <class T>
Index PointwiseSum<T>::descend_alike(const Segment& segment, Index size, const T* step, const Restraint& held, T* x,
                                     double& objectives) {
  const Segment first = segment.part(0, size);
  const Index shares = this->shares_of(first);
  const bool choice = this->tries(first);
  const Ways ways(*this, choice, segment.count);
  Team* const team = shares == 1 || (choice && !ways.shared()) ? nullptr : this->team_for(first);
  if (team && (shares == 2 || team->threads() == 2))
    return descend_in_step(segment, size, step, held, x, objectives, *team);
  if (team || !fit_registers(data_.rows) || !kernels_in_place())
    return descend_by_shares(segment, size, step, held, x, objectives, team);
  const Index at_once = segment.scattered && this->team() ? size : segment.count;
  for (Index from = 0; from < segment.count; from += at_once, step += at_once / size) {
    Segment part = segment.part(from, at_once);
    const SmallBatches<T> batches{size, shares, step, data_.mean_weight, held};
    const auto descend = [&](const DenseRows<T>& rows, const Segment& visible, const RowLosses<T>& losses) {
      return (rows.narrow() ? kernels_.widening.descend_in_registers
                            : kernels_.rows.descend_in_registers)(rows, visible, losses, batches, x, &objectives);
    };
    const auto ready = this->packed(part);
    if (!ready) this->ask_for(part);
    const Index went = ready ? descend(ready->rows, ready->visible, losses_of(ready->y, ready->weight))
                             : descend(data_.rows, part, losses_in_place(part));
    if (went < at_once) return from + went;
  }
  return segment.count;
}

template <class T>
Index PointwiseSum<T>::descend_by_shares(const Segment& segment, Index size, const T* step, const Restraint& held, T* x,
                                         double& objectives, Team* team) {
  for (Index from = 0; from < segment.count; from += size, ++step) {
    T* gradient = cleared_gradient();
    const double total = this->in_shares(segment.part(from, size), x, gradient, team);
    if (!descend_by(gradient, total, size, *step, held, x, objectives)) return from;
  }
  return segment.count;
}

/// Either thread sums half of the shares, tells the other, and moves parameters of its own: between two batches they have to
/// wait for each other only once.
template <class T>
Index PointwiseSum<T>::descend_in_step(const Segment& segment, Index size, const T* step, const Restraint& held, T* x,
                                       double& objectives, Team& team) {
  const Index shares = this->shares_of(segment.part(0, size)), half = shares / 2, parameters = this->parameters();
  const auto begin_of = [&](Index share) { return size * share / shares; };
  for (Side& side : sides_) {
    side.x.assign(x, x + parameters);
    for (auto* numbers : {&side.gradient, &side.partial}) numbers->resize(std::size_t(parameters));
    // Nothing else is on their last line.
    for (auto& told : side.told) told.resize(std::size_t(parameters) + cache_line / sizeof(T));
  }
  this->fetch_in_place();
  constexpr Index alone = -1;
  Pair pair;
  Index went = alone;
  team.run(2, [&](std::uint32_t number, int thread) {
    if (number == 1 && !pair.join()) return;
    Side &own = sides_[number], &other = sides_[1 - number];
    T *const at = own.x.data(), *const gradient = own.gradient.data(), *const partial = own.partial.data();
    T* const told[2] = {own.told[0].data(), own.told[1].data()};
    const T* const heard[2] = {other.told[0].data(), other.told[1].data()};
    const Index first = Index(number) * half, half_begin = begin_of(first);
    double met = objectives;
    Index from = 0;
    for (Index batch = 0; from < segment.count; from += size, ++batch) {
      const Segment rows = segment.part(from, size).share(half_begin, begin_of(first + half) - half_begin);
      double total = 0;
      for (Index i = first; i < first + half; ++i) {
        T* const sum = i == first ? gradient : partial;
        std::fill_n(sum, parameters, T(0));
        const Segment share = rows.part(begin_of(i) - half_begin, begin_of(i + 1) - begin_of(i));
        total += walk(share, at, sum, this->scratch(thread));
        if (i > first) kernels_.rows.add(sum, parameters, gradient);
      }
      std::copy_n(gradient, parameters, told[batch % 2]);
      if (number == 0 && batch == 0 && !pair.joined()) return;
      total += pair.meet(int(number), total);
      kernels_.rows.add(heard[batch % 2], parameters, gradient);
      if (!descend_by(gradient, total, size, step[batch], held, at, met)) break;
    }
    if (number == 1) return;
    went = from;
    objectives = met;
    std::copy(own.x.begin(), own.x.end(), x);
  });
  return went == alone ? descend_by_shares(segment, size, step, held, x, objectives, nullptr) : went;
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
    Segment part = segment.part(from, std::min(chunk_rows_, segment.count - from));
    this->ask_for(part);
    total += sum(data_.rows, part, losses_in_place(part), x, gradient);
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

template class PointwiseSum<float>;
template class PointwiseSum<double>;

}  // namespace steepest
