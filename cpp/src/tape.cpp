#include "steepest/tape.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "op_positions.hpp"
#include "steepest/order.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

/// Pieces of memory begin on cache lines.
constexpr Index alignment = 16;

Index rounded(Index count) { return (count + alignment - 1) / alignment * alignment; }

}  // namespace

template <class T>
Tape<T>::Tape(std::shared_ptr<const Program> program, Index most_rows)
    : program_(std::move(program)), kernels_(kernels_of<T>(kernels())), block_rows_(most_rows) {
  lane_.at.resize(program_->slots().size());
  lane_.views.resize(program_->viewed().size());
  for (std::size_t i = 0; i < lane_.at.size(); ++i) {
    const Slot& slot = program_->slots()[i];
    if (slot.place == Slot::Place::constant) lane_.at[i] = static_cast<const T*>(slot.constant->data());
  }
  geometries_of(program_->before(), 0, before_);
  geometries_of(program_->after(), 0, after_);
  grow(std::max<Index>(block_rows_, 1));
}

template <class T>
void Tape<T>::geometries_of(const std::vector<Step>& steps, Index rows, std::vector<Geometry>& geometries) {
  geometries.clear();
  for (const Step& step : steps) {
    Shape in[3];
    for (int k = 0; k < step.inputs; ++k) in[k] = step.in_shape[k].with_rows(rows);
    geometries.push_back(geometry_of(op_specs()[std::size_t(step.op)].loops, step.option, step.detail,
                                     {in, std::size_t(step.inputs)}, step.out_shape.with_rows(rows)));
  }
}

template <class T>
void Tape<T>::grow(Index rows) {
  capacity_ = rows;
  Index total = 0;
  for (const Shape& shape : program_->memory()) total += rounded(shape.with_rows(rows).count());
  arena_ = Memory::of(std::size_t(total) * sizeof(T));
  T* place = static_cast<T*>(arena_->data());
  piece_.clear();
  for (const Shape& shape : program_->memory()) {
    piece_.push_back(place);
    place += rounded(shape.with_rows(rows).count());
  }
  for (std::size_t i = 0; i < lane_.at.size(); ++i)
    if (const Slot& slot = program_->slots()[i]; slot.memory >= 0) lane_.at[i] = piece_[std::size_t(slot.memory)];
}

template <class T>
const std::vector<Geometry>& Tape<T>::bind(Index rows) {
  for (const Bound& bound : bound_)
    if (bound.rows == rows) return bound.geometries;
  Bound& bound = bound_[next_++ % std::size(bound_)];
  bound.rows = rows;
  geometries_of(program_->per_block(), rows, bound.geometries);
  return bound.geometries;
}

template <class T>
void Tape<T>::begin(const T* x, T* gradient) {
  for (std::size_t i = 0; i < lane_.at.size(); ++i)
    if (const Slot& slot = program_->slots()[i]; slot.place == Slot::Place::parameter)
      lane_.at[i] = x + program_->offsets()[std::size_t(slot.number)];
  for (std::size_t p = 0; gradient && p < program_->gradients().size(); ++p)
    if (const int slot = program_->gradients()[p]; slot >= 0 && program_->direct()[std::size_t(slot)])
      lane_.at[std::size_t(slot)] = gradient + program_->offsets()[p];
  for (const int i : program_->collectors())
    if (!gradient || !program_->direct()[std::size_t(i)])
      std::fill_n(const_cast<T*>(lane_.at[std::size_t(i)]), program_->slots()[std::size_t(i)].shape.count(), T(0));
  for (std::size_t i = 0; i < before_.size(); ++i) run_step(program_->before()[i], before_[i], lane_);
}

template <class T>
void Tape<T>::end(const Into<T>& into) {
  for (std::size_t i = 0; i < after_.size(); ++i) run_step(program_->after()[i], after_[i], lane_);
  for (std::size_t p = 0; into.gradient && p < program_->gradients().size(); ++p) {
    const int slot = program_->gradients()[p];
    if (slot < 0 || program_->direct()[std::size_t(slot)]) continue;
    const T* found = lane_.at[std::size_t(slot)];
    const Index count = program_->slots()[std::size_t(slot)].shape.count();
    T* to = into.gradient + program_->offsets()[p];
    if (into.add && into.scale == 1)
      kernels_.rows.add(found, count, to);
    else
      for (Index i = 0; i < count; ++i) to[i] = (into.add ? to[i] : T(0)) + into.scale * found[i];
  }
}

