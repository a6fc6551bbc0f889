// The operations of the computation graph: one struct each, its value and its derivative side by side (B2).
//
// `forward` is a template over vectors and plain numbers, compiled once per CPU level. `derivative` is written in the same
// operations: given the inputs x, the value y and the derivative g of the end node by y, it says the derivative by input i,
// as more nodes. So a gradient is a graph like any other, and second derivatives need nothing more. It may give a gradient
// in the shape of y where that is larger than the input's: the caller sums over what was broadcast. An empty answer is zero.
//
// Ties follow one rule: where several inputs reach the same value (maximum, max over an axis, abs at 0, clip at its ends),
// they share the gradient equally. A mask is made of numbers such as 0 and 1 and has no derivative.
#pragma once

#include <string_view>
#include <type_traits>

#include "steepest/op_loops.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace operations {

// What kinds of operations have in common.
struct Unary {
  static constexpr Loops loops = Loops::elementwise;
  static constexpr int arity = 1;
};
struct Binary {
  static constexpr Loops loops = Loops::elementwise;
  static constexpr int arity = 2;
};
struct Commutative : Binary {
  static constexpr bool commutative = true;
};
template <class Kind>
struct Mask : Kind {
  static constexpr bool mask = true;
  template <class G>
  static G derivative(int, const G*, const G&, const G&) {
    return {};
  }
};
struct Ternary {
  static constexpr Loops loops = Loops::elementwise;
  static constexpr int arity = 3;
};
struct Reduction {
  static constexpr Loops loops = Loops::reduce;
  static constexpr int arity = 1;
};
struct Reading {
  static constexpr Loops loops = Loops::read;
  static constexpr int arity = 1;
  template <class T>
  static void run(const Geometry& g, std::int32_t, const T* const* in, T* out) {
    loops::read(g, in[0], out);
  }
};
struct Taking {
  static constexpr Loops loops = Loops::take;
  static constexpr int arity = 2;
};

struct Add : Commutative {
  static constexpr std::string_view name = "add", formula = "a + b";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return a + b;
  }
  template <class G>
  static G derivative(int, const G*, const G&, const G& g) {
    return g;
  }
};

struct Subtract : Binary {
  static constexpr std::string_view name = "subtract", formula = "a - b";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return a - b;
  }
  template <class G>
  static G derivative(int i, const G*, const G&, const G& g) {
    return i == 0 ? g : -g;
  }
};

struct Multiply : Commutative {
  static constexpr std::string_view name = "multiply", formula = "a * b";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return a * b;
  }
  template <class G>
  static G derivative(int i, const G* x, const G&, const G& g) {
    return g * x[1 - i];
  }
};

struct Divide : Binary {
  static constexpr std::string_view name = "divide", formula = "a / b";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return a / b;
  }
  template <class G>
  static G derivative(int i, const G* x, const G& y, const G& g) {
    return i == 0 ? g / x[1] : -(g * y / x[1]);
  }
};

struct Power : Binary {
  static constexpr std::string_view name = "power", formula = "a**b";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return ops::pow(a, b);
  }
  template <class G>
  static G derivative(int i, const G* x, const G& y, const G& g) {
    if (i == 0) return g * (x[1] * power(x[0], x[1] - 1.0));
    // 0**b does not change with b > 0, though its logarithm is infinite
    const G none = equal(x[0], zero_like(x[0]));
    return g * (y * where(none, none, log(where(none, none, x[0]))) * (1.0 - none));
  }
};

/// Whole powers, which need no logarithm: the exponent is the node's option.
struct WholePower : Unary {
  static constexpr std::string_view name = "whole_power", formula = "a**k";
  template <class V>
  STEEPEST_INLINE static V forward(V a, std::int32_t k) {
    return ops::whole_power(a, k);
  }
  template <class G>
  static G derivative(int, const G* x, const G& y, const G& g) {
    if (y->option == 0) return 0.0 * g;
    return g * (double(y->option) * whole_power(x[0], y->option - 1));
  }
};

struct Maximum : Commutative {
  static constexpr std::string_view name = "maximum", formula = "maximum(a, b)";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return ops::maximum(a, b);
  }
  template <class G>
  static G derivative(int i, const G* x, const G&, const G& g) {
    return g * share(x[i], x[1 - i]);
  }
};

