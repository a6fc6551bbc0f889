#include <algorithm>
#include <cmath>

#include "steepest/tape.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

/// Operations run on blocks of this many rows at most: their results are still in the first-level cache when they are read.
constexpr Index most_block_rows = 256, least_block_rows = 16;
constexpr Index block_bytes = 64 * 1024;
/// What a wave of a wide program touches: it stays in the second-level cache. Its end costs a walk through the gradients, so a
/// program of few parameters has shorter waves, whose rows are nearer when they are met again.
constexpr Index wave_bytes = 3 * 1024 * 1024, short_wave_bytes = 512 * 1024, most_wave_rows = 1024;
constexpr Index few_parameters = 64 * 1024;  // bytes

/// How much work is worth a handshake between threads; the overhead of a part is that of a block.
constexpr Index part_bytes = 32 * 1024;
constexpr Index most_parts = 16;

/// For blocks of inputs that are sparse, as if they were not.
constexpr Index most_room = Index(1) << 24;

}  // namespace

template <class T>
TracedSum<T>::TracedSum(std::shared_ptr<const Program> value, std::shared_ptr<const Program> gradient, Data data)
    : kernels_(kernels_of<T>(kernels())), value_(std::move(value)), gradient_(std::move(gradient)),
      data_(std::move(data)) {
  touched_bytes_ = std::max<Index>(gradient_->row_numbers(), 1) * Index(sizeof(T));
  Index sparse_features = 0;
  for (const RowInput<T>& input : data_.inputs) {
    const Index bytes = input.is_sparse() ? input.sparse.row_bytes() : input.features * Index(sizeof(T));
    if (input.is_sparse()) sparse_features = std::max(sparse_features, input.features);
    widest_bytes_ = std::max(widest_bytes_, bytes);
    touched_bytes_ += bytes;
  }
  const bool few = gradient_->parameters() * Index(sizeof(T)) <= few_parameters;
  wave_ = std::clamp((few ? short_wave_bytes : wave_bytes) / touched_bytes_, least_block_rows, most_wave_rows);
  block_ = std::clamp(block_bytes / touched_bytes_, least_block_rows, most_block_rows);
  if (sparse_features > 0) {
    // A tape has room for a block of every input, and a part a gradient of its own: neither may outgrow the data.
    const Index dense_bytes = sparse_features * Index(sizeof(T));
    block_ = std::min(block_, std::max(least_block_rows, most_room / dense_bytes));
    most_parts_ = std::clamp<Index>(data_.rows * widest_bytes_ / (4 * dense_bytes), 1, most_parts);
  }
  block_ = std::max<Index>(1, std::min(block_, data_.rows));
  if (gradient_->whole()) block_ = 1;
  const Index parts = std::min(most_parts_, data_.rows * touched_bytes_ / part_bytes + 1);
  if (!gradient_->wide()) partial_.resize(std::size_t(parts * parameters()));
  values_.resize(std::size_t(most_parts));
  use(nullptr);
}

template <class T>
void TracedSum<T>::use(Team* team) {
  team_ = team;
  const auto threads = std::size_t(team ? team->threads() : 1);
  const auto more = [&](std::vector<Tape<T>>& tapes, const std::shared_ptr<const Program>& program) {
    // A wide program shares one tape among the threads.
    while (tapes.size() < (program->wide() ? 1 : threads))
      tapes.emplace_back(program, program->wide() ? wave_ : block_);
  };
  more(gradient_tapes_, gradient_);
  more(value_tapes_, value_);
}

template <class T>
double TracedSum<T>::add(const Segment& segment, const T* x, T* gradient) {
  if (!gradient_->wide()) return in_parts(gradient_tapes_, segment, x, gradient);
  last_x_ = x;
  return gradient_tapes_[0].run_waves(data_.inputs, segment, x, {gradient}, draw_, team_);
}

template <class T>
double TracedSum<T>::batch(const Segment& segment, const T* x, T* gradient) {
  if (!gradient_->wide()) return add(segment, x, gradient);
  last_x_ = x;
  batch_.gradient = gradient;
  const double total = gradient_tapes_[0].run_waves(data_.inputs, segment, x, batch_, draw_, team_);
  batch_.add = true;
  return total;
}

