// The parts of one CPU level's table, filled by the files beside this one.
#pragma once

#include "steepest/kernels.hpp"
#include "steepest/simd.hpp"

namespace steepest::STEEPEST_LEVEL {

const RowKernels<float>& row_kernels_f32();
const RowKernels<double>& row_kernels_f64();
const WideningKernels<float>& widening_kernels_f32();
const WideningKernels<double>& widening_kernels_f64();
const LossKernels<float>* loss_kernels_f32();
const LossKernels<double>* loss_kernels_f64();
const ScoreKernels<float>& score_kernels_f32();
const ScoreKernels<double>& score_kernels_f64();
const RowLossKernels<float>* row_loss_kernels_f32();
const RowLossKernels<double>* row_loss_kernels_f64();
CurvatureKernels<float> curvature_kernels_f32();
CurvatureKernels<double> curvature_kernels_f64();
const SparseKernels<float>& sparse_kernels_f32();
const SparseKernels<double>& sparse_kernels_f64();
const LazyKernels<float>& lazy_kernels_f32();
const LazyKernels<double>& lazy_kernels_f64();
const PenaltyKernels<float>* penalty_kernels_f32();
const PenaltyKernels<double>* penalty_kernels_f64();
const RuleKernels<float>* rule_kernels_f32();
const RuleKernels<double>* rule_kernels_f64();
const OpKernels<float>* op_kernels_f32();
const OpKernels<double>* op_kernels_f64();
void mask(std::uint64_t key, std::int64_t count, double rate, float* out);
void mask(std::uint64_t key, std::int64_t count, double rate, double* out);
void take_turns(const std::uint32_t* first, std::int64_t streams, std::int64_t turn, std::int64_t turns,
                std::uint32_t* to);

const Kernels& table();

}  // namespace steepest::STEEPEST_LEVEL
