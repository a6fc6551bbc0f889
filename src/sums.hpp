// A sum over rows on its way to a problem, made by any chapter.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "steepest/objective.hpp"

template <class T>
struct SumHandle {
  std::unique_ptr<steepest::RowSum<T>> sum;
  pybind11::object owner;  ///< keeps alive what the sum reads
};
