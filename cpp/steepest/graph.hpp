// The computation graph (B2): nodes, how they are made, and reverse mode from graph to graph.
//
// A node whose inputs are known numbers computes its value when it is made; one with a traced input only records. Both come
// from the same functions, so derivative rules, written once in ops.hpp, serve backpropagation through numbers and the
// making of gradient graphs alike. Nodes are counted references without cycles; nothing here recurses along the graph, so
// a chain may be as long as memory is large. Values never change once others may see them: what is changed in place gets a
// new node, and the old one, if a graph still needs its value, refuses to give it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "steepest/geometry.hpp"

namespace steepest {

/// A counted reference; `retain` and `release` are found by the type of what it refers to.
template <class T>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T* object) : object_(object) {
    if (object_) retain(object_);
  }
  Handle(const Handle& other) : Handle(other.object_) {}
  Handle(Handle&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Handle& operator=(Handle other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Handle() {
    if (object_) release(object_);
  }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  T* get() const { return object_; }
  T* take() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_ != nullptr; }
  bool operator==(const Handle& other) const = default;

 private:
  T* object_ = nullptr;
};

using Uses = std::atomic<std::uint32_t>;

/// Numbers that nodes share.
struct Memory {
  Uses uses{0};
  std::size_t bytes;
  static Handle<Memory> of(std::size_t bytes);
  void* data() { return reinterpret_cast<std::byte*>(this) + 64; }
};
void retain(Memory*);
void release(Memory*) noexcept;

class Variable;

/// Where the gradient of a leaf goes; empty once the variable is gone, so that gradients never keep it alive.
struct Owner {
  Uses uses{0};
  Variable* variable = nullptr;
};
void retain(Owner*);
void release(Owner*) noexcept;

enum class Number : std::uint8_t { f64, f32 };

struct Node;
using Ref = Handle<Node>;
void retain(Node*);
void release(Node*) noexcept;

inline constexpr std::int16_t leaf = -1;

struct Node {
  Node();
  ~Node();
  Uses uses{0};
  std::int16_t op = leaf;
  Number number = Number::f64;
  std::uint8_t inputs = 0;
  bool needs_gradient = false;
  bool stale = false;       ///< its variable was changed in place meanwhile
  bool released = false;    ///< backward went through and freed its inputs
  std::int32_t option = 0;  ///< of the operation; of a traced leaf, its number in the trace
  std::uint32_t mark = 0;   ///< its place in the walk that stamped it
  std::uint64_t stamp = 0;
  std::uint64_t trace = 0;  ///< which trace recorded it; 0: its value is known
  Shape shape;
  Ref input[3];
  std::unique_ptr<Detail> detail;
  Handle<Memory> memory;  ///< empty for a single number, which is kept in the node
  Handle<Owner> owner;
  Node* next = nullptr;
  alignas(8) std::byte single[8];

  bool traced() const { return trace != 0; }
  std::size_t item_bytes() const { return number == Number::f64 ? 8 : 4; }
  /// The numbers, in C order. Throws std::runtime_error where they are not (or no longer) known.
  const void* data() const;
  /// Memory for the numbers of a node that nobody else has seen.
  void* allocate();
  /// The only number, as a double.
  double item() const;
};

/// A number became NaN where watching for that was asked for.
struct UndefinedValue : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Whether this thread watches for NaN arising from numbers that are none; returns what was before.
bool watch(bool on);

/// How many nodes there are, for those who look for leaks.
std::int64_t live_nodes();

/// What is known of an operation.
struct OpSpec {
  std::string_view name, formula;
  Loops loops;
  int arity;
  bool commutative, mask;
  Ref (*derivative)(int i, const Ref* x, const Ref& y, const Ref& g);
};
std::span<const OpSpec> op_specs();
/// Where an operation stands in the list; throws std::invalid_argument for an unknown name.
int op_named(std::string_view name);

/// Whether nodes made by this thread remember their inputs.
bool recording();
void set_recording(bool on);
/// Changes that while it lives.
class Recording {
 public:
  explicit Recording(bool on);
  ~Recording();
  Recording(const Recording&) = delete;

