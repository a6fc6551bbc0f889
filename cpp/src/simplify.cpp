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
    // Two constants meet: c (d u) is (cd) u.
    if (!x->traced() && is<Multiply>(other))
      for (const int j : {0, 1})
        if (!of(other, j)->traced()) return (x * of(other, j)) * of(other, 1 - j);
  }
  return {};
}

Ref simplified_divide(const Ref& a, const Ref& b) {
  if (is_constant(b, 1)) return a;
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