/// Plain descent whose products move the parameters by themselves.
template <class T>
class TracedSum<T>::Straight final : public LazyDescent<T> {
 public:
  explicit Straight(TracedSum& sum) : sum_(sum) {}
  void begin(T* x) override { x_ = x; }
  double update(const Segment& batch, double divisor, double step) override {
    sum_.last_x_ = x_;
    return sum_.gradient_tapes_[0].move(sum_.data_.inputs, batch, x_, T(-step / divisor), sum_.draw_, sum_.team_);
  }
  double flush(T* copy) override {
    if (copy) std::copy_n(x_, sum_.parameters(), copy);
    return 0;
  }
  Index row_cost() const override { return sum_.parameters(); }

 private:
  TracedSum& sum_;
  T* x_ = nullptr;
};

template <class T>
std::unique_ptr<LazyDescent<T>> TracedSum<T>::lazily(const Restraint& held, Index batch_size) {
  const bool same_pace = held.intercept_pace == 1 || penalised() == parameters();
  if (!gradient_->movable() || batch_size == 1 || batch_size > wave_ || held.l1 != 0 || held.l2 != 0 || !same_pace)
    return nullptr;
  return std::make_unique<Straight>(*this);
}

template <class T>
double TracedSum<T>::value(const Segment& segment, const T* x) {
  return in_parts(value_tapes_, segment, x, nullptr);
}

template <class T>
double TracedSum<T>::in_parts(std::vector<Tape<T>>& tapes, const Segment& segment, const T* x, T* gradient) {
  last_x_ = x;
  const Index wanted = gradient_->whole() ? 1 : segment.count * touched_bytes_ / part_bytes;
  const Index parts = std::clamp<Index>(wanted, 1, std::min(most_parts_, segment.count));
  if (parts == 1) return tapes[0].run(data_.inputs, segment, x, gradient, draw_);
  const Index k = parameters();
  const auto piece = [&](std::uint32_t i, int thread) {
    const Index from = segment.count * i / parts, to = segment.count * (i + 1) / parts;
    T* own = gradient ? partial_.data() + Index(i) * k : nullptr;
    if (own) std::fill_n(own, k, T(0));
    values_[i] = tapes[std::size_t(thread)].run(data_.inputs, segment.part(from, to - from), x, own, draw_);
  };
  if (team_)
    team_->run(std::uint32_t(parts), piece);
  else
    for (Index i = 0; i < parts; ++i) piece(std::uint32_t(i), 0);
  double total = 0;
  for (Index i = 0; i < parts; ++i) {
    total += values_[std::size_t(i)];
    if (gradient) kernels_.rows.add(partial_.data() + i * k, k, gradient);
  }
  return total;
}

template <class T>
std::string TracedSum<T>::complaint(const Segment& segment) const {
  for (std::size_t input = 0; input < data_.inputs.size(); ++input) {
    const RowInput<T>& rows = data_.inputs[input];
    if (rows.is_sparse()) {
      if (const std::string found = complaint_of(rows.sparse, segment); !found.empty())
        return "data " + std::to_string(input) + found;
      continue;
    }
    std::vector<T> row(std::size_t(rows.features));
    for (Index i = 0; i < segment.count; ++i) {
      (rows.narrow() ? kernels_.widening.widen : kernels_.rows.pack)(rows, segment.part(i, 1), row.data());
      for (Index j = 0; j < rows.features; ++j)
        if (const T number = row[std::size_t(j)]; !std::isfinite(number))
          return "data " + std::to_string(input) + " holds " + (std::isnan(number) ? "NaN" : "an infinity") +
                 ", first in row " + std::to_string(segment[i]) +
                 (rows.features > 1 ? ", column " + std::to_string(j) : "");
    }
  }
  for (Index j = 0; last_x_ && j < parameters(); ++j)
    if (!std::isfinite(last_x_[j])) return {};
  if (!last_x_) return {};
  const std::string fault = Tape<T>(gradient_, block_).first_fault(data_.inputs, segment, last_x_, draw_);
  return fault.empty() ? fault : "the loss is not finite: " + fault;
}

template class TracedSum<float>;
template class TracedSum<double>;

}  // namespace steepest
