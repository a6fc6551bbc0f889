// Plain descent in batches that touch few columns: what an update costs depends on the batch, not on the number of columns.
//
// L2 shrinks all coefficients alike, so they are kept as a common scale times numbers that only change where a column is
// touched. L1 moves all of them towards zero by the same threshold, and thresholds add up. So a coefficient is kept as how far
// it reaches: its size plus the thresholds passed when it was last set. What reaches beyond the thresholds passed by now is
// its size now, and nobody has to visit it for that, nor to remember when it was last met. The penalty's value is summed
// along the way. Nobody may read the parameters until everything is brought up to date, in flush().
#pragma once

#include <cstdint>

#include "steepest/rows.hpp"

namespace steepest {

template <class T>
class LazyDescent {
 public:
  virtual ~LazyDescent() = default;
  /// From now on the parameters x are the descent's; between a flush() and the next update they may be read, but not changed.
  virtual void begin(T* x) = 0;
  /// An update along the gradient over a batch, which is divided by `divisor`. Returns the sum of its losses; where that is not
  /// finite nothing has changed.
  virtual double update(const Segment& batch, double divisor, double step) = 0;
  /// An update for each row of a segment, with a step of its own. Returns the sum of their losses; where that is not finite
  /// nothing has changed since the row whose loss is not.
  virtual double update_each(const Segment& rows, double divisor, const T* steps) {
    double total = 0;
    for (std::int64_t i = 0; i < rows.count && total - total == 0; ++i)
      total += update(rows.part(i, 1), divisor, double(steps[i]));
    return total;
  }
  /// Brings the parameters up to date, and writes them to `copy`, too, unless that is null. Returns the sum of rows times penalty
  /// over all updates since begin(), or the flush() before, each at the parameters that its batch met.
  virtual double flush(T* copy) = 0;
  /// How many numbers a row's share of an update reads or moves.
  virtual std::int64_t row_cost() const = 0;
  /// Whether flush() found all parameters to be finite numbers; false where it did not look. Asked right after it.
  virtual bool known_finite() const { return false; }
};

/// What coefficients that share a scale are multiplied with, the sum of their squares before that, and of the penalties met.
struct SharedScale {
  double scale = 1, squares = 0, penalties = 0;
};

/// Sums over the updates before one: of their rows times scale^a threshold^b, the scale and the threshold passed when their
/// batch was met.
struct alignas(32) SizeSums {
  double threshold = 0;                   ///< passed at the last of them
  double sizes = 0, sizes_threshold = 0;  ///< a = 1, b = 0 and 1
};
struct alignas(32) SquareSums {
  double squares = 0, squares_threshold = 0, squares_threshold2 = 0;  ///< a = 2, b = 0, 1 and 2
};

/// The updates since all coefficients were brought up to date, the current one included.
struct PassedUpdates {
  double passed;              ///< sum of the thresholds before the current one
  const SizeSums* updates;    ///< before the first, the second, ...
  const SquareSums* squares;  ///< of the same; null where nobody asks
  std::int64_t begun;         ///< updates
  /// Where to look for the update before which so much had passed: marks[i] is the last one before which no more than i
  /// times the width had.
  const std::uint32_t* marks;
  std::int64_t marked;
  double marks_per_threshold;  ///< 1 / width
  /// Of each update, from the second on, where all of them were alike, the scale one: then sums over them need no looking up.
  /// Else the rows are zero.
  double alike_rows, alike_threshold;
};

/// What is known of coefficients that are not zero, those included which fell to zero while nobody looked: these count with
/// sizes below zero until they are found.
struct ReachSums {
  double known = 0;    ///< how many
  double reaches = 0;  ///< of how far they reach
  double squares = 0;  ///< of their squared sizes; where nobody asks, anything
  /// Over those found and the updates at which they were zero already: of rows times the sizes, below zero, that they counted
  /// with, and of their squares.
  double overdrawn = 0, overdrawn_squares = 0;
};

}  // namespace steepest
