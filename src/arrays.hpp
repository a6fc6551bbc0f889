// NumPy arrays as the core's views. Nothing is converted here: the package has checked dtypes and shapes before.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <stdexcept>

#include "steepest/folding.hpp"
#include "steepest/rows.hpp"

template <class T>
using Contiguous = pybind11::array_t<T, pybind11::array::c_style>;

/// The same as an argument of short calls, which is taken as it is or refused: for an array_t pybind11 makes an empty array
/// first and has NumPy look at the given one twice.
template <class T>
class ArrayOf : public pybind11::array {
 public:
  ArrayOf() : array(pybind11::handle(), borrowed_t{}) {}
  PYBIND11_OBJECT(ArrayOf, pybind11::array, Contiguous<T>::check_)

  const T* data() const { return static_cast<const T*>(array::data()); }
};

/// A new array of so many numbers, which are not set yet; array_t takes as long for its shape and strides, two vectors, as
/// NumPy for the rest.
template <class T>
pybind11::array_t<T> new_array(std::int64_t size) {
  const auto& numpy = pybind11::detail::npy_api::get();
  auto shape = Py_intptr_t(size);
  PyObject* made = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, pybind11::dtype::of<T>().release().ptr(), 1, &shape,
                                               nullptr, nullptr, 0, nullptr);
  if (!made) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::array_t<T>>(made);
}

/// What the core reads numbers of this dtype as; `same` where it has to be the computation's.
inline steepest::Storage storage_of(const pybind11::dtype& dtype) {
  using steepest::Storage;
  if (dtype.byteorder() == '>') return Storage::same;
  switch (dtype.kind() << 8 | int(dtype.itemsize())) {
  case 'b' << 8 | 1:
  case 'u' << 8 | 1:
    return Storage::u8;
  case 'i' << 8 | 1:
    return Storage::i8;
  case 'u' << 8 | 2:
    return Storage::u16;
  case 'i' << 8 | 2:
    return Storage::i16;
  case 'f' << 8 | 2:
    return Storage::f16;
  case 'V' << 8 | 2:  // what ml_dtypes makes of it
    return pybind11::str(dtype.attr("name")).equal(pybind11::str("bfloat16")) ? Storage::bf16 : Storage::same;
  default:
    return Storage::same;
  }
}

/// A 2-D array of any strides as rows; None is the constant model of n rows.
template <class T>
steepest::DenseRows<T> dense_rows(const pybind11::object& array, std::int64_t n) {
  using steepest::Storage;
  if (array.is_none()) return {nullptr, n, 0, 0, 1};
  const auto X = pybind11::reinterpret_borrow<pybind11::array>(array);
  const Storage storage = storage_of(X.dtype());
  const auto item = std::int64_t(X.itemsize());
  if (X.ndim() != 2 || X.shape(0) != n || X.strides(0) % item || X.strides(1) % item ||
      (storage == Storage::same && !X.dtype().equal(pybind11::dtype::of<T>())))
    throw std::invalid_argument("X must be 2-D, aligned and of the dtype of y or a narrow one");
  // The stride of an axis of one is arbitrary in NumPy.
  const std::int64_t columns = X.shape(1);
  const std::int64_t column_stride = columns == 1 ? 1 : X.strides(1) / item;
  const std::int64_t row_stride = n == 1 ? columns : X.strides(0) / item;
  if (storage != Storage::same) return {nullptr, n, columns, row_stride, column_stride, X.data(), storage};
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
