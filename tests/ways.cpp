// What happens between threads, without any data: two in step, and the choice between two ways.
#include <chrono>
#include <cstdio>
#include <thread>

#include "steepest/faster_way.hpp"
#include "steepest/threads.hpp"

namespace {

using steepest::FasterWay;
using steepest::Pair;

/// Either adds up what both have written, without a lock: places are written to again only two steps later.
void sums_in_step() {
  constexpr int steps = 1000;
  Pair pair;
  long written[2][2] = {}, sum[2] = {}, met[2][steps] = {}, along[2] = {};
  const auto walk = [&](int side) {
    for (int step = 0; step < steps; ++step) {
      written[side][step % 2] = side ? step : 1;
      along[side] += long(pair.meet(side, written[side][step % 2]));
      sum[side] += written[0][step % 2] + written[1][step % 2];
      met[side][step] = sum[side];
    }
  };
  std::thread second([&] { walk(1); });
  walk(0);
  second.join();
  int same = 0;
  for (int step = 0; step < steps; ++step) same += met[0][step] == met[1][step];
  std::printf("the sums that two threads find in step: the same %d times, %ld in the end; %ld and %ld came along\n",
              same, sum[0], along[0], along[1]);
}

void who_is_waited_for() {
  Pair late, early;
  const bool alone = !late.joined(), let_in = late.join();
  std::printf("a second thread that comes too late: %s\n", alone && !let_in ? "not let in" : "let in");
  const bool begun = early.join(), waited_for = early.joined();
  std::printf("one that comes in time: %s\n", begun && waited_for ? "waited for" : "left alone");
}

/// A walk through so many rows that takes the one way this long, the other that long.
bool walk(FasterWay& ways, std::int64_t rows, int first_microseconds, int second_microseconds) {
  const FasterWay::Timed way(ways, true, rows);
  std::this_thread::sleep_for(std::chrono::microseconds(way.first() ? first_microseconds : second_microseconds));
  return way.first();
}

void which_way_is_gone() {
  constexpr int quick = 100, slow = 20000;
  constexpr std::int64_t rows = 1 << 13;
  constexpr int walks = 8;
  for (const bool first_is_slow : {true, false}) {
    FasterWay ways;
    const int one = first_is_slow ? slow : quick, other = first_is_slow ? quick : slow;
    while (ways.on_trial()) walk(ways, rows, one, other);
    int gone = 0;
    for (int i = 0; i < walks; ++i) gone += walk(ways, rows, one, other);
    std::printf("the %s way takes longer: gone %d of %d times after the trial\n", first_is_slow ? "first" : "second",
                gone, walks);
  }
  FasterWay ways;
  while (ways.on_trial()) walk(ways, rows, quick, slow);
  int until = 0;
  while (!ways.on_trial() && until < 100) walk(ways, rows, 2 * slow, slow), ++until;
  std::printf("the way that was faster has become slow: %s\n", ways.on_trial() && until < 100 ? "tried again" : "kept");
  FasterWay alike;
  std::printf("walks from one trial to the next, while the same way wins:");
  const auto until_next = [&] {
    while (alike.on_trial()) walk(alike, rows, 0, quick);
    int between = 0;
    while (!alike.on_trial()) walk(alike, rows, 0, quick), ++between;
    return between;
  };
  for (int trial = 0; trial < 4; ++trial) std::printf(" %d", until_next());
  while (alike.on_trial()) walk(alike, rows, 0, quick);
  while (!alike.on_trial()) walk(alike, rows, slow, quick);
  std::printf("; %d once it had become slow\n", until_next());
}

}  // namespace

int main() {
  sums_in_step();
  who_is_waited_for();
  which_way_is_gone();
}
