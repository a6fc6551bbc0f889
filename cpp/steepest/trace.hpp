// Recording a function: its arguments are leaves without values, and what is computed from them is recorded, not computed.
//
// Equal nodes are one node, and expressions are brought into stable and shorter forms as they are made (simplify.cpp), so a
// gradient graph, made later by the same functions, is simplified too. What does not depend on the arguments is computed at
// once: constants fold by themselves.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "steepest/graph.hpp"

namespace steepest {

class Trace {
 public:
  explicit Trace(Number number);

  /// While it lives, this thread records into the trace.
  class Scope {
   public:
    explicit Scope(Trace& trace);
    ~Scope();
    Scope(const Scope&) = delete;

   private:
    Trace* before_;
  };

  /// A leaf of this shape that gradients are wanted by.
  Ref parameter(const Shape& shape);
  /// A leaf with `any_rows` before `inner`.
  Ref rows(const Shape& inner);
  /// A leaf with `any_rows` first that is drawn for every row and epoch: 0 with the probability `rate`, else 1/(1 - rate);
  /// ones where nothing is drawn.
  Ref mask(const Shape& shape, double rate);
  /// The number of rows as a number.
  Ref row_count();

  const std::vector<Ref>& parameters() const { return parameters_; }
  const std::vector<Ref>& row_inputs() const { return row_inputs_; }
  const std::vector<double>& mask_rates() const { return mask_rates_; }
  bool is_mask(const Node& node) const;
  const Ref& row_count_leaf() const { return row_count_; }
  Number number() const { return number_; }

  Ref make(int op, std::span<const Ref> inputs, const Shape& shape, std::int32_t option, const Detail* detail);
  /// The same numbers, without their history.
  Ref cut(const Ref& a);

  /// The trace that a node belongs to; throws std::runtime_error unless this thread is recording it.
  static Trace& of(const Node& node);
  /// The trace that this thread is recording; throws std::runtime_error where it is none.
  static Trace& recorded_now();

 private:
  Ref new_leaf(const Shape& shape);
  Ref canonical(const Ref& known);

  Number number_;
  std::uint64_t id_;
  std::vector<Ref> parameters_, row_inputs_, masks_;
  std::vector<double> mask_rates_;
  Ref row_count_;
  std::unordered_multimap<std::size_t, Ref> nodes_;
  std::unordered_map<std::uint64_t, Ref> constants_;
};

/// The same value by a shorter or more stable expression; empty where none is known.
Ref simplified(int op, const Ref* in, const Shape& shape, std::int32_t option);

}  // namespace steepest