struct Minimum : Commutative {
  static constexpr std::string_view name = "minimum", formula = "minimum(a, b)";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return ops::minimum(a, b);
  }
  template <class G>
  static G derivative(int i, const G* x, const G&, const G& g) {
    return g * share(x[1 - i], x[i]);
  }
};

/// The share of maximum(a, b) that is a's: 1, 0, or 1/2 in a tie.
struct Share : Mask<Binary> {
  static constexpr std::string_view name = "share", formula = "where(a == b, 0.5, a > b)";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return ops::select(a > b, V(1.0), ops::select(a == b, V(0.5), V(0.0)));
  }
};

struct Less : Mask<Binary> {
  static constexpr std::string_view name = "less", formula = "a < b";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return ops::select(a < b, V(1.0), V(0.0));
  }
};

struct LessEqual : Mask<Binary> {
  static constexpr std::string_view name = "less_equal", formula = "a <= b";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return ops::select(a <= b, V(1.0), V(0.0));
  }
};

struct Greater : Mask<Binary> {
  static constexpr std::string_view name = "greater", formula = "a > b";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return ops::select(a > b, V(1.0), V(0.0));
  }
};

struct GreaterEqual : Mask<Binary> {
  static constexpr std::string_view name = "greater_equal", formula = "a >= b";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return ops::select(a >= b, V(1.0), V(0.0));
  }
};

struct Equal : Mask<Commutative> {
  static constexpr std::string_view name = "equal", formula = "a == b";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return ops::select(a == b, V(1.0), V(0.0));
  }
};

struct NotEqual : Mask<Commutative> {
  static constexpr std::string_view name = "not_equal", formula = "a != b";
  template <class V>
  STEEPEST_INLINE static V forward(V a, V b) {
    return ops::select(a == b, V(0.0), V(1.0));
  }
};

struct Where : Ternary {
  static constexpr std::string_view name = "where", formula = "where(c, a, b)";
  template <class V>
  STEEPEST_INLINE static V forward(V c, V a, V b) {
    return ops::select(c == V(0.0), b, a);
  }
  template <class G>
  static G derivative(int i, const G* x, const G&, const G& g) {
    if (i == 0) return {};
    const G none = zero_like(g);
    return i == 1 ? where(x[0], g, none) : where(x[0], none, g);
  }
};

struct Negative : Unary {
  static constexpr std::string_view name = "negative", formula = "-a";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return -a;
  }
  template <class G>
  static G derivative(int, const G*, const G&, const G& g) {
    return -g;
  }
};

struct Abs : Unary {
  static constexpr std::string_view name = "abs", formula = "abs(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::abs(a);
  }
  template <class G>
  static G derivative(int, const G* x, const G&, const G& g) {
    return g * sign(x[0]);
  }
};

struct Sign : Mask<Unary> {
  static constexpr std::string_view name = "sign", formula = "sign(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::select(a == a, ops::sign(a), a);
  }
};

struct Sqrt : Unary {
  static constexpr std::string_view name = "sqrt", formula = "sqrt(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::sqrt(a);
  }
  template <class G>
  static G derivative(int, const G*, const G& y, const G& g) {
    return g / (2.0 * y);
  }
};

struct Exp : Unary {
  static constexpr std::string_view name = "exp", formula = "exp(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::exp(a);
  }
  template <class G>
  static G derivative(int, const G*, const G& y, const G& g) {
    return g * y;
  }
};

struct Expm1 : Unary {
  static constexpr std::string_view name = "expm1", formula = "expm1(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::expm1(a);
  }
  template <class G>
  static G derivative(int, const G*, const G& y, const G& g) {
    return g * (y + 1.0);
  }
};

struct Log : Unary {
  static constexpr std::string_view name = "log", formula = "log(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::log(a);
  }
  template <class G>
  static G derivative(int, const G* x, const G&, const G& g) {
    return g / x[0];
  }
};

struct Log1p : Unary {
  static constexpr std::string_view name = "log1p", formula = "log1p(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::log1p(a);
  }
  template <class G>
  static G derivative(int, const G* x, const G&, const G& g) {
    return g / (x[0] + 1.0);
  }
};

struct Sin : Unary {
  static constexpr std::string_view name = "sin", formula = "sin(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::sin(a);
  }
  template <class G>
  static G derivative(int, const G* x, const G&, const G& g) {
    return g * cos(x[0]);
  }
};

