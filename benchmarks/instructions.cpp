// The hot loops without Python, one epoch each, for a tool that counts instructions: see benchmarks/instructions.py.
//
// instructions CASE ROWS FEATURES BATCH EPOCHS. Preparing the data costs the same whatever the number of epochs is, so the
// difference between two runs is the epochs' alone.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "steepest/fit.hpp"
#include "steepest/registry.hpp"

namespace {

using Index = std::int64_t;

template <class T>
int run(const std::string& order, std::string_view loss, Index n, Index d, Index batch, Index epochs) {
  const steepest::CounterGenerator random = steepest::generator_of(1, 0);
  const auto number = [&](Index i) { return double(random[std::uint64_t(i)] >> 11) * 0x1p-52 - 1; };
  std::vector<T> X(std::size_t(n * d)), y(std::size_t(n), T(0));
  for (Index i = 0; i < n * d; ++i) X[std::size_t(i)] = T(number(i));
  for (Index i = 0; i < n; ++i) y[std::size_t(i)] = number(i + n * d) > 0 ? T(1) : T(-1);

  steepest::RowData<T> data;
  data.rows.rows = n;
  data.rows.features = d;
  data.rows.row_stride = d;
  if (d > 0) data.rows.data = X.data();
  data.y = y.data();
  const auto losses = steepest::loss_specs();
  const std::size_t index = steepest::index_of(losses, loss);
  std::vector<double> params;
  for (const auto& param : losses[index].params) params.push_back(param.default_value);
  steepest::PointwiseSum<T> sum(index, params, data);

  steepest::FitOptions options;
  options.rule.index = steepest::index_of(steepest::rule_specs(), "sgd");
  options.batch_size = batch;
  options.epochs = epochs;
  options.schedule = [](double) { return 0.01; };
  // As for data that no cache holds, with the shortest blocks: data as few as these would be shuffled fully.
  const Index row_bytes = std::max<Index>(d, 1) * Index(sizeof(T));
  const Index turn = std::clamp<Index>(128 / row_bytes, 1, std::max<Index>(1, batch / 16));
  const steepest::Streaming streaming{16, turn, std::max<Index>(turn, 4096 / row_bytes), batch};
  std::unique_ptr<steepest::Order> chosen = order == "stream" ? steepest::order_stream(n, 1, streaming)
                                            : order == "full" ? steepest::order_full(n, 1, false)
                                                              : steepest::order_in_sequence(n);
  steepest::Fit<T> fit(sum, std::move(chosen), options, steepest::Numbers<T>(std::size_t(sum.parameters()), T(0)));
  fit.run();
  std::printf("%.9g\n", fit.objective());
  return fit.epochs() == epochs ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 8) {
    std::fputs("instructions float32|float64 ORDER LOSS ROWS FEATURES BATCH EPOCHS\n", stderr);
    return 2;
  }
  const std::string dtype = arguments[1], order = arguments[2], loss = arguments[3];
  const auto whole = [&](int i) { return Index(std::atoll(arguments[i])); };
  return dtype == "float32" ? run<float>(order, loss, whole(4), whole(5), whole(6), whole(7))
                            : run<double>(order, loss, whole(4), whole(5), whole(6), whole(7));
}
