// SciPy's three arrays of a CSR matrix as the core's view. The package has checked their structure before.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <stdexcept>

#include "arrays.hpp"
#include "steepest/sparse_rows.hpp"

/// NumPy's arrays and None are dense: to look in vain for an attribute makes an exception.
inline bool is_sparse(const pybind11::object& X) {
  return !X.is_none() && !pybind11::isinstance<pybind11::array>(X) && pybind11::hasattr(X, "indptr");
}

template <class T>
steepest::SparseRows<T> sparse_rows(const pybind11::object& X, std::int64_t n) {
  namespace py = pybind11;
  const auto array = [&](const char* name) {
    auto found = py::cast<py::array>(X.attr(name));
    if (found.ndim() != 1 || !(found.flags() & py::array::c_style))
      throw std::invalid_argument(std::string("X.") + name + " must be 1-D and contiguous");
    return found;
  };
  const py::array data = array("data"), indices = array("indices"), starts = array("indptr");
  const bool wide = indices.itemsize() == 8;
  const auto index = wide ? py::dtype::of<std::int64_t>() : py::dtype::of<std::int32_t>();
  const steepest::Storage storage = storage_of(data.dtype());
  const bool narrow = storage != steepest::Storage::same;
  if (!(narrow || data.dtype().equal(py::dtype::of<T>())) || !indices.dtype().equal(index) ||
      !starts.dtype().equal(index) || starts.size() != n + 1 || indices.size() != data.size())
    throw std::invalid_argument(
        "X must have entries of the dtype of y or a narrow one, as many columns, and one beginning per row");
  const auto features = py::cast<std::int64_t>(py::tuple(X.attr("shape"))[1]);
  if (features < 1) throw std::invalid_argument("X has no columns");
  const T* numbers = narrow ? nullptr : static_cast<const T*>(data.data());
  const void* stored = narrow ? data.data() : nullptr;
  const bool doubtful = py::cast<bool>(X.attr("doubtful"));
  return {numbers, indices.data(), starts.data(), wide, n, features, data.size(), stored, storage, doubtful};
}
