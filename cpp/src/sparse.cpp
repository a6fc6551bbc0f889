#include "steepest/sparse.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "steepest/registry.hpp"

namespace steepest {
namespace {

using Index = std::int64_t;

/// Rows are read twice, for the prediction and for the gradient: a chunk of this size is still in cache the second time.
constexpr Index chunk_bytes = 64 * 1024, most_chunk_rows = 2048, least_chunk_rows = 16;

/// As over dense rows: a part is worth a handshake when reading its rows takes several microseconds.
constexpr Index part_bytes = 32 * 1024, most_parts = 16;

/// A gradient of its own is cleared and added once, number after number, which is several times faster than an entry.
constexpr double entries_per_number = 1;

/// A block of a long sum is met by as many entries for each number of its gradient, but no more in all than are read in a
/// few milliseconds.
constexpr double block_entries_per_number = 4, most_block_entries = 1 << 22;
constexpr Index least_block_rows = 8192;

constexpr Index widest_register = 64;

/// Whether all columns are 0 to features - 1. Without a branch for each of them the compiler reads a register at a time.
template <class Index>
bool in_range(const Index* columns, std::int64_t count, std::int64_t features) {
  using Unsigned = std::make_unsigned_t<Index>;
  const auto last = Unsigned(std::min<std::int64_t>(features - 1, std::numeric_limits<Index>::max()));
  Unsigned signs = 0;
  for (std::int64_t k = 0; k < count; ++k) signs |= Unsigned(columns[k]) | (last - Unsigned(columns[k]));
  return Index(signs) >= 0;
}

}  // namespace

template <class Index>
SparseFault fault_of(const Index* starts, const Index* indices, std::int64_t rows, std::int64_t features,
                     std::int64_t entries) {
  if (starts[0] < 0 || starts[0] > entries) return {SparseFault::Kind::start, 0, starts[0]};
  for (std::int64_t row = 0; row < rows; ++row) {
    if (starts[row + 1] < starts[row]) return {SparseFault::Kind::order, row + 1, starts[row + 1]};
    if (starts[row + 1] > entries) return {SparseFault::Kind::end, row + 1, starts[row + 1]};
  }
  if (!indices || in_range(indices + starts[0], starts[rows] - starts[0], features)) return {};
  std::int64_t k = starts[0], row = 0;
  while (indices[k] >= 0 && indices[k] < features) ++k;
  while (starts[row + 1] <= k) ++row;
  return {SparseFault::Kind::column, row, indices[k]};
}

template <class T>
SparseSum<T>::SparseSum(std::size_t loss, std::vector<double> params, const SparseData<T>& data, Index scores)
    : kernels_(kernels_of<T>(kernels())), loss_(loss), params_(std::move(params)), data_(data), pointwise_(scores == 0),
      labels_(scores > 0 && row_loss_specs()[loss].target == Target::labels), intercept_(data.intercept),
      vectors_(std::max<Index>(scores, 1)) {
  if (data.scaling) {
    folding_ = Folding<T>(data.scaling, data.rows.features, vectors_, intercept_);
    data_.intercept = true;
  }
  const SparseRows<T>& rows = data.rows;
  const double per_row = rows.entries_per_row();
  row_bytes_ = rows.row_bytes();
  chunk_rows_ =
      std::clamp(chunk_bytes / (row_bytes_ + 3 * vectors_ * Index(sizeof(T))), least_chunk_rows, most_chunk_rows);
  chunk_rows_ = std::max<Index>(1, std::min(chunk_rows_, rows.rows));
  stride_ = stride_for(chunk_rows_);
  const double block_entries = std::min(block_entries_per_number * double(parameters()), most_block_entries);
  block_rows_ = std::max(least_block_rows, Index(block_entries / std::max(per_row, 1.0)));
  values_.resize(std::size_t(most_parts));
  this->use(nullptr);
}

template <class T>
void SparseSum<T>::use(Team* team) {
  team_ = team;
  scratch_.resize(std::size_t(team ? team->threads() : 1));
  for (Scratch& scratch : scratch_) reserve(scratch, stride_);
}

template <class T>
void SparseSum<T>::reserve(Scratch& s, Index stride) const {
  for (auto* buffer : {&s.prediction, &s.slope}) buffer->resize(std::size_t(vectors_ * stride));
  s.y.resize(std::size_t((labels_ ? 1 : vectors_) * stride));
  s.weight.resize(std::size_t(stride));
}

template <class T>
Index SparseSum<T>::stride_for(Index rows) {
  constexpr Index lanes = widest_register / Index(sizeof(T));
  return (rows + lanes - 1) / lanes * lanes;
}

template <class T>
Index SparseSum<T>::parts_of(Index rows) const {
  return std::clamp<Index>(rows * row_bytes_ / part_bytes, 1, std::min(most_parts, std::max<Index>(rows, 1)));
}

template <class T>
double SparseSum<T>::value(const Segment& segment, const T* x) {
  return in_parts(parts_of(segment.count), segment, data_.scaling ? folding_.fold(x) : x, nullptr);
}

template <class T>
double SparseSum<T>::add(const Segment& segment, const T* x, T* gradient) {
  // An entry meets each of the vectors, so that their number is of no matter.
  const double entries = double(segment.count) * data_.rows.entries_per_row();
  const auto worth = Index(entries / (entries_per_number * double(data_.rows.features)));
  const Index parts = std::max<Index>(1, std::min(parts_of(segment.count), worth));
  if (!data_.scaling) return in_parts(parts, segment, x, gradient);
  const double total = in_parts(parts, segment, folding_.fold(x), folding_.folded_gradient());
  folding_.unfold(gradient);
  return total;
}

template <class T>
double SparseSum<T>::in_parts(Index parts, const Segment& segment, const T* x, T* gradient) {
  if (parts == 1) return walk(segment, x, gradient, scratch_[0]);
  const Index k = penalised() + (data_.intercept ? vectors_ : 0);
  if (gradient && Index(partial_.size()) < parts * k) partial_.resize(std::size_t(parts * k));
  const auto piece = [&](std::uint32_t i, int thread) {
    const Index from = segment.count * i / parts, to = segment.count * (i + 1) / parts;
    T* own = gradient ? partial_.data() + Index(i) * k : nullptr;
    if (own) std::fill_n(own, k, T(0));
    values_[i] = walk(segment.part(from, to - from), x, own, scratch_[std::size_t(thread)]);
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
double SparseSum<T>::exchange(const Segment& segment, const T* x, T* noted, T* change) {
  noted_ = noted;
  const double total = add(segment, x, change);
  noted_ = nullptr;
  return total;
}

template <class T>
bool SparseSum<T>::bend(const Segment& segment, const T* x, const T* direction, T* product) {
  direction_ = direction;
  if (data_.scaling) {
    // Folding is linear, so a direction folds as the parameters do.
    const T* along = folding_.fold(direction);
    folded_direction_.assign(along, along + vectors_ * (data_.rows.features + 1));
    direction_ = folded_direction_.data();
  }
  add(segment, x, product);
  direction_ = nullptr;
  return true;
}

template <class T>
double SparseSum<T>::walk(const Segment& segment, const T* x, T* gradient, Scratch& scratch) const {
  const Index d = data_.rows.features, after = penalised();
  double total = 0;
  for (Index from = 0; from < segment.count; from += chunk_rows_) {
    const Segment chunk = segment.part(from, std::min(chunk_rows_, segment.count - from));
    predict(chunk, x, scratch.prediction.data());
    if (direction_) {
      for (auto* buffer : {&scratch.direction, &scratch.change}) buffer->resize(std::size_t(vectors_ * stride_));
      predict(chunk, direction_, scratch.direction.data());
    }
    total += reduce(chunk, stride_, true, scratch);
    if (!gradient) continue;
    if (noted_) exchange(chunk, scratch);
    for (Index k = 0; k < vectors_; ++k) {
      const T* slope = (direction_ ? scratch.change : scratch.slope).data() + k * stride_;
      kernels_.sparse.accumulate(data_.rows, chunk, slope, gradient + k * d);
      if (data_.intercept) gradient[after + k] += kernels_.rows.sum(slope, chunk.count);
    }
  }
  return total;
}

template <class T>
void SparseSum<T>::predict(const Segment& chunk, const T* x, T* z) const {
  const Index d = data_.rows.features;
  for (Index k = 0; k < vectors_; ++k)
    kernels_.sparse.predict(data_.rows, chunk, x + k * d, data_.intercept ? x[penalised() + k] : T(0), z + k * stride_);
}

/// The losses of the predictions in scratch, their slopes beside them, or how these change along the direction.
template <class T>
double SparseSum<T>::reduce(const Segment& chunk, Index stride, bool weighted, Scratch& scratch) const {
  const T* y = data_.y + chunk.begin;
  if (!pointwise_ && !labels_) {
    kernels_.scores.transpose(data_.y, chunk, vectors_, stride, scratch.y.data());
    y = scratch.y.data();
  } else if (chunk.offset) {
    kernels_.rows.gather(data_.y, chunk, scratch.y.data());
    y = scratch.y.data();
  }
  const T* weight = data_.weight && weighted ? data_.weight + chunk.begin : nullptr;
  if (weight && chunk.offset) {
    kernels_.rows.gather(data_.weight, chunk, scratch.weight.data());
    weight = scratch.weight.data();
  }
  const T *z = scratch.prediction.data(), *along = scratch.direction.data();
  T *slope = scratch.slope.data(), *change = scratch.change.data();
  const double* p = params_.data();
  const Index n = chunk.count, classes = vectors_;
  if (direction_ && pointwise_) return kernels_.curvature.losses[loss_](p, n, y, z, along, weight, change), 0;
  if (direction_)
    return kernels_.curvature.row_losses[loss_](p, n, classes, stride, y, z, along, weight, slope, change), 0;
  if (pointwise_) return kernels_.losses[loss_].reduce(p, n, y, z, weight, slope);
  return kernels_.row_losses[loss_].reduce(p, n, classes, stride, y, z, weight, slope);
}

/// Leaves in the slopes what they have changed by since they were noted, and notes them.
template <class T>
void SparseSum<T>::exchange(const Segment& chunk, Scratch& scratch) const {
  for (Index i = 0; i < chunk.count; ++i)
    for (Index k = 0; k < vectors_; ++k) {
      T &noted = noted_[chunk[i] * vectors_ + k], &slope = scratch.slope[std::size_t(k * stride_ + i)];
      const T now = slope;
      slope = now - noted;
      noted = now;
    }
}

/// The number of an entry; of narrow numbers, one that is finite where it is.
template <class T>
double finite_or_not(const SparseRows<T>& rows, Index entry) {
  if (!rows.stored) return double(rows.data[entry]);
  if (rows.storage != Storage::f16 && rows.storage != Storage::bf16) return 0;
  const std::uint16_t exponent = rows.storage == Storage::f16 ? 0x7c00 : 0x7f80;
  const std::uint16_t size = static_cast<const std::uint16_t*>(rows.stored)[entry] & 0x7fff;
  if (size < exponent) return 0;
  return size > exponent ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
}

template <class T>
std::string complaint_of(const SparseRows<T>& rows, const Segment& segment) {
  const auto look = [&]<class I>(const I* starts, const I* indices) -> std::string {
    for (Index i = 0; i < segment.count; ++i) {
      const Index row = segment[i];
      for (Index k = std::max<Index>(starts[row], 0); k < std::min<Index>(starts[row + 1], rows.entries); ++k) {
        if (const double number = finite_or_not(rows, k); !std::isfinite(number))
          return std::string(" holds ") + (std::isnan(number) ? "NaN" : "an infinity") + ", first in row " +
                 std::to_string(row) + ", column " + std::to_string(indices[k]);
        if (rows.doubtful && (indices[k] < 0 || indices[k] >= rows.features))
          return " holds column " + std::to_string(indices[k]) + " in row " + std::to_string(row) +
                 "; columns are 0 to " + std::to_string(rows.features - 1);
      }
    }
    return {};
  };
  return rows.wide
             ? look(static_cast<const std::int64_t*>(rows.starts), static_cast<const std::int64_t*>(rows.indices))
             : look(static_cast<const std::int32_t*>(rows.starts), static_cast<const std::int32_t*>(rows.indices));
}

template <class T>
std::string SparseSum<T>::complaint(const Segment& segment) const {
  const Index targets = pointwise_ || labels_ ? 1 : vectors_;
  const auto look = [&](const T* numbers, Index each, const char* what) -> std::string {
    for (Index i = 0; i < segment.count; ++i)
      for (Index k = segment[i] * each; k < (segment[i] + 1) * each; ++k)
        if (!std::isfinite(numbers[k]))
          return std::string(what) + " holds " + (std::isnan(numbers[k]) ? "NaN" : "an infinity") + ", first in row " +
                 std::to_string(segment[i]);
    return {};
  };
  if (const std::string found = look(data_.y, targets, "y"); !found.empty()) return found;
  if (data_.weight)
    if (const std::string found = look(data_.weight, 1, "sample_weight"); !found.empty()) return found;
  const std::string found = complaint_of(data_.rows, segment);
  return found.empty() ? found : "X" + found;
}

template std::string complaint_of(const SparseRows<float>&, const Segment&);
template std::string complaint_of(const SparseRows<double>&, const Segment&);
template SparseFault fault_of(const std::int32_t*, const std::int32_t*, std::int64_t, std::int64_t, std::int64_t);
template SparseFault fault_of(const std::int64_t*, const std::int64_t*, std::int64_t, std::int64_t, std::int64_t);
template class SparseSum<float>;
template class SparseSum<double>;

}  // namespace steepest
