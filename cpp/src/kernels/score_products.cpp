// Rows times K rows of coefficients, and back: where losses of K scores and layers of few outputs spend their time.
//
// Predicting, four rows meet as many rows of coefficients as the registers hold sums for, so every load serves several
// multiply-adds; the sums over lanes are the price, paid once per row and class. Accumulating, a tile of the gradient stays
// in registers over all rows. Both read the rows where they lie, in any order, and ask for the rows that come next meanwhile.
//
// Loops over registers are written as unrolled(): arrays that the compiler sees indexed by a loop are kept in memory.
#include "reading.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

constexpr bool many_registers = vector_bytes == 64;

/// Tiles: classes whose sums over four rows fit the registers, and classes whose gradients over two columns do.
constexpr int predict_classes = many_registers ? 6 : 3;
constexpr int accumulate_classes = many_registers ? 10 : 5;
constexpr int tile_rows = 4;
constexpr Index cached_coefficients = 32 * 1024;  // bytes
/// So many rows are worth a copy of the coefficients on cache lines of their own: every load of them is then one of one line.
constexpr Index rows_worth_aligning = 16;
/// Rows whose pointers and slopes lie side by side on the stack.
constexpr Index block_rows = score_block_rows;

/// Calls tile.template operator()<count>() for a count from 1 to Most known at run time.
template <int Most, class Tile>
STEEPEST_INLINE void with_count(Index count, const Tile& tile) {
  if constexpr (Most > 1) {
    if (count < Most) return with_count<Most - 1>(count, tile);
  }
  tile.template operator()<Most>();
}

/// Into how many groups classes are cut: the fewest of at most `most`.
constexpr Index groups_of(Index classes, Index most) { return (classes + most - 1) / most; }

/// Cuts classes into groups of even sizes: a last group of one would waste its loads.
template <class Group>
STEEPEST_INLINE void in_groups(Index classes, Index most, const Group& group) {
  const Index groups = groups_of(classes, most);
  for (Index g = 0; g < groups; ++g) {
    const Index from = classes * g / groups;
    group(from, classes * (g + 1) / groups - from);
  }
}

/// How many of the rows behind a segment are asked for in one walk through it.
STEEPEST_INLINE Index asked_for(const Segment& segment) {
  return segment.ahead < segment.count ? segment.ahead : segment.count;
}

/// Asks for rows behind those of a segment between the steps of other work, evenly: asked for in bursts, lines fill the
/// buffers for lines on their way, and the work waits. Four neighbouring lines of each of four rows in turn: so the hardware's
/// prefetcher, which follows every row, has the time to run ahead in it.
template <class S>
class Requests {
 public:
  /// The rows `from` to `to` behind the segment, of so many numbers from `first` on, within so many steps.
  STEEPEST_INLINE Requests(const S* first, Index stride, Index features, const Segment& segment, Index from, Index to,
                           Index steps)
      : first_(first), segment_(segment), next_(segment.count + from), end_(segment.count + to), stride_(stride),
        runs_((features + run - 1) / run), rest_(features - 1 - (runs_ - 1) * run), asks_((to - from) * runs_),
        steps_(steps) {
    begin_rows();
  }

  STEEPEST_INLINE void step() {
    for (due_ += asks_; due_ >= steps_; due_ -= steps_) ask();
  }

 private:
  static constexpr Index run = 256 / Index(sizeof(S)), side_by_side = 4;

  STEEPEST_INLINE void ask() {
    const S* line = row_[at_];
    for (Index k = 0; k < run; k += 64 / Index(sizeof(S))) __builtin_prefetch(line + k, 0, 2);
    // A row may begin anywhere in a line, and so reach into one more.
    if (runs_left_ == 1) __builtin_prefetch(line + rest_, 0, 2);
    row_[at_] = line + run;
    if (++at_ < rows_) return;
    at_ = 0;
    if (--runs_left_ == 0) begin_rows();
  }

  [[gnu::noinline]] void begin_rows() {
    rows_ = end_ - next_ < side_by_side ? end_ - next_ : side_by_side;
    if (rows_ == 0) asks_ = 0;
    for (Index k = 0; k < rows_; ++k, ++next_) {
      const Index soon = segment_.soon(next_);
      row_[k] = first_ + (segment_.offset ? Index(segment_.offset[soon]) : soon) * stride_;
    }
    runs_left_ = runs_;
  }

  const S* first_;
  const Segment& segment_;
  Index next_, end_, stride_, runs_, rest_, asks_, steps_;
  Index due_ = 0, at_ = 0, rows_ = 0, runs_left_ = 0;
  const S* row_[side_by_side];
};

/// Of the rows behind a segment, as many as it has itself are asked for: so many of them while predicting, at most one with
/// each tile, and the others while accumulating.
STEEPEST_INLINE Index asked_for_early(const Segment& segment, Index classes) {
  const Index tiles = (segment.count + tile_rows - 1) / tile_rows * groups_of(classes, predict_classes);
  const Index half = (asked_for(segment) + 1) / 2;
  return half < tiles ? half : tiles;
}

