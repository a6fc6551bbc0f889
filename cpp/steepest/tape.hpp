// Running a traced function over blocks of rows, in the loop of every other loss.
//
// A Program is the traced value and its gradient, put in order once: what depends on parameters alone runs once per call,
// what depends on rows runs on blocks of up to 256 rows whose intermediate results stay in the first-level cache, sums over
// rows are added up, and what depends on those runs at the end. Products of rows with a vector go through the kernels of
// the rows, in place, so that every layout of rows works. A Tape is a Program with the memory of one thread: it is planned
// once, and nothing is allocated per batch.
//
// A program with gradients by matrices is wide: a batch is then one wave, whose rows are cut into pieces for the threads,
// each running all that is done per row; then the sums over rows, cut by their results. So nothing is summed twice, however
// many threads there are, and the products of matrices are as large as the batch.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "steepest/kernels.hpp"
#include "steepest/objective.hpp"
#include "steepest/trace.hpp"

namespace steepest {

/// What a traced function returns.
enum class Result {
  row_losses,   ///< one loss per row, shape (B,)
  batch_loss,   ///< one number per batch, a mean over it; rows may mix, and are seen whole
  plain_value,  ///< one number of the parameters alone
};

/// One loss per row from what a function returned: a mean over rows at the root, and sums and multiples of such means, are
/// stripped. Throws std::invalid_argument where rows mix otherwise or there is no loss per row.
Ref row_losses_of(const Trace& trace, const Ref& root);

/// So many outputs per row are few scores, each with coefficients that lie side by side: with more of them, a number of a row
/// is worth a register for all outputs at once.
constexpr std::int64_t most_scores = 16;

struct Step {
  /// predict and slope: rows with a vector and back; scores and weights: rows with the few rows of a matrix and back, the
  /// latter a product that is a sum over rows, as other products of rows with rows are.
  enum class Kind : std::uint8_t { operation, predict, slope, scores, weights, product };
  Kind kind = Kind::operation;
  std::int32_t op = 0, option = 0;
  const Detail* detail = nullptr;
  int inputs = 0;
  int in[3] = {};   ///< slots; of all kinds but operation and product: the rows first
  int out = 0;      ///< slot
  int add_to = -1;  ///< the slot that collects the blocks' results; slopes and products add to it directly
  Shape in_shape[3], out_shape;
};

struct Slot {
  enum class Place : std::uint8_t { parameter, constant, rows, mask, scratch };
  Place place = Place::scratch;
  Shape shape;
  int memory = -1;  ///< which piece of scratch memory
  int number = 0;   ///< of the parameter, the row input or the mask
  Ref constant;
};

class Program {
 public:
  /// The sum over rows of `loss`, or of weight * loss with the last row input as the weight, with the gradients by the
  /// trace's parameters where wanted.
  Program(Trace& trace, const Ref& loss, Result result, bool weighted, bool with_gradient);

  const std::vector<Slot>& slots() const { return slots_; }
  /// Shapes of the pieces of scratch memory; slots whose lives do not meet share one.
  const std::vector<Shape>& memory() const { return memory_; }
  const std::vector<Step>& before() const { return before_; }
  const std::vector<Step>& per_block() const { return per_block_; }
  /// The sums over rows of a wide program, which no step per block reads.
  const std::vector<Step>& sums() const { return sums_; }
  const std::vector<Step>& after() const { return after_; }
  /// Slots that collect sums over blocks, zero at first.
  const std::vector<int>& collectors() const { return collectors_; }
  int value() const { return value_; }
  /// The slots of the gradients by parameter; -1 where the loss does not depend on one.
  const std::vector<int>& gradients() const { return gradients_; }
  /// Whether a row input is read by operations, or only by products with vectors.
  const std::vector<char>& loaded() const { return loaded_; }
  const std::vector<char>& viewed() const { return viewed_; }
  /// Whether a row input is read by products with matrices, which know no other rows than dense ones of C order.
  const std::vector<char>& tabled() const { return tabled_; }
  int row_count() const { return row_count_; }
  bool whole() const { return whole_; }
  bool wide() const { return wide_; }
  /// By slot: whether it is a product that is a parameter's gradient, and nothing else reads it.
  const std::vector<char>& direct() const { return direct_; }
  /// Whether the parameters may move while the sums run: nothing that comes after the rows reads them.
  bool movable() const { return movable_; }
  const std::vector<double>& mask_rates() const { return mask_rates_; }
  std::int64_t parameters() const { return parameters_; }
  const std::vector<std::int64_t>& offsets() const { return offsets_; }
  /// Numbers per row that a block touches.
  std::int64_t row_numbers() const { return row_numbers_; }

