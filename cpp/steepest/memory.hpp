// Memory for the library's own large buffers: on huge pages where the system offers them, because random access to many
// small pages waits for their addresses as long as for the data.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace steepest {

template <class T>
struct HugePages {
  using value_type = T;
  static constexpr std::size_t page = std::size_t(2) << 20;

  HugePages() = default;
  template <class U>
  HugePages(const HugePages<U>&) {}

  T* allocate(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
#if defined(__linux__)
    if (bytes >= page) {
      void* memory = std::aligned_alloc(page, (bytes + page - 1) / page * page);
      if (!memory) throw std::bad_alloc();
      madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: what the system makes of it changes speed alone
      return static_cast<T*>(memory);
    }
#endif
    if (void* memory = std::malloc(bytes ? bytes : 1)) return static_cast<T*>(memory);
    throw std::bad_alloc();
  }
  void deallocate(T* memory, std::size_t) { std::free(memory); }

  template <class U>
  bool operator==(const HugePages<U>&) const {
    return true;
  }
};

}  // namespace steepest
