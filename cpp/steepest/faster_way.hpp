// Which of two ways to the same result is the faster one just now: on machines that are shared, that changes from one moment to
// the next. A second thread may gain a quarter, and double the time where the system has put it far from the first.
#pragma once

#include <chrono>
#include <cstdint>

namespace steepest {

/// Tries both ways in turn, goes the faster one for a while, and tries again.
class FasterWay {
 public:
  /// One walk, timed from here to its end unless there is no choice.
  class Timed {
   public:
    Timed(FasterWay& ways, bool choice, std::int64_t rows) : ways_(ways), rows_(choice ? rows : 0) {
      if (rows_) began_ = Clock::now();
    }
    ~Timed() {
      if (rows_) ways_.went(rows_, std::chrono::duration<double>(Clock::now() - began_).count());
    }
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;

    bool first() const { return ways_.first_; }

   private:
    using Clock = std::chrono::steady_clock;
    FasterWay& ways_;
    std::int64_t rows_;
    Clock::time_point began_;
  };

 private:
  /// A trial is long enough for what it begins with to wear off, and takes up little of what follows.
  static constexpr std::int64_t tried = 1 << 14, kept = 1 << 19;

  void went(std::int64_t rows, double seconds) {
    rows_ += rows;
    seconds_ += seconds;
    if (rows_ < (trial_ < 2 ? tried : kept)) return;
    if (trial_ == 0) {
      first_seconds_ = seconds_ / double(rows_);
      first_ = false;
    } else if (trial_ == 1) {
      first_ = first_seconds_ < seconds_ / double(rows_);
    } else {
      first_ = true;
    }
    trial_ = (trial_ + 1) % 3;
    rows_ = 0;
    seconds_ = 0;
  }

  bool first_ = true;
  int trial_ = 0;  ///< of the first way, of the second; then the faster one is gone
  std::int64_t rows_ = 0;
  double seconds_ = 0, first_seconds_ = 0;
};

}  // namespace steepest
