// Plain descent over sparse rows on the columns that a batch touches.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "steepest/memory.hpp"
#include "steepest/sparse.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

/// A batch that meets every coefficient as often as this is better off with a gradient: it is added up in parts, chunk by chunk.
constexpr double dense_batch = 8;

/// The scale that coefficients share is folded into them before it leaves the range of a float; where sums of its powers are
/// kept too, before differences of them lose their digits.
constexpr double least_scale = 1e-9, least_summed_scale = 1.0 / 32;

/// Sums of updates are kept until all coefficients catch up, which costs as little as this many updates at least.
constexpr std::size_t most_updates = 1 << 16;

/// What is set reaches beyond nothing passed, so that zero says of a coefficient that nobody ever set it. Lost in the first sum.
constexpr double least_passed = std::numeric_limits<double>::min();

/// Thresholds below are not counted as alike.
constexpr double least_alike = 1e-300;

/// Of the sum of thresholds: so many for the first of them, and so many at most, after which every second is left out.
constexpr double marks_of_first = 4, most_marks = 1 << 16;

/// A batch of so many bytes, read once for each score, is predicted by several threads. One of them then moves coefficients
/// that are in the caches of all: smaller batches lose more by that than they gain.
constexpr double least_shared_bytes = 5 << 18;

/// Coefficients that are looked through several times while they are in the nearest cache.
constexpr Index looked_through = 2048;

/// Several sums at a time: one after the other, each addition would wait for the one before.
template <class T, class Measure>
double sum_over(const T* numbers, Index count, const Measure& measure) {
  constexpr Index sums = 8;
  double sum[sums] = {};
  Index j = 0;
  for (; j + sums <= count; j += sums)
    for (Index lane = 0; lane < sums; ++lane) sum[lane] += measure(double(numbers[j + lane]));
  for (; j < count; ++j) sum[0] += measure(double(numbers[j]));
  return std::accumulate(sum, sum + sums, 0.0);
}

}  // namespace

template <class T>
class LazySparse final : public LazyDescent<T> {
 public:
  LazySparse(SparseSum<T>& sum, const Restraint& held)
      : sum_(sum), held_(held), size_(sum.penalised()), features_(sum.data_.rows.features), kernels_(sum.kernels_) {
    if (thresholds()) reach_.resize(std::size_t(size_));
  }

  void begin(T* x) override {
    x_ = x;
    penalties_ = known_ = sizes_ = squares_ = 0;
    forget_updates();
    for (Index from = 0; from < size_; from += looked_through) settle(from, std::min(looked_through, size_ - from));
  }

  double update(const Segment& given, double divisor, double step) override {
    const FasterWay::Timed way(asking_, sum_.data_.rows.far(), given.count);
    return move_together(asked(given, way), divisor, step);
  }

  double update_each(const Segment& given, double divisor, const T* steps) override {
    if (thresholds() || !sum_.pointwise_) return LazyDescent<T>::update_each(given, divisor, steps);
    const FasterWay::Timed way(asking_, sum_.data_.rows.far(), given.count);
    const Segment rows = asked(given, way);
    const SparseData<T>& data = sum_.data_;
    SingleRows<T> single{data.y, data.weight, steps, x_, sum_.intercept_, divisor, held_};
    double total = 0;
    for (Index done = 0; done < rows.count && total - total == 0;) {
      SharedScale shared{scale_, squares_, 0};
      single.step = steps + done;
      const Segment left = rows.part(done, rows.count - done);
      done += kernels_.lazy.descend_rows(data.rows, left, kernels_.losses[sum_.loss_], sum_.params_.data(), single,
                                         least_scale, &shared, &total);
      scale_ = shared.scale, squares_ = shared.squares, penalties_ += shared.penalties;
      if (done == rows.count || total - total != 0) break;
      total += move_together(rows.part(done, 1), divisor, double(steps[done])) / divisor;  // folds the scale in
      ++done;
    }
    return total * divisor;
  }

  double flush(T* copy) override {
    catch_up(copy);
    return std::exchange(penalties_, 0.0);
  }
  Index row_cost() const override {
    return Index(sum_.data_.rows.entries_per_row() * double(sum_.vectors_)) + sum_.vectors_;
  }
  bool known_finite() const override { return finite_; }

 private:
  bool thresholds() const { return held_.l1 > 0; }

