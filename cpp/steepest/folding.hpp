// Columns seen as x * scale + shift, without a second copy of them.
//
// A linear score of such columns is one of the columns as they are, with the weights scale_j w_j and an intercept that has
// grown by the sum of shift_j w_j. So the weights are folded before the rows are met and the gradient is unfolded after,
// once per batch: the rows are read in place, whatever their layout and type, and zeros of sparse rows stay zeros.
#pragma once

#include <cstdint>
#include <vector>

namespace steepest {

/// What columns are multiplied by and what is added then, a number per column each; null where columns are as they are.
template <class T>
struct Scaling {
  const T* scale = nullptr;
  const T* shift = nullptr;  ///< may be null where `scale` is not

  explicit operator bool() const { return scale != nullptr; }
};

/// Parameters are laid out as K rows of coefficients, then K intercepts if there are any; folded ones always have them.
template <class T>
class Folding {
 public:
  Folding() = default;
  Folding(const Scaling<T>& scaling, std::int64_t features, std::int64_t scores, bool intercept);

  /// The parameters that make the same scores of the columns as they are; valid until the next call.
  const T* fold(const T* x);
  /// Room for a gradient by the folded parameters, zero.
  T* folded_gradient();
  /// Adds the gradient by the parameters to `gradient`, from that in folded_gradient().
  void unfold(T* gradient) const;

 private:
  Scaling<T> scaling_;
  std::int64_t features_ = 0, scores_ = 0;
  bool intercept_ = false;
  std::vector<T> x_, gradient_;
};

}  // namespace steepest
