#include "steepest/threads.hpp"

#include <chrono>
#include <system_error>

namespace steepest {
namespace {

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// A helper that found nothing to do stays awake this long: between two batches it must answer within a microsecond.
constexpr auto awake = std::chrono::microseconds(200);

}  // namespace

Team::Team(int threads) {
  try {
    for (int thread = 1; thread < threads; ++thread) helpers_.emplace_back([this, thread] { help(thread); });
  } catch (const std::system_error&) {
    // The system gives no more threads: the work is the same with those that there are.
  }
}

Team::~Team() {
  closing_.store(true);
  tickets_.fetch_add(std::uint64_t(1) << 32);
  tickets_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

bool Team::take_piece(int thread) {
  std::uint64_t tickets = tickets_.load(std::memory_order_acquire);
  while (std::uint32_t(tickets) > 0) {
    if (!tickets_.compare_exchange_weak(tickets, tickets - 1, std::memory_order_acq_rel)) continue;
    call_(context_, std::uint32_t(tickets) - 1, thread);
    done_.fetch_add(1, std::memory_order_release);
    return true;
  }
  return false;
}

void Team::run_shared(std::uint32_t count, Call call, const void* context) {
  call_ = call;
  context_ = context;
  done_.store(0, std::memory_order_relaxed);
  const std::uint64_t task = (tickets_.load(std::memory_order_relaxed) >> 32) + 1;
  tickets_.store(task << 32 | count, std::memory_order_seq_cst);
  if (sleeping_.load(std::memory_order_seq_cst) > 0) tickets_.notify_all();
  while (take_piece(0)) {
  }
  while (done_.load(std::memory_order_acquire) < count) pause();
}

void Team::help(int thread) {
  auto idle_since = std::chrono::steady_clock::now();
  int looks = 0;
  while (!closing_.load(std::memory_order_relaxed)) {
    if (take_piece(thread)) {
      looks = 0;
      continue;
    }
    pause();
    const auto now = ++looks % 64 == 0 ? std::chrono::steady_clock::now() : idle_since;
    if (looks == 64) idle_since = now;
    if (now - idle_since < awake) continue;
    const std::uint64_t tickets = tickets_.load();
    if (std::uint32_t(tickets) > 0) continue;
    sleeping_.fetch_add(1);
    if (!closing_.load()) tickets_.wait(tickets);
    sleeping_.fetch_sub(1);
    looks = 0;
  }
}

}  // namespace steepest
