#include "steepest/graph.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>

#include "op_positions.hpp"
#include "steepest/kernels.hpp"
#include "steepest/trace.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

thread_local bool recording_now = true, watching_now = false;
std::atomic<std::int64_t> living{0};

template <class T>
void compute(Node& node, std::span<const Ref> inputs) {
  const OpKernels<T>& kernel = kernels_of<T>(kernels()).ops[node.op];
  const T* in[3];
  bool singles = true;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    in[k] = static_cast<const T*>(inputs[k]->data());
    singles = singles && inputs[k]->shape.axes == 0;
  }
  T* out = static_cast<T*>(node.allocate());
  if (singles && kernel.line) {
    constexpr Index step[3] = {1, 1, 1};
    kernel.line(1, in, step, out, node.option);
    return;
  }
  Shape shapes[3];
  for (std::size_t k = 0; k < inputs.size(); ++k) shapes[k] = inputs[k]->shape;
  const Loops loops = op_specs()[std::size_t(node.op)].loops;
  kernel.run(geometry_of(loops, node.option, node.detail.get(), {shapes, inputs.size()}, node.shape), node.option, in,
             out);
}

template <class T>
bool holds_nan(const Node& node) {
  const T* numbers = static_cast<const T*>(node.data());
  return std::any_of(numbers, numbers + node.shape.count(), [](T number) { return number != number; });
}

template <class T>
void check_defined(const Node& node, std::string_view name, std::span<const Ref> inputs) {
  if (!holds_nan<T>(node)) return;
  std::string shapes;
  for (const Ref& input : inputs) {
    if (holds_nan<T>(*input)) return;
    shapes += (shapes.empty() ? "" : " and ") + input->shape.text();
  }
  throw UndefinedValue(std::string(name) + " gave NaN from numbers that are none, of shape " + shapes);
}

}  // namespace

bool watch(bool on) { return std::exchange(watching_now, on); }

// --- memory --------------------------------------------------------------------------------------

Handle<Memory> Memory::of(std::size_t bytes) {
  auto* memory = new (::operator new(bytes + 64, std::align_val_t(64))) Memory;
  memory->bytes = bytes;
  return Handle<Memory>(memory);
}

void retain(Memory* memory) { memory->uses.fetch_add(1, std::memory_order_relaxed); }
void release(Memory* memory) noexcept {
  if (memory->uses.fetch_sub(1, std::memory_order_acq_rel) == 1) ::operator delete(memory, std::align_val_t(64));
}

void retain(Owner* owner) { owner->uses.fetch_add(1, std::memory_order_relaxed); }
void release(Owner* owner) noexcept {
  if (owner->uses.fetch_sub(1, std::memory_order_acq_rel) == 1) delete owner;
}

Node::Node() { living.fetch_add(1, std::memory_order_relaxed); }
Node::~Node() { living.fetch_sub(1, std::memory_order_relaxed); }
std::int64_t live_nodes() { return living.load(); }

void retain(Node* node) { node->uses.fetch_add(1, std::memory_order_relaxed); }

