// Keyword arguments by name: a run has too many to be told apart by their places.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Keywords are taken one by one; what nobody took is known to nobody.
class Options {
 public:
  explicit Options(pybind11::kwargs given) : given_(std::move(given)) {}

  /// The value of a keyword, which must be there.
  template <class V>
  V take(const char* name) {
    const pybind11::handle value = find(name);
    if (!value) throw pybind11::type_error(std::string("the option ") + name + " is missing");
    return converted<V>(name, value);
  }

  template <class V>
  V take(const char* name, V otherwise) {
    const pybind11::handle value = find(name);
    return value ? converted<V>(name, value) : otherwise;
  }

  void require_all_taken() const {
    if (taken_.size() == given_.size()) return;
    for (const auto& entry : given_) {
      const auto name = pybind11::cast<std::string>(entry.first);
      if (std::find(taken_.begin(), taken_.end(), name) == taken_.end())
        throw pybind11::type_error("there is no option " + name);
    }
  }

 private:
  /// A borrowed value, or null. Nothing is taken out of the dictionary: a call of a few microseconds would feel it.
  pybind11::handle find(const char* name) {
    PyObject* value = PyDict_GetItemString(given_.ptr(), name);
    if (value) taken_.emplace_back(name);
    return value;
  }

  template <class V>
  static V converted(const char* name, pybind11::handle value) {
    try {
      return pybind11::cast<V>(value);
    } catch (const pybind11::cast_error&) {
      throw pybind11::type_error(std::string("the option ") + name + " cannot be " +
                                 pybind11::cast<std::string>(pybind11::repr(value)));
    }
  }

  pybind11::kwargs given_;
  std::vector<std::string_view> taken_;
};
