// From a traced value to a Program: gradients, the order of steps, and which of them share memory.
#include <algorithm>
#include <stdexcept>
#include <unordered_map>

#include "op_positions.hpp"
#include "steepest/tape.hpp"

namespace steepest {
namespace {

using namespace operations;
using Index = std::int64_t;

template <class Op>
bool is(const Ref& a) {
  return a->traced() && a->op == op_of<Op>;
}

Ref of(const Ref& a, int k = 0) { return Ref(a->input[k]); }

bool is_number(const Ref& a) { return !a->traced() && a->shape.axes == 0; }

/// Sums over axes of which the rows are the first, with the rows left out.
Ref sum_without_rows(const Ref& a) {
  if (is<Reshape>(a)) return sum_without_rows(of(a));
  if (!is<Sum>(a) || (a->option & 15) != 0 || of(a)->shape[0] != any_rows) return {};
  std::vector<int> axes;
  for (int axis = 1; axis < a->option >> 4; ++axis) axes.push_back(axis);
  return reduce("sum", of(a), axes, false);
}

/// What a mean over rows is the mean of, if it is one.
Ref stripped(const Trace& trace, const Ref& a) {
  if (!a->traced() || !a->shape.has_rows()) {
    if (is<Negative>(a)) {
      const Ref inside = stripped(trace, of(a));
      return inside ? -inside : inside;
    }
    if (is<Add>(a) || is<Subtract>(a)) {
      const Ref left = stripped(trace, of(a, 0)), right = stripped(trace, of(a, 1));
      if (!left && !right) return {};
      const Ref &x = left ? left : of(a, 0), &y = right ? right : of(a, 1);
      return is<Add>(a) ? x + y : x - y;
    }
    if (is<Multiply>(a))
      for (const int k : {0, 1})
        if (is_number(of(a, k)))
          if (const Ref inside = stripped(trace, of(a, 1 - k))) return of(a, k) * inside;
    if (is<Divide>(a)) {
      if (of(a, 1) == trace.row_count_leaf()) {
        // The sum may be multiplied by a number on its way.
        const Ref total = of(a, 0);
        if (const Ref losses = sum_without_rows(total)) return losses;
        if (is<Multiply>(total))
          for (const int k : {0, 1})
            if (is_number(of(total, k)))
              if (const Ref losses = sum_without_rows(of(total, 1 - k))) return of(total, k) * losses;
        return {};
      }
    }
  }
  return {};
}

std::string name_of(const Node& node) { return std::string(op_specs()[std::size_t(node.op)].name); }

bool takes_rows(const Node& node) {
  for (int k = 0; k < node.inputs; ++k)
    if (node.input[k]->shape.has_rows()) return true;
  return false;
}

constexpr const char* mixes = ", which mixes the rows of a batch; return one loss per row, or say "
                              "steepest.loss(whole_batch=True)";

}  // namespace

Ref row_losses_of(const Trace& trace, const Ref& root) {
  Ref losses = root->traced() && root->shape.has_rows() ? root : stripped(trace, root);
  if (!losses) losses = root;
  if (!(losses->shape == Shape{any_rows})) {
    const bool depends = losses->traced() && [&] {
      for (const Node* node : topological_order({&losses, 1}, false))
        if (node->shape.has_rows()) return true;
      return false;
    }();
    if (depends && !losses->shape.has_rows())
      throw std::invalid_argument("a loss returned the shape " + losses->shape.text() +
                                  " by a reduction over rows other than a mean" + mixes);
    throw std::invalid_argument("a loss must return one number per row, shape (B,); it returned shape " +
                                losses->shape.text());
  }
  for (const Node* node : topological_order({&losses, 1}, false)) {
    if (node == trace.row_count_leaf().get())
      throw std::invalid_argument(std::string("the loss uses the number of rows") + mixes);
    if (node->op == leaf) continue;
    if (takes_rows(*node) && !node->shape.has_rows())
      throw std::invalid_argument("the loss contains " + name_of(*node) + " over rows" + mixes);
    for (int axis = 1; axis < node->shape.axes; ++axis)
      if (node->shape[axis] == any_rows)
        throw std::invalid_argument("the loss contains " + name_of(*node) + " with the rows as axis " +
                                    std::to_string(axis) + mixes);
  }
  return losses;
}

/// Nodes to slots and steps, in their order.
class Program::Planner {
 public:
  Planner(Program& program, const Trace& trace) : program_(program), trace_(trace) {
    for (const Ref& parameter : trace.parameters()) {
      program_.offsets_.push_back(program_.parameters_);
      program_.parameters_ += parameter->shape.count();
    }
    program_.loaded_.resize(trace.row_inputs().size());
    program_.viewed_.resize(trace.row_inputs().size());
    program_.tabled_.resize(trace.row_inputs().size());
  }