  static Segment asked(Segment given, const FasterWay::Timed& way) {
    given.sparing = !way.first();
    return given;
  }

  double move_together(const Segment& batch, double divisor, double step) {
    const Index rows = batch.count, stride = sum_.stride_for(rows);
    sum_.reserve(scratch_, stride);
    begin_update(rows);
    predict(batch, stride);
    const double total = reduce(batch, stride);
    if (!std::isfinite(total)) {
      alike_ = false;  // this update's threshold does not pass
      return total;
    }
    scale_ *= std::max(1 - step * held_.l2, held_.least_kept);
    if (std::abs(scale_) < (thresholds() ? least_summed_scale : least_scale)) catch_up();
    T* slopes = scratch_.slope.data();
    ReachSums found;
    for (Index k = 0; k < sum_.vectors_; ++k) {
      T* slope = slopes + k * stride;
      if (sum_.intercept_) x_[size_ + k] -= T(held_.intercept_pace * step / divisor) * kernels_.rows.sum(slope, rows);
      const T move = T(-step / (divisor * scale_));
      for (Index i = 0; i < rows; ++i) slope[i] *= move;
      if (thresholds())
        kernels_.lazy.descend_reaching(sum_.data_.rows, batch, slope, passed(), reach_.data() + k * features_, &found);
      else if (held_.l2 == 0)
        kernels_.sparse.accumulate(sum_.data_.rows, batch, slope, x_ + k * features_);
      else
        squares_ += kernels_.lazy.descend(sum_.data_.rows, batch, slope, x_ + k * features_);
    }
    if (thresholds()) pass(step * held_.l1 / std::abs(scale_), found);
    return total;
  }

  void forget_updates() {
    scale_ = 1;
    if (!thresholds()) return;
    passed_ = least_passed;
    updates_.assign(1, {});
    squares_before_.assign(1, {});
    marks_.clear();
    marks_per_threshold_ = 0;
    alike_ = held_.l2 == 0;
  }

  /// From now on these coefficients are kept apart from x, from which they are taken.
  void settle(Index from, Index count) {
    const T* x = x_ + from;
    if (thresholds()) {
      std::copy_n(x, count, reach_.data() + from);
      known_ += double(count - std::count(x, x + count, T(0)));
      sizes_ += sum_over(x, count, [](double w) { return std::abs(w); });
    }
    if (held_.l2 > 0) squares_ += sum_over(x, count, [](double w) { return w * w; });
  }

  /// Adds what the penalty of a batch of so many rows is.
  void begin_update(Index rows) {
    if (thresholds() && updates_.size() > std::max<std::size_t>(most_updates, std::size_t(size_))) catch_up();
    const double scale = std::abs(scale_);
    penalties_ += double(rows) * (held_.l1 * scale * sizes_ + 0.5 * held_.l2 * scale * scale * squares_);
    if (!thresholds()) return;
    if (updates_.size() == 1) alike_rows_ = double(rows);
    if (alike_rows_ != double(rows)) alike_ = false;
    const double u = passed_, sizes = double(rows) * scale, squares = sizes * scale;
    const SizeSums& before = updates_.back();
    updates_.push_back({u, before.sizes + sizes, before.sizes_threshold + sizes * u});
    mark(u);
    if (held_.l2 > 0) {
      const SquareSums& last = squares_before_.back();
      squares_before_.push_back(
          {last.squares + squares, last.squares_threshold + squares * u, last.squares_threshold2 + squares * u * u});
    }
  }

  PassedUpdates passed() const {
    return {passed_,
            updates_.data(),
            held_.l2 > 0 ? squares_before_.data() : nullptr,
            Index(updates_.size()) - 1,
            marks_.data(),
            Index(marks_.size()),
            marks_per_threshold_,
            alike_ && updates_.size() > 2 ? alike_rows_ : 0,
            alike_threshold_};
  }

  /// Sets the marks that the thresholds passed have gone beyond with the update that was just added.
  void mark(double passed) {
    if (marks_per_threshold_ == 0 && passed > least_passed)
      marks_per_threshold_ = std::min(marks_of_first / passed, std::numeric_limits<double>::max());
    while (passed * marks_per_threshold_ > most_marks) {
      for (std::size_t i = 0; 2 * i < marks_.size(); ++i) marks_[i] = marks_[2 * i];
      marks_.resize((marks_.size() + 1) / 2);
      marks_per_threshold_ /= 2;
    }
    const auto before = std::uint32_t(updates_.size() - 2);
    while (double(marks_.size()) < passed * marks_per_threshold_) marks_.push_back(before);
  }

