#include "analysis/pinned.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "analysis/search.h"

namespace scalelaw::analysis {

absl::StatusOr<std::unique_ptr<const Form>> Pinned::make(std::unique_ptr<const Form> inner,
                                                         const std::map<std::string, double>& fixed,
                                                         const std::vector<double>& log_scale) {
  const std::vector<std::string> names = inner->parameter_names();
  std::unique_ptr<Pinned> form(new Pinned);
  for (const auto& [name, value] : fixed) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      return absl::InvalidArgumentError(fmt::format("fixed: form '{}' has no parameter '{}'; its parameters: {}",
                                                    inner->name(), name, fmt::join(names, ", ")));
    const auto j = static_cast<size_t>(found - names.begin());
    const Hold hold = inner->hold(j, value, log_scale.data());
    if (!std::isfinite(hold.factor) || !std::isfinite(hold.slope))
      return absl::InvalidArgumentError(fmt::format("fixed: {} cannot be {}", name, value));
    form->pins_.push_back({static_cast<int>(j), value, hold});
  }
  for (size_t j = 0; j < names.size(); ++j)
    if (!fixed.contains(names[j])) form->free_.push_back(static_cast<int>(j));
  // Constants first: an exponent on which another pinned coordinate depends may itself be pinned.
  std::stable_sort(form->pins_.begin(), form->pins_.end(),
                   [](const Pin& a, const Pin& b) { return (a.hold.exponent < 0) > (b.hold.exponent < 0); });
  form->inner_ = std::move(inner);
  return form;
}

SmallVector Pinned::complete(const double* free) const {
  SmallVector all(static_cast<Eigen::Index>(free_.size() + pins_.size()));
  for (size_t i = 0; i < free_.size(); ++i) all[free_[i]] = free[i];
  for (const Pin& pin : pins_)
    all[pin.coordinate] =
        pin.hold.exponent < 0 ? pin.hold.factor : pin.hold.factor * std::exp(pin.hold.slope * all[pin.hold.exponent]);
  return all;
}

void Pinned::reduce(const SmallVector& all, SmallVector& gradient, SmallMatrix& hessian) const {
  const auto count = static_cast<Eigen::Index>(free_.size());
  SmallMatrix jacobian = SmallMatrix::Zero(all.size(), count);
  SmallMatrix bend = SmallMatrix::Zero(count, count);
  for (Eigen::Index i = 0; i < count; ++i) {
    jacobian(free_[i], i) = 1;
    for (const Pin& pin : pins_) {
      if (pin.hold.exponent != free_[i]) continue;
      jacobian(pin.coordinate, i) = pin.hold.slope * all[pin.coordinate];
      bend(i, i) += gradient[pin.coordinate] * pin.hold.slope * pin.hold.slope * all[pin.coordinate];
    }
  }
  const SmallMatrix half = hessian * jacobian;
  hessian = jacobian.transpose() * half + bend;
  const SmallVector inner_gradient = gradient;
  gradient = jacobian.transpose() * inner_gradient;
}

std::vector<Coordinate> Pinned::coordinates(const Eigen::MatrixXd& logx) const {
  const std::vector<Coordinate> all = inner_->coordinates(logx);
  std::vector<Coordinate> free;
  for (int j : free_) free.push_back(all[j]);
  return free;
}

std::vector<SmallVector> Pinned::starts(const std::vector<Coordinate>&, const Sample& sample,
                                        const Criterion& criterion) const {
  std::vector<Coordinate> all = inner_->coordinates(sample.logx);
  for (const Pin& pin : pins_) {
    if (pin.hold.exponent >= 0) continue;
    Coordinate& held = all[pin.coordinate];
    held.low = held.high = pin.hold.factor;
    held.grid = {pin.hold.factor};
  }
  std::vector<SmallVector> result;
  for (const SmallVector& start : inner_->starts(all, sample, criterion)) {
    SmallVector free(static_cast<Eigen::Index>(free_.size()));
    for (size_t i = 0; i < free_.size(); ++i) free[static_cast<Eigen::Index>(i)] = start[free_[i]];
    result.push_back(free);
  }
  return result;
}

void Pinned::basis(const double* theta, const Eigen::MatrixXd& logx, Eigen::MatrixXd& phi,
                   Eigen::VectorXd& offset) const {
  const std::vector<Coordinate> coordinates = inner_->coordinates(logx);
  const auto linear = std::count_if(coordinates.begin(), coordinates.end(), [](const auto& c) { return c.linear(); });
  const auto free_linear = std::count_if(free_.begin(), free_.end(), [&](int j) { return j < linear; });
  double free[kMaxParameters] = {};
  std::copy_n(theta, static_cast<Eigen::Index>(free_.size()) - free_linear, free + free_linear);
  const SmallVector all = complete(free);
  Eigen::MatrixXd inner_phi;
  inner_->basis(all.data() + linear, logx, inner_phi, offset);
  for (const Pin& pin : pins_)
    if (pin.coordinate < linear) offset += all[pin.coordinate] * inner_phi.col(pin.coordinate);
  phi.resize(logx.rows(), free_linear);
  for (Eigen::Index i = 0; i < free_linear; ++i) phi.col(i) = inner_phi.col(free_[i]);
}

void Pinned::second_order(const double* coordinates, const double* logx, SecondOrder& out) const {
  const SmallVector all = complete(coordinates);
  inner_->second_order(all.data(), logx, out);
  reduce(all, out.gradient, out.hessian);
}

void Pinned::values(const double* coordinates, const Eigen::MatrixXd& logx, Workspace& work,
                    Eigen::VectorXd& curve) const {
  inner_->values(complete(coordinates).data(), logx, work, curve);
}

void Pinned::accumulate(const double* coordinates, const Eigen::MatrixXd& logx, Workspace& work,
                        const Eigen::VectorXd& first, const Eigen::VectorXd& second, SmallVector& gradient,
                        SmallMatrix& hessian) const {
  const SmallVector all = complete(coordinates);
  inner_->accumulate(all.data(), logx, work, first, second, gradient, hessian);
  reduce(all, gradient, hessian);
}

std::vector<double> Pinned::parameters(const double* coordinates, const double* log_scale) const {
  std::vector<double> result = inner_->parameters(complete(coordinates).data(), log_scale);
  for (const Pin& pin : pins_) result[pin.coordinate] = pin.value;
  return result;
}

}  // namespace scalelaw::analysis
