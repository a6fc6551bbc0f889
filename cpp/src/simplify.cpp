// Shorter and more stable forms of expressions, applied as they are traced.
#include "op_positions.hpp"
#include "steepest/trace.hpp"

namespace steepest {
namespace {

using namespace operations;

template <class Op>
bool is(const Ref& a) {
  return a->traced() && a->op == op_of<Op>;
}

Ref of(const Ref& a, int k = 0) { return Ref(a->input[k]); }

bool is_number(const Ref& a) { return !a->traced() && a->shape.axes == 0; }

template <class Op>
Ref call(const Ref& a) {
  return elementwise(op_of<Op>, {&a, 1});
}

/// u where a is 1 + exp(u).
Ref one_plus_exp(const Ref& a) {
  if (!is<Add>(a)) return {};
  for (const int k : {0, 1})
    if (is_constant(of(a, k), 1) && is<Exp>(of(a, 1 - k))) return of(of(a, 1 - k));
  return {};
}

/// A product or sum with a choice goes into the choice, where one side of it is zero: what is not chosen is then not
/// computed with, be it infinite. Choices within choices stay, or a chain of them would cost its square.
bool chooses_zero(const Ref& a) {
  if (!is<Where>(a)) return false;
  const Ref yes = of(a, 1), no = of(a, 2);
  return (is_constant(yes, 0) && !is<Where>(no)) || (is_constant(no, 0) && !is<Where>(yes));
}

Ref chosen_product(const Ref& choice, const Ref& b) {
  const Ref yes = of(choice, 1), no = of(choice, 2);
  return where(of(choice), is_constant(yes, 0) ? yes : yes * b, is_constant(no, 0) ? no : no * b);
}

Ref chosen_sum(const Ref& a, const Ref& b) {
  const auto sum = [](const Ref& x, const Ref& y) { return is_constant(x, 0) ? y : is_constant(y, 0) ? x : x + y; };
  return where(of(a), sum(of(a, 1), of(b, 1)), sum(of(a, 2), of(b, 2)));
}

/// The number that a product begins with, and the rest; empty where there is none.
Ref factor_of(const Ref& a) {
  if (is<Multiply>(a))
    for (const int k : {0, 1})
      if (is_number(of(a, k))) return of(a, k);
  return {};
}

Ref rest_of(const Ref& a) { return is_number(of(a, 0)) ? of(a, 1) : of(a, 0); }

Ref simplified_log(const Ref& a) {
  if (const Ref u = one_plus_exp(a)) return softplus(u);
  if (is<Exp>(a)) return of(a);
  if (is<Cosh>(a)) return log_cosh(of(a));
  if (is<Sigmoid>(a)) return -softplus(-of(a));
  // log(1 - sigmoid(u))
  if (is<Subtract>(a) && is_constant(of(a, 0), 1) && is<Sigmoid>(of(a, 1))) return -softplus(of(of(a, 1)));
  if (is<Sum>(a) && is<Exp>(of(a))) {
    const Ref inside = of(of(a));
    return make(op_of<LogSumExp>, {&inside, 1}, a->shape, a->option);
  }
  // a sum that kept its axes
  if (is<Reshape>(a) && is<Sum>(of(a)) && is<Exp>(of(of(a)))) return reshape(simplified_log(of(a)), a->shape);
  if (is<Add>(a))
    for (const int k : {0, 1})
      if (is_constant(of(a, k), 1)) return call<Log1p>(of(a, 1 - k));
  return {};
}

Ref simplified_unary(int op, const Ref& a) {
  switch (op) {
  case op_of<Log>:
    return simplified_log(a);
  case op_of<Log1p>:
    if (is<Exp>(a)) return softplus(of(a));
    break;
  case op_of<Negative>:
    if (is<Negative>(a)) return of(a);
    if (is<Subtract>(a)) return of(a, 1) - of(a, 0);
    if (const Ref factor = factor_of(a)) return (-factor) * rest_of(a);
    if (chooses_zero(a)) return chosen_product(a, constant(-1.0, a->number));
    break;
  case op_of<Abs>:
    if (is<Abs>(a)) return a;
    break;
  case op_of<Sqrt>:
    if (is<WholePower>(a) && a->option == 2) return abs(of(a));
    break;
  }
  return {};
}

Ref simplified_add(const Ref& a, const Ref& b) {
  for (const int k : {0, 1}) {
    const Ref &x = k == 0 ? a : b, &other = k == 0 ? b : a;
    if (is_constant(x, 0)) return other;
    if (is<Negative>(x)) return other - of(x);
  }
  if (chooses_zero(a) && chooses_zero(b) && of(a) == of(b)) return chosen_sum(a, b);
  return {};
}

Ref simplified_subtract(const Ref& a, const Ref& b) {
  if (is_constant(b, 0)) return a;
  if (is_constant(a, 0)) return -b;
  if (is<Negative>(b)) return a + of(b);
  if (is_constant(b, 1) && is<Exp>(a)) return call<Expm1>(of(a));
  return {};
}

Ref simplified_multiply(const Ref& a, const Ref& b) {
  for (const int k : {0, 1}) {
    const Ref &x = k == 0 ? a : b, &other = k == 0 ? b : a;
    if (is_constant(x, 1)) return other;
    if (is_constant(x, -1)) return -other;
    if (is<Negative>(other)) return is_number(x) ? (-x) * of(other) : -(x * of(other));
    // Numbers come first: c (d u) is (cd) u, and (c u) v is c (u v).
    if (const Ref factor = factor_of(other))
      return is_number(x) ? (x * factor) * rest_of(other) : factor * (x * rest_of(other));
    if (chooses_zero(other)) return chosen_product(other, x);
  }
  return {};
}

Ref simplified_divide(const Ref& a, const Ref& b) {
  if (is_constant(b, 1)) return a;
  if (is_number(b) && b->item() != 0) return a * (constant(1.0, b->number) / b);
  if (const Ref u = one_plus_exp(b)) {
    if (is_constant(a, 1)) return sigmoid(-u);
    if (is<Exp>(a) && of(a) == u) return sigmoid(u);
  }
  // exp(u) / sum(exp(u)): a softmax
  const Ref whole = is<Broadcast>(b) ? of(b) : b;
  const Ref sum = is<Reshape>(whole) ? of(whole) : whole;
  if (is<Exp>(a) && is<Sum>(sum) && of(sum) == a) return exp(of(a) - log(whole));
  return {};
}

/// A result that lost the shape by dropping a neutral operand gets it back.
Ref shaped(const Ref& a, const Shape& shape) { return a ? broadcast_to(a, shape) : a; }

}  // namespace

Ref simplified(int op, const Ref* in, const Shape& shape, std::int32_t option) {
  switch (op) {
  case op_of<Add>:
    return shaped(simplified_add(in[0], in[1]), shape);
  case op_of<Subtract>:
    return shaped(simplified_subtract(in[0], in[1]), shape);
  case op_of<Multiply>:
    return shaped(simplified_multiply(in[0], in[1]), shape);
  case op_of<Divide>:
    return shaped(simplified_divide(in[0], in[1]), shape);
  case op_of<Where>:
    if (in[1] == in[2]) return shaped(in[1], shape);
    return {};
  case op_of<Reshape>:
    if (in[0]->shape == shape) return in[0];
    if (is<Reshape>(in[0]) && of(in[0])->needs_gradient == in[0]->needs_gradient) return reshape(of(in[0]), shape);
    return {};
  case op_of<MatMul>: {
    // A transposed operand is read as it lies.
    for (const int k : {0, 1})
      if (is<Transpose>(in[k]) && in[k]->shape.axes == 2) {
        const Ref a = k == 0 ? of(in[0]) : in[0], b = k == 1 ? of(in[1]) : in[1];
        return product(a, b, bool(option & 1) != (k == 0), bool(option & 2) != (k == 1));
      }
    return {};
  }
  case op_of<Transpose>:
    if (is<Transpose>(in[0]) && shape.axes == 2) return of(in[0]);
    return {};
  default:
    return op_specs()[std::size_t(op)].loops == Loops::elementwise && op_specs()[std::size_t(op)].arity == 1
               ? simplified_unary(op, in[0])
               : Ref{};
  }
}

}  // namespace steepest