 private:
  class Planner;
  void find_direct();
  bool reads_parameters_late() const;

  std::vector<Slot> slots_;
  std::vector<Shape> memory_;
  std::vector<Step> before_, per_block_, sums_, after_;
  std::vector<int> collectors_, gradients_;
  std::vector<char> loaded_, viewed_, tabled_, direct_;
  std::vector<double> mask_rates_;
  std::vector<std::int64_t> offsets_;
  std::vector<Ref> kept_;
  int value_ = -1, row_count_ = -1;
  bool whole_ = false, wide_ = false, movable_ = false;
  std::int64_t parameters_ = 0, row_numbers_ = 0;
};

/// What becomes of a gradient: it is set or added to, multiplied by a number.
template <class T>
struct Into {
  T* gradient = nullptr;
  T scale = 1;
  bool add = true;
};

/// What masks are drawn from.
struct Draw {
  bool on = false;
  std::uint64_t key = 0;
};

/// A row input. Sparse ones are only ever multiplied with vectors.
template <class T>
struct RowInput : DenseRows<T> {
  SparseRows<T> sparse;

  RowInput() = default;
  RowInput(const DenseRows<T>& rows) : DenseRows<T>(rows) {}
  explicit RowInput(const SparseRows<T>& rows) : DenseRows<T>{nullptr, rows.rows, rows.features, 0, 1}, sparse(rows) {}
  bool is_sparse() const { return sparse.starts != nullptr; }
};

template <class T>
class Tape {
 public:
  Tape(std::shared_ptr<const Program> program, std::int64_t most_rows);

  /// The sum over the rows of a segment of the inputs; its gradient is added to `gradient` unless that is null or the
  /// program has none.
  double run(const std::vector<RowInput<T>>& inputs, const Segment& segment, const T* x, T* gradient, Draw draw = {});
  /// The same in waves of at most as many rows as were asked for, shared with a team unless that is null.
  double run_waves(const std::vector<RowInput<T>>& inputs, const Segment& segment, const T* x, const Into<T>& into,
                   Draw draw, Team* team);
  /// The sum over rows of one wave, of a program whose parameters may move: where it is finite, x moves by `factor` times its
  /// gradient. No gradient is written to memory and read again.
  double move(const std::vector<RowInput<T>>& inputs, const Segment& wave, T* x, T factor, Draw draw, Team* team);
  /// Which operation first gives a number that is not finite from numbers that are; empty where none does.
  std::string first_fault(const std::vector<RowInput<T>>& inputs, const Segment& segment, const T* x, Draw draw = {});

 private:
  struct Bound {
    std::int64_t rows = -1;
    std::vector<Geometry> geometries;
  };
  struct View {
    RowInput<T> rows;
    Segment segment;
  };
  /// Where a thread finds its operands.
  struct Lane {
    std::vector<const T*> at;  // by slot
    std::vector<View> views;
  };
  /// A sum over rows, or some rows of the result of a product.
  struct Task {
    const Step* step;
    const Geometry* geometry;
    std::int64_t from, to;
  };