/// The scores of four rows for some classes, class by class.
template <int Classes, class T>
[[gnu::noinline]] void predict_tile(const T* const* x, Index d, const T* coef, Index stride, Requests<T>& requests,
                                    T* z) {
  constexpr int N = lanes<T>;
  const Index whole = d / N * N;
  Vector<T> sum[Classes * tile_rows];
  unrolled<Classes * tile_rows>([&]<int I>() { sum[I] = Vector<T>(0.0); });
  const auto step = [&](Index j, const auto& load) STEEPEST_INLINE_LAMBDA {
    Vector<T> w[Classes];
    unrolled<Classes>([&]<int K>() { w[K] = load(coef + K * stride + j); });
    unrolled<tile_rows>([&]<int R>() {
      const Vector<T> row = load(x[R] + j);
      unrolled<Classes>([&]<int K>() { sum[K * tile_rows + R] = w[K] * row + sum[K * tile_rows + R]; });
    });
  };
  const auto load = [](const T* from) STEEPEST_INLINE_LAMBDA { return Vector<T>::load(from); };
  Index j = 0;
  for (; j + 2 * N <= whole; j += 2 * N) {
    requests.step();
    step(j, load);
    step(j + N, load);
  }
  if (j < d) requests.step();
  if (j < whole) step(j, load);
  if (whole < d) step(whole, [&](const T* from) { return Vector<T>::load_first(from, d - whole); });
  constexpr int by_registers = Classes * tile_rows / N;
  unrolled<by_registers>([&]<int G>() {
    ops::sums<Vector<T>>([&](int i) STEEPEST_INLINE_LAMBDA { return sum[G * N + i]; }).store(z + G * N);
  });
  unrolled<Classes - by_registers * N / tile_rows>([&]<int K>() {
    constexpr int first = by_registers * N + K * tile_rows;
    ops::store_sums<4, Vector<T>>([&](int i) STEEPEST_INLINE_LAMBDA { return sum[first + i]; }, z + first);
  });
}

/// As memcpy, which takes its time to begin where a row is some kilobytes long.
template <class T>
STEEPEST_INLINE void copy_row(const T* from, Index count, T* to) {
  constexpr int N = lanes<T>;
  Index j = 0;
  for (; j + N <= count; j += N) Vector<T>::load(from + j).store(to + j);
  if (j < count) Vector<T>::load_first(from + j, count - j).store_first(to + j, count - j);
}

template <class T>
void predict(const DenseRows<T>& rows, const Segment& segment, Index classes, const T* coef, const T* intercept,
             const ScoreLayout& layout, T* z) {
  const Index n = segment.count, d = rows.features;
  if (rows.constant()) {
    for (Index k = 0; k < classes; ++k)
      for (Index i = 0; i < n; ++i) z[k * layout.score + i * layout.row] = intercept ? intercept[k] : T(0);
    return;
  }
  constexpr Index line = 64 / Index(sizeof(T));
  const Index apart = (d + line - 1) / line * line, fitting = cached_coefficients / (apart * Index(sizeof(T)));
  const bool aligned = d == apart && reinterpret_cast<std::uintptr_t>(coef) % 64 == 0;
  const bool copies = !aligned && n >= rows_worth_aligning && fitting >= predict_classes;
  alignas(64) T copy[cached_coefficients / sizeof(T)];
  const Index at_once = fitting < predict_classes ? predict_classes : fitting;
  Index groups = 0;
  in_groups(classes, at_once, [&](Index, Index cached) { groups += groups_of(cached, predict_classes); });
  constexpr Index step = 2 * lanes<T>;
  Requests<T> requests(rows.data + segment.begin * rows.row_stride, rows.row_stride, d, segment, 0,
                       asked_for_early(segment, classes),
                       (n + tile_rows - 1) / tile_rows * groups * ((d + step - 1) / step));
  in_groups(classes, at_once, [&](Index first, Index cached) {
    const T* w = coef + first * d;
    if (copies) {
      for (Index k = 0; k < cached; ++k) copy_row(w + k * d, d, copy + k * apart);
      w = copy;
    }
    const Index stride = copies ? apart : d;
    for (Index i = 0; i < n; i += tile_rows) {
      const Index count = n - i < tile_rows ? n - i : Index(tile_rows);
      const T* x[tile_rows];
      // Behind the last row comes the last row again: its scores are not kept.
      for (Index r = 0; r < tile_rows; ++r)
        x[r] = rows.data + segment[i + (r < count ? r : count - 1)] * rows.row_stride;
      in_groups(cached, predict_classes, [&](Index k, Index some) {
        alignas(64) T found[predict_classes * tile_rows];
        with_count<predict_classes>(
            some, [&]<int Classes>() { predict_tile<Classes>(x, d, w + k * stride, stride, requests, found); });
        for (Index q = 0; q < some; ++q) {
          const Index of = first + k + q;
          const T at_zero = intercept ? intercept[of] : T(0);
          T* to = z + of * layout.score + i * layout.row;
          for (Index r = 0; r < count; ++r) to[r * layout.row] = found[q * tile_rows + r] + at_zero;
        }
      });
    }
  });
}