/// Points a lane at rows of the data, which begin `at` rows into this tape's memory where they are not read in place.
template <class T>
void Tape<T>::place(const std::vector<RowInput<T>>& inputs, const Segment& block, Index at, Lane& lane, bool copies,
                    Draw draw) {
  for (std::size_t i = 0; i < lane.at.size(); ++i) {
    const Slot& slot = program_->slots()[i];
    const auto number = std::size_t(slot.number);
    if (slot.memory >= 0 && slot.shape.has_rows())
      lane.at[i] = piece_[std::size_t(slot.memory)] + at * slot.shape.count();
    if (slot.place == Slot::Place::mask && copies) {
      T* own = const_cast<T*>(lane.at[i]);
      const Index count = slot.shape.count();
      const std::uint64_t key = mix(draw.key + number);
      for (Index row = 0; row < block.count; ++row, own += count)
        if (draw.on)
          kernels_.mask(mix(key + std::uint64_t(block[row])), count, program_->mask_rates()[number], own);
        else
          std::fill_n(own, count, T(1));
    }
    if (slot.place != Slot::Place::rows) continue;
    const RowInput<T>& rows = inputs[number];
    if (rows.is_sparse()) {
      lane.views[number] = {rows, block};
      continue;
    }
    const bool columns = rows.column_major() && !block.offset && !program_->tabled()[number];
    const bool in_place = !rows.narrow() && (rows.row_major() || columns);
    const bool viewed = program_->viewed()[number], loaded = program_->loaded()[number];
    if (viewed) lane.views[number] = {rows, block};
    if (!loaded && in_place) continue;
    T* own = const_cast<T*>(lane.at[i]);
    if (!rows.narrow() && !block.offset && rows.column_stride == 1 && rows.row_stride == rows.features)
      lane.at[i] = rows.data + block.begin * rows.row_stride;
    else if (!copies)
      ;
    else if (rows.narrow())
      kernels_.widening.widen(rows, block, own);
    else if (block.offset && rows.features == 1 && rows.row_stride == 1)
      kernels_.rows.gather(rows.data, block, own);
    else
      kernels_.rows.pack(rows, block, own);
    if (viewed && !in_place)
      lane.views[number] = {DenseRows<T>{lane.at[i], block.count, rows.features, rows.features, 1},
                            {0, nullptr, block.count}};
  }
}

template <class T>
typename Tape<T>::View Tape<T>::rows_of(const Step& step, Index count, const Lane& lane) const {
  const auto in = std::size_t(step.in[0]);
  const Slot& slot = program_->slots()[in];
  if (slot.place == Slot::Place::rows) return lane.views[std::size_t(slot.number)];
  const Index features = step.in_shape[0][1];
  return {DenseRows<T>{lane.at[in], count, features, features, 1}, {0, nullptr, count}};
}

template <class T>
void Tape<T>::run_step(const Step& step, const Geometry& geometry, const Lane& lane) {
  T* out = const_cast<T*>(lane.at[std::size_t(step.out)]);
  if (step.kind == Step::Kind::operation) {
    const T* in[3];
    for (int k = 0; k < step.inputs; ++k) in[k] = lane.at[std::size_t(step.in[k])];
    kernels_.ops[step.op].run(geometry, step.option, in, out);
    if (step.add_to >= 0) kernels_.rows.add(out, geometry.count, const_cast<T*>(lane.at[std::size_t(step.add_to)]));
    return;
  }
  const T* vector = lane.at[std::size_t(step.in[1])];
  if (step.kind == Step::Kind::scores) {
    const auto [m, n, k] = geometry.extent;
    const View view = rows_of(step, m, lane);
    kernels_.scores.predict(view.rows, view.segment, n, vector, nullptr, {n, 1}, out);
    return;
  }
  const auto& [rows, segment] = lane.views[std::size_t(program_->slots()[std::size_t(step.in[0])].number)];
  if (rows.is_sparse() && step.kind == Step::Kind::predict)
    kernels_.sparse.predict(rows.sparse, segment, vector, T(0), out);
  else if (rows.is_sparse())
    kernels_.sparse.accumulate(rows.sparse, segment, vector, out);
  else if (step.kind == Step::Kind::predict)
    (rows.row_major() ? kernels_.rows.predict : kernels_.rows.predict_columns)(rows, segment, vector, T(0), out);
  else
    (rows.row_major() ? kernels_.rows.accumulate : kernels_.rows.accumulate_columns)(rows, segment, vector, out);
}