  /// All coefficients move towards zero by a threshold, after those that a batch touched have changed.
  void pass(double threshold, const ReachSums& found) {
    known_ += found.known;
    sizes_ += found.reaches - passed_ * found.known;
    if (held_.l2 > 0) squares_ += found.squares + threshold * (threshold * known_ - 2 * sizes_);
    sizes_ -= threshold * known_;
    const std::size_t updates = updates_.size() - 1;
    if (updates == 1) alike_threshold_ = threshold;
    // Far enough from where a number, or one over it, is none.
    if (alike_threshold_ != threshold || !(threshold > least_alike && threshold < 1 / least_alike)) alike_ = false;
    passed_ = alike_ ? double(updates) * threshold : passed_ + threshold;
    take_back(found);
  }

  /// Penalties that were counted for coefficients which were zero already.
  void take_back(const ReachSums& found) {
    penalties_ -= held_.l1 * found.overdrawn + 0.5 * held_.l2 * found.overdrawn_squares;
  }

  /// How many parts a batch is predicted in. Each prediction depends on its row alone.
  Index parts_of(Index rows) const {
    const double bytes = double(rows) * double(sum_.row_bytes_) * double(sum_.vectors_);
    return bytes < least_shared_bytes ? 1 : sum_.parts_of(rows);
  }

  void predict(const Segment& batch, Index stride) {
    const SparseRows<T>& rows = sum_.data_.rows;
    const Index parts = sum_.team_ ? parts_of(batch.count) : 1;
    for (Index k = 0; k < sum_.vectors_; ++k) {
      const T* coef = x_ + k * features_;
      const double* reach = reach_.data() + (thresholds() ? k * features_ : 0);
      T* z = scratch_.prediction.data() + k * stride;
      const auto piece = [&](std::uint32_t i, int) {
        const Index from = batch.count * i / parts, to = batch.count * (i + 1) / parts;
        const Segment part = batch.part(from, to - from);
        if (thresholds())
          kernels_.lazy.predict(rows, part, reach, passed_, z + from);
        else
          kernels_.sparse.predict(rows, part, coef, T(0), z + from);
      };
      if (parts > 1)
        sum_.team_->run(std::uint32_t(parts), piece);
      else
        piece(0, 0);
      const T scale = T(scale_), intercept = sum_.intercept_ ? x_[size_ + k] : T(0);
      for (Index i = 0; i < batch.count; ++i) z[i] = scale * z[i] + intercept;
    }
  }

  /// The losses of the batch; its slopes in scratch.
  double reduce(const Segment& batch, Index stride) {
    if (!(held_.slope_limit < std::numeric_limits<double>::infinity()))
      return sum_.reduce(batch, stride, true, scratch_);
    double total = sum_.reduce(batch, stride, false, scratch_);
    const T limit = T(held_.slope_limit);
    for (Index i = 0; i < batch.count; ++i) {
      const T weight = sum_.data_.weight ? sum_.data_.weight[batch[i]] : T(1);
      for (Index k = 0; k < sum_.vectors_; ++k) {
        T& slope = scratch_.slope[std::size_t(k * stride + i)];
        slope = weight * std::clamp(slope, -limit, limit);
      }
      if (batch.count == 1) total *= double(weight);
    }
    return total;
  }

  /// Brings x up to date and goes on from there. Of many parameters each pass finds them in no cache, so there is one.
  void catch_up(T* copy = nullptr) {
    if (thresholds()) {
      // An update that has no objective: the threshold of the last one is still to pass.
      SizeSums sums = updates_.back();
      sums.threshold = passed_;
      updates_.push_back(sums);
      mark(passed_);
      if (held_.l2 > 0) squares_before_.push_back(SquareSums(squares_before_.back()));
    }
    const PassedUpdates past = passed();
    const double scale = scale_;
    ReachSums found;
    known_ = sizes_ = squares_ = 0;
    finite_ = kernels_.rows.finite(x_ + size_, sum_.parameters() - size_);
    for (Index from = 0; from < size_; from += looked_through) {
      const Index count = std::min(looked_through, size_ - from);
      T* x = x_ + from;
      if (thresholds())
        kernels_.lazy.settle(past, count, reach_.data() + from, scale, x, &found);
      else if (scale != 1)
        for (Index j = 0; j < count; ++j) x[j] = T(double(x[j]) * scale);
      finite_ = finite_ && kernels_.rows.finite(x, count);
      if (copy) std::copy_n(x, count, copy + from);
      settle(from, count);
    }
    if (copy) std::copy(x_ + size_, x_ + sum_.parameters(), copy + size_);
    take_back(found);
    forget_updates();
  }

