#include "level.hpp"
#include "steepest/matmul.hpp"

#define STEEPEST_TEXT_OF(name) #name
#define STEEPEST_TEXT(name) STEEPEST_TEXT_OF(name)

namespace steepest::STEEPEST_LEVEL {

const Kernels& table() {
  static const Kernels kernels{
      STEEPEST_TEXT(STEEPEST_LEVEL),
      vector_bytes,
      {row_kernels_f32(), widening_kernels_f32(), loss_kernels_f32(), score_kernels_f32(), row_loss_kernels_f32(),
       curvature_kernels_f32(), penalty_kernels_f32(), rule_kernels_f32(), op_kernels_f32(), sparse_kernels_f32(),
       lazy_kernels_f32(), &loops::multiply<float>, &mask},
      {row_kernels_f64(), widening_kernels_f64(), loss_kernels_f64(), score_kernels_f64(), row_loss_kernels_f64(),
       curvature_kernels_f64(), penalty_kernels_f64(), rule_kernels_f64(), op_kernels_f64(), sparse_kernels_f64(),
       lazy_kernels_f64(), &loops::multiply<double>, &mask},
      &take_turns,
  };
  return kernels;
}

}  // namespace steepest::STEEPEST_LEVEL
