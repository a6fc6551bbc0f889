// Sums over rows: what a batch evaluates, and the only thing the loop knows of data and loss.
//
// A batch is a statistical unit, a chunk a memory unit: a sum walks a segment in chunks small enough that the rows are still
// in cache when they are read a second time, for the gradient.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "steepest/faster_way.hpp"
#include "steepest/folding.hpp"
#include "steepest/kernels.hpp"
#include "steepest/memory.hpp"
#include "steepest/packing.hpp"
#include "steepest/rows.hpp"
#include "steepest/threads.hpp"

namespace steepest {

/// A sum over rows of losses of the parameters x.
template <class T>
class RowSum {
 public:
  virtual ~RowSum() = default;
  virtual std::int64_t rows() const = 0;
  virtual std::int64_t parameters() const = 0;
  /// How many of the parameters, from the first, penalties act on.
  virtual std::int64_t penalised() const { return parameters(); }
  /// The mean weight of all rows; a batch of b rows is divided by b times this.
  virtual double mean_weight() const { return 1; }
  /// The sum over a segment, its gradient added to `gradient`.
  virtual double add(const Segment& segment, const T* x, T* gradient) = 0;
  /// The sum over a segment.
  virtual double value(const Segment& segment, const T* x) = 0;
  /// A batch begins: true where the sum will not add to the gradient but set it, the first time, and multiply it by the
  /// scale, which saves two passes over many parameters.
  virtual bool begin_batch(T /*scale*/) { return false; }
  /// What a piece of a mini-batch adds: the same as add(), or an estimate with less noise.
  virtual double batch(const Segment& segment, const T* x, T* gradient) { return add(segment, x, gradient); }
  /// How many slopes there are to note, of all rows and scores; 0 where gradients are not made of such.
  virtual std::int64_t slopes() const { return 0; }
  /// As add(), but of what the slopes have changed by since they were noted, row by row; they are noted anew.
  virtual double exchange(const Segment&, const T* /*x*/, T* /*noted*/, T* /*change*/) { return 0; }
  /// The Hessian of the sum over a segment times a direction, added to `product`; false where this sum cannot say.
  virtual bool bend(const Segment&, const T* /*x*/, const T* /*direction*/, T* /*product*/) { return false; }
  /// Whether further directions at the same x may be asked for, while the data stay what they are.
  virtual void keep_scores(bool /*on*/) {}
  /// Whether this sum has a way of its own, descend(), for plain descent in batches of so many rows.
  virtual bool descends(std::int64_t /*batch_size*/) const { return false; }
  /// Batches of more rows than that are none of descend()'s: their shares exceed a chunk, which is whole blocks, by less than one
  /// more block, so that sums over rows in registers, block by block, are the same wherever they are summed.
  static constexpr std::int64_t most_descended = 2048;
  /// Plain descent of x in batches of so many rows over a segment, with a step for each batch. Adds to `objectives` the sum,
  /// row by row, of the objectives met; returns how many rows it went through before one that is no finite number.
  virtual std::int64_t descend(const Segment&, std::int64_t /*batch_size*/, const T* /*step*/, const Restraint&,
                               T* /*x*/, double& /*objectives*/) {
    return 0;
  }
  /// Plain descent in batches of so many rows that moves touched columns only; null where this sum has no way for it.
  virtual std::unique_ptr<LazyDescent<T>> lazily(const Restraint&, std::int64_t /*batch_size*/) { return nullptr; }
  /// The share of the parameters that a batch of so many rows touches, at most.
  virtual double touched_share(std::int64_t /*rows*/) const { return 1; }
  /// Which parameters the gradient over a segment may differ from zero in, each once. Not for sums that touch all.
  virtual void touched(const Segment&, std::vector<std::int64_t>& /*parameters*/) {}
  /// What reading a row costs; 0 where threads are of no use.
  virtual std::int64_t row_bytes() const { return 0; }
  /// From now on share the work with this team, which outlives the sum or is taken back with null.
  virtual void use(Team*) {}
  /// Whether the rows are evaluated by somebody else's code, which is not to be called more than the loop needs.
  virtual bool outside() const { return false; }
  /// How many rows are summed in T before they move on to double.
  virtual std::int64_t block_rows() const { return 8192; }
  /// Whether what the losses draw at random is drawn, from this key and the number of each row.
  virtual void draw(bool /*on*/, std::uint64_t /*key*/) {}
  /// From now on offsets of scattered segments may stand where others stood: nothing is known of them. Called as an epoch begins.
  virtual void forget_offsets() {}
  /// What is wrong with the rows of a segment (numbers that are not finite), or an empty string where nothing is.
  virtual std::string complaint(const Segment&) const { return {}; }
};

/// What a loss is summed over. Everything belongs to the caller and outlives the sum.
template <class T>
struct RowData {
  DenseRows<T> rows;
  const T* y = nullptr;
  const T* weight = nullptr;  ///< null: all ones
  bool intercept = false;     ///< the last parameters are intercepts, one per score
  double mean_weight = 1;
  Scaling<T> scaling;  ///< how the parameters see the columns
};

/// What the sums over dense rows share: they cut a segment into shares and chunks and bring the rows into reach.
///
/// A segment that takes long enough is cut into shares. Either half of them is added up in order, then both: how it is cut
/// depends on the rows and their order alone, so the result does not depend on the number of threads.
template <class T>
class DenseSum : public RowSum<T> {
 public:
  std::int64_t rows() const override { return data_.rows.rows; }
  double mean_weight() const override { return data_.mean_weight; }
  std::int64_t parameters() const override { return scores_ * (width_ + intercept_); }
  std::int64_t penalised() const override { return scores_ * width_; }
  double add(const Segment& segment, const T* x, T* gradient) override;
  double value(const Segment& segment, const T* x) override;
  std::int64_t slopes() const override { return data_.rows.rows * scores_; }
  double exchange(const Segment& segment, const T* x, T* noted, T* change) override;
  bool bend(const Segment& segment, const T* x, const T* direction, T* product) override;
  std::int64_t row_bytes() const override { return width_ * data_.rows.item_bytes(); }
  void use(Team* team) override;
  std::string complaint(const Segment& segment) const override;

