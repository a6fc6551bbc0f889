// Products of matrices.
//
// A tile of C stays in registers while it walks along the inner axis; every element is summed in the order of that axis,
// so its bits do not depend on how C is cut into tiles, or into pieces for several threads. Rows of B are read where they
// lie: with the outputs of a layer along them nothing is packed, which is what small batches live from. A transposed B is
// packed block by block into memory on the stack.
#include "steepest/matmul.hpp"

namespace steepest::STEEPEST_LEVEL::loops {
namespace {

/// Registers of a tile: rows times two, two more for B and one for A. There are 32 with AVX-512 and 16 otherwise.
inline constexpr int tile_rows = vector_bytes == 64 ? 12 : 6;
inline constexpr int tile_registers = 2;
/// Rows of B that are packed at once.
inline constexpr std::int64_t packed_rows = 256;
/// Steps along the inner axis by which a tile asks for its operands ahead: their rows lie too far apart for the hardware, and
/// rows of B a power of two apart share few places of the first-level cache.
inline constexpr std::int64_t ahead = 8;
/// Where A lies along its rows, a line of it holds numbers of several tiles. With more steps than so many the lines of all
/// steps leave the first-level cache before the next columns of B meet them, so that few rows of C go through all of B.
inline constexpr std::int64_t cached_steps = 128, cached_rows = 24;

/// Where a tile begins and how its operands lie. `last`: how many numbers the last register holds.
template <class T>
struct Tile {
  std::int64_t k;
  const T* a;
  std::int64_t a_row, a_step;
  const T* b;
  std::int64_t b_row;
  T* c;
  std::int64_t c_row;
  std::int64_t last;
  bool add;
  T scale;
};

template <int Rows, int Registers, bool Whole, class T>
[[gnu::noinline]] void tile(const Tile<T>& t) {
  using V = Simd<T, lanes<T>>;
  const auto read = [&](const T* from, int q) {
    return Whole || q + 1 < Registers ? V::load(from + q * V::size) : V::load_first(from + q * V::size, t.last);
  };
  V sum[Rows * Registers];
  unrolled<Rows * Registers>([&]<int I>() { sum[I] = V(0.0); });
  const T *a = t.a, *b = t.b;
  for (std::int64_t p = 0; p < t.k; ++p, a += t.a_step, b += t.b_row) {
    __builtin_prefetch(a + ahead * t.a_step);
    __builtin_prefetch(b + ahead * t.b_row);
    V x[Registers];
    unrolled<Registers>([&]<int Q>() { x[Q] = read(b, Q); });
    unrolled<Rows>([&]<int R>() {
      const V w(a[R * t.a_row]);
      unrolled<Registers>([&]<int Q>() { sum[R * Registers + Q] = w * x[Q] + sum[R * Registers + Q]; });
    });
  }
  const V scale(double(t.scale));
  const bool add = t.add;
  unrolled<Rows>([&]<int R>() {
    T* to = t.c + R * t.c_row;
    unrolled<Registers>([&]<int Q>() {
      const V found = sum[R * Registers + Q];
      const V result = add ? scale * found + read(to, Q) : scale * found;
      if constexpr (Whole || Q + 1 < Registers)
        result.store(to + Q * V::size);
      else
        result.store_first(to + Q * V::size, t.last);
    });
  });
}

template <int Rows, class T>
void tile_of_width(const Tile<T>& t, std::int64_t columns) {
  constexpr int N = lanes<T>;
  if (columns == 2 * N) return tile<Rows, 2, true>(t);
  if (columns == N) return tile<Rows, 1, true>(t);
  if (columns > N) return tile<Rows, 2, false>(t);
  return tile<Rows, 1, false>(t);
}

/// A column of tiles, as high as registers allow and of like heights at the end: two of four rows take as long as one of six,
/// but so does one of two.
template <class T>
void tiles(Tile<T> t, std::int64_t m, std::int64_t columns) {
  constexpr int N = lanes<T>;
  constexpr std::int64_t even_end = tile_rows > 8 ? 16 : 8;
  t.last = columns > N ? columns - N : columns;
  for (std::int64_t i = 0; i < m;) {
    const std::int64_t left = m - i;
    std::int64_t rows;
    if (left >= tile_rows && left != even_end) {
      rows = tile_rows;
      tile_of_width<tile_rows>(t, columns);
    } else if (left >= 8 && tile_rows > 8) {
      rows = 8;
      tile_of_width<8>(t, columns);
    } else if (left >= 4) {
      rows = 4;
      tile_of_width<4>(t, columns);
    } else if (left >= 2) {
      rows = 2;
      tile_of_width<2>(t, columns);
    } else {
      rows = 1;
      tile_of_width<1>(t, columns);
    }
    i += rows;
    t.a += rows * t.a_row;
    t.c += rows * t.c_row;
  }
}

/// Some rows of a product.
template <class T>
void multiply_rows(const Product<T>& g) {
  constexpr std::int64_t width = tile_registers * lanes<T>;
  for (std::int64_t j = 0; j < g.n; j += width) {
    const std::int64_t columns = g.n - j < width ? g.n - j : width;
    Tile<T> t{g.k, g.a, g.a_row, g.a_step, g.b + j, g.b_row, g.c + j, g.c_row, 0, g.add, g.scale};
    if (!g.b_transposed) {
      tiles(t, g.m, columns);
      continue;
    }
    alignas(64) T packed[packed_rows * width];
    for (std::int64_t from = 0; from < g.k || from == 0; from += packed_rows) {
      t.k = g.k - from < packed_rows ? g.k - from : packed_rows;
      for (std::int64_t q = 0; q < columns; ++q)
        for (std::int64_t p = 0; p < t.k; ++p) packed[p * width + q] = g.b[(j + q) * g.b_row + from + p];
      t.a = g.a + from * g.a_step;
      t.b = packed;
      t.b_row = width;
      t.add = g.add || from > 0;
      tiles(t, g.m, columns);
    }
  }
}

}  // namespace

template <class T>
void multiply(const Product<T>& g) {
  if (g.a_row != 1 || g.a_step == 1 || g.k <= cached_steps || g.b_transposed) return multiply_rows(g);
  for (std::int64_t i = 0; i < g.m; i += cached_rows) {
    Product<T> rows = g;
    rows.m = g.m - i < cached_rows ? g.m - i : cached_rows;
    rows.a += i;
    rows.c += i * g.c_row;
    multiply_rows(rows);
  }
}

template void multiply(const Product<float>&);
template void multiply(const Product<double>&);

}  // namespace steepest::STEEPEST_LEVEL::loops
