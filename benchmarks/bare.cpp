// What the memory gives when nothing is computed but a sum: the limits that every descent is measured against.
//
// benchmarks/bare.py compiles this file for the machine it runs on and calls it through ctypes, one call per thread, so the
// loops need no Python lock and no build of steepest.
#include <algorithm>
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

/// How rows to come are asked for: not at all, which leaves them to the hardware's prefetcher; the beginning of each; or line by line.
enum class Asks { nothing, begin, lines };

/// One of the threads that go through batches: it reads each row of its part twice, as every gradient must, first along the row and
/// then, while it is near, down the columns; nothing is computed but sums. Two tell each other those of the columns.
struct alignas(128) Side {
  typedef float Loaded __attribute__((vector_size(register_lanes * sizeof(float)), aligned(alignof(float))));
  static constexpr Index together = 8, line = 64 / Index(sizeof(float)), near_bytes = 64 * 1024, begun = 4;
  std::vector<float> told[2], met;  // of batches in turn: the other may still be reading; and of all batches
  alignas(64) std::atomic<Index> batches{0};

  /// Some of this side's rows side by side, and as many behind them that are asked for.
  struct Group {
    const float *row[together], *soon[together];
  };

  static const Loaded& load(const float* from) { return *reinterpret_cast<const Loaded*>(from); }

  /// Reads a group register by register, the last one ending with the row, and asks for half of what is to come.
  template <Asks asks, class Use>
  static void read(const Group& group, Index features, Index half, const Use& use) {
    const Index registers = (features + register_lanes - 1) / register_lanes;
    const auto ask = [&](Index j) __attribute__((always_inline)) {
      if (asks != Asks::lines) return;
      for (Index i = half * together / 2; i < (half + 1) * together / 2; ++i)
        __builtin_prefetch(group.soon[i] + j, 0, 2);
    };
    for (Index k = 0; k < registers; ++k) {
      const Index j = k < registers - 1 ? k * register_lanes : features - register_lanes;
      if (k * register_lanes % line == 0) ask(k * register_lanes);
      use(k * register_lanes, j);
    }
    ask(features - 1);
  }

  template <Asks asks>
  float walk(const Side* other, const Rows& rows, Index first, Index share, Index count, Index batch) {
    const Index features = rows.features, numbers = Index(met.size());
    const Index near_rows = near_bytes / (features * Index(sizeof(float))) / together * together;
    const Index near = std::clamp<Index>(near_rows, 2 * together, 128);
    const Index chunk = std::min(near, share), own = count / batch * share;
    const int shift = __builtin_ctzll(std::uint64_t(share));  // divisions would take as long as short rows
    const auto number = [&](Index k) { return rows[(k >> shift) * batch + first + (k & (share - 1))]; };
    const auto soon = [&](Index k) { return number(std::min(k + near, own - 1)); };
    const auto group_of = [&](Index k) {
      Group group;
      for (Index i = 0; i < together; ++i) {
        group.row[i] = rows.data + number(k + i) * features;
        group.soon[i] = rows.data + soon(k + i) * features;
      }
      return group;
    };
    Loaded along[together]{};
    float targets = 0;
    for (Index from = 0, turn = 0; from < own; from += share, turn = 1 - turn) {
      std::vector<float>& sums = told[turn];
      std::fill(sums.begin(), sums.end(), 0.0f);
      for (Index k = from; k < from + share; k += chunk) {
        const Index end = std::min(k + chunk, from + share);
        for (Index i = k; i < end; i += together) {
          const Group group = group_of(i);
          for (Index r = 0; r < together; ++r) {
            __builtin_prefetch(rows.targets + soon(i + r), 0, 2);
            if (asks == Asks::begin)
              for (Index l = 0; l < begun; ++l)
                __builtin_prefetch(group.soon[r] + std::min(l * line, features - 1), 0, 2);
            targets += rows.targets[number(i + r)];
          }
          read<asks>(group, features, 0, [&](Index, Index j) {
            for (Index r = 0; r < together; ++r) along[r] += load(group.row[r] + j);
          });
        }
        for (Index i = k; i < end; i += together) {
          const Group group = group_of(i);
          read<asks>(group, features, 1, [&](Index to, Index j) {
            Loaded sum = load(group.row[0] + j);
            for (Index r = 1; r < together; ++r) sum += load(group.row[r] + j);
            *reinterpret_cast<Loaded*>(sums.data() + to) += sum;
          });
        }
      }
      if (other) wait_for(*other);
      const float* const heard = other ? other->told[turn].data() : nullptr;
      for (Index j = 0; j < numbers; ++j) met[std::size_t(j)] += heard ? sums[j] + heard[j] : sums[j];
    }
    for (Index r = 0; r < together; ++r)
      for (Index i = 0; i < register_lanes; ++i) targets += along[r][i];
    return targets;
  }

  void wait_for(const Side& other) {
    constexpr int patience = 1 << 16;
    const Index walked = batches.load(std::memory_order_relaxed) + 1;
    batches.store(walked, std::memory_order_release);
    for (int looks = 1; other.batches.load(std::memory_order_acquire) < walked; ++looks)
      if (looks % patience == 0) std::this_thread::yield();  // he may not be running at all
  }
};

template <Asks asks>
double go_through(const Rows& rows, Index count, Index batch, Index threads, float* read) {
  Side sides[2];
  const std::size_t numbers = (rows.features + register_lanes - 1) / register_lanes * register_lanes;
  for (Side& side : sides)
    for (auto* room : {&side.told[0], &side.told[1], &side.met}) room->resize(numbers);
  count -= count % batch;
  const auto began = std::chrono::steady_clock::now();
  if (threads == 1) {
    *read = sides[0].walk<asks>(nullptr, rows, 0, batch, count, batch);
  } else {
    float others = 0;
    std::thread other([&] { others = sides[1].walk<asks>(&sides[0], rows, batch / 2, batch / 2, count, batch); });
    *read = sides[0].walk<asks>(&sides[1], rows, 0, batch / 2, count, batch);
    other.join();
    *read += others;
  }
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - began;
  for (const float number : sides[0].met) *read += number;
  return taken.count() / double(count);
}

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

/// Nanoseconds a row in which one or two threads go through whole batches of 2^k rows, 16 and more, of 16 features and more; rows are
/// asked for in the way of this number. All that was read along and down, and the targets, are added up in `read`.
double bare_batches(const float* data, Index features, const float* targets, const std::uint32_t* order, Index count,
                    Index batch, Index threads, Index asks, float* read) {
  const Rows rows{data, features, targets, order};
  if (asks == Index(Asks::nothing)) return go_through<Asks::nothing>(rows, count, batch, threads, read);
  if (asks == Index(Asks::begin)) return go_through<Asks::begin>(rows, count, batch, threads, read);
  return go_through<Asks::lines>(rows, count, batch, threads, read);
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