 private:
  bool before_;
};

// --- making nodes --------------------------------------------------------------------------------

Ref constant(double value, Number number);
/// A leaf of this shape whose memory is to be filled by the caller.
Ref array(const Shape& shape, Number number);
/// The same numbers as a node of its own; it stays part of the graph.
Ref alias(const Ref& a);
/// The same numbers as a leaf.
Ref detached(const Ref& a);

/// An operation by its place in the list on inputs of the same number type, shapes broadcast.
Ref elementwise(int op, std::span<const Ref> inputs, std::int32_t option = 0);
/// An operation on inputs with all that it needs known.
Ref make(int op, std::span<const Ref> inputs, const Shape& shape, std::int32_t option = 0,
         const Detail* detail = nullptr);

Ref operator+(const Ref& a, const Ref& b);
Ref operator-(const Ref& a, const Ref& b);
Ref operator*(const Ref& a, const Ref& b);
Ref operator/(const Ref& a, const Ref& b);
Ref operator-(const Ref& a);
Ref operator+(const Ref& a, double b);
Ref operator-(const Ref& a, double b);
Ref operator-(double a, const Ref& b);
Ref operator*(double a, const Ref& b);

Ref power(const Ref& a, const Ref& b);
Ref whole_power(const Ref& a, int k);
Ref share(const Ref& a, const Ref& b);
Ref equal(const Ref& a, const Ref& b);
Ref where(const Ref& c, const Ref& a, const Ref& b);
Ref abs(const Ref& a);
Ref sign(const Ref& a);
Ref exp(const Ref& a);
Ref log(const Ref& a);
Ref sin(const Ref& a);
Ref cos(const Ref& a);
Ref sinh(const Ref& a);
Ref cosh(const Ref& a);
Ref tanh(const Ref& a);
Ref sigmoid(const Ref& a);
Ref softplus(const Ref& a);
Ref log_cosh(const Ref& a);

/// "sum", "max" or "logsumexp" over the axes (negative ones count from the end).
Ref reduce(std::string_view name, const Ref& a, std::span<const int> axes, bool keepdims);
Ref matmul(const Ref& a, const Ref& b);
/// The product of the last two axes, either stored transposed.
Ref product(const Ref& a, const Ref& b, bool transpose_a, bool transpose_b);
Ref transpose(const Ref& a, std::span<const int> permutation);
Ref reshape(const Ref& a, const Shape& shape);
Ref broadcast_to(const Ref& a, const Shape& shape);
/// Sums over what was broadcast, back to `shape`.
Ref sum_to(const Ref& a, const Shape& shape);
/// Along every axis `count` numbers from `start` in steps of `step`.
Ref slice(const Ref& a, std::span<const std::int64_t> start, std::span<const std::int64_t> step,
          std::span<const std::int64_t> count);
Ref take(const Ref& table, const Ref& numbers);
Ref put(const Ref& a, const Ref& numbers, const Shape& shape);
Ref concatenate(std::span<const Ref> parts, int axis);

// The ways back that derivative rules take.
Ref zero_like(const Ref& a);
Ref unreduce(const Ref& g, const Ref& x, const Ref& y);
Ref reduce_again(const Ref& a, const Ref& y);
Ref transpose_back(const Ref& g, const Ref& y);
Ref embed_like(const Ref& g, const Ref& x, const Ref& y);
Ref slice_like(const Ref& g, const Ref& x, const Ref& y);
Ref part_of_join(const Ref& g, const Ref* x, const Ref& y, int i);

/// True for a known number that is `value` everywhere (single numbers and what is broadcast from them).
bool is_constant(const Ref& a, double value);

// --- walking it ----------------------------------------------------------------------------------

/// The nodes that `ends` depend on, each after its inputs; with `only_needed`, those that lead to a gradient.
std::vector<Node*> topological_order(std::span<const Ref> ends, bool only_needed);

/// The gradients of sum(seed * end) by some nodes; empty where `end` does not depend on one.
std::vector<Ref> gradients(const Ref& end, const Ref& seed, std::span<const Ref> inputs);

}  // namespace steepest
