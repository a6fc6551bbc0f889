// K scores per row: two matrix products, X W^T and its transpose, in tiles of registers, and the losses of K scores.
//
// Predicting, four rows meet as many rows of W as the registers hold, so every load serves several multiply-adds; the sums
// over lanes are the price, paid once per row and class. Accumulating, a tile of the gradient stays in registers over all rows of
// the chunk. The coefficients of the classes met together stay in the first-level cache, the chunk's rows in the second.
#include "reading.hpp"
#include "steepest/row_losses.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

constexpr bool many_registers = vector_bytes == 64;

/// Tiles: classes whose sums over four rows fit the registers, and classes whose gradients over two columns do.
constexpr int predict_classes = many_registers ? 6 : 3;
constexpr int accumulate_classes = many_registers ? 10 : 5;
constexpr int tile_rows = 4;
constexpr Index cached_coefficients = 32 * 1024;  // bytes

/// Calls tile.template operator()<count>() for a count from 1 to Most known at run time.
template <int Most, class Tile>
STEEPEST_INLINE void with_count(Index count, const Tile& tile) {
  if constexpr (Most > 1) {
    if (count < Most) return with_count<Most - 1>(count, tile);
  }
  tile.template operator()<Most>();
}

/// Cuts classes into the fewest groups of at most `most`, of even sizes: a last group of one would waste its loads.
template <class Group>
STEEPEST_INLINE void in_groups(Index classes, Index most, const Group& group) {
  const Index groups = (classes + most - 1) / most;
  for (Index g = 0; g < groups; ++g) {
    const Index from = classes * g / groups;
    group(from, classes * (g + 1) / groups - from);
  }
}

template <int Classes, class T>
STEEPEST_INLINE void predict_step(const T* const* x, const T* coef, Index d, Index j, Index count,
                                  Vector<T> (&sum)[Classes][tile_rows]) {
  const bool whole = count >= lanes<T>;
  const auto load = [&](const T* from) { return whole ? Vector<T>::load(from) : Vector<T>::load_first(from, count); };
  Vector<T> w[Classes];
  for (int k = 0; k < Classes; ++k) w[k] = load(coef + k * d + j);
  for (int r = 0; r < tile_rows; ++r) {
    const Vector<T> row = load(x[r] + j);
    for (int k = 0; k < Classes; ++k) sum[k][r] = w[k] * row + sum[k][r];
  }
}

/// The scores of four rows for some classes.
template <int Classes, class T>
[[gnu::noinline]] void predict_tile(const T* const* x, Index d, const T* coef, const T* intercept, Index stride, T* z) {
  constexpr int N = lanes<T>;
  const Index whole = d / N * N;
  Vector<T> sum[Classes][tile_rows];
  for (auto& row : sum)
    for (auto& s : row) s = Vector<T>(0.0);
  for (Index j = 0; j < whole; j += N) predict_step<Classes>(x, coef, d, j, N, sum);
  if (whole < d) predict_step<Classes>(x, coef, d, whole, d - whole, sum);
  for (int k = 0; k < Classes; ++k) {
    T* to = z + k * stride;
    ops::store_sums(sum[k][0], sum[k][1], sum[k][2], sum[k][3], to);
    if (intercept)
      for (int r = 0; r < tile_rows; ++r) to[r] += intercept[k];
  }
}

/// The next rows of a random order: all of each, for here they are wide enough to be worth it.
template <class T>
STEEPEST_INLINE void prefetch_tile(const DenseRows<T>& rows, const Segment& segment, Index i) {
  constexpr Index most_bytes = 4096;
  const Index bytes = rows.features * Index(sizeof(T));
  for (Index r = i; r < i + tile_rows && r < segment.count + segment.ahead; ++r) {
    const char* row = reinterpret_cast<const char*>(rows.data + segment[r] * rows.row_stride);
    for (Index at = 0; at < bytes && at < most_bytes; at += 64) __builtin_prefetch(row + at, 0, 2);
  }
}

template <class T>
void predict(const DenseRows<T>& rows, const Segment& segment, Index classes, const T* coef, const T* intercept,
             Index stride, T* z) {
  const Index n = segment.count, d = rows.features;
  if (rows.constant()) {
    for (Index k = 0; k < classes; ++k)
      for (Index i = 0; i < n; ++i) z[k * stride + i] = intercept ? intercept[k] : T(0);
    return;
  }
  const Index fitting = cached_coefficients / (d * Index(sizeof(T)));
  in_groups(classes, fitting < predict_classes ? predict_classes : fitting, [&](Index first, Index cached) {
    for (Index i = 0; i < n; i += tile_rows) {
      if (segment.offset && first == 0) prefetch_tile(rows, segment, i + 2 * tile_rows);
      const T* x[tile_rows];
      // Behind the last row comes the last row again: its scores go where nobody reads.
      for (Index r = 0; r < tile_rows; ++r) x[r] = rows.data + segment[i + r < n ? i + r : n - 1] * rows.row_stride;
      in_groups(cached, predict_classes, [&](Index k, Index count) {
        k += first;
        with_count<predict_classes>(count, [&]<int Classes>() {
          predict_tile<Classes>(x, d, coef + k * d, intercept ? intercept + k : nullptr, stride, z + k * stride + i);
        });
      });
    }
  });
}

