// Variables: the only things that change. A variable names a node; an update gives it another one.
#pragma once

#include <vector>

#include "steepest/graph.hpp"

namespace steepest {

class Variable {
 public:
  explicit Variable(Ref node) : node_(std::move(node)) {}
  ~Variable();
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

  Uses uses{0};

  const Ref& node() const { return node_; }
  const Handle<Variable>& gradient() const { return gradient_; }
  void set_gradient(Handle<Variable> gradient) { gradient_ = std::move(gradient); }
  bool is_leaf() const { return node_->op == leaf; }
  /// Only leaves can; throws std::runtime_error for others.
  void require_gradient(bool on);
  /// Puts another value of the same shape in place; throws where a recorded change would lose its history.
  void assign(const Ref& value);
  /// Adds the gradients of sum(seed * this) to the variables of the leaves it depends on. Without a seed there must be one
  /// number. Frees the graph on the way unless told to keep it.
  void backward(const Ref& seed, bool keep, bool record);

 private:
  void accumulate(const Ref& gradient);

  Ref node_;
  Handle<Variable> gradient_;
};
void retain(Variable*);
void release(Variable*) noexcept;

/// The seed of a gradient: ones, or what was given, in the shape of the end. Throws std::invalid_argument.
Ref checked_seed(const Ref& end, const Ref& seed);

}  // namespace steepest