/// The nodes to be deleted form a list through `next`: deleting a long chain must not recurse.
void release(Node* node) noexcept {
  if (node->uses.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  node->next = nullptr;
  while (node) {
    Node* following = node->next;
    for (int k = 0; k < node->inputs; ++k) {
      Node* input = node->input[k].take();
      if (input && input->uses.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        input->next = following;
        following = input;
      }
    }
    delete node;
    node = following;
  }
}

const void* Node::data() const {
  if (traced()) throw std::runtime_error("the value of a traced tensor is not known while its function is traced");
  if (stale)
    throw std::runtime_error(
        "a value that the graph needs was changed in place after the graph was made; change it after "
        "backward(), or compute a new tensor");
  return memory ? memory->data() : static_cast<const void*>(single);
}

void* Node::allocate() {
  const std::int64_t count = shape.count();
  if (count == 1) return single;
  memory = Memory::of(std::size_t(count) * item_bytes());
  return memory->data();
}

double Node::item() const {
  const void* at = data();
  return number == Number::f64 ? *static_cast<const double*>(at) : double(*static_cast<const float*>(at));
}

// --- making nodes --------------------------------------------------------------------------------

bool recording() { return recording_now; }
void set_recording(bool on) { recording_now = on; }
Recording::Recording(bool on) : before_(std::exchange(recording_now, on)) {}
Recording::~Recording() { recording_now = before_; }

Ref constant(double value, Number number) {
  Ref node(new Node);
  node->number = number;
  if (number == Number::f64) {
    std::memcpy(node->single, &value, sizeof(double));
  } else {
    const float narrow = float(value);
    std::memcpy(node->single, &narrow, sizeof(float));
  }
  return node;
}

Ref array(const Shape& shape, Number number) {
  Ref node(new Node);
  node->number = number;
  node->shape = shape;
  node->allocate();
  return node;
}

Ref alias(const Ref& a) { return make(op_of<operations::Reshape>, {&a, 1}, a->shape); }

Ref detached(const Ref& a) {
  const Recording off(false);
  return alias(a);
}

Ref make(int op, std::span<const Ref> inputs, const Shape& shape, std::int32_t option, const Detail* detail) {
  for (const Ref& input : inputs)
    if (input->traced()) return Trace::of(*input).make(op, inputs, shape, option, detail);
  // A number repeated for every row is not known before the rows are.
  if (shape.has_rows()) return Trace::recorded_now().make(op, inputs, shape, option, detail);
  Ref node(new Node);
  node->op = std::int16_t(op);
  node->number = inputs[0]->number;
  node->option = option;
  node->shape = shape;
  if (detail) node->detail = std::make_unique<Detail>(*detail);
  const OpSpec& spec = op_specs()[std::size_t(op)];
  if (spec.loops == Loops::alias && shape.count() != 1) {
    inputs[0]->data();
    node->memory = inputs[0]->memory;
  } else if (node->number == Number::f64) {
    compute<double>(*node, inputs);
  } else {
    compute<float>(*node, inputs);
  }
  if (watching_now)
    (node->number == Number::f64 ? check_defined<double> : check_defined<float>)(*node, spec.name, inputs);
  if (recording_now && !spec.mask)
    for (const Ref& input : inputs) node->needs_gradient = node->needs_gradient || input->needs_gradient;
  if (node->needs_gradient) {
    for (std::size_t k = 0; k < inputs.size(); ++k) node->input[k] = inputs[k];
    node->inputs = std::uint8_t(inputs.size());
  } else {
    node->op = leaf;
  }
  return node;
}

Ref elementwise(int op, std::span<const Ref> inputs, std::int32_t option) {
  if (inputs.size() == 1) return make(op, inputs, inputs[0]->shape, option);
  Shape shape = broadcast(inputs[0]->shape, inputs[1]->shape);
  if (inputs.size() == 3) shape = broadcast(shape, inputs[2]->shape);
  return make(op, inputs, shape, option);
}

bool is_constant(const Ref& a, double value) {
  return !a->traced() && !a->needs_gradient && a->shape.count() == 1 && a->item() == value;
}

// --- walking it ----------------------------------------------------------------------------------

namespace {

/// Marks on nodes belong to one walk at a time.
std::mutex walking;
std::uint64_t last_stamp = 0;

std::vector<Node*> walk(std::span<const Ref> ends, bool only_needed) {
  const std::uint64_t stamp = ++last_stamp;
  std::vector<Node*> order;
  struct Visit {
    Node* node;
    int next;
  };
  std::vector<Visit> path;
  const auto enter = [&](Node* node) {
    if (node->stamp == stamp || (only_needed && !node->needs_gradient)) return;
    if (node->released && only_needed)
      throw std::runtime_error("backward() has been through this graph and freed it; pass retain_graph=True the first "
                               "time to go through it again");
    node->stamp = stamp;
    path.push_back({node, 0});
  };
  for (const Ref& end : ends) {
    enter(end.get());
    while (!path.empty()) {
      Visit& visit = path.back();
      if (visit.next < visit.node->inputs) {
        enter(visit.node->input[visit.next++].get());
        continue;
      }
      visit.node->mark = std::uint32_t(order.size());
      order.push_back(visit.node);
      path.pop_back();
    }
  }
  return order;
}

}  // namespace

std::vector<Node*> topological_order(std::span<const Ref> ends, bool only_needed) {
  const std::lock_guard lock(walking);
  return walk(ends, only_needed);
}

std::vector<Ref> gradients(const Ref& end, const Ref& seed, std::span<const Ref> inputs) {
  const std::lock_guard lock(walking);
  const std::vector<Node*> order = walk({&end, 1}, true);
  std::vector<Ref> sums(order.size());
  std::vector<char> leads(order.size(), 0);
  // Which of `inputs` a node is: the first in wanted, others of the same node in a list behind it.
  std::vector<Index> wanted(order.size(), -1), another(inputs.size(), -1);
  const auto place = [&](const Node* node) -> Index {
    return node->mark < order.size() && order[node->mark] == node ? Index(node->mark) : -1;
  };
  for (std::size_t k = 0; k < inputs.size(); ++k)
    if (const Index i = place(inputs[k].get()); i >= 0) {
      leads[std::size_t(i)] = 1;
      another[k] = std::exchange(wanted[std::size_t(i)], Index(k));
    }
  for (std::size_t i = 0; i < order.size(); ++i)
    for (int k = 0; k < order[i]->inputs; ++k)
      if (const Ref& input = order[i]->input[k]; input->needs_gradient && leads[input->mark]) leads[i] = 1;

  std::vector<Ref> found(inputs.size());
  if (!order.empty()) sums.back() = seed;
  for (std::size_t i = order.size(); i-- > 0;) {
    if (!sums[i] || !leads[i]) continue;
    const Ref node(order[i]);
    const Ref g = std::move(sums[i]);
    for (Index k = wanted[i]; k >= 0; k = another[std::size_t(k)]) found[std::size_t(k)] = g;
    if (node->op == leaf) continue;
    const OpSpec& spec = op_specs()[std::size_t(node->op)];
    for (int k = 0; k < node->inputs; ++k) {
      const Ref& input = node->input[k];
      if (!input->needs_gradient || !leads[input->mark]) continue;
      Ref part = spec.derivative(k, node->input, node, g);
      if (!part) continue;
      if (spec.loops == Loops::elementwise || spec.loops == Loops::contract) part = sum_to(part, input->shape);
      Ref& sum = sums[input->mark];
      sum = sum ? sum + part : std::move(part);
    }
  }
  return found;
}

}  // namespace steepest
