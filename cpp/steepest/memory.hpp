// Memory for the library's own large buffers: on huge pages where the system offers them, because random access to many
// small pages waits for their addresses as long as for the data; in any case from the beginning of a cache line on, because
// kernels read what lies across two of them at half the speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace steepest {

template <class T>
struct HugePages {
  using value_type = T;
  static constexpr std::size_t page = std::size_t(2) << 20;
  static constexpr std::size_t line = 64, few = 1024;

  HugePages() = default;
  template <class U>
  HugePages(const HugePages<U>&) {}

  T* allocate(std::size_t count) {
    if (count > (std::size_t(PTRDIFF_MAX) - page) / sizeof(T)) throw std::bad_array_new_length();
    const std::size_t bytes = count * sizeof(T);
#if defined(__linux__)
    if (bytes >= page) {
      const std::size_t whole = (bytes + page - 1) / page * page;
      void* memory = std::aligned_alloc(page, whole);
      if (!memory) throw std::bad_alloc();
      madvise(memory, whole, MADV_HUGEPAGE);  // a wish: what the system makes of it changes speed alone
      return static_cast<T*>(memory);
    }
#endif
    if (bytes > few) return static_cast<T*>(::operator new(bytes, std::align_val_t{line}));
    // Aligned here: the system's aligned pieces are cut out of larger ones, four times as slow where numbers are few. The
    // place before the numbers remembers where the piece begins.
    void* piece = ::operator new(bytes + line);
    void* memory = reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(piece) / line + 1) * line);
    static_cast<void**>(memory)[-1] = piece;
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, [[maybe_unused]] std::size_t count) {
#if defined(__linux__)
    if (count * sizeof(T) >= page) return std::free(memory);
#endif
    if (count * sizeof(T) > few) return ::operator delete(memory, std::align_val_t{line});
    ::operator delete(reinterpret_cast<void**>(memory)[-1]);
  }

  template <class U>
  bool operator==(const HugePages<U>&) const {
    return true;
  }
};

/// Parameters, and what there is one of for each.
template <class T>
using Numbers = std::vector<T, HugePages<T>>;

}  // namespace steepest