  void plan(const std::vector<Ref>& ends) {
    std::vector<Node*> order = topological_order(ends, false);
    for (const Node* node : order) program_.wide_ = program_.wide_ || (!program_.whole_ && is_weight_gradient(*node));
    // Sums over rows come last: they wait for the rows of all pieces.
    if (program_.wide_)
      std::stable_partition(order.begin(), order.end(), [&](Node* node) { return !is_after_rows(node); });
    for (Node* node : order)
      for (int k = 0; k < node->inputs; ++k) last_use_[resolved(node->input[k].get())] = node;
    for (const Ref& end : ends) last_use_[resolved(end.get())] = nullptr;
    for (Node* node : order) add(node);
    for (const auto& slot : program_.slots_)
      if (slot.shape.has_rows()) program_.row_numbers_ += slot.memory >= 0 ? 0 : slot.shape.count();
    for (const Shape& shape : program_.memory_)
      if (shape.has_rows()) program_.row_numbers_ += shape.count();
  }

  int slot_of(const Ref& node) const { return slots_.at(resolved(node.get())); }

 private:
  /// Reshapes read what they reshape.
  static Node* resolved(Node* node) {
    while (node->op == op_of<Reshape> && node->inputs) node = node->input[0].get();
    return node;
  }

  /// Rows times rows: the gradient by a matrix that rows were multiplied with.
  static bool is_weight_gradient(const Node& node) {
    return node.op == op_of<MatMul> && node.shape.axes == 2 && node.shape[1] > 1 && !node.shape.has_rows() &&
           node.option == 1 && node.input[0]->shape.has_rows();
  }

  /// Whether a node sums over rows or depends on such a sum.
  bool is_after_rows(Node* node) {
    bool after = takes_rows(*node) && !node->shape.has_rows();
    for (int k = 0; k < node->inputs; ++k) after = after || after_rows_[node->input[k].get()];
    return after_rows_[node] = after;
  }

  int phase_of(Node* node) const {
    const auto found = phases_.find(node);
    return found == phases_.end() ? 0 : found->second;
  }

  void add(Node* node) {
    int phase = node->shape.has_rows() ? 1 : 0;
    bool over_rows = false;
    for (int k = 0; k < node->inputs; ++k) {
      phase = std::max(phase, phase_of(node->input[k].get()));
      over_rows = over_rows || (node->input[k]->shape.has_rows() && !node->shape.has_rows());
    }
    if (node == trace_.row_count_leaf().get()) phase = 1;
    if (program_.whole_) {
      phase = phase ? 1 : 0;
      over_rows = false;
    }
    if (over_rows) phase = 2;
    phases_[node] = phase;
    if (resolved(node) != node) return;
    if (node->op == leaf) return add_leaf(node);
    if (phase == 2 && node->shape.has_rows())
      throw std::invalid_argument(
          "the gradient of this loss mixes the rows of a batch; say steepest.loss(whole_batch=True)");
    if (over_rows && node->op != op_of<Sum> && node->op != op_of<MatMul> && node->op != op_of<Put>)
      throw std::invalid_argument("the loss contains " + name_of(*node) + " over rows" + mixes);
    add_step(node, phase, over_rows);
  }