 protected:
  struct Scratch {
    std::vector<T> y, weight, prediction, slope, packed, direction, change, gradient;
  };

  /// What is evaluated at once.
  struct Chunk {
    DenseRows<T> rows;  ///< in place, or packed and widened
    Segment visible;    ///< which of `rows`
    Segment given;      ///< which of the data's rows
    const T* weight;    ///< of these rows one after the other; may be null
    const T* y;         ///< as many targets one after the other, where they have been packed; else null

    Chunk part(std::int64_t from, std::int64_t size) const;
  };

  /// Rows near enough to be read twice, of a segment no longer than a chunk; narrow ones only where kernels widen them.
  Chunk brought(const Segment& rows_given, Scratch& scratch, bool widens) const;
  /// Sets what kernels ask for ahead. In place: a copy of what has just been written waits for all that was written before.
  void ask_for(Segment& given) const;
  /// Scattered rows that the team has packed ahead; nothing where they are to be fetched in place.
  std::optional<Chunk> packed(const Segment& given);
  /// Leaves helpers free for other work than packing.
  void fetch_in_place();
  Scratch& scratch(int thread = 0) { return scratch_[std::size_t(thread)]; }
  Team* team() const { return team_; }
  /// The sum over a segment and its gradient, if that is not null: share by share, by the team where that is worth it.
  double in_shares(const Segment& segment, const T* x, T* gradient);
  /// The same by this team, or by one thread where it is null.
  double in_shares(const Segment& segment, const T* x, T* gradient, Team* team);
  static constexpr std::int64_t most_shares = 16;
  std::int64_t shares_of(const Segment& segment) const;
  /// Who shares a segment: nobody, where it costs less than that is worth.
  Team* team_for(const Segment& segment) const;
  /// Whether it is to be found out if a team gains anything by sharing batches like this one.
  bool tries(const Segment& batch) const;
  /// Whether batches of so many rows are cut into no shares, in whatever order they come.
  bool undivided(std::int64_t batch_size) const;

  struct Cut {
    std::int64_t chunk_bytes;     ///< of rows and scratch in a chunk
    std::int64_t scratch_bytes;   ///< per row
    std::int64_t share_rows;      ///< a share is at least as many rows
    std::int64_t team_bytes = 0;  ///< of a batch, from which on a team shares it
    std::int64_t added_rows = 0;  ///< so many rows of a chunk change a gradient once
    std::int64_t targets = 1;     ///< per row
    bool packs_columns = false;   ///< F order is not read in place
    bool packs_ahead = false;     ///< scattered rows, short and with one target each, are packed by whoever has time
    bool widens = false;          ///< narrow rows of C order are read in place, where there are kernels for them
    bool begins = false;          ///< long rows may be left to the hardware's prefetcher
  };

