// Keyword arguments by name: a run has too many to be told apart by their places.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>

/// Keywords are taken one by one; what is left at the end is known to nobody.
class Options {
 public:
  explicit Options(pybind11::kwargs given) : left_(std::move(given)) {}

  /// The value of a keyword, which must be there.
  template <class V>
  V take(const char* name) {
    if (!left_.contains(name)) throw pybind11::type_error(std::string("the option ") + name + " is missing");
    return pop<V>(name);
  }

  template <class V>
  V take(const char* name, V otherwise) {
    return left_.contains(name) ? pop<V>(name) : otherwise;
  }

  void require_all_taken() const {
    for (const auto& entry : left_)
      throw pybind11::type_error("there is no option " + pybind11::cast<std::string>(entry.first));
  }

 private:
  template <class V>
  V pop(const char* name) {
    pybind11::object value = left_.attr("pop")(name);
    try {
      return pybind11::cast<V>(value);
    } catch (const pybind11::cast_error&) {
      throw pybind11::type_error(std::string("the option ") + name + " cannot be " +
                                 pybind11::cast<std::string>(pybind11::repr(value)));
    }
  }

  pybind11::kwargs left_;
};