  void add_leaf(Node* node) {
    Slot slot;
    slot.shape = node->shape;
    if (!node->traced()) {
      slot.place = Slot::Place::constant;
      slot.constant = Ref(node);
    } else if (node == trace_.row_count_leaf().get()) {
      slot.place = Slot::Place::scratch;
      slot.memory = new_memory(node->shape);
      program_.row_count_ = int(program_.slots_.size());
    } else if (trace_.is_mask(*node)) {
      slot.place = Slot::Place::mask;
      slot.number = node->option;
      slot.memory = new_memory(node->shape);
    } else {
      slot.place = node->shape.has_rows() ? Slot::Place::rows : Slot::Place::parameter;
      slot.number = node->option;
      if (slot.place == Slot::Place::rows) slot.memory = new_memory(node->shape);
    }
    slots_[node] = int(program_.slots_.size());
    program_.slots_.push_back(std::move(slot));
  }

  void add_step(Node* node, int phase, bool over_rows) {
    Step step;
    step.op = node->op;
    step.option = node->option;
    step.detail = node->detail.get();
    step.inputs = node->inputs;
    step.out_shape = node->shape;
    for (int k = 0; k < node->inputs; ++k) {
      step.in[k] = slots_.at(resolved(node->input[k].get()));
      step.in_shape[k] = node->input[k]->shape;
    }
    choose_kernel(step, node, over_rows);
    for (int k = 0; k < node->inputs; ++k)
      if (const Slot& in = program_.slots_[std::size_t(step.in[k])]; in.place == Slot::Place::rows) {
        const auto number = std::size_t(in.number);
        (step.kind != Step::Kind::operation && k == 0 ? program_.viewed_ : program_.loaded_)[number] = 1;
        if (k == 0 && (step.kind == Step::Kind::scores || step.kind == Step::Kind::weights))
          program_.tabled_[number] = 1;
      }

    const bool block = phase == 1 || over_rows;
    // A result of the rows' phase may reuse memory that the phase is done with; others live on.
    step.out = new_slot(node->shape, block && !over_rows);
    if (over_rows && program_.wide_ && is_weight_gradient(*node) && step.kind == Step::Kind::operation)
      step.kind = Step::Kind::product;
    if (over_rows && step.kind == Step::Kind::operation) {
      step.add_to = step.out;
      step.out = new_slot(node->shape, true);
      // Sums of a wide program may run side by side.
      if (!program_.wide_) free(step.out);
    }
    if (over_rows) program_.collectors_.push_back(step.add_to >= 0 ? step.add_to : step.out);
    slots_[node] = step.add_to >= 0 ? step.add_to : step.out;
    if (block && !(over_rows && program_.wide_))
      for (int k = 0; k < node->inputs; ++k) release_after(node, node->input[k].get());
    auto& per_rows = over_rows && program_.wide_ ? program_.sums_ : program_.per_block_;
    (block ? per_rows : phase == 0 ? program_.before_ : program_.after_).push_back(std::move(step));
  }

  /// Products of a row input with a vector go through the kernels of the rows, those of any rows with a few rows of a matrix
  /// through the kernels of K scores.
  void choose_kernel(Step& step, const Node* node, bool over_rows) const {
    if (node->op != op_of<MatMul> || node->shape.axes != 2) return;
    const auto few = [](Index count) { return count > 1 && count <= most_scores; };
    const auto is_table = [](const Ref& a) { return a->shape.axes == 2 && a->shape[0] == any_rows; };
    if (node->option == 2 && few(node->shape[1]) && is_table(node->input[0]) && !node->input[1]->shape.has_rows() &&
        phase_of(node->input[1].get()) == 0) {
      step.kind = Step::Kind::scores;
      return;
    }
    if (program_.wide_ && over_rows && is_weight_gradient(*node) && few(node->shape[0]) && is_table(node->input[0]) &&
        is_table(node->input[1])) {
      step.kind = Step::Kind::weights;
      std::swap(step.in[0], step.in[1]);
      std::swap(step.in_shape[0], step.in_shape[1]);
      return;
    }
    if (node->shape[1] != 1 || (node->option & 2)) return;
    const Node* rows = node->input[0].get();
    if (rows->op != leaf || !rows->traced() || !rows->shape.has_rows() || rows->shape.axes != 2) return;
    if (node->option == 0 && phase_of(node->input[1].get()) == 0) step.kind = Step::Kind::predict;
    if (node->option == 1 && over_rows) step.kind = Step::Kind::slope;
  }

  int new_memory(const Shape& shape) {
    program_.memory_.push_back(shape);
    return int(program_.memory_.size()) - 1;
  }