template <class T>
double Tape<T>::run(const std::vector<RowInput<T>>& inputs, const Segment& segment, const T* x, T* gradient,
                    Draw draw) {
  if (program_->wide()) return run_waves(inputs, segment, x, {gradient}, draw, nullptr);
  const Index block_rows = program_->whole() ? std::max<Index>(segment.count, 1) : block_rows_;
  if (block_rows > capacity_) grow(block_rows);
  begin(x, gradient);
  T* value = const_cast<T*>(lane_.at[std::size_t(program_->value())]);
  double total = 0;
  // Blocks of like size: a short one at the end would cost nearly as much as a whole one.
  const Index blocks = (segment.count + block_rows - 1) / block_rows;
  for (Index b = 0; b < blocks; ++b) {
    const Index from = segment.count * b / blocks, to = segment.count * (b + 1) / blocks;
    const Segment block = segment.part(from, to - from);
    place(inputs, block, 0, lane_, true, draw);
    if (program_->row_count() >= 0) *const_cast<T*>(lane_.at[std::size_t(program_->row_count())]) = T(block.count);
    const auto& geometries = bind(block.count);
    for (std::size_t i = 0; i < geometries.size(); ++i) run_step(program_->per_block()[i], geometries[i], lane_);
    if (!program_->whole()) total += double(std::exchange(*value, T(0)));
  }
  end({gradient});
  return program_->whole() ? double(*value) : total;
}

template <class T>
std::string Tape<T>::fault_of(const Step& step, Index rows, const Segment& block) const {
  const auto numbers = [&](int slot, const Shape& shape) {
    return std::pair(lane_.at[std::size_t(slot)], shape.with_rows(rows).count());
  };
  const auto [out, count] = numbers(step.out, step.out_shape);
  const T* bad = std::find_if(out, out + count, [](T v) { return !std::isfinite(v); });
  if (bad == out + count) return {};
  for (int k = 0; k < step.inputs; ++k) {
    if (step.kind != Step::Kind::operation && k == 0) continue;
    const auto [in, size] = numbers(step.in[k], step.in_shape[k]);
    if (std::any_of(in, in + size, [](T v) { return !std::isfinite(v); })) return {};
  }
  const std::string_view name = op_specs()[std::size_t(step.op)].name;
  // An overflow is a divergence, not a fault of the operation; in a sum of two of them it shows as NaN.
  const bool adds = name == "matmul" || name == "sum" || name == "mean";
  const bool undefined =
      (std::isnan(*bad) && !adds) || name == "log" || name == "log1p" || name == "divide" || name == "power";
  if (!undefined) return {};
  std::string text = std::string(name) + " gave " + (std::isnan(*bad) ? "NaN" : "an infinity");
  if (step.out_shape.axes > 0 && step.out_shape[0] == any_rows)
    text += ", first in row " + std::to_string(block[(bad - out) / std::max<Index>(step.out_shape.count(), 1)]);
  return text;
}

template <class T>
std::string Tape<T>::first_fault(const std::vector<RowInput<T>>& inputs, const Segment& segment, const T* x,
                                 Draw draw) {
  const Index block_rows = program_->whole() ? std::max<Index>(segment.count, 1) : block_rows_;
  if (block_rows > capacity_) grow(block_rows);
  begin(x, nullptr);
  for (const Step& step : program_->before())
    if (const std::string fault = fault_of(step, 1, segment); !fault.empty()) return fault;
  for (Index from = 0; from < segment.count; from += block_rows) {
    const Segment block = segment.part(from, std::min(block_rows, segment.count - from));
    place(inputs, block, 0, lane_, true, draw);
    if (program_->row_count() >= 0) *const_cast<T*>(lane_.at[std::size_t(program_->row_count())]) = T(block.count);
    const auto& steps = program_->per_block();
    const auto& geometries = bind(block.count);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      run_step(steps[i], geometries[i], lane_);
      if (const std::string fault = fault_of(steps[i], block.count, block); !fault.empty()) return fault;
    }
  }
  return {};
}

template class Tape<float>;
template class Tape<double>;

}  // namespace steepest
