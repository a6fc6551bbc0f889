// Plain descent in batches that touch few columns: what an update costs depends on the batch, not on the number of columns.
//
// L2 shrinks all coefficients alike, so they are kept as a common scale times numbers that only change where a column is
// touched. L1 moves all of them towards zero by the same threshold, and thresholds add up: a column catches up with the sum
// of those that it missed when it is next met. The penalty's value is summed along the way, for all the updates that a
// column missed at once. Nobody may read the parameters until everything has caught up, in flush().
#pragma once

#include <cstdint>

#include "steepest/rows.hpp"

namespace steepest {

template <class T>
class LazyDescent {
 public:
  virtual ~LazyDescent() = default;
  /// From now on the parameters x are the descent's, until flush().
  virtual void begin(T* x) = 0;
  /// An update along the gradient over a batch, which is divided by `divisor`. Returns the sum of its losses; where that is not
  /// finite nothing has changed.
  virtual double update(const Segment& batch, double divisor, double step) = 0;
  /// Brings the parameters up to date. Returns the sum of rows times penalty over all updates since begin(), each at the
  /// parameters that its batch met.
  virtual double flush() = 0;
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

/// What coefficients may have missed.
struct MissedUpdates {
  const SizeSums* updates;    ///< before the first, the second, ...
  const SquareSums* squares;  ///< of the same; null where nobody asks
  std::int64_t begun;         ///< updates, the current one included
  std::uint32_t* met;         ///< per coefficient: updates begun when it was last met
  double* sizes;              ///< to which the sum of rows * |coefficient| is added
  double* square_sizes;       ///< to which the sum of rows * coefficient^2 is added
};

}  // namespace steepest