struct Cos : Unary {
  static constexpr std::string_view name = "cos", formula = "cos(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::cos(a);
  }
  template <class G>
  static G derivative(int, const G* x, const G&, const G& g) {
    return -(g * sin(x[0]));
  }
};

struct Sinh : Unary {
  static constexpr std::string_view name = "sinh", formula = "sinh(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::sinh(a);
  }
  template <class G>
  static G derivative(int, const G* x, const G&, const G& g) {
    return g * cosh(x[0]);
  }
};

struct Cosh : Unary {
  static constexpr std::string_view name = "cosh", formula = "cosh(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::cosh(a);
  }
  template <class G>
  static G derivative(int, const G* x, const G&, const G& g) {
    return g * sinh(x[0]);
  }
};

struct Tanh : Unary {
  static constexpr std::string_view name = "tanh", formula = "tanh(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::tanh(a);
  }
  template <class G>
  static G derivative(int, const G*, const G& y, const G& g) {
    return g * (1.0 - y * y);
  }
};

struct LogCosh : Unary {
  static constexpr std::string_view name = "log_cosh", formula = "log(cosh(a))";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::log_cosh(a);
  }
  template <class G>
  static G derivative(int, const G* x, const G&, const G& g) {
    return g * tanh(x[0]);
  }
};

struct Sigmoid : Unary {
  static constexpr std::string_view name = "sigmoid", formula = "1/(1 + exp(-a))";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::sigmoid(a);
  }
  template <class G>
  static G derivative(int, const G* x, const G& y, const G& g) {
    return g * (y * sigmoid(-x[0]));  // 1 - y, without cancellation
  }
};

struct Softplus : Unary {
  static constexpr std::string_view name = "softplus", formula = "log1p(exp(a))";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::softplus(a);
  }
  template <class G>
  static G derivative(int, const G* x, const G&, const G& g) {
    return g * sigmoid(x[0]);
  }
};

struct Erf : Unary {
  static constexpr std::string_view name = "erf", formula = "erf(a)";
  template <class V>
  STEEPEST_INLINE static V forward(V a) {
    return ops::erf(a);
  }
  template <class G>
  static G derivative(int, const G* x, const G&, const G& g) {
    return g * (1.1283791670955126 * exp(-(x[0] * x[0])));  // 2 / sqrt(pi)
  }
};

struct Sum : Reduction {
  static constexpr std::string_view name = "sum", formula = "sum(a)";
  template <class T>
  static void run(const Geometry& g, std::int32_t, const T* const* in, T* out) {
    loops::reduce<loops::Sum>(g, in[0], out);
  }
  template <class G>
  static G derivative(int, const G* x, const G& y, const G& g) {
    return unreduce(g, x[0], y);
  }
};

struct Max : Reduction {
  static constexpr std::string_view name = "max", formula = "max(a)";
  template <class T>
  static void run(const Geometry& g, std::int32_t, const T* const* in, T* out) {
    loops::reduce<loops::Max>(g, in[0], out);
  }
  template <class G>
  static G derivative(int, const G* x, const G& y, const G& g) {
    const G largest = equal(x[0], unreduce(y, x[0], y));
    return unreduce(g / reduce_again(largest, y), x[0], y) * largest;
  }
};

struct LogSumExp : Reduction {
  static constexpr std::string_view name = "logsumexp", formula = "log(sum(exp(a)))";
  template <class T>
  static void run(const Geometry& g, std::int32_t, const T* const* in, T* out) {
    loops::reduce<loops::LogSumExp>(g, in[0], out);
  }
  template <class G>
  static G derivative(int, const G* x, const G& y, const G& g) {
    return unreduce(g, x[0], y) * exp(x[0] - unreduce(y, x[0], y));
  }
};

/// Products of matrices in the last two axes; bit 0 (1) of the option: the first (second) is transposed.
struct MatMul {
  static constexpr std::string_view name = "matmul", formula = "a @ b";
  static constexpr Loops loops = Loops::contract;
  static constexpr int arity = 2;
  template <class T>
  static void run(const Geometry& g, std::int32_t option, const T* const* in, T* out) {
    loops::contract(g, option, in, out);
  }
  template <class G>
  static G derivative(int i, const G* x, const G& y, const G& g) {
    const bool first = y->option & 1, second = y->option & 2;
    if (i == 0) return first ? product(x[1], g, second, true) : product(g, x[1], false, !second);
    return second ? product(g, x[0], true, first) : product(x[0], g, !first, false);
  }
};

