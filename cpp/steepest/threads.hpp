// A small team of threads for work that is cut the same way however many there are.
//
// Whoever runs a task takes part in it. Pieces that lie side by side belong to the same thread, in one task after the other:
// what it reads ahead of a piece, and what its caches hold, serves its next. A piece that its thread has not begun when
// another runs out of work is taken over, so a helper that the system does not schedule costs nothing. Results do not
// depend on who did what: a piece writes to its own place, and the caller puts the places together in order.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace steepest {

/// What two threads write lies this far apart, or they wait for each other's cache line.
constexpr std::size_t cache_line = 64;

/// Lets the processor's other half, or the line that is waited for, go first.
void relax();

class Team {
 public:
  /// A caller and threads - 1 helpers, which wait (first awake, then asleep) until the team goes.
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int threads() const { return int(helpers_.size()) + 1; }

  /// What helpers do while there is no task.
  class Errand {
   public:
    /// Does a little of it, some microseconds' worth; false where there is nothing to do right now.
    virtual bool work() = 0;

   protected:
    ~Errand() = default;
  };
  /// From now on helpers run this errand; with null none, and none is on the way any more.
  void meanwhile(Errand* errand);
  /// Tells helpers that fell asleep that their errand has something to do again.
  void wake();

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

  /// Tasks are numbered, with the number of their lots in the lowest bits: a later task is the larger word.
  using Task = std::uint64_t;
  static constexpr int lot_bits = 8;
  static constexpr Task lots_mask = (Task(1) << lot_bits) - 1;
  static constexpr std::uint32_t most_lots = 64;

  /// Pieces that are taken at once. `taken` and `done` are the last task in which they were.
  struct alignas(cache_line) Lot {
    std::atomic<Task> taken{0}, done{0};
  };

  void run_shared(std::uint32_t count, Call call, const void* context);
  /// Wakes helpers for a task of so many lots, or for something else.
  Task post(std::uint32_t lots);
  void help(int thread);
  bool run_errand();
  bool take(Task task, std::uint32_t lot, int thread);
  /// Takes one's own lots, then those that nobody has begun.
  void take_part(Task task, int thread);

  // One line tells a helper everything. What stands beside the task is written before it, and changes only when all its lots
  // are done: who has taken a lot of a task reads what belongs to it.
  struct alignas(cache_line) {
    std::atomic<Task> task{0};
    Call call = nullptr;
    const void* context = nullptr;
    std::uint32_t count = 0, threads = 1;
  } posted_;
  std::array<Lot, most_lots> lots_;
  alignas(cache_line) std::atomic<bool> closing_{false};
  std::atomic<int> sleeping_{0};
  std::atomic<Errand*> errand_{nullptr};
  alignas(cache_line) std::atomic<int> on_errands_{0};
  std::vector<std::thread> helpers_;
};

/// Two threads that take the same steps and meet after each, so that both know what either has found: one wait for the other,
/// where a task for every step has two. A second thread that has begun is waited for at every step, wherever the system has put it;
/// so steps are few, and who takes many offers them in parts.
class Pair {
 public:
  /// Said by the second as it begins; false where the first has gone on alone.
  bool join();
  /// Asked by the first before they meet: a second that has not begun by now is not waited for.
  bool joined();
  /// What `side`, 0 or 1, has written is seen by the other from here on, and the other way round. One that writes again to the same
  /// place does so two steps later: the other may still be reading. A number goes along, on the line that is waited for; returns
  /// the other's.
  double meet(int side, double number);

 private:
  enum class State { open, joined, alone };
  bool become(State wanted);

  std::atomic<State> state_{State::open};
  struct alignas(cache_line) {
    std::atomic<std::int64_t> steps{0};
    double number[2];  ///< of steps in turn
  } side_[2];
};

/// Calls piece(i, thread) for every i below count, with a team or, where that is null, one after the other.
template <class Piece>
void share(Team* team, std::uint32_t count, const Piece& piece) {
  if (team) return team->run(count, piece);
  for (std::uint32_t i = 0; i < count; ++i) piece(i, 0);
}

}  // namespace steepest
