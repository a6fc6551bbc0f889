// A small team of threads for work that is cut the same way however many there are.
//
// Whoever runs a task takes part in it; helpers take pieces as they come and are never waited for unless they hold one. So a
// helper that the system does not schedule costs nothing, and results do not depend on the number of threads: a piece
// writes to its own place, and the caller puts the places together in order.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace steepest {

class Team {
 public:
  /// A caller and threads - 1 helpers, which wait (first awake, then asleep) until the team goes.
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int threads() const { return int(helpers_.size()) + 1; }

  /// Calls piece(i, thread) for every i below count; thread is below threads(). Not to be called by pieces.
  template <class Piece>
  void run(std::uint32_t count, const Piece& piece) {
    if (helpers_.empty() || count < 2) {
      for (std::uint32_t i = 0; i < count; ++i) piece(i, 0);
      return;
    }
    const auto call = [](const void* context, std::uint32_t i, int thread) {
      (*static_cast<const Piece*>(context))(i, thread);
    };
    run_shared(count, call, &piece);
  }

 private:
  using Call = void (*)(const void* context, std::uint32_t piece, int thread);

  void run_shared(std::uint32_t count, Call call, const void* context);
  void help(int thread);
  bool take_piece(int thread);

  // The number of the task in the upper half, the pieces not yet taken in the lower: one word, so that a piece is only
  // ever taken from the task that is running.
  std::atomic<std::uint64_t> tickets_{0};
  std::atomic<std::uint32_t> done_{0};
  std::atomic<bool> closing_{false};
  Call call_ = nullptr;
  const void* context_ = nullptr;
  std::atomic<int> sleeping_{0};
  std::vector<std::thread> helpers_;
};

}  // namespace steepest