  /// The ways that a walk goes, which all have the same bits: what is faster differs from one processor, and one moment, to another.
  class Ways {
   public:
    /// Of a walk through so many rows; `shareable`: whether sharing its batches is to be tried.
    Ways(DenseSum& sum, bool shareable, std::int64_t rows)
        : sharing_(sum.sharing_, shareable, counted(sum, rows)),
          asking_(sum.asking_, sum.begins_ && !(shareable && sum.sharing_.on_trial()), counted(sum, rows)) {
      sum.sparing_ = !asking_.first();
    }
    bool shared() const { return sharing_.first(); }

   private:
    /// Trials of long rows take fewer of them.
    static std::int64_t counted(const DenseSum& sum, std::int64_t rows) {
      constexpr std::int64_t counted_once = 256, most = 16;
      return rows * std::clamp<std::int64_t>(sum.row_bytes_ / counted_once, 1, most);
    }

    FasterWay::Timed sharing_, asking_;
  };

  DenseSum(const RowData<T>& data, std::int64_t scores, const Cut& cut);

  /// The sum over a chunk; its gradient is added to `gradient` unless that is null. Where columns are scaled, parameters are
  /// folded ones, which always have intercepts.
  virtual double evaluate(const Chunk& chunk, const T* x, T* gradient, Scratch& scratch) const = 0;
  /// The sum over a segment of any length, chunk by chunk unless there is a better way.
  virtual double walk(const Segment& segment, const T* x, T* gradient, Scratch& scratch) const;
  /// Makes room for a chunk.
  virtual void reserve(Scratch& scratch) const = 0;

  const KernelsOf<T>& kernels_;
  RowData<T> data_;                        ///< the intercept is that of the folded parameters
  std::unique_ptr<PackedAhead<T>> ahead_;  ///< where there has been a team
  std::int64_t scores_, width_, chunk_rows_;
  std::int64_t partial_size_;  ///< how far apart the gradients of shares are
  /// Replaces slopes, class by class `stride` apart, by what they have changed by since they were noted.
  void exchange_slopes(const Segment& given, std::int64_t stride, T* slope) const;

  T* noted_ = nullptr;            ///< slopes noted per row, where changes of them are asked for; else null
  const T* direction_ = nullptr;  ///< what is asked for is not the gradient but how it changes along this; else null

 private:
  bool packs_ahead(const Segment& segment) const;
  /// Whether rows of F order are walked along their columns.
  bool by_columns() const;
  /// Whether rows are read where they lie; narrow ones only where kernels widen them.
  bool in_place(bool widens) const;
  /// In bytes that take as long in sequence.
  std::int64_t cost(const Segment& segment) const;

  Cut cut_;
  bool intercept_;  // that the parameters have
  Folding<T> folding_;
  std::vector<T> folded_direction_;
  std::int64_t row_bytes_;  // when computed with: how rows are cut must not depend on how they are stored
  Team* team_ = nullptr;
  std::vector<Scratch> scratch_;  // one per thread
  std::vector<T> partial_;        // one gradient per share but the first

  FasterWay sharing_;              // whether a team shares batches, or one thread sums them share by share
  FasterWay asking_;               // whether long rows are asked for line by line, or only begun
  bool begins_, sparing_ = false;  // whether rows are that long, and whether they are only begun just now
};

/// A pointwise loss over dense rows.
template <class T>
class PointwiseSum final : public DenseSum<T> {
 public:
  PointwiseSum(std::size_t loss, std::vector<double> params, const RowData<T>& data);

  bool descends(std::int64_t batch_size) const override;
  std::int64_t descend(const Segment& segment, std::int64_t batch_size, const T* step, const Restraint& held, T* x,
                       double& objectives) override;

 private:
  using typename DenseSum<T>::Scratch;
  using typename DenseSum<T>::Chunk;
  using typename DenseSum<T>::Ways;
  using DenseSum<T>::data_;
  using DenseSum<T>::kernels_;
  using DenseSum<T>::chunk_rows_;
  using DenseSum<T>::direction_;
  using DenseSum<T>::noted_;

