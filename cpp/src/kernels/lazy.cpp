// Plain descent on the columns that a batch touches, see lazy.hpp.
#include "sparse_reading.hpp"

namespace steepest::STEEPEST_LEVEL {
namespace {

/// coef += s x over a row. Returns by how much the sum of the squares of coef grew.
template <class T, class I>
STEEPEST_INLINE double move_along(const SparseReader<T, I>& reader, typename SparseReader<T, I>::Row row, T s, T* coef,
                                  typename SparseReader<T, I>::template Later<T> later) {
  T parts[most_at_once] = {0, 0, 0, 0};
  const double squares = reader.along(row, s, coef, later, [&](T& w, T move, int lane) STEEPEST_INLINE_LAMBDA {
    const T before = w, after = before + move;
    w = after;
    // (after - before) (after + before) = move (2 after - move), of which an entry pays for one multiply-add; but what
    // `after` loses to rounding is not small beside what a float moves by, and would add up.
    parts[lane] += sizeof(T) == 8 ? after * move : (after - before) * (after + before);
  });
  const double sum = double(parts[0] + parts[1]) + double(parts[2] + parts[3]);
  return sizeof(T) == 8 ? 2 * sum - squares : sum;
}

template <class T>
double descend(const SparseRows<T>& rows, const Segment& segment, const T* move, T* coef) {
  return with_reader(rows, segment, [&](const auto& reader) {
    double grown = 0;
    for (Index i = 0; i < segment.count; ++i)
      if (const T s = move[i]; s != T(0))
        grown += move_along(reader, reader(segment[i]), s, coef, reader.next_batch(segment, i, coef));
    return grown;
  });
}

/// Rows met one at a time. Their steps wait for one slope after the other; their losses are found later, in vectors.
template <class T>
struct MetRows {
  static constexpr Index most = 64;
  const LossKernels<T>& loss;
  const double* params;
  bool weighted;
  Index count = 0;
  double total = 0;
  T y[most], z[most], weight[most], slope[most];

  MetRows(const LossKernels<T>& given, const double* of_loss, bool with_weights)
      : loss(given), params(of_loss), weighted(with_weights) {}

