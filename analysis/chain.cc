#include "analysis/chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace scalelaw::analysis {
namespace {

template <class Link, int K>
SecondOrder derivatives(const Form& link, const double* coordinates, double log_loss) {
  Jet<K + 1> c[K];
  for (int j = 0; j < K; ++j) c[j] = Jet<K + 1>::coordinate(coordinates[j], j);
  const Jet<K + 1> x = Jet<K + 1>::coordinate(log_loss, K);
  const Jet<K + 1> y =
      static_cast<const Link&>(link).curve(static_cast<const Jet<K + 1>*>(c), static_cast<const Jet<K + 1>*>(&x));
  SecondOrder out;
  out.value = y.value;
  out.gradient = y.gradient;
  out.hessian = y.hessian;
  return out;
}

}  // namespace

ChainName split_chain(std::string_view name) {
  const size_t at = name.find('>');
  if (at == std::string_view::npos) return {std::string(name), ""};
  return {std::string(name.substr(0, at)), std::string(name.substr(at + 1))};
}

std::unique_ptr<const Form> Chain::make(std::string_view name, const Bounds& bounds) {
  const ChainName halves = split_chain(name);
  std::unique_ptr<Chain> chain(new Chain);
  chain->loss_ = make_form(halves.loss, bounds);
  chain->link_ = make_form(halves.link, bounds);
  if (!chain->loss_ || chain->loss_->default_columns() == std::vector<std::string>{"loss"}) return nullptr;
  if (halves.link == "sigmoid")
    chain->derivatives_ = derivatives<Sigmoid, 4>;
  else if (halves.link == "exponential")
    chain->derivatives_ = derivatives<Exponential, 3>;
  else
    return nullptr;
  chain->name_ = fmt::format("{}>{}", chain->loss_->name(), halves.link);
  chain->description_ = fmt::format("L: {}; then {}", chain->loss_->description(), chain->link_->description());
  chain->loss_size_ = chain->loss_->parameter_names().size();
  chain->link_size_ = chain->link_->parameter_names().size();
  return chain;
}

std::vector<Coordinate> Chain::coordinates(const Eigen::MatrixXd& logx) const {
  const Eigen::MatrixXd usual_losses = (Eigen::MatrixXd(2, 1) << 0, 2.3).finished();
  std::vector<Coordinate> all = loss_->coordinates(logx), link = link_->coordinates(usual_losses);
  all.insert(all.end(), link.begin(), link.end());
  // Nothing is eliminated: a chain is never searched as a whole.
  for (Coordinate& c : all)
    if (c.linear()) c.grid = {1};
  return all;
}

void Chain::basis(const double* theta, const Eigen::MatrixXd& logx, Eigen::MatrixXd& phi,
                  Eigen::VectorXd& offset) const {
  Workspace work;
  phi.resize(logx.rows(), 0);
  values(theta, logx, work, offset);
}

void Chain::second_order(const double* c, const double* logx, SecondOrder& out) const {
  // y(c, ℓ) with ℓ = ln L: ∇ℓ = ∇L/L and ∇²ℓ = ∇²L/L − ∇ℓ∇ℓᵀ.
  SecondOrder loss;
  loss_->second_order(c, logx, loss);
  const SecondOrder link = derivatives_(*link_, c + loss_size_, std::log(loss.value));
  const auto n = static_cast<Eigen::Index>(loss_size_), k = static_cast<Eigen::Index>(link_size_);
  const SmallVector g = loss.gradient / loss.value;
  const double slope = link.gradient[k], bend = link.hessian(k, k);
  out.value = link.value;
  out.gradient.resize(n + k);
  out.gradient << slope * g, link.gradient.head(k);
  out.hessian.resize(n + k, n + k);
  out.hessian.topLeftCorner(n, n) = slope / loss.value * loss.hessian + (bend - slope) * g * g.transpose();
  out.hessian.topRightCorner(n, k) = g * link.hessian.col(k).head(k).transpose();
  out.hessian.bottomLeftCorner(k, n) = out.hessian.topRightCorner(n, k).transpose();
  out.hessian.bottomRightCorner(k, k) = link.hessian.topLeftCorner(k, k);
}

std::vector<std::string> Chain::parameter_names() const {
  const std::vector<std::string> loss = loss_->parameter_names();
  std::vector<std::string> names = loss;
  for (const std::string& name : link_->parameter_names())
    names.push_back(std::find(loss.begin(), loss.end(), name) == loss.end() ? name : "link_" + name);
  return names;
}

std::vector<double> Chain::parameters(const double* c, const double* log_scale) const {
  constexpr double kNatural = 0;
  std::vector<double> result = loss_->parameters(c, log_scale);
  const std::vector<double> link = link_->parameters(c + loss_size_, &kNatural);
  result.insert(result.end(), link.begin(), link.end());
  return result;
}

Hold Chain::hold(size_t j, double value, const double* log_scale) const {
  constexpr double kNatural = 0;
  if (j < loss_size_) return loss_->hold(j, value, log_scale);
  Hold hold = link_->hold(j - loss_size_, value, &kNatural);
  if (hold.exponent >= 0) hold.exponent += static_cast<int>(loss_size_);
  return hold;
}

double Chain::value(const double* p, const double* x) const {
  const double loss = loss_->value(p, x);
  return link_->value(p + loss_size_, &loss);
}

std::string Chain::formula(const double* p, const std::vector<std::string>& columns) const {
  return fmt::format("{}, L = {}", link_->formula(p + loss_size_, {"L"}), loss_->formula(p, columns));
}

}  // namespace scalelaw::analysis
