#include "steepest/eager.hpp"

#include <cstring>
#include <stdexcept>

namespace steepest {

void retain(Variable* variable) { variable->uses.fetch_add(1, std::memory_order_relaxed); }
void release(Variable* variable) noexcept {
  if (variable->uses.fetch_sub(1, std::memory_order_acq_rel) == 1) delete variable;
}

Variable::~Variable() {
  if (node_->owner && node_->owner->variable == this) node_->owner->variable = nullptr;
}

void Variable::require_gradient(bool on) {
  if (on == node_->needs_gradient) return;
  if (!is_leaf())
    throw std::runtime_error(
        "only a tensor that was not computed from others can change requires_grad; detach() it first");
  if (node_->uses > 1) node_ = detached(node_);
  node_->needs_gradient = on;
  if (on) {
    node_->owner = Handle<Owner>(new Owner);
    node_->owner->variable = this;
  } else {
    node_->owner = {};
  }
}

void Variable::assign(const Ref& value) {
  if (recording() && node_->needs_gradient && is_leaf())
    throw std::runtime_error(
        "a tensor that requires a gradient was changed in place where the change would be recorded; "
        "do it under no_grad()");
  if (node_->traced() || value->traced() || (recording() && (node_->needs_gradient || value->needs_gradient))) {
    node_ = value;  // a computed tensor: the name now stands for the new node
    return;
  }
  if (node_->uses > 1 || node_->op != leaf) {
    Ref fresh = value->uses > 1 || value->needs_gradient || value->op != leaf ? detached(value) : value;
    fresh->needs_gradient = is_leaf() && node_->needs_gradient;
    fresh->owner = node_->owner;
    node_->stale = true;
    node_ = std::move(fresh);
    return;
  }
  std::memcpy(node_->single, value->data(), value->shape.count() == 1 ? value->item_bytes() : 0);
  node_->memory = value->memory;
}

void Variable::accumulate(const Ref& gradient) {
  // A node of its own: other variables may have received the same one, and each may be changed in place.
  Ref sum = gradient_ ? gradient_->node() + gradient : gradient->uses > 1 ? alias(gradient) : gradient;
  if (gradient_)
    gradient_->node_ = std::move(sum);
  else
    gradient_ = Handle<Variable>(new Variable(std::move(sum)));
}

void Variable::backward(const Ref& seed, bool keep, bool record) {
  if (!node_->needs_gradient)
    throw std::runtime_error("nothing that this tensor was computed from requires a gradient");
  const Ref start = checked_seed(node_, seed);
  const std::vector<Node*> order = topological_order({&node_, 1}, true);
  std::vector<Ref> leaves, found;
  for (Node* node : order)
    if (node->owner && node->op == leaf) leaves.emplace_back(node);
  {
    const Recording recorded(record);
    found = gradients(node_, start, leaves);
    for (std::size_t i = 0; i < leaves.size(); ++i)
      if (found[i] && leaves[i]->owner->variable) leaves[i]->owner->variable->accumulate(found[i]);
  }
  if (keep || record) return;
  std::vector<Ref> alive;
  for (Node* node : order)
    if (node->op != leaf) alive.emplace_back(node);
  for (const Ref& node : alive) {
    for (int k = 0; k < node->inputs; ++k) node->input[k] = {};
    node->inputs = 0;
    node->released = true;
  }
}

Ref checked_seed(const Ref& end, const Ref& seed) {
  if (!seed) {
    if (end->shape.count() != 1 || end->shape.has_rows())
      throw std::invalid_argument("a gradient starts from one number, and the shape is " + end->shape.text() +
                                  ": reduce it with sum() or mean(), or pass a gradient of that shape");
    return end->shape.axes == 0 ? constant(1.0, end->number) : broadcast_to(constant(1.0, end->number), end->shape);
  }
  if (!(seed->shape == end->shape))
    throw std::invalid_argument("the gradient to start from has shape " + seed->shape.text() + ", the tensor " +
                                end->shape.text());
  return seed;
}

}  // namespace steepest
