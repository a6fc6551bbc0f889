// The core alone: a robust mean by mini-batch descent, and the sources' full-batch descent with its printed lines.
//
//   cmake -S . -B build/core -DSTEEPEST_PYTHON=OFF -DSTEEPEST_EXAMPLES=ON && cmake --build build/core
//   build/core/minimize_without_python
#include <cstdio>
#include <utility>
#include <vector>

#include "steepest/fit.hpp"
#include "steepest/registry.hpp"

int main() {
  using namespace steepest;

  // The constant model over five targets, MSE, step size 0.2: the textbook's eighteen lines (A5).
  const std::vector<double> p5{12.1, 12.8, 14.9, 16.3, 17.2};
  RowData<double> data;
  data.rows.rows = 5;
  data.y = p5.data();
  PointwiseSum<double> mse(index_of(loss_specs(), "mse"), {}, data);

  FitOptions options;
  options.rule = {index_of(rule_specs(), "sgd"), {}};
  options.schedule = [](double) { return 0.2; };
  options.batch_size = 5;
  options.epochs = 1000;
  options.step_tolerance = 1e-3;
  double theta = 0;
  const Fit<double>* running = nullptr;
  options.on_epoch = [&](const Epoch& epoch) {
    std::printf("theta: %.2f | loss: %.2f\n", std::exchange(theta, running->x()[0]), epoch.running_objective);
    return false;
  };
  Fit<double> fit(mse, order_in_sequence(5), options, {0.0});
  running = &fit;
  fit.run();
  std::printf("Minimizing theta: %.15g\n", fit.x()[0]);

  // A line through a million points with outliers: Huber, mini-batches of 256, in the streaming order.
  const std::int64_t n = 1'000'000;
  std::vector<float> x(n), y(n);
  const CounterGenerator random = generator_of(0, 0);
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] = float(random[i] >> 40) / float(1 << 23) - 1.0f;
    y[i] = 3.0f * x[i] - 1.0f + (i % 20 == 0 ? 50.0f : i % 20 == 10 ? -50.0f : 0.0f);
  }
  RowData<float> line;
  line.rows = {x.data(), n, 1, 1, 1};
  line.y = y.data();
  line.intercept = true;
  PointwiseSum<float> huber(index_of(loss_specs(), "huber"), {0.1}, line);
  FitOptions stochastic;
  stochastic.rule = options.rule;
  stochastic.schedule = [](double t) { return 1.0 / (1.0 + 10.0 * t); };
  stochastic.batch_size = 256;
  stochastic.epochs = 3;
  Fit<float> descent(huber, order_stream(n, 0, {16, 16, 1024, 256}), stochastic, {0.0f, 0.0f});
  descent.run();
  std::printf("slope %.2f, intercept %.2f\n", descent.x()[0], descent.x()[1]);
}