  STEEPEST_INLINE void add(T target, T prediction, T share) {
    y[count] = target, z[count] = prediction, weight[count] = share;
    if (++count == most) flush();
  }
  void flush() {
    total += loss.reduce(params, count, y, z, weighted ? weight : nullptr, slope);
    count = 0;
  }
};

/// The row whose coefficients are asked for while those of a single row move, where its entries have been.
constexpr Index single_later = 16;

template <class T, class I>
STEEPEST_INLINE Index descend_rows(const SparseReader<T, I>& reader, const Segment& segment, const LossKernels<T>& loss,
                                   const double* params, const SingleRows<T>& d, double least_scale,
                                   SharedScale& shared, double& total) {
  const T limit = T(d.held.slope_limit), pace = T(d.held.intercept_pace);
  T *coef = d.x, *intercept = d.x + reader.rows.features;
  const double half_l2 = 0.5 * d.held.l2;
  double scale = shared.scale, squares = shared.squares, penalties = 0;
  const Index later = reader.asked_ahead < single_later ? reader.asked_ahead : single_later;
  MetRows<T> met(loss, params, d.weight != nullptr);
  Index i = 0;
  for (bool number = true; i < segment.count && number; ++i) {
    const double left = 1 - double(d.step[i]) * d.held.l2, kept = left < d.held.least_kept ? d.held.least_kept : left;
    if (__builtin_fabs(kept * scale) < least_scale) break;
    const Index at = segment[i];
    const auto row = reader(at);
    const T y = d.y[at], weight = d.weight ? T(double(d.weight[at]) / d.mean_weight) : T(1);
    const T z = T(scale) * reader.dot(row, coef, reader.ahead(segment, i)) + (d.intercept ? *intercept : T(0));
    if (half_l2 > 0) penalties += half_l2 * scale * scale * squares;
    number = z - z == T(0);
    if (number) {
      const T given = loss.slope(params, y, z);
      const T step = d.step[i] * weight * (given > limit ? limit : given < -limit ? -limit : given);
      scale *= kept;
      if (d.intercept) *intercept -= pace * step;
      if (step != T(0))
        squares += move_along(reader, row, T(-double(step) / scale), coef, reader.later(segment, i, later, coef));
    }
    met.add(y, z, weight);
  }
  met.flush();
  total += met.total;
  shared = {scale, squares, shared.penalties + penalties};
  return i;
}

template <class T>
Index descend_rows(const SparseRows<T>& rows, const Segment& segment, const LossKernels<T>& loss, const double* params,
                   const SingleRows<T>& d, double least_scale, SharedScale* shared, double* total) {
  return with_reader(rows, segment, [&](const auto& reader) {
    return descend_rows(reader, segment, loss, params, d, least_scale, *shared, *total);
  });
}

/// How far a coefficient reaches beyond what passed, with its sign.
template <class V>
STEEPEST_INLINE V beyond(V reach, V passed) {
  return reach - ops::max(ops::min(reach, passed), -passed);
}

template <class T>
void predict(const SparseRows<T>& rows, const Segment& segment, const double* reach, double passed, T* z) {
  with_reader(rows, segment, [&](const auto& reader) {
    const auto seen = [&](auto v) { return beyond(v, decltype(v)(passed)); };
    for (Index i = 0; i < segment.count; ++i)
      z[i] = T(reader.dot(reader(segment[i]), reach, reader.ahead(segment, i), seen));
  });
}

/// The last update before which no more than `reach` had passed. Equal thresholds are found at the first guess; where they
/// are not, marks leave a few updates to choose from, and halving these bounds the search.
STEEPEST_INLINE Index last_within(const PassedUpdates& past, double pace, double reach) {
  const SizeSums* updates = past.updates;
  const double in_proportion = reach * pace;
  const Index guess = in_proportion < double(past.begun) ? Index(in_proportion) : 0;
  if (guess < past.begun && updates[guess].threshold <= reach && updates[guess + 1].threshold > reach) return guess;
  Index from = 0, to = past.begun;  // within, and not
  // What rounding may have done to the marks is found out by looking.
  const double marks = reach * past.marks_per_threshold;
  const Index mark = marks < double(past.marked) ? Index(marks) : past.marked;
  if (mark < past.marked)
    if (const Index near = past.marks[mark]; updates[near].threshold <= reach) from = near;
  if (mark + 1 < past.marked)
    if (const Index far = Index(past.marks[mark + 1]) + 1; far < to && updates[far].threshold > reach) to = far;
  while (to - from > 1) {
    const double share = (reach - updates[from].threshold) / (updates[to].threshold - updates[from].threshold);
    const Index middle = from + (to - from) / 2, wanted = from + Index(share * double(to - from));
    for (const Index at : {wanted, wanted + 1, middle})
      if (at > from && at < to) (updates[at].threshold <= reach ? from : to) = at;
  }
  return from;
}

/// Sums what coefficients counted with since they fell to zero, given how far they reached; those that were zero from the
/// start reach nowhere and did not count.
STEEPEST_INLINE void settle_fallen(const PassedUpdates& past, const double* reaches, Index count, ReachSums& sums) {
  const double pace = double(past.begun) / past.passed;
  for (Index i = 0; i < count; ++i) {
    const double reach = reaches[i];
    if (reach == 0) {
      ++sums.known;
      continue;
    }
    const Index within = last_within(past, pace, reach);
    const SizeSums &then = past.updates[within], &now = past.updates[past.begun];
    sums.overdrawn += reach * (now.sizes - then.sizes) - (now.sizes_threshold - then.sizes_threshold);
    if (past.squares) {
      const SquareSums &first = past.squares[within], &last = past.squares[past.begun];
      sums.overdrawn_squares += reach * reach * (last.squares - first.squares) -
                                2 * reach * (last.squares_threshold - first.squares_threshold) +
                                (last.squares_threshold2 - first.squares_threshold2);
    }
  }
}

/// Coefficients found to have fallen are looked up so many at once: what to look up is far away, and known for all of them.
constexpr Index listed = 128;

/// Coefficients that have moved are looked through so many at once.
constexpr Index moved = 64;

/// What fallen coefficients counted with since then, of updates that were alike: the one with number k met k - 1 thresholds, so
/// sums over updates are polynomials, and nobody has to look up when which coefficient fell.
struct AlikeUpdates {
  using V = Vector<double>;
  V begun, threshold, per_threshold, overdrawn{0.0}, known{0.0};

  AlikeUpdates(const PassedUpdates& past, Index updates)
      : begun(double(updates)), threshold(past.alike_threshold), per_threshold(1 / past.alike_threshold) {}