  void begin(const T* x, T* gradient);
  void end(const Into<T>& into);
  void grow(std::int64_t rows);
  const std::vector<Geometry>& bind(std::int64_t rows);
  void plan_sums(std::int64_t rows);
  /// The sum over a wave. Its gradient is left alone where `finite_only` and the sum is not finite.
  double run_wave(const std::vector<RowInput<T>>& inputs, const Segment& wave, const Into<T>& into, bool finite_only,
                  Draw draw, Team* team);
  void begin_lanes(const T* x, T* gradient, Team* team);
  void place(const std::vector<RowInput<T>>& inputs, const Segment& block, std::int64_t at, Lane& lane, bool copies,
             Draw draw);
  void run_step(const Step& step, const Geometry& geometry, const Lane& lane);
  void run_sum(const Task& task, T scale, bool add);
  /// The rows that a step multiplies: of the data, or results of other steps.
  View rows_of(const Step& step, std::int64_t count, const Lane& lane) const;
  std::string fault_of(const Step& step, std::int64_t rows, const Segment& block) const;
  static void geometries_of(const std::vector<Step>& steps, std::int64_t rows, std::vector<Geometry>& geometries);

  std::shared_ptr<const Program> program_;
  const KernelsOf<T>& kernels_;
  std::int64_t block_rows_, capacity_ = 0;
  Handle<Memory> arena_;
  std::vector<T*> piece_;  // by number of memory
  Lane lane_;
  std::vector<Lane> lanes_;  // of the threads that share a wave
  std::vector<Geometry> before_, after_;
  // Two sizes of blocks alternate: the whole ones and the remainder of a batch.
  Bound bound_[4];
  std::size_t next_ = 0;
  Bound sums_;
  std::vector<Task> tasks_;
};

/// The losses of a traced function over data, as the loop knows them.
template <class T>
class TracedSum final : public RowSum<T> {
 public:
  struct Data {
    std::vector<RowInput<T>> inputs;  ///< in the order of the trace's row inputs; the weight last where there is one
    std::int64_t rows = 0;
    double mean_weight = 1;
    std::int64_t penalised = -1;  ///< parameters that penalties act on, from the first; -1: all
  };

  TracedSum(std::shared_ptr<const Program> value, std::shared_ptr<const Program> gradient, Data data);

  std::int64_t rows() const override { return data_.rows; }
  std::int64_t parameters() const override { return gradient_->parameters(); }
  std::int64_t penalised() const override { return data_.penalised < 0 ? parameters() : data_.penalised; }
  double mean_weight() const override { return data_.mean_weight; }
  double add(const Segment& segment, const T* x, T* gradient) override;
  double value(const Segment& segment, const T* x) override;
  /// Of the widest input alone, as for the built-in losses: with the same seed both visit the rows in the same order.
  std::int64_t row_bytes() const override { return gradient_->whole() ? 0 : widest_bytes_; }
  void use(Team* team) override;
  void draw(bool on, std::uint64_t key) override { draw_ = {on, key}; }
  bool begin_batch(T scale) override {
    if (gradient_->wide()) batch_ = {nullptr, scale, false};
    return gradient_->wide();
  }
  double batch(const Segment& segment, const T* x, T* gradient) override;
  std::unique_ptr<LazyDescent<T>> lazily(const Restraint& held, std::int64_t batch_size) override;
  std::int64_t block_rows() const override { return gradient_->whole() ? data_.rows : 8192; }
  std::string complaint(const Segment& segment) const override;

 private:
  class Straight;
  double in_parts(std::vector<Tape<T>>& tapes, const Segment& segment, const T* x, T* gradient);

  const KernelsOf<T>& kernels_;
  std::shared_ptr<const Program> value_, gradient_;
  Data data_;
  std::int64_t most_parts_ = 16;                   // a segment is cut into, each with a gradient of its own
  std::int64_t widest_bytes_ = 0, touched_bytes_;  // per row: of the widest input, and of all with intermediate results
  std::int64_t block_, wave_;
  Draw draw_;
  Into<T> batch_;
  Team* team_ = nullptr;
  std::vector<Tape<T>> value_tapes_, gradient_tapes_;  // one per thread
  std::vector<T> partial_;
  std::vector<double> values_;
  const T* last_x_ = nullptr;
};

}  // namespace steepest