  LossSums constant_sums(const Segment& batch, T at);
  std::int64_t descend_constant(const Segment& segment, std::int64_t batch_size, const T* step, const Restraint& held,
                                T* x, double& objectives);
  std::int64_t descend_in_batches(const Segment& segment, std::int64_t batch_size, const T* step, const Restraint& held,
                                  T* x, double& objectives);
  std::int64_t descend_shared(const Segment& segment, std::int64_t batch_size, const T* step, const Restraint& held,
                              T* x, double& objectives);
  std::int64_t descend_alike(const Segment& segment, std::int64_t size, const T* step, const Restraint& held, T* x,
                             double& objectives);
  /// Batches of one size, one after the other: share by share, by this team or by one thread; by two threads in step.
  std::int64_t descend_by_shares(const Segment& segment, std::int64_t size, const T* step, const Restraint& held, T* x,
                                 double& objectives, Team* team);
  std::int64_t descend_in_step(const Segment& segment, std::int64_t size, const T* step, const Restraint& held, T* x,
                               double& objectives, Team& team);
  T* cleared_gradient();
  bool descend_by(const T* gradient, double total, std::int64_t rows, T step, const Restraint& held, T* x,
                  double& objectives);
  /// Whether rows are of C order and so narrow that parameters and gradient stay in registers.
  bool fit_registers(const DenseRows<T>& rows) const;
  /// Whether the kernels that do so read rows as they are stored; else they are widened first.
  bool kernels_in_place() const;
  RowLosses<T> losses_of(const T* y, const T* weight) const;
  RowLosses<T> losses_in_place(const Segment& segment) const;
  double walk(const Segment& segment, const T* x, T* gradient, Scratch& scratch) const override;
  double descend_by_rows(const Segment& segment, const T* step, const Restraint& held, T* x);
  double evaluate(const Chunk& chunk, const T* x, T* gradient, Scratch& scratch) const override;
  void reserve(Scratch& scratch) const override;
  const T* along(const T* numbers, const Segment& given, std::vector<T>& room) const;

  /// What each of two threads in step has of its own, and the gradients that it tells the other, of batches in turn: the other may
  /// still be reading. The first write to a line that the other has read waits for that line, and all later writes wait behind it:
  /// so gradients are summed elsewhere, and told when they are complete.
  struct alignas(cache_line) Side {
    Numbers<T> x, gradient, partial;
    std::array<Numbers<T>, 2> told;
  };

  const LossKernels<T>& loss_;
  SlopeChange<T> change_;
  std::vector<double> params_;
  std::array<Side, 2> sides_;
};

/// A loss of K scores over dense rows. x holds K rows of coefficients, then K intercepts; without features K parameters that
/// are the scores. y holds a label per row (its position in the sorted classes), or K targets.
template <class T>
class ScoresSum final : public DenseSum<T> {
 public:
  ScoresSum(std::size_t loss, std::vector<double> params, const RowData<T>& data, std::int64_t scores);

  bool bend(const Segment& segment, const T* x, const T* direction, T* product) override;
  void keep_scores(bool on) override;

 private:
  using typename DenseSum<T>::Scratch;
  using typename DenseSum<T>::Chunk;
  using DenseSum<T>::data_;
  using DenseSum<T>::kernels_;
  using DenseSum<T>::chunk_rows_;
  using DenseSum<T>::scores_;
  using DenseSum<T>::direction_;
  using DenseSum<T>::noted_;

  double evaluate(const Chunk& chunk, const T* x, T* gradient, Scratch& scratch) const override;
  void reserve(Scratch& scratch) const override;

  const RowLossKernels<T>& loss_;
  RowSlopeChange<T> change_;
  std::vector<double> params_;
  std::int64_t stride_;
  bool labels_;

  /// The scores of the rows in sequence, class by class, at the point where directions were last asked for: they cost as much
  /// as those of a direction.
  enum class Kept { none, written, read };
  bool keeps_ = false;
  std::vector<T> kept_at_;
  std::int64_t kept_rows_ = 0;
  Kept kept_ = Kept::none;
  mutable std::vector<T> kept_scores_;  // each chunk writes its own
};

/// The sum over all rows in sequence and its gradient, block by block: blocks are summed in double and in the same order
/// whatever else changes, so that a long float sum stays accurate. `gradient` may be null. Calls `poll` between blocks.
/// `partial` becomes room for the gradient of a block, which those keep who sum time and again.
template <class T>
double full_sum(RowSum<T>& sum, const T* x, double* gradient, std::vector<T>& partial,
                const std::function<void()>& poll);

template <class T>
double full_sum(RowSum<T>& sum, const T* x, double* gradient, const std::function<void()>& poll) {
  std::vector<T> partial;
  return full_sum(sum, x, gradient, partial, poll);
}

/// The Hessian of that sum times a direction, in the same way; false where the sum cannot say.
template <class T>
bool full_bend(RowSum<T>& sum, const T* x, const T* direction, double* product, const std::function<void()>& poll);

/// A loss outside the core: given rows, it returns their sum and writes the gradient of the sum. It throws to stop.
struct OutsideLoss {
  std::int64_t rows = 0, parameters = 0;
  std::function<double(const Segment&, const double* x, double* gradient)> add;
};

std::unique_ptr<RowSum<double>> outside_sum(OutsideLoss loss);

}  // namespace steepest
