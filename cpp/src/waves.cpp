// Wide programs: a batch at once, shared by threads first by its rows, then by the results of its sums.
#include <algorithm>
#include <cmath>

#include "steepest/tape.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

/// Rows that go through the layers together: enough for the products, few enough for the nearest caches.
constexpr Index piece_rows = 32, least_piece_rows = 8;
/// Multiplications that are worth a handshake between threads.
constexpr Index piece_work = Index(1) << 19;
/// Rows of a product's result that a piece is a multiple of: tiles are as high, or half. Columns, where it is cut by those.
constexpr Index tile_rows = 12, tile_columns = 32;
/// Pieces of a product, of even sizes: what the last of them keeps other threads waiting for.
constexpr Index most_cuts = 32;

bool is_product(const Step& step) { return step.kind == Step::Kind::product || step.kind == Step::Kind::weights; }

/// Multiplications per row of the data.
Index work_of(const Step& step) { return is_product(step) ? step.out_shape.count() : 0; }

}  // namespace

/// The sums over rows and how they are cut: products by the rows of their results, or by the columns where rows are few; no
/// others. That of the losses comes first.
template <class T>
void Tape<T>::plan_sums(Index rows) {
  if (sums_.rows == rows) return;
  sums_.rows = rows;
  geometries_of(program_->sums(), rows, sums_.geometries);
  tasks_.clear();
  for (std::size_t i = 0; i < sums_.geometries.size(); ++i) {
    const Step& step = program_->sums()[i];
    const bool by_columns = step.kind == Step::Kind::weights;
    const Index size = is_product(step) ? step.out_shape[by_columns ? 1 : 0] : 1;
    const Index unit = by_columns ? tile_columns : tile_rows, units = (size + unit - 1) / unit;
    const Index cuts = std::clamp<Index>(work_of(step) * rows / piece_work, 1, std::min(units, most_cuts));
    for (Index c = 0; c < cuts; ++c)
      tasks_.push_back(
          {&step, &sums_.geometries[i], units * c / cuts * unit, std::min(units * (c + 1) / cuts * unit, size)});
  }
  std::stable_partition(tasks_.begin(), tasks_.end(),
                        [&](const Task& task) { return task.step->add_to == program_->value(); });
}

template <class T>
void Tape<T>::run_sum(const Task& task, T scale, bool add) {
  const Step& step = *task.step;
  if (!is_product(step)) return run_step(step, *task.geometry, lane_);
  const T *a = lane_.at[std::size_t(step.in[0])], *b = lane_.at[std::size_t(step.in[1])];
  T* c = const_cast<T*>(lane_.at[std::size_t(step.out)]);
  if (!program_->direct()[std::size_t(step.out)]) scale = 1, add = true;
  if (step.kind == Step::Kind::weights) {
    const Index scores = step.out_shape[0], features = step.out_shape[1];
    View view = rows_of(step, sums_.rows, lane_);
    view.rows.data += task.from;
    view.rows.features = task.to - task.from;
    kernels_.scores.accumulate(view.rows, view.segment, scores, b, {scores, 1}, {scale, add}, features, c + task.from);
    return;
  }
  const auto [m, n, k] = task.geometry->extent;
  kernels_.multiply({task.to - task.from, n, k, a + task.from, 1, m, b, n, false, c + task.from * n, n, add, scale});
}

template <class T>
double Tape<T>::run_wave(const std::vector<RowInput<T>>& inputs, const Segment& wave, const Into<T>& into,
                         bool finite_only, Draw draw, Team* team) {
  Index work = 0;
  for (const Step& step : program_->sums()) work += work_of(step);
  Team* helping = wave.count * work >= piece_work ? team : nullptr;
  Index pieces = (wave.count + piece_rows - 1) / piece_rows;
  if (pieces == 1 && wave.count >= 2 * least_piece_rows && wave.count * work >= 2 * piece_work) pieces = 2;
  // Both sizes of pieces are known before any thread asks.
  bind(wave.count / pieces);
  bind((wave.count + pieces - 1) / pieces);
  plan_sums(wave.count);
  share(helping, std::uint32_t(pieces), [&](std::uint32_t i, int thread) {
    const Index first = wave.count * i / pieces, last = wave.count * (i + 1) / pieces;
    Lane& lane = lanes_[std::size_t(thread)];
    place(inputs, wave.part(first, last - first), first, lane, true, draw);
    const auto& geometries = bind(last - first);
    for (std::size_t s = 0; s < geometries.size(); ++s) run_step(program_->per_block()[s], geometries[s], lane);
  });
  place(inputs, wave, 0, lane_, false, draw);
  // Without a gradient the products are of no use, but go to memory of their own.
  const T scale = into.gradient ? into.scale : T(1);
  run_sum(tasks_[0], scale, into.add);
  T* value = const_cast<T*>(lane_.at[std::size_t(program_->value())]);
  const double total = double(std::exchange(*value, T(0)));
  if (finite_only && !std::isfinite(total)) return total;
  share(helping, std::uint32_t(tasks_.size()) - 1,
        [&](std::uint32_t i, int) { run_sum(tasks_[i + 1], scale, into.add); });
  return total;
}

template <class T>
void Tape<T>::begin_lanes(const T* x, T* gradient, Team* team) {
  const Index threads = team ? team->threads() : 1;
  while (Index(lanes_.size()) < threads) lanes_.push_back(lane_);
  begin(x, gradient);
  for (Lane& lane : lanes_) lane.at = lane_.at;
}

template <class T>
double Tape<T>::run_waves(const std::vector<RowInput<T>>& inputs, const Segment& segment, const T* x,
                          const Into<T>& into, Draw draw, Team* team) {
  begin_lanes(x, into.gradient, team);
  double total = 0;
  const Index waves = (segment.count + block_rows_ - 1) / block_rows_;
  for (Index w = 0; w < waves; ++w) {
    const Index from = segment.count * w / waves, to = segment.count * (w + 1) / waves;
    const Into<T> wave_into{into.gradient, into.scale, into.add || w > 0};
    total += run_wave(inputs, segment.part(from, to - from), wave_into, false, draw, team);
  }
  end(into);
  return total;
}

template <class T>
double Tape<T>::move(const std::vector<RowInput<T>>& inputs, const Segment& wave, T* x, T factor, Draw draw,
                     Team* team) {
  begin_lanes(x, x, team);
  const Into<T> into{x, factor, true};
  const double total = run_wave(inputs, wave, into, true, draw, team);
  if (std::isfinite(total)) end(into);
  return total;
}

template class Tape<float>;
template class Tape<double>;

}  // namespace steepest
