#include "steepest/threads.hpp"

#include <algorithm>
#include <chrono>
#include <system_error>

namespace steepest {
namespace {

/// A helper that found nothing to do stays awake this long: between two batches it must answer within a microsecond.
constexpr auto awake = std::chrono::microseconds(200);

/// Looks at what a helper is to finish before the caller offers it the processor: on one core it may be waiting for that.
constexpr int impatient = 4096;

/// Waits until it is so.
template <class Condition>
void wait_until(const Condition& condition) {
  for (int looks = 1; !condition(); ++looks) looks % impatient ? relax() : std::this_thread::yield();
}

}  // namespace

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

Team::Team(int threads) {
  try {
    for (int thread = 1; thread < threads; ++thread) helpers_.emplace_back([this, thread] { help(thread); });
  } catch (const std::system_error&) {
    // The system gives no more threads: the work is the same with those that there are.
  }
  posted_.threads = std::uint32_t(this->threads());
}

Team::~Team() {
  closing_.store(true);
  post(0);
  for (std::thread& helper : helpers_) helper.join();
}

bool Team::take(Task task, std::uint32_t lot, int thread) {
  Task before = lots_[lot].taken.load(std::memory_order_relaxed);
  if (before >= task || !lots_[lot].taken.compare_exchange_strong(before, task, std::memory_order_acquire))
    return false;
  const std::uint64_t count = posted_.count, lots = task & lots_mask;
  for (std::uint64_t i = count * lot / lots; i < count * (lot + 1) / lots; ++i)
    posted_.call(posted_.context, std::uint32_t(i), thread);
  lots_[lot].done.store(task, std::memory_order_release);
  return true;
}

void Team::take_part(Task task, int thread) {
  const std::uint32_t lots = std::uint32_t(task & lots_mask), owners = std::min(posted_.threads, lots);
  const auto begin_of = [&](std::uint32_t owner) { return owner < owners ? lots * owner / owners : lots; };
  const std::uint32_t first = begin_of(std::uint32_t(thread)), last = begin_of(std::uint32_t(thread) + 1);
  for (std::uint32_t lot = first; lot < last; ++lot) take(task, lot, thread);
  // A helper does not ask after others' single lots: they have begun, and would wait for the line it looks at.
  if (thread > 0 && lots <= posted_.threads) return;
  for (std::uint32_t lot = last; lot < lots; ++lot) take(task, lot, thread);
  for (std::uint32_t lot = 0; lot < first; ++lot) take(task, lot, thread);
}

Team::Task Team::post(std::uint32_t lots) {
  const Task task = ((posted_.task.load(std::memory_order_relaxed) >> lot_bits) + 1) << lot_bits | lots;
  posted_.task.store(task, std::memory_order_seq_cst);
  if (sleeping_.load(std::memory_order_seq_cst) > 0) posted_.task.notify_all();
  return task;
}

void Team::meanwhile(Errand* errand) {
  errand_.store(errand);
  if (errand) post(0);
  if (!errand) wait_until([&] { return on_errands_.load() == 0; });
}

void Team::wake() {
  if (sleeping_.load(std::memory_order_relaxed) > 0) post(0);
}

bool Team::run_errand() {
  if (!errand_.load(std::memory_order_relaxed)) return false;
  // Said before the errand is looked up: who takes it away sees either this, or that nobody will find it.
  on_errands_.fetch_add(1);
  Errand* errand = errand_.load();
  const bool worked = errand && errand->work();
  on_errands_.fetch_sub(1);
  return worked;
}

void Team::run_shared(std::uint32_t count, Call call, const void* context) {
  const std::uint32_t lots = std::min(count, most_lots);
  posted_.call = call;
  posted_.context = context;
  posted_.count = count;
  const Task task = post(lots);
  take_part(task, 0);
  for (std::uint32_t lot = 0; lot < lots; ++lot)
    wait_until([&] { return lots_[lot].done.load(std::memory_order_acquire) == task; });
}

void Team::help(int thread) {
  Task done = 0;
  auto idle_since = std::chrono::steady_clock::now();
  int looks = 0;
  while (!closing_.load(std::memory_order_relaxed)) {
    const Task task = posted_.task.load(std::memory_order_acquire);
    if (task != done) {
      take_part(task, thread);
      done = task;
      looks = 0;
      continue;
    }
    if (run_errand()) {
      looks = 0;
      continue;
    }
    relax();
    const auto now = ++looks % 64 == 0 ? std::chrono::steady_clock::now() : idle_since;
    if (looks == 64) idle_since = now;
    if (now - idle_since < awake) continue;
    sleeping_.fetch_add(1);
    if (!closing_.load()) posted_.task.wait(done);
    sleeping_.fetch_sub(1);
    looks = 0;
  }
}

bool Pair::become(State wanted) {
  State before = State::open;
  return state_.compare_exchange_strong(before, wanted) || before == wanted;
}

bool Pair::join() { return become(State::joined); }

bool Pair::joined() { return !become(State::alone); }

double Pair::meet(int side, double number) {
  auto &own = side_[side], &other = side_[1 - side];
  const std::int64_t step = own.steps.load(std::memory_order_relaxed) + 1;
  own.number[step % 2] = number;
  own.steps.store(step, std::memory_order_release);
  wait_until([&] { return other.steps.load(std::memory_order_acquire) >= step; });
  return other.number[step % 2];
}

}  // namespace steepest