  SparseSum<T>& sum_;
  Restraint held_;
  Index size_, features_;
  const KernelsOf<T>& kernels_;
  T* x_ = nullptr;
  typename SparseSum<T>::Scratch scratch_;
  double scale_ = 1, penalties_ = 0;
  double known_ = 0, sizes_ = 0,
         squares_ = 0;            ///< coefficients that are not zero, their sizes and squares before the scale
  double passed_ = least_passed;  ///< sum of thresholds
  std::vector<double, HugePages<double>> reach_;
  std::vector<SizeSums> updates_;
  std::vector<std::uint32_t> marks_;  // see PassedUpdates
  double marks_per_threshold_ = 0;
  std::vector<SquareSums> squares_before_;
  bool finite_ = false;
  bool alike_ = false;  ///< all updates are, see PassedUpdates
  double alike_rows_ = 0, alike_threshold_ = 0;
  FasterWay asking_;  ///< whether what later rows meet in far columns is asked for
};

template <class T>
std::unique_ptr<LazyDescent<T>> SparseSum<T>::lazily(const Restraint& held, Index batch_size) {
  const double met = double(batch_size) * data_.rows.entries_per_row() / double(data_.rows.features);
  if (met > dense_batch || data_.scaling) return nullptr;
  return std::make_unique<LazySparse<T>>(*this, held);
}

template <class T>
double SparseSum<T>::touched_share(Index rows) const {
  if (data_.scaling) return 1;
  return std::min(1.0, double(rows) * data_.rows.entries_per_row() / double(data_.rows.features));
}

template <class T>
void SparseSum<T>::touched(const Segment& segment, std::vector<Index>& parameters) {
  const SparseRows<T>& rows = data_.rows;
  const Index d = rows.features;
  seen_.resize(std::size_t(d));
  if (++segments_ == 0) {
    std::fill(seen_.begin(), seen_.end(), 0u);
    segments_ = 1;
  }
  parameters.clear();
  // Bounds are kept as the kernels keep them, so that both touch the same columns.
  const auto look = [&]<class I>(const volatile I* starts, const volatile I* indices) {
    for (Index i = 0; i < segment.count; ++i) {
      const Index row = segment[i];
      const Index begin = starts[row], end = starts[row + 1];
      const Index from = begin < 0 || begin > rows.entries ? rows.entries : begin, to = std::min(end, rows.entries);
      for (Index k = from; k < to; ++k) {
        const Index given = indices[k], column = given < 0 || given >= d ? d - 1 : given;
        if (std::exchange(seen_[std::size_t(column)], segments_) != segments_) parameters.push_back(column);
      }
    }
  };
  if (rows.wide)
    look(static_cast<const volatile std::int64_t*>(rows.starts),
         static_cast<const volatile std::int64_t*>(rows.indices));
  else
    look(static_cast<const volatile std::int32_t*>(rows.starts),
         static_cast<const volatile std::int32_t*>(rows.indices));
  const std::size_t columns = parameters.size();
  for (Index k = 1; k < vectors_; ++k)
    for (std::size_t i = 0; i < columns; ++i) parameters.push_back(parameters[i] + k * d);
  for (Index j = penalised(); j < this->parameters(); ++j) parameters.push_back(j);
}

template double SparseSum<float>::touched_share(Index) const;
template double SparseSum<double>::touched_share(Index) const;
template void SparseSum<float>::touched(const Segment&, std::vector<Index>&);
template void SparseSum<double>::touched(const Segment&, std::vector<Index>&);
template std::unique_ptr<LazyDescent<float>> SparseSum<float>::lazily(const Restraint&, Index);
template std::unique_ptr<LazyDescent<double>> SparseSum<double>::lazily(const Restraint&, Index);

}  // namespace steepest