/// Adds to `Registers` registers of columns of some classes' gradients; the last holds `last` numbers.
template <int Classes, int Registers, bool Whole, class T>
[[gnu::noinline]] void accumulate_tile(const DenseRows<T>& rows, const Segment& segment, Index j, Index last,
                                       const T* slope, Index stride, T* gradient) {
  constexpr int N = lanes<T>;
  const auto load = [&](const T* from) { return Whole ? Vector<T>::load(from) : Vector<T>::load_first(from, last); };
  Vector<T> sum[Classes][Registers];
  for (auto& of_class : sum)
    for (auto& s : of_class) s = Vector<T>(0.0);
  for (Index i = 0; i < segment.count; ++i) {
    const T* x = rows.data + segment[i] * rows.row_stride + j;
    Vector<T> column[Registers];
    for (int c = 0; c < Registers; ++c) column[c] = load(x + c * N);
    for (int k = 0; k < Classes; ++k) {
      const Vector<T> s(slope[k * stride + i]);
      for (int c = 0; c < Registers; ++c) sum[k][c] = s * column[c] + sum[k][c];
    }
  }
  for (int k = 0; k < Classes; ++k)
    for (int c = 0; c < Registers; ++c) {
      T* to = gradient + k * rows.features + j + c * N;
      if constexpr (Whole)
        add_to(to, sum[k][c]);
      else
        add_to_first(to, last, sum[k][c]);
    }
}

template <class T>
void accumulate(const DenseRows<T>& rows, const Segment& segment, Index classes, const T* slope, Index stride,
                T* gradient) {
  constexpr int N = lanes<T>;
  const Index d = rows.features;
  for (Index j = 0; j < d;) {
    const Index left = d - j;
    in_groups(classes, accumulate_classes, [&](Index k, Index count) {
      const T* of = slope + k * stride;
      T* to = gradient + k * d;
      with_count<accumulate_classes>(count, [&]<int Classes>() {
        if (left >= 2 * N)
          accumulate_tile<Classes, 2, true>(rows, segment, j, N, of, stride, to);
        else if (left >= N)
          accumulate_tile<Classes, 1, true>(rows, segment, j, N, of, stride, to);
        else
          accumulate_tile<Classes, 1, false>(rows, segment, j, left, of, stride, to);
      });
    });
    j += left >= 2 * N ? 2 * N : left >= N ? N : left;
  }
}

template <class T>
void transpose(const T* from, const Segment& segment, Index classes, Index stride, T* to) {
  for (Index i = 0; i < segment.count; ++i) {
    const T* row = from + segment[i] * classes;
    for (Index k = 0; k < classes; ++k) to[k * stride + i] = row[k];
  }
}

template <class Loss, class T>
struct RowLossLoops {
  static constexpr int N = lanes<T>;
  using V = Vector<T>;

  /// Calls step(rows, i) for registers of rows, the last of them partial.
  template <class Step>
  STEEPEST_INLINE static void walk(Index n, Index classes, Index stride, const T* y, const T* z, T* slope,
                                   const Step& step) {
    Index i = 0;
    for (; i + N <= n; i += N) step(ScoreRows<V, true>{y + i, z + i, slope + i, classes, stride, N}, i);
    if (i < n) step(ScoreRows<V, false>{y + i, z + i, slope + i, classes, stride, n - i}, i);
  }

  static double reduce(const double* params, Index n, Index classes, Index stride, const T* y, const T* z,
                       const T* weight, T* slope) {
    const Loss loss = make_loss<Loss>(params);
    double total = 0;
    walk(n, classes, stride, y, z, slope, [&](const auto& rows, Index i) {
      V value = loss(rows);
      V nothing(0.0);  // unless a score is not finite
      for (Index k = 0; k < classes; ++k) nothing = rows.score(k) * V(0.0) + nothing;
      value = value + nothing;
      if (weight) {
        const V w = V::load_first(weight + i, n - i < N ? n - i : Index(N));
        value = value * w;
        for (Index k = 0; k < classes; ++k) rows.set_slope(k, rows.slope(k) * w);
      }
      for (Index lane = 0; lane < rows.count; ++lane) total += double(value.v[lane]);
    });
    return total;
  }

  static void pointwise(const double* params, Index n, Index classes, Index stride, const T* y, const T* z, T* value,
                        T* slope) {
    const Loss loss = make_loss<Loss>(params);
    walk(n, classes, stride, y, z, slope, [&](const auto& rows, Index i) {
      V found = loss(rows);
      for (Index k = 0; k < classes; ++k) {  // what is not a number stays none, whatever the loss would clip
        const V z = rows.score(k);
        const auto number = z == z;
        found = ops::select(number, found, z);
        rows.set_slope(k, ops::select(number, rows.slope(k), z));
      }
      found.store_first(value + i, rows.count);
    });
  }
};

template <class T, class... Ls>
const RowLossKernels<T>* kernels_of_list(RowLossList<Ls...>) {
  static constexpr RowLossKernels<T> list[] = {{&RowLossLoops<Ls, T>::reduce, &RowLossLoops<Ls, T>::pointwise}...};
  return list;
}

template <class T>
constexpr ScoreKernels<T> score_kernels{&predict<T>, &accumulate<T>, &transpose<T>};

}  // namespace

const ScoreKernels<float>& score_kernels_f32() { return score_kernels<float>; }
const ScoreKernels<double>& score_kernels_f64() { return score_kernels<double>; }
const RowLossKernels<float>* row_loss_kernels_f32() { return kernels_of_list<float>(RowLosses{}); }
const RowLossKernels<double>* row_loss_kernels_f64() { return kernels_of_list<double>(RowLosses{}); }

}  // namespace steepest::STEEPEST_LEVEL
