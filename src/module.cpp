// The table of contents of steepest._core.
#include <pybind11/pybind11.h>

#include "bind.hpp"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "The compiled core of steepest. Not public: the package around it checks and documents.";
  bind_registry(m);
  bind_graph(m);
  bind_trace(m);
  bind_step(m);
  bind_fit(m);
}
