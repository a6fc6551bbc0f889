// Between Python's objects and the graph's nodes, for the chapters that need both.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "steepest/eager.hpp"

PYBIND11_DECLARE_HOLDER_TYPE(T, steepest::Handle<T>, true)

/// The tensor behind a Python object, null for anything else.
steepest::Variable* tensor_in(pybind11::handle object);

/// A node as a tensor.
steepest::Handle<steepest::Variable> tensor_of(steepest::Ref node);

/// A node from a tensor, a number or an array; numbers and whole numbers take the type `like`. Empty for other objects;
/// throws TypeError for arrays of another floating type.
steepest::Ref operand(pybind11::handle object, steepest::Number like);

/// A new leaf from anything that NumPy makes an array of.
steepest::Ref node_from(const pybind11::object& data, steepest::Number number);

/// A shape from a sequence of whole numbers.
steepest::Shape shape_from(pybind11::handle sizes);
