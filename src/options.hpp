// Options by name, in a dictionary: a run has too many to be told apart by their places. As keyword arguments pybind11 would
// make a dictionary of them, at a greater cost.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Options are taken one by one; what nobody took is known to nobody.
class Options {
 public:
  explicit Options(pybind11::dict given) : given_(std::move(given)) {
    entries_.reserve(given_.size());
    for (const auto& [name, value] : given_) {
      Py_ssize_t length = 0;
      const char* text = PyUnicode_AsUTF8AndSize(name.ptr(), &length);
      if (!text) throw pybind11::error_already_set();
      entries_.push_back({{text, std::size_t(length)}, value});
    }
    left_ = entries_.size();
  }

  /// The value of an option, which must be there.
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
    for (const Entry& entry : entries_)
      if (!entry.taken) throw pybind11::type_error("there is no option " + std::string(entry.name));
  }

 private:
  struct Entry {
    std::string_view name;
    pybind11::handle value;
    bool taken = false;
  };

  /// A borrowed value, or null. Options are mostly taken as they were given, one after the other, and those that few runs
  /// need last, when all are taken: a call of a few microseconds would feel a look into the dictionary for each, which
  /// makes a Python string of its name.
  pybind11::handle find(std::string_view name) {
    if (left_ == 0) return {};
    for (std::size_t seen = 0; seen < entries_.size(); ++seen, ++next_) {
      if (next_ == entries_.size()) next_ = 0;
      Entry& entry = entries_[next_];
      if (entry.taken || entry.name != name) continue;
      entry.taken = true;
      --left_;
      ++next_;
      return entry.value;
    }
    return {};
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

  pybind11::dict given_;
  std::vector<Entry> entries_;
  std::size_t next_ = 0, left_ = 0;
};
