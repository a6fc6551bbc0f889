#include "steepest/stepping.hpp"

#include <stdexcept>

namespace steepest {
namespace {

/// Line search: the share of the step's squared length over the step size by which an accepted step must stay below the
/// worst of as many last points, and by how much the step size changes from one point to the next.
constexpr double sufficient_decrease = 1e-4;
constexpr std::size_t memory = 10;
constexpr double growth = 2, backtrack = 0.25, largest_leap = 1e4;

}  // namespace

template <class T>
void temper(const Tempering& tempering, std::int64_t n, std::int64_t decayed, const T* x, T* gradient) {
  if (tempering.clip_value < infinity) {
    const T most = T(tempering.clip_value);
    for (std::int64_t j = 0; j < n; ++j) gradient[j] = std::clamp(gradient[j], -most, most);
  }
  if (tempering.clip_norm < infinity) {
    double squares = 0;
    for (std::int64_t j = 0; j < n; ++j) squares += double(gradient[j]) * double(gradient[j]);
    const double norm = tempering.norm < 0 ? std::sqrt(squares) : tempering.norm;
    const double scale = tempering.clip_norm / (norm + 1e-6);  // as PyTorch has it
    if (scale < 1)
      for (std::int64_t j = 0; j < n; ++j) gradient[j] *= T(scale);
  }
  if (tempering.weight_decay > 0 && !tempering.decoupled)
    for (std::int64_t j = 0; j < decayed; ++j) gradient[j] += T(tempering.weight_decay) * x[j];
}

template void temper(const Tempering&, std::int64_t, std::int64_t, const float*, float*);
template void temper(const Tempering&, std::int64_t, std::int64_t, const double*, double*);

template <class T>
Descent<T>::Descent(Options options, std::int64_t parameters, std::int64_t penalised)
    : options_(std::move(options)), spec_(rule_specs()[options_.rule.index]),
      penalty_(options_.penalty ? &kernels_of<T>(kernels()).penalties[options_.penalty->index] : nullptr),
      parameters_(parameters), penalised_(penalised) {
  if (penalty_) terms_ = options_.penalty->terms();
  if (spec_.per_coordinate && penalty_ && penalty_->prox) metric_.resize(std::size_t(parameters));
  if (spec_.scaled) scale_.assign(options_.scale.begin(), options_.scale.end());
}

template <class T>
void Descent<T>::start(const Numbers<T>& x) {
  numbers_.assign(std::size_t(spec_.state_numbers), 0);
  vectors_.assign(std::size_t(spec_.state_vectors) * x.size(), T(0));
  for (int i = 0; i < spec_.from_start; ++i) std::copy(x.begin(), x.end(), vectors_.begin() + i * parameters_);
  if (reports_another()) live_ = x;
}

template <class T>
void Descent<T>::restore(const std::vector<double>& state, const Numbers<T>& x) {
  start(x);
  if (state.empty()) return;
  const std::size_t live = reports_another() ? live_.size() : 0;
  if (state.size() != numbers_.size() + live + vectors_.size())
    throw std::invalid_argument("the state to go on from is that of another rule");
  auto from = state.begin();
  for (double& number : numbers_) number = *from++;
  for (std::size_t i = 0; i < live; ++i) live_[i] = T(*from++);
  for (T& entry : vectors_) entry = T(*from++);
}

template <class T>
std::vector<double> Descent<T>::state() const {
  std::vector<double> all = numbers_;
  if (reports_another()) all.insert(all.end(), live_.begin(), live_.end());
  all.insert(all.end(), vectors_.begin(), vectors_.end());
  return all;
}

template <class T>
bool Descent<T>::leaves_others(double step) const {
  // A first update may set up the state of every parameter.
  return spec_.lazy && numbers_[0] > 0 && !penalty_ && !(options_.tempering.weight_decay > 0) &&
         (!spec_.lazy_while_steady || step == last_step_);
}

template <class T>
void Descent<T>::update_some(Numbers<T>& x, Numbers<T>& gradient, const std::vector<std::int64_t>& some, double step,
                             double objective) {
  const std::size_t n = some.size(), vectors = std::size_t(spec_.state_vectors);
  some_x_.resize(n);
  some_gradient_.resize(n);
  some_vectors_.resize(n * vectors);
  if (!scale_.empty()) some_scale_.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto j = std::size_t(some[i]);
    some_x_[i] = x[j];
    some_gradient_[i] = gradient[j];
    gradient[j] = T(0);
    for (std::size_t v = 0; v < vectors; ++v) some_vectors_[v * n + i] = vectors_[v * x.size() + j];
    if (!scale_.empty()) some_scale_[i] = scale_[j];
  }
  Update<T> u{};
  u.n = std::int64_t(n);
  u.x = some_x_.data();
  u.state = some_vectors_.data();
  u.numbers = numbers_.data();
  u.step = step;
  u.objective = objective;
  u.scale = scale_.empty() ? nullptr : some_scale_.data();
  u.row_size = options_.row_size;
  update_with(options_.rule, options_.tempering, 0, some_gradient_.data(), u, [](double) {});
  last_step_ = step;
  for (std::size_t i = 0; i < n; ++i) {
    const auto j = std::size_t(some[i]);
    x[j] = some_x_[i];
    for (std::size_t v = 0; v < vectors; ++v) vectors_[v * x.size() + j] = some_vectors_[v * n + i];
  }
}

