// Sums of losses over sparse rows.
//
// As over dense rows, in chunks and parts; what differs is that a gradient may be far longer than all that a part of a
// segment touches. A part with a gradient of its own must be worth it, and so must a block of a long sum.
#pragma once

#include <string>
#include <vector>

#include "steepest/objective.hpp"
#include "steepest/sparse_rows.hpp"

namespace steepest {

/// What a loss is summed over. Everything belongs to the caller and outlives the sum.
template <class T>
struct SparseData {
  SparseRows<T> rows;
  const T* y = nullptr;
  const T* weight = nullptr;  ///< null: all ones
  bool intercept = false;     ///< the last parameters are intercepts, one per score
  double mean_weight = 1;
  Scaling<T> scaling;  ///< how the parameters see the columns
};

template <class T>
class LazySparse;

/// A pointwise loss, or with scores > 0 a loss of so many scores, over sparse rows. Parameters and targets lie as they do
/// for PointwiseSum and ScoresSum.
template <class T>
class SparseSum final : public RowSum<T> {
 public:
  SparseSum(std::size_t loss, std::vector<double> params, const SparseData<T>& data, std::int64_t scores);

  std::int64_t rows() const override { return data_.rows.rows; }
  std::int64_t parameters() const override { return penalised() + (intercept_ ? vectors_ : 0); }
  std::int64_t penalised() const override { return vectors_ * data_.rows.features; }
  double mean_weight() const override { return data_.mean_weight; }
  double add(const Segment& segment, const T* x, T* gradient) override;
  double value(const Segment& segment, const T* x) override;
  std::int64_t row_bytes() const override { return row_bytes_; }
  std::int64_t block_rows() const override { return block_rows_; }
  void use(Team* team) override;
  std::string complaint(const Segment& segment) const override;
  std::int64_t slopes() const override { return rows() * vectors_; }
  double exchange(const Segment& segment, const T* x, T* noted, T* change) override;
  bool bend(const Segment& segment, const T* x, const T* direction, T* product) override;
  double touched_share(std::int64_t rows) const override;
  void touched(const Segment& segment, std::vector<std::int64_t>& parameters) override;
  std::unique_ptr<LazyDescent<T>> lazily(const Restraint& held, std::int64_t batch_size) override;

 private:
  friend class LazySparse<T>;

  struct Scratch {
    std::vector<T> y, weight, prediction, slope, direction, change;
  };

  double in_parts(std::int64_t parts, const Segment& segment, const T* x, T* gradient);
  double walk(const Segment& segment, const T* x, T* gradient, Scratch& scratch) const;
  void predict(const Segment& chunk, const T* x, T* z) const;
  double reduce(const Segment& chunk, std::int64_t stride, bool weighted, Scratch& scratch) const;
  void exchange(const Segment& chunk, Scratch& scratch) const;
  void reserve(Scratch& scratch, std::int64_t stride) const;
  static std::int64_t stride_for(std::int64_t rows);
  std::int64_t parts_of(std::int64_t rows) const;

  const KernelsOf<T>& kernels_;
  std::size_t loss_;
  std::vector<double> params_;
  SparseData<T> data_;  ///< the intercept is that of the folded parameters
  bool pointwise_, labels_, intercept_;
  std::int64_t vectors_;  ///< of coefficients: one, or one per score
  Folding<T> folding_;
  std::int64_t row_bytes_, chunk_rows_, block_rows_, stride_;
  Team* team_ = nullptr;
  std::vector<Scratch> scratch_;  // one per thread
  std::vector<T> partial_;        // one gradient per part
  std::vector<double> values_;
  std::vector<std::uint32_t> seen_;  // per column, the number of the segment it was last met in
  std::uint32_t segments_ = 0;
  T* noted_ = nullptr;            ///< slopes noted per row, where changes of them are asked for; else null
  const T* direction_ = nullptr;  ///< what is asked for is not the gradient but how it changes along this; else null
  std::vector<T> folded_direction_;
};

}  // namespace steepest