  int new_slot(const Shape& shape, bool reusable) {
    Slot slot;
    slot.shape = shape;
    if (reusable)
      for (std::size_t i = 0; i < free_.size() && slot.memory < 0; ++i)
        if (same_size(program_.memory_[std::size_t(free_[i])], shape)) {
          slot.memory = free_[i];
          free_.erase(free_.begin() + std::ptrdiff_t(i));
        }
    if (slot.memory < 0) slot.memory = new_memory(shape);
    program_.slots_.push_back(std::move(slot));
    return int(program_.slots_.size()) - 1;
  }

  static bool same_size(const Shape& a, const Shape& b) {
    int rows = 0;
    for (int axis = 0; axis < a.axes; ++axis) rows += a[axis] == any_rows;
    for (int axis = 0; axis < b.axes; ++axis) rows -= b[axis] == any_rows;
    return rows == 0 && a.count() == b.count();
  }

  void free(int slot) { free_.push_back(program_.slots_[std::size_t(slot)].memory); }

  /// Frees the memory of an input that nobody reads after `node`.
  void release_after(Node* node, Node* input) {
    input = resolved(input);
    const auto last = last_use_.find(input);
    if (last == last_use_.end() || last->second != node || input->op == leaf || phase_of(input) != 1) return;
    last->second = nullptr;
    const int slot = slots_.at(input);
    if (program_.slots_[std::size_t(slot)].place == Slot::Place::scratch) free(slot);
  }

  Program& program_;
  const Trace& trace_;
  std::unordered_map<Node*, int> slots_, phases_;
  std::unordered_map<Node*, Node*> last_use_;
  std::unordered_map<Node*, bool> after_rows_;
  std::vector<int> free_;
};

Program::Program(Trace& trace, const Ref& loss, Result result, bool weighted, bool with_gradient)
    : mask_rates_(trace.mask_rates()), whole_(result != Result::row_losses) {
  Ref value = loss;
  if (result == Result::row_losses) {
    if (weighted) value = trace.row_inputs().back() * value;
    constexpr int rows[] = {0};
    value = reduce("sum", value, rows, false);
  } else if (result == Result::batch_loss) {
    value = value * trace.row_count();
  }
  std::vector<Ref> ends{value};
  std::vector<Ref> found(trace.parameters().size());
  if (with_gradient && value->needs_gradient)
    found = steepest::gradients(value, constant(1.0, value->number), trace.parameters());
  for (const Ref& gradient : found)
    if (gradient) ends.push_back(gradient);
  kept_ = ends;

  Planner planner(*this, trace);
  planner.plan(ends);
  value_ = planner.slot_of(value);
  for (const Ref& gradient : found) gradients_.push_back(gradient ? planner.slot_of(gradient) : -1);
  find_direct();
  movable_ = wide_ && !reads_parameters_late();
}

/// A product that is nothing but one parameter's gradient needs no memory between.
void Program::find_direct() {
  std::vector<int> readers(slots_.size());
  for (const auto* steps : {&per_block_, &sums_, &after_})
    for (const Step& step : *steps)
      for (int k = 0; k < step.inputs; ++k) ++readers[std::size_t(step.in[k])];
  for (const int slot : gradients_)
    if (slot >= 0) ++readers[std::size_t(slot)];
  direct_.assign(slots_.size(), 0);
  if (!wide_) return;
  for (const Step& step : sums_)
    if ((step.kind == Step::Kind::product || step.kind == Step::Kind::weights) && readers[std::size_t(step.out)] == 1 &&
        std::find(gradients_.begin(), gradients_.end(), step.out) != gradients_.end())
      direct_[std::size_t(step.out)] = 1;
}

bool Program::reads_parameters_late() const {
  const auto is_parameter = [&](int slot) {
    return slot >= 0 && slots_[std::size_t(slot)].place == Slot::Place::parameter;
  };
  for (const auto* steps : {&sums_, &after_})
    for (const Step& step : *steps)
      if (std::any_of(step.in, step.in + step.inputs, is_parameter)) return true;
  return std::any_of(gradients_.begin(), gradients_.end(), is_parameter);
}

}  // namespace steepest
