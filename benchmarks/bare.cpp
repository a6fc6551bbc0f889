// What the memory gives when nothing is computed but a sum: the limits that every descent is measured against.
//
// benchmarks/bare.py compiles this file for the machine it runs on and calls it through ctypes, one call per thread, so the
// loops need no Python lock and no build of steepest.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

using Index = std::int64_t;
constexpr Index lanes = 16;
typedef float Vector __attribute__((vector_size(lanes * sizeof(float)), aligned(alignof(float))));

/// The machine's own registers: wider vectors would be several, and twelve sums of such do not fit.
#if defined(__AVX512F__)
constexpr Index register_lanes = 16;
#elif defined(__AVX__)
constexpr Index register_lanes = 8;
#else
constexpr Index register_lanes = 4;
#endif
constexpr Index fma_sums = 12;
typedef float Register __attribute__((vector_size(register_lanes * sizeof(float))));

inline const Vector& at(const float* data) { return *reinterpret_cast<const Vector*>(data); }

inline float total(Vector v) {
  float sum = 0;
  for (Index i = 0; i < lanes; ++i) sum += v[i];
  return sum;
}

/// Adds the numbers of a row to the sum.
inline void add_row(const float* row, Index features, Vector& sum, float& rest) {
  Index j = 0;
  for (; j + lanes <= features; j += lanes) sum += at(row + j);
  for (; j < features; ++j) rest += row[j];
}

/// Asks for the beginning of a row; in longer ones the hardware follows by itself, and is kept from it by more requests.
inline void prefetch(const float* row, Index features) {
  constexpr Index most = 1024;
  const char* byte = reinterpret_cast<const char*>(row);
  const Index bytes = features * Index(sizeof(float)) < most ? features * Index(sizeof(float)) : most;
  for (Index at = 0; at < bytes; at += 64) __builtin_prefetch(byte + at);
  __builtin_prefetch(byte + bytes - 1);
}

/// What a batch of sparse rows cannot do without: its entries are read, the coefficients of their columns gathered, and
/// moved. Rows are met in the order given, each holding as many entries.
template <class T>
T move_columns(const T* numbers, const std::int32_t* columns, Index entries, const std::uint32_t* order, Index rows,
               Index batch, T* coef) {
  constexpr Index sums = 8, ahead = 32;
  T all = 0;
  for (Index from = 0; from < rows; from += batch) {
    const Index to = from + batch < rows ? from + batch : rows;
    T sum[sums] = {};
    for (Index i = from; i < to; ++i) {
      if (i + ahead < rows) {
        const Index next = Index(order[i + ahead]) * entries;
        for (Index k = 0; k < entries; k += 64 / Index(sizeof(T))) __builtin_prefetch(numbers + next + k, 0, 2);
        for (Index k = 0; k < entries; k += 16) __builtin_prefetch(columns + next + k, 0, 2);
      }
      const T* x = numbers + Index(order[i]) * entries;
      const std::int32_t* column = columns + Index(order[i]) * entries;
      Index k = 0;
      for (; k + sums <= entries; k += sums)
        for (Index lane = 0; lane < sums; ++lane) sum[lane] += x[k + lane] * coef[column[k + lane]];
      for (; k < entries; ++k) sum[0] += x[k] * coef[column[k]];
    }
    T move = 0;
    for (const T part : sum) move += part;
    all += move;
    move *= T(1e-12);  // as good as nothing, which compilers do not know
    for (Index i = from; i < to; ++i)
      for (Index k = Index(order[i]) * entries; k < Index(order[i] + 1) * entries; ++k)
        coef[columns[k]] += move * numbers[k];
  }
  return all;
}

/// Rows and their targets in this order, or in sequence where that is null.
struct Rows {
  const float* data;
  Index features;
  const float* targets;
  const std::uint32_t* order;

  Index operator[](Index i) const { return order ? Index(order[i]) : i; }
};

/// One of two threads that share batches of rows: it reads its half, with that of a later batch asked for meanwhile, and both
/// tell each other as many numbers as a row has.
struct alignas(128) Side {
  std::vector<float> told[2];  // of batches in turn: the other may still be reading
  alignas(64) std::atomic<Index> batches{0};