  STEEPEST_INLINE void add(V size, V passed) {
    const V zero(0.0), one(1.0);
    const V met = ops::nearest(size * per_threshold - V(0.5)), since = begun - one - met;
    const V counted = since * (size - V(0.5) * threshold * (begun + met));
    overdrawn = overdrawn + ops::select(size > zero, ops::select(size < passed, counted, zero), zero);
    known = known + ops::select(size > zero, zero, one);
  }
};

/// Sums how far coefficients reached before they moved and since. Those that had fallen go to `alike` where updates were, else
/// they are listed, behind the ones listed already. Of numbers in a row, while their places wait for one another. Returns how
/// many are listed now.
template <bool Squares>
[[gnu::noinline]] Index look_through(double passed, double* before, double* since, Index count, AlikeUpdates* alike,
                                     double* fallen, Index known, ReachSums& sums) {
  using V = Vector<double>;
  for (; count % V::size; ++count) before[count] = since[count] = passed;
  V grown(0.0), squares(0.0);
  for (Index k = 0; k < count; k += V::size) {
    const V size = ops::abs(V::load(before + k)), reach = ops::abs(V::load(since + k));
    grown = grown + (reach - size);
    if constexpr (Squares) {
      const V was = ops::select(size > V(0.0), size - V(passed), V(0.0)), is = reach - V(passed);
      squares = squares + (is - was) * (is + was);
    }
    if (alike) {
      alike->add(size, V(passed));
      continue;
    }
    if (all_zero(size < V(passed))) continue;
    for (int lane = 0; lane < V::size; ++lane) {
      fallen[known] = size.v[lane];
      known += Index(size.v[lane] < passed);
    }
  }
  sums.reaches += grown.sum();
  sums.squares += squares.sum();
  return known;
}

template <bool Squares, class Reader, class T>
STEEPEST_INLINE void descend_reaching(const Reader& reader, const Segment& segment, const T* move,
                                      const PassedUpdates& past, double* reach, ReachSums& sums) {
  using One = Simd<double, 1>;
  const double passed = past.passed;
  double before[moved], since[moved], fallen[listed];
  Index count = 0, known = 0;
  AlikeUpdates alike(past, past.begun);
  AlikeUpdates* const alikes = past.alike_rows > 0 ? &alike : nullptr;
  const auto look = [&] {
    if (known + moved > listed) {
      settle_fallen(past, fallen, known, sums);
      known = 0;
    }
    known = look_through<Squares>(passed, before, since, count, alikes, fallen, known, sums);
    count = 0;
  };
  for (Index i = 0; i < segment.count; ++i) {
    const double s = double(move[i]);
    if (s == 0) continue;
    reader.along(reader(segment[i]), s, reach, reader.next_batch(segment, i, reach),
                 [&](double& place, double by, int lane) STEEPEST_INLINE_LAMBDA {
                   if (lane == 0 && count > moved - most_at_once) look();
                   // Nobody can tell signs, nor which have fallen, so there is no branch on either.
                   const double was = place, after = beyond(One(was), One(passed)).v + by;
                   place = after + __builtin_copysign(passed, after);
                   before[count] = was;
                   since[count++] = place;
                 });
  }
  look();
  settle_fallen(past, fallen, known, sums);
  if (alikes) {
    sums.overdrawn += past.alike_rows * alike.overdrawn.sum();
    sums.known += alike.known.sum();
  }
}

template <class T>
void descend_reaching(const SparseRows<T>& rows, const Segment& segment, const T* move, const PassedUpdates& past,
                      double* reach, ReachSums* sums) {
  with_reader(rows, segment, [&](const auto& reader) {
    if (past.squares)
      descend_reaching<true>(reader, segment, move, past, reach, *sums);
    else
      descend_reaching<false>(reader, segment, move, past, reach, *sums);
  });
}

template <class T>
void settle(const PassedUpdates& past, Index count, const double* reach, double scale, T* coef, ReachSums* sums) {
  using V = Vector<double>;
  using Narrowed = Simd<T, V::size>;
  const V zero(0.0), passed(past.passed);
  double fallen[listed];
  Index found = 0;
  AlikeUpdates alike(past, past.begun - 1);  // the last one was begun for what is settled here
  for (Index j = 0; j < count; j += V::size) {
    const Index left = count - j;
    const V at = left < V::size ? V::load_first(reach + j, left) : V::load(reach + j), size = ops::abs(at);
    // Plus zero, or a scale below zero would leave -0.
    const V kept = V(scale) * beyond(at, passed) + zero;
    const Narrowed settled(__builtin_convertvector(kept.v, typename Narrowed::Native));
    if (left < V::size)
      settled.store_first(coef + j, left);
    else
      settled.store(coef + j);
    // Most columns of many nobody has ever set.
    const auto has_fallen = (size < passed) & (size > zero);
    if (all_zero(has_fallen)) continue;
    if (past.alike_rows > 0) {
      alike.add(size, passed);
      continue;
    }
    for (int lane = 0; lane < V::size; ++lane) {
      fallen[found] = size.v[lane];
      found += Index(has_fallen[lane] != 0);
    }
    if (found > listed - V::size) {
      settle_fallen(past, fallen, found, *sums);
      found = 0;
    }
  }
  settle_fallen(past, fallen, found, *sums);
  if (past.alike_rows > 0) sums->overdrawn += past.alike_rows * alike.overdrawn.sum();
}

template <class T>
constexpr LazyKernels<T> lazy_kernels_of{&descend<T>, &descend_rows<T>, &predict<T>, &descend_reaching<T>, &settle<T>};

}  // namespace

const LazyKernels<float>& lazy_kernels_f32() { return lazy_kernels_of<float>; }
const LazyKernels<double>& lazy_kernels_f64() { return lazy_kernels_of<double>; }

}  // namespace steepest::STEEPEST_LEVEL