template <class T>
void Descent<T>::update(Numbers<T>& x, Numbers<T>& gradient, double step, double objective) {
  last_step_ = step;
  Update<T> u{};
  u.n = parameters_;
  u.x = x.data();
  u.state = vectors_.data();
  u.numbers = numbers_.data();
  u.step = step;
  u.objective = objective;
  u.metric = metric_.empty() ? nullptr : metric_.data();
  u.scale = scale_.empty() ? nullptr : scale_.data();
  u.row_size = options_.row_size;
  update_with(options_.rule, options_.tempering, penalised_, gradient.data(), u, [&](double reach) {
    if (!penalty_ || !penalty_->prox) return;
    T* iterate = spec_.iterate == itself ? x.data() : vectors_.data() + spec_.iterate * parameters_;
    penalty_->prox(terms_, penalised_, T(reach), u.metric, iterate);
  });
}

template <class T>
void Descent<T>::show(Numbers<T>& x) {
  if (!reports_another() || shown_) return;
  shown_ = true;
  live_ = x;
  const auto from = vectors_.begin() + spec_.reported * parameters_;
  std::copy(from, from + parameters_, x.begin());
}

template <class T>
void Descent<T>::hide(Numbers<T>& x) {
  if (!reports_another() || !shown_) return;
  shown_ = false;
  x = live_;
}

template <class T>
bool LineSearch<T>::accept(Numbers<T>& x, Numbers<T>& gradient, double& objective) {
  if (!objectives_.empty()) {
    const double worst = *std::max_element(objectives_.begin(), objectives_.end());
    const double moved = squared_distance(x, x_);
    const double rounding = 4 * std::numeric_limits<double>::epsilon() * std::abs(worst);
    if (!(objective <= worst - sufficient_decrease * moved / step_ + rounding)) {
      x = x_;
      gradient = gradient_;
      objective = objectives_[(accepted_ - 1) % memory];
      step_ *= backtrack;
      return false;
    }
    double bent = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
      bent += (double(x[i]) - double(x_[i])) * (double(gradient[i]) - double(gradient_[i]));
    if (bent > 0)
      step_ = std::clamp(moved / bent, step_ / largest_leap, step_ * largest_leap);
    else if (moved > 0)
      step_ *= growth;
  }
  if (objectives_.size() < memory)
    objectives_.push_back(objective);
  else
    objectives_[accepted_ % memory] = objective;
  ++accepted_;
  x_ = x;
  gradient_ = gradient;
  if (objective < best_) {
    best_ = objective;
    best_x_ = x;
  }
  return true;
}

template <class T>
double DistanceSteps<T>::next(const Numbers<T>& x, const Numbers<T>& gradient, double objective) {
  squared_gradients_ += squared_norm(gradient);
  if (squared_gradients_ == 0) return 1;  // nothing to follow yet
  farthest_ =
      std::max(farthest_ > 0 ? farthest_ : first_distance(gradient, objective), std::sqrt(squared_distance(x, start_)));
  return farthest_ / std::sqrt(squared_gradients_);
}

/// A guess, on the small side, of how far the minimum is: a hundredth of the way to a zero objective along the gradient, in
/// the units of the data, but no more than a hundredth of the size that parameters usually have.
template <class T>
double DistanceSteps<T>::first_distance(const Numbers<T>& gradient, double objective) const {
  const double along = std::abs(objective) / std::sqrt(squared_norm(gradient));
  const double usual = 1 + std::sqrt(squared_norm(start_));
  return 0.01 * (along > 0 ? std::min(along, usual) : usual);
}

template <class T>
void DistanceSteps<T>::narrow(const Numbers<T>& x) {
  start_ = x;
  farthest_ *= 0.1;
  squared_gradients_ = 0;
}

template class Descent<float>;
template class Descent<double>;
template class LineSearch<float>;
template class LineSearch<double>;
template class DistanceSteps<float>;
template class DistanceSteps<double>;

}  // namespace steepest
