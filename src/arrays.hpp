// NumPy arrays as the core's views. Nothing is converted here: the package has checked dtypes and shapes before.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <stdexcept>

#include "steepest/folding.hpp"
#include "steepest/rows.hpp"

template <class T>
using Contiguous = pybind11::array_t<T, pybind11::array::c_style>;

/// A 2-D array of any strides as rows; None is the constant model of n rows.
template <class T>
steepest::DenseRows<T> dense_rows(const pybind11::object& array, std::int64_t n) {
  if (array.is_none()) return {nullptr, n, 0, 0, 1};
  const auto X = pybind11::reinterpret_borrow<pybind11::array>(array);
  const auto item = std::int64_t(sizeof(T));
  if (X.ndim() != 2 || X.shape(0) != n || !X.dtype().equal(pybind11::dtype::of<T>()) || X.strides(0) % item ||
      X.strides(1) % item)
    throw std::invalid_argument("X must be 2-D, aligned and of the dtype of y");
  // The stride of an axis of one is arbitrary in NumPy.
  const std::int64_t columns = X.shape(1);
  const std::int64_t column_stride = columns == 1 ? 1 : X.strides(1) / item;
  const std::int64_t row_stride = n == 1 ? columns : X.strides(0) / item;
  return {static_cast<const T*>(X.data()), n, columns, row_stride, column_stride};
}

/// Numbers per column, or None.
template <class T>
steepest::Scaling<T> scaling_of(const pybind11::object& scale, const pybind11::object& shift, std::int64_t columns) {
  const auto numbers = [&](const pybind11::object& array) -> const T* {
    if (array.is_none()) return nullptr;
    if (!pybind11::isinstance<Contiguous<T>>(array) || pybind11::len(array) != std::size_t(columns))
      throw std::invalid_argument("scale and shift are arrays of the dtype of y, as long as X is wide");
    return static_cast<const T*>(pybind11::reinterpret_borrow<pybind11::array>(array).data());
  };
  if (scale.is_none() && !shift.is_none()) throw std::invalid_argument("a shift goes with a scale");
  return {numbers(scale), numbers(shift)};
}