/// Some rows and their slopes in some classes, row by row and `step` numbers apart.
template <class T>
struct Slopes {
  Index count;
  const T* const* row;
  const T* slope;
  Index step;
};

/// `Registers` registers of columns of some classes' gradients; the last holds `last` numbers.
template <int Classes, int Registers, bool Whole, class T>
[[gnu::noinline]] void accumulate_tile(const Slopes<T>& of, Index j, Index last, const Adding<T>& into, Index stride,
                                       Requests<T>& requests, T* gradient) {
  constexpr int N = lanes<T>;
  const auto load = [&](const T* from) { return Whole ? Vector<T>::load(from) : Vector<T>::load_first(from, last); };
  Vector<T> sum[Classes * Registers];
  unrolled<Classes * Registers>([&]<int I>() { sum[I] = Vector<T>(0.0); });
  const T* slope = of.slope;
  for (Index i = 0; i < of.count; ++i, slope += of.step) {
    const T* x = of.row[i] + j;
    Vector<T> column[Registers];
    requests.step();
    unrolled<Registers>([&]<int C>() { column[C] = load(x + C * N); });
    unrolled<Classes>([&]<int K>() {
      const Vector<T> s(slope[K]);
      unrolled<Registers>([&]<int C>() { sum[K * Registers + C] = s * column[C] + sum[K * Registers + C]; });
    });
  }
  const Vector<T> scale(double(into.scale));
  const bool add = into.add;
  unrolled<Classes>([&]<int K>() {
    unrolled<Registers>([&]<int C>() {
      T* to = gradient + K * stride + C * N;
      Vector<T> found = scale * sum[K * Registers + C];
      if (add) found = found + load(to);
      if constexpr (Whole)
        found.store(to);
      else
        found.store_first(to, last);
    });
  });
}

template <class T>
void accumulate_block(const Slopes<T>& of, Index d, Index classes, const Adding<T>& into, Index stride,
                      Requests<T>& requests, T* gradient) {
  constexpr int N = lanes<T>;
  for (Index j = 0; j < d;) {
    const Index left = d - j;
    with_count<accumulate_classes>(classes, [&]<int Classes>() {
      if (left >= 2 * N)
        accumulate_tile<Classes, 2, true>(of, j, N, into, stride, requests, gradient + j);
      else if (left >= N)
        accumulate_tile<Classes, 1, true>(of, j, N, into, stride, requests, gradient + j);
      else
        accumulate_tile<Classes, 1, false>(of, j, left, into, stride, requests, gradient + j);
    });
    j += left >= 2 * N ? 2 * N : left >= N ? N : left;
  }
}

template <class T>
void accumulate(const DenseRows<T>& rows, const Segment& segment, Index classes, const T* slope,
                const ScoreLayout& layout, const Adding<T>& into, Index stride, T* gradient) {
  constexpr Index N = lanes<T>;
  const Index d = rows.features, tiles = d / (2 * N) + d % (2 * N) / N + (d % N != 0);
  Requests<T> requests(rows.data + segment.begin * rows.row_stride, rows.row_stride, d, segment,
                       asked_for_early(segment, classes), asked_for(segment),
                       segment.count * tiles * groups_of(classes, accumulate_classes));
  const T* row[block_rows];
  T packed[block_rows * accumulate_classes];
  for (Index from = 0; from < segment.count; from += block_rows) {
    const Index count = segment.count - from < block_rows ? segment.count - from : block_rows;
    for (Index i = 0; i < count; ++i) row[i] = rows.data + segment[from + i] * rows.row_stride;
    in_groups(classes, accumulate_classes, [&](Index k, Index some) {
      const T* of = slope + k * layout.score + from * layout.row;
      if (layout.score != 1) {
        for (Index q = 0; q < some; ++q)
          for (Index i = 0; i < count; ++i) packed[i * some + q] = of[q * layout.score + i * layout.row];
        of = packed;
      }
      const Slopes<T> slopes{count, row, of, layout.score == 1 ? layout.row : some};
      accumulate_block(slopes, d, some, {into.scale, into.add || from > 0}, stride, requests, gradient + k * stride);
    });
  }
}

template <class T>
void transpose(const T* from, const Segment& segment, Index classes, Index stride, T* to) {
  for (Index i = 0; i < segment.count; ++i) {
    const T* row = from + segment[i] * classes;
    for (Index k = 0; k < classes; ++k) to[k * stride + i] = row[k];
  }
}

template <class T>
constexpr ScoreKernels<T> score_kernels{&predict<T>, &accumulate<T>, &transpose<T>};

}  // namespace

const ScoreKernels<float>& score_kernels_f32() { return score_kernels<float>; }
const ScoreKernels<double>& score_kernels_f64() { return score_kernels<double>; }

}  // namespace steepest::STEEPEST_LEVEL
