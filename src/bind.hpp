// The chapters of steepest._core.
#pragma once

#include <pybind11/pybind11.h>

void bind_registry(pybind11::module_& m);
void bind_fit(pybind11::module_& m);
void bind_graph(pybind11::module_& m);
void bind_trace(pybind11::module_& m);
void bind_step(pybind11::module_& m);
