#include "steepest/trace.hpp"

#include <bit>
#include <stdexcept>

#include "op_positions.hpp"

namespace steepest {
namespace {

thread_local Trace* current = nullptr;
std::atomic<std::uint64_t> last_id{0};

std::size_t hash_of(int op, std::span<const Ref> inputs, const Shape& shape, std::int32_t option) {
  std::size_t hash = std::size_t(op) * 0x9e3779b97f4a7c15u + std::size_t(option);
  // A sum, so that commuted inputs meet.
  for (const Ref& input : inputs) hash += std::hash<const void*>()(input.get()) * 0x9e3779b97f4a7c15u;
  for (int axis = 0; axis < shape.axes; ++axis) hash = hash * 31 + std::size_t(shape[axis]);
  return hash;
}

bool same(const Node& node, const OpSpec& spec, int op, std::span<const Ref> inputs, const Shape& shape,
          std::int32_t option, const Detail* detail) {
  if (node.op != op || node.option != option || !(node.shape == shape) || bool(detail) != bool(node.detail))
    return false;
  if (detail && *detail != *node.detail) return false;
  bool equal = true;
  for (std::size_t k = 0; k < inputs.size(); ++k) equal = equal && node.input[k] == inputs[k];
  return equal || (spec.commutative && node.input[0] == inputs[1] && node.input[1] == inputs[0]);
}

}  // namespace

Trace::Trace(Number number) : number_(number), id_(++last_id) {}

Trace::Scope::Scope(Trace& trace) : before_(std::exchange(current, &trace)) {}
Trace::Scope::~Scope() { current = before_; }

Trace& Trace::of(const Node& node) {
  if (!current || current->id_ != node.trace)
    throw std::runtime_error("a traced tensor was used outside of the function that was traced; it has no value there");
  return *current;
}

Trace& Trace::recorded_now() {
  if (!current) throw std::runtime_error("no function is being traced by this thread");
  return *current;
}

Ref Trace::new_leaf(const Shape& shape) {
  Ref node(new Node);
  node->number = number_;
  node->shape = shape;
  node->trace = id_;
  return node;
}

Ref Trace::parameter(const Shape& shape) {
  Ref node = new_leaf(shape);
  node->needs_gradient = true;
  node->option = std::int32_t(parameters_.size());
  parameters_.push_back(node);
  return node;
}

Ref Trace::rows(const Shape& inner) {
  Shape shape{any_rows};
  for (int axis = 0; axis < inner.axes; ++axis) shape.push(inner[axis]);
  Ref node = new_leaf(shape);
  node->option = std::int32_t(row_inputs_.size());
  row_inputs_.push_back(node);
  return node;
}

Ref Trace::mask(const Shape& shape, double rate) {
  Ref node = new_leaf(shape);
  node->option = std::int32_t(masks_.size());
  masks_.push_back(node);
  mask_rates_.push_back(rate);
  return node;
}

bool Trace::is_mask(const Node& node) const {
  const auto i = std::size_t(node.option);
  return node.op == leaf && i < masks_.size() && masks_[i].get() == &node;
}

Ref Trace::row_count() {
  if (!row_count_) row_count_ = new_leaf({});
  return row_count_;
}

Ref Trace::canonical(const Ref& known) {
  if (known->shape.axes != 0) return known;
  return constants_.try_emplace(std::bit_cast<std::uint64_t>(known->item()), known).first->second;
}

Ref Trace::make(int op, std::span<const Ref> inputs, const Shape& shape, std::int32_t option, const Detail* detail) {
  const OpSpec& spec = op_specs()[std::size_t(op)];
  Ref in[3];
  for (std::size_t k = 0; k < inputs.size(); ++k) in[k] = inputs[k]->traced() ? inputs[k] : canonical(inputs[k]);
  if (spec.loops == Loops::elementwise) {
    const auto is_repeated = [](const Ref& a) { return a->op == op_of<operations::Broadcast> && a->traced(); };
    // What is the same number in every place is computed once.
    Ref numbers[3];
    bool all_known = true;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      numbers[k] = is_repeated(in[k]) ? Ref(in[k]->input[0]) : in[k];
      all_known = all_known && !numbers[k]->traced();
    }
    if (all_known && shape.has_rows()) return broadcast_to(elementwise(op, {numbers, inputs.size()}, option), shape);
    // Elementwise loops broadcast by themselves, as long as some input has the full shape.
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      const bool single = !in[k]->traced() && in[k]->shape.axes > 0 && in[k]->shape.count() == 1;
      if (!is_repeated(in[k]) && !single) continue;
      const Ref smaller = single ? canonical(constant(in[k]->item(), number_)) : Ref(in[k]->input[0]);
      Shape rest = smaller->shape;
      for (std::size_t other = 0; other < inputs.size(); ++other)
        if (other != k) rest = broadcast(rest, in[other]->shape);
      if (rest == shape) in[k] = smaller;
    }
  }
  if (op == op_of<operations::Broadcast> && !in[0]->traced() && in[0]->shape.count() == 1)
    in[0] = canonical(constant(in[0]->item(), number_));
  if (Ref simpler = simplified(op, in, shape, option)) return simpler;

  const std::span<const Ref> final_inputs(in, inputs.size());
  const std::size_t hash = hash_of(op, final_inputs, shape, option);
  const auto [first, last] = nodes_.equal_range(hash);
  for (auto it = first; it != last; ++it)
    if (same(*it->second, spec, op, final_inputs, shape, option, detail)) return it->second;

  Ref node = new_leaf(shape);
  node->op = std::int16_t(op);
  node->option = option;
  if (detail) node->detail = std::make_unique<Detail>(*detail);
  node->inputs = std::uint8_t(inputs.size());
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    node->input[k] = in[k];
    node->needs_gradient = node->needs_gradient || (in[k]->traced() && in[k]->needs_gradient && !spec.mask);
  }
  nodes_.emplace(hash, node);
  return node;
}

Ref Trace::cut(const Ref& a) {
  if (!a->needs_gradient) return a;
  Ref node = new_leaf(a->shape);
  node->op = op_of<operations::Reshape>;
  node->inputs = 1;
  node->input[0] = a;
  return node;
}

}  // namespace steepest