  float walk(const Side& other, const Rows& rows, Index first, Index count, Index batch, Index ahead) {
    Vector sum{};
    float rest = 0;
    const Index half = batch / 2, features = rows.features;
    for (Index from = 0, turn = 0; from < count; from += batch, turn = 1 - turn) {
      for (Index i = from + first; i < from + first + half; ++i) {
        if (from + ahead * batch < count) {
          const Index soon = rows[i + ahead * batch];
          const float* later = rows.data + soon * features;
          for (Index j = 0; j < features; j += 64 / Index(sizeof(float))) __builtin_prefetch(later + j, 0, 2);
          __builtin_prefetch(later + features - 1, 0, 2);
          __builtin_prefetch(rows.targets + soon, 0, 2);
        }
        add_row(rows.data + rows[i] * features, features, sum, rest);
        rest += rows.targets[rows[i]];
      }
      for (float& number : told[turn]) number = sum[0];
      const Index walked = batches.load(std::memory_order_relaxed) + 1;
      batches.store(walked, std::memory_order_release);
      while (other.batches.load(std::memory_order_acquire) < walked) {
      }
      add_row(other.told[turn].data(), features, sum, rest);
    }
    return total(sum) + rest;
  }
};

}  // namespace

extern "C" {

/// Reads `count` numbers one after the other.
float bare_read(const float* data, Index count) {
  Vector a{}, b{}, c{}, d{};
  Index i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    a += at(data + i);
    b += at(data + i + lanes);
    c += at(data + i + 2 * lanes);
    d += at(data + i + 3 * lanes);
  }
  float rest = 0;
  for (; i < count; ++i) rest += data[i];
  return total(a + b + c + d) + rest;
}

/// Nanoseconds a row in which two threads go through whole batches of them in step; requests are so many batches ahead.
double bare_in_step(const float* data, Index features, const float* targets, const std::uint32_t* order, Index count,
                    Index batch, Index ahead, float* read) {
  const Rows rows{data, features, targets, order};
  Side sides[2];
  for (Side& side : sides)
    for (auto& numbers : side.told) numbers.resize(features);
  count -= count % batch;
  const auto began = std::chrono::steady_clock::now();
  float others = 0;
  std::thread other([&] { others = sides[1].walk(sides[0], rows, batch / 2, count, batch, ahead); });
  *read = sides[0].walk(sides[1], rows, 0, count, batch, ahead);
  other.join();
  *read += others;
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - began;
  return taken.count() / double(count);
}

/// How many operations a round of bare_fma is.
Index bare_fma_operations() { return 2 * fma_sums * register_lanes; }

/// Multiplies and adds, in as many sums as hide the wait for each.
float bare_fma(Index rounds, float factor, float summand) {
  // Sums that begin alike stay alike, and compilers that see it keep one of them.
  Register sums[fma_sums];
  for (int i = 0; i < fma_sums; ++i) sums[i] = float(i) - Register{};
  const Register by = factor - Register{}, plus = summand - Register{};
  for (Index round = 0; round < rounds; ++round)
    for (Register& sum : sums) sum = sum * by + plus;
  float all = 0;
  for (const Register& sum : sums)
    for (Index i = 0; i < register_lanes; ++i) all += sum[i];
  return all;
}

/// Reads whole rows and their targets in the given order, asking for each `distance` rows before it is needed.
float bare_gather(const float* data, Index features, const float* targets, const std::uint32_t* order, Index count,
                  Index distance) {
  // Long rows side by side: the hardware follows several of them at a time. Of short ones the processor sees enough.
  constexpr Index together = 4, long_row = 256;
  Vector sums[together]{};
  float rest = 0;
  // Inline always: GCC takes a call that only asks for memory for one without effect, and leaves it out.
  const auto ask = [&](Index i) __attribute__((always_inline)) {
    if (i >= count) return;
    const Index soon = order[i];
    prefetch(data + soon * features, features);
    prefetch(targets + soon, 1);
  };
  Index i = 0;
  for (; features >= long_row && i + together <= count; i += together) {
    const float* row[together];
    for (Index k = 0; k < together; ++k) {
      ask(i + k + distance);
      row[k] = data + Index(order[i + k]) * features;
      rest += targets[order[i + k]];
    }
    Index j = 0;
    for (; j + lanes <= features; j += lanes)
      for (Index k = 0; k < together; ++k) sums[k] += at(row[k] + j);
    for (; j < features; ++j)
      for (Index k = 0; k < together; ++k) rest += row[k][j];
  }
  for (; i < count; ++i) {
    ask(i + distance);
    add_row(data + Index(order[i]) * features, features, sums[0], rest);
    rest += targets[order[i]];
  }
  for (Index k = 1; k < together; ++k) sums[0] += sums[k];
  return total(sums[0]) + rest;
}

float bare_move_columns_f32(const float* numbers, const std::int32_t* columns, Index entries,
                            const std::uint32_t* order, Index rows, Index batch, float* coef) {
  return move_columns(numbers, columns, entries, order, rows, batch, coef);
}

double bare_move_columns_f64(const double* numbers, const std::int32_t* columns, Index entries,
                             const std::uint32_t* order, Index rows, Index batch, double* coef) {
  return move_columns(numbers, columns, entries, order, rows, batch, coef);
}

}  // extern "C"
