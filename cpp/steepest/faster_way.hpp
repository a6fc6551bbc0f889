// Which of two ways to the same result is the faster one just now: on machines that are shared, that changes from one moment to
// the next. A second thread may gain a quarter, and double the time where the system has put it far from the first.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace steepest {

/// Tries both ways in turn, goes the faster one for a while, and tries again: earlier where that has become slow.
class FasterWay {
 public:
  /// One walk, from here to its end, through so many rows, long ones counting for several; no news unless there is a choice.
  class Timed {
   public:
    Timed(FasterWay& ways, bool choice, std::int64_t rows)
        : ways_(ways), rows_(choice ? rows : 0), timed_(choice && ways.looks_at_clock()) {
      if (timed_) began_ = Clock::now();
    }
    ~Timed() {
      if (timed_) ways_.took(rows_, std::chrono::duration<double>(Clock::now() - began_).count());
      if (rows_) ways_.went(rows_);
    }
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;

    bool first() const { return ways_.first_; }

   private:
    using Clock = std::chrono::steady_clock;
    FasterWay& ways_;
    std::int64_t rows_;
    bool timed_;
    Clock::time_point began_;
  };

  /// Whether the one or the other is being tried.
  bool on_trial() const { return trial_ < 2; }

 private:
  /// Rows that go by before the clock counts, because threads may have to wake up first; rows of a trial; and until the next, which
  /// comes earlier after the second way has won: where the first one is the faster, it is so by more. It comes later, twice, where
  /// the same way wins again.
  static constexpr std::int64_t warming = 1 << 13, tried = 1 << 15, first_kept = 1 << 20, second_kept = 1 << 19;
  static constexpr int most_doubled = 2;
  /// The clock takes as long as a row: between trials it is looked at once in so many walks, and after so many rows it is judged
  /// by how much longer they took than those of the other way in its trial.
  static constexpr int walks_a_look = 16;
  static constexpr std::int64_t looked_at = 1 << 12;
  static constexpr double too_slow = 1.25;

  std::int64_t kept() const { return (first_ ? first_kept : second_kept) << doubled_; }
  bool looks_at_clock() { return on_trial() ? went_ >= warming : ++walks_ % walks_a_look == 0; }

  void took(std::int64_t rows, double seconds) { rows_ += rows, seconds_ += seconds; }

  void went(std::int64_t rows) {
    went_ += rows;
    bool due = went_ >= (on_trial() ? tried : kept());
    if (!on_trial() && rows_ >= looked_at) {
      if (seconds_ > too_slow * other_ * double(rows_)) due = true, doubled_ = -1;
      rows_ = 0, seconds_ = 0;
    }
    if (!due) return;
    // Walks so long that none began after the warming are one trial each, at the next turn.
    if (on_trial() && rows_ == 0) return;
    const double each = on_trial() ? seconds_ / double(rows_) : 0;
    if (trial_ == 0) {
      other_ = each;
      first_ = false;
    } else if (trial_ == 1) {
      first_ = other_ < each;
      doubled_ = first_ == first_won_ ? std::min(doubled_ + 1, most_doubled) : 0;
      first_won_ = first_;
      other_ = std::max(other_, each);
    } else {
      first_ = true;
    }
    trial_ = (trial_ + 1) % 3;
    went_ = rows_ = 0, seconds_ = 0;
  }

  bool first_ = true, first_won_ = true;  ///< now, and in the last trial
  int trial_ = 0;                         ///< of the first way, of the second; then the faster one is gone
  int doubled_ = -1;  ///< how often the time until the next trial has been; -1 before it is first set
  unsigned walks_ = 0;
  std::int64_t went_ = 0, rows_ = 0;  ///< since a trial began or ended, and those of them that the clock counted
  double seconds_ = 0, other_ = 0;    ///< of a row, of the first way and then of the slower one
};

}  // namespace steepest
