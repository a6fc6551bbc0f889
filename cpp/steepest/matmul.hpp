// Products of matrices, compiled in a file of their own (kernels/matmul.cpp).
#pragma once

#include "steepest/kernels.hpp"
#include "steepest/simd.hpp"

namespace steepest::STEEPEST_LEVEL::loops {

template <class T>
void multiply(const Product<T>&);

extern template void multiply(const Product<float>&);
extern template void multiply(const Product<double>&);

}  // namespace steepest::STEEPEST_LEVEL::loops