struct Transpose : Reading {
  static constexpr std::string_view name = "transpose", formula = "transpose(a, axes)";
  template <class G>
  static G derivative(int, const G*, const G& y, const G& g) {
    return transpose_back(g, y);
  }
};

struct Broadcast : Reading {
  static constexpr std::string_view name = "broadcast_to", formula = "broadcast_to(a, shape)";
  template <class G>
  static G derivative(int, const G* x, const G&, const G& g) {
    return sum_to(g, x[0]->shape);
  }
};

struct Slice : Reading {
  static constexpr std::string_view name = "slice", formula = "a[start:stop:step]";
  template <class G>
  static G derivative(int, const G* x, const G& y, const G& g) {
    return embed_like(g, x[0], y);
  }
};

/// Zeros with an array at the places that a slice reads.
struct Embed {
  static constexpr std::string_view name = "embed", formula = "zeros(shape)[start:stop:step] = a";
  static constexpr Loops loops = Loops::write;
  static constexpr int arity = 1;
  template <class T>
  static void run(const Geometry& g, std::int32_t, const T* const* in, T* out) {
    loops::write(g, in[0], out);
  }
  template <class G>
  static G derivative(int, const G* x, const G& y, const G& g) {
    return slice_like(g, x[0], y);
  }
};

struct Take : Taking {
  static constexpr std::string_view name = "take", formula = "a[numbers]";
  template <class T>
  static void run(const Geometry& g, std::int32_t, const T* const* in, T* out) {
    loops::take(g, in[0], in[1], out);
  }
  template <class G>
  static G derivative(int i, const G* x, const G&, const G& g) {
    return i == 0 ? put(g, x[1], x[0]->shape) : G{};
  }
};

/// Zeros with each row of an array added to the row of its number.
struct Put : Taking {
  static constexpr std::string_view name = "put", formula = "zeros(shape)[numbers] += a";
  template <class T>
  static void run(const Geometry& g, std::int32_t, const T* const* in, T* out) {
    loops::put(g, in[0], in[1], out);
  }
  template <class G>
  static G derivative(int i, const G* x, const G&, const G& g) {
    return i == 0 ? take(g, x[1]) : G{};
  }
};

struct Join {
  static constexpr std::string_view name = "join", formula = "concatenate((a, b), axis)";
  static constexpr Loops loops = Loops::join;
  static constexpr int arity = 2;
  template <class T>
  static void run(const Geometry& g, std::int32_t, const T* const* in, T* out) {
    loops::join(g, in[0], in[1], out);
  }
  template <class G>
  static G derivative(int i, const G* x, const G& y, const G& g) {
    return part_of_join(g, x, y, i);
  }
};

struct Reshape {
  static constexpr std::string_view name = "reshape", formula = "reshape(a, shape)";
  static constexpr Loops loops = Loops::alias;
  static constexpr int arity = 1;
  template <class T>
  static void run(const Geometry& g, std::int32_t, const T* const* in, T* out) {
    __builtin_memcpy(out, in[0], std::size_t(g.count) * sizeof(T));
  }
  template <class G>
  static G derivative(int, const G* x, const G&, const G& g) {
    return reshape(g, x[0]->shape);
  }
};

}  // namespace operations

/// The registration: an operation is in the library when its name stands here.
using Ops =
    OpList<operations::Add, operations::Subtract, operations::Multiply, operations::Divide, operations::Power,
           operations::WholePower, operations::Maximum, operations::Minimum, operations::Share, operations::Less,
           operations::LessEqual, operations::Greater, operations::GreaterEqual, operations::Equal,
           operations::NotEqual, operations::Where, operations::Negative, operations::Abs, operations::Sign,
           operations::Sqrt, operations::Exp, operations::Expm1, operations::Log, operations::Log1p, operations::Sin,
           operations::Cos, operations::Sinh, operations::Cosh, operations::Tanh, operations::LogCosh,
           operations::Sigmoid, operations::Softplus, operations::Erf, operations::Sum, operations::Max,
           operations::LogSumExp, operations::MatMul, operations::Transpose, operations::Broadcast, operations::Slice,
           operations::Embed, operations::Take, operations::Put, operations::Join, operations::Reshape>;

}  // namespace steepest::STEEPEST_LEVEL
