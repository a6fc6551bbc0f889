#include "steepest/tape.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "op_positions.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

/// Pieces of memory begin on cache lines.
constexpr Index alignment = 16;

Index rounded(Index count) { return (count + alignment - 1) / alignment * alignment; }

}  // namespace

template <class T>
Tape<T>::Tape(std::shared_ptr<const Program> program, Index most_rows)
    : program_(std::move(program)), kernels_(kernels_of<T>(kernels())), block_rows_(most_rows),
      at_(program_->slots().size()), views_(program_->viewed().size()) {
  for (std::size_t i = 0; i < at_.size(); ++i) {
    const Slot& slot = program_->slots()[i];
    if (slot.place == Slot::Place::constant) at_[i] = static_cast<const T*>(slot.constant->data());
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
  for (std::size_t i = 0; i < at_.size(); ++i)
    if (const Slot& slot = program_->slots()[i]; slot.memory >= 0) at_[i] = piece_[std::size_t(slot.memory)];
}

template <class T>
void Tape<T>::bind(Index rows) {
  for (std::size_t i = 0; i < std::size(bound_); ++i)
    if (bound_[i].rows == rows) {
      used_ = i;
      return;
    }
  used_ = next_++ % std::size(bound_);
  bound_[used_].rows = rows;
  geometries_of(program_->per_block(), rows, bound_[used_].geometries);
}

template <class T>
void Tape<T>::begin(const T* x) {
  for (std::size_t i = 0; i < at_.size(); ++i)
    if (const Slot& slot = program_->slots()[i]; slot.place == Slot::Place::parameter)
      at_[i] = x + program_->offsets()[std::size_t(slot.number)];
  for (const int i : program_->collectors())
    std::fill_n(const_cast<T*>(at_[std::size_t(i)]), program_->slots()[std::size_t(i)].shape.count(), T(0));
}

template <class T>
void Tape<T>::load(const std::vector<DenseRows<T>>& inputs, const Segment& block) {
  for (std::size_t i = 0; i < at_.size(); ++i) {
    const Slot& slot = program_->slots()[i];
    if (slot.place != Slot::Place::rows) continue;
    const auto number = std::size_t(slot.number);
    const DenseRows<T>& rows = inputs[number];
    const bool in_place = rows.row_major() || (rows.column_major() && !block.offset);
    const bool viewed = program_->viewed()[number], loaded = program_->loaded()[number];
    if (viewed) views_[number] = {rows, block};
    if (!loaded && in_place) continue;
    T* own = piece_[std::size_t(slot.memory)];
    at_[i] = own;
    if (!block.offset && rows.column_stride == 1 && rows.row_stride == rows.features)
      at_[i] = rows.data + block.begin * rows.row_stride;
    else if (rows.features == 1 && rows.row_stride == 1)
      kernels_.rows.gather(rows.data, block, own);
    else
      kernels_.rows.pack(rows, block, own);
    if (viewed && !in_place)
      views_[number] = {{at_[i], block.count, rows.features, rows.features, 1}, {0, nullptr, block.count}};
  }
}

template <class T>
void Tape<T>::run_step(const Step& step, const Geometry& geometry) {
  T* out = const_cast<T*>(at_[std::size_t(step.out)]);
  if (step.kind == Step::Kind::operation) {
    const T* in[3];
    for (int k = 0; k < step.inputs; ++k) in[k] = at_[std::size_t(step.in[k])];
    kernels_.ops[step.op].run(geometry, step.option, in, out);
    if (step.add_to >= 0) kernels_.rows.add(out, geometry.count, const_cast<T*>(at_[std::size_t(step.add_to)]));
    return;
  }
  const auto& [rows, segment] = views_[std::size_t(program_->slots()[std::size_t(step.in[0])].number)];
  const T* vector = at_[std::size_t(step.in[1])];
  if (step.kind == Step::Kind::predict)
    (rows.row_major() ? kernels_.rows.predict : kernels_.rows.predict_columns)(rows, segment, vector, T(0), out);
  else
    (rows.row_major() ? kernels_.rows.accumulate : kernels_.rows.accumulate_columns)(rows, segment, vector, out);
}

template <class T>
double Tape<T>::run(const std::vector<DenseRows<T>>& inputs, const Segment& segment, const T* x, T* gradient) {
  const Index block_rows = program_->whole() ? std::max<Index>(segment.count, 1) : block_rows_;
  if (block_rows > capacity_) grow(block_rows);
  begin(x);
  for (std::size_t i = 0; i < before_.size(); ++i) run_step(program_->before()[i], before_[i]);
  T* value = const_cast<T*>(at_[std::size_t(program_->value())]);
  double total = 0;
  // Blocks of like size: a short one at the end would cost nearly as much as a whole one.
  const Index blocks = (segment.count + block_rows - 1) / block_rows;
  for (Index b = 0; b < blocks; ++b) {
    const Index from = segment.count * b / blocks, to = segment.count * (b + 1) / blocks;
    const Segment block = segment.part(from, to - from);
    load(inputs, block);
    if (program_->row_count() >= 0) *const_cast<T*>(at_[std::size_t(program_->row_count())]) = T(block.count);
    bind(block.count);
    const auto& geometries = bound_[used_].geometries;
    for (std::size_t i = 0; i < geometries.size(); ++i) run_step(program_->per_block()[i], geometries[i]);
    if (!program_->whole()) total += double(std::exchange(*value, T(0)));
  }
  for (std::size_t i = 0; i < after_.size(); ++i) run_step(program_->after()[i], after_[i]);
  if (gradient)
    for (std::size_t p = 0; p < program_->gradients().size(); ++p)
      if (const int slot = program_->gradients()[p]; slot >= 0)
        kernels_.rows.add(at_[std::size_t(slot)], program_->slots()[std::size_t(slot)].shape.count(),
                          gradient + program_->offsets()[p]);
  return program_->whole() ? double(*value) : total;
}

template <class T>
std::string Tape<T>::fault_of(const Step& step, Index rows, const Segment& block) const {
  const auto numbers = [&](int slot, const Shape& shape) {
    return std::pair(at_[std::size_t(slot)], shape.with_rows(rows).count());
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
  // An overflow is a divergence, not a fault of the operation.
  const bool undefined = std::isnan(*bad) || name == "log" || name == "log1p" || name == "divide" || name == "power";
  if (!undefined) return {};
  std::string text = std::string(name) + " gave " + (std::isnan(*bad) ? "NaN" : "an infinity");
  if (step.out_shape.axes > 0 && step.out_shape[0] == any_rows)
    text += ", first in row " + std::to_string(block[(bad - out) / std::max<Index>(step.out_shape.count(), 1)]);
  return text;
}

template <class T>
std::string Tape<T>::first_fault(const std::vector<DenseRows<T>>& inputs, const Segment& segment, const T* x) {
  const Index block_rows = program_->whole() ? std::max<Index>(segment.count, 1) : block_rows_;
  if (block_rows > capacity_) grow(block_rows);
  begin(x);
  for (std::size_t i = 0; i < before_.size(); ++i) {
    run_step(program_->before()[i], before_[i]);
    if (const std::string fault = fault_of(program_->before()[i], 1, segment); !fault.empty()) return fault;
  }
  for (Index from = 0; from < segment.count; from += block_rows) {
    const Segment block = segment.part(from, std::min(block_rows, segment.count - from));
    load(inputs, block);
    if (program_->row_count() >= 0) *const_cast<T*>(at_[std::size_t(program_->row_count())]) = T(block.count);
    bind(block.count);
    const auto& steps = program_->per_block();
    for (std::size_t i = 0; i < steps.size(); ++i) {
      run_step(steps[i], bound_[used_].geometries[i]);
      if (const std::string fault = fault_of(steps[i], block.count, block); !fault.empty()) return fault;
    }
  }
  return {};
}

template class Tape<float>;
template class Tape<double>;

}  // namespace steepest
