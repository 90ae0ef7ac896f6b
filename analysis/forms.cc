// The table of forms. To add a law that is a sum of powers, add a row; for another shape, write its formula in a class
// like that of kaplan.cc.
#include <cmath>

#include <fmt/format.h>

#include "absl/status/status.h"
#include "analysis/bounded.h"
#include "analysis/chain.h"
#include "analysis/expression_form.h"
#include "analysis/form.h"
#include "analysis/law.h"
#include "analysis/links.h"
#include "analysis/published.h"
#include "analysis/search.h"
#include "analysis/sum_of_powers.h"

namespace scalelaw::analysis {
namespace {

/// y = a·x^b. The exponent has either sign: a score may rise as a power of compute (arXiv 2404.02883).
PowerSumSpec power() {
  std::vector<double> exponents;
  for (int i = -40; i <= 40; ++i) exponents.push_back(i * 0.1);
  return {.name = "power",
          .description = "y = a·x^b (arXiv 2404.02883: S = a·C^b)",
          .columns = {"flops"},
          .terms = {{"a", 0, {1}}},
          .exponents = {{"b", std::move(exponents)}}};
}

/// y = E + a·x^−b (Henighan et al. 2020): E is the loss that no compute removes.
PowerSumSpec power_floor() {
  return {.name = "power-floor",
          .description = "y = E + a·x^−b (Henighan et al. 2020)",
          .columns = {"flops"},
          .terms = {{"E", -1, {}}, {"a", 0, {-1}}},
          .exponents = {{"b", geometric_grid(0.005, 4, 48)}}};
}

/// L(N, D) = E + A·N^−α + B·D^−β (Hoffmann et al. 2022, eq. 2; Besiroglu et al. 2024 for the fit).
PowerSumSpec chinchilla() {
  return {.name = "chinchilla",
          .description = "L = E + A·N^−alpha + B·D^−beta (Hoffmann et al. 2022, eq. 2)",
          .columns = {"params", "samples"},
          .terms = {{"E", -1, {}}, {"A", 0, {-1, 0}}, {"B", 1, {0, -1}}},
          .exponents = {{"alpha", geometric_grid(0.02, 3, 20)}, {"beta", geometric_grid(0.02, 3, 20)}},
          .objective = "huber"};
}

/// Chinchilla's with α = β: what is optimal then keeps D/N fixed if A = B (Muennighoff et al. 2023 fit it so).
PowerSumSpec chinchilla_tied() {
  return {.name = "chinchilla-tied",
          .description = "L = E + A·N^−alpha + B·D^−alpha (Hoffmann et al. 2022, eq. 2, with one exponent)",
          .columns = {"params", "samples"},
          .terms = {{"E", -1, {}}, {"A", 0, {-1, 0}}, {"B", 0, {0, -1}}},
          .exponents = {{"alpha", geometric_grid(0.02, 3, 72)}},
          .objective = "huber"};
}

/// L(C, M) = E + (a·M^η + b·M^−η)·C^−η, M = D/N samples per parameter (Gadre et al. 2024, arXiv 2403.08540, eq. 4): at
/// any ratio M, loss falls with the same exponent of compute. With C = 6·N·D it is Chinchilla's law with α = β = 2η,
/// A = a·6^−η, B = b·6^−η.
PowerSumSpec over_training() {
  return {.name = "over-training",
          .description = "L = E + (a·M^eta + b·M^−eta)·C^−eta, M = D/N (Gadre et al. 2024, eq. 4)",
          .columns = {"flops", "tokens_per_param"},
          .terms = {{"E", -1, {}}, {"a", 0, {-1, 1}}, {"b", 0, {-1, -1}}},
          .exponents = {{"eta", geometric_grid(0.01, 1.5, 72)}}};
}

/// L = (β·x)^α with α < 0 (Tian et al. 2024, arXiv 2404.02905, eq. 6): a power law written with the scale inside.
class VarPower : public SumOfPowers {
 public:
  VarPower()
      : SumOfPowers({.name = "var-power",
                     .description = "y = (beta·x)^alpha (Tian et al. 2024, arXiv 2404.02905)",
                     .columns = {"flops"},
                     .terms = {{"beta", 0, {1}}},
                     .exponents = {{"alpha", power().exponents[0].grid}}}) {}

  std::vector<double> parameters(const double* c, const double* log_scale) const override {
    return {std::exp(std::log(c[0]) / c[1] - log_scale[0]), c[1]};
  }
  Hold hold(size_t j, double value, const double* log_scale) const override {
    return j == 0 ? Hold{1, 1, std::log(value) + log_scale[0]} : Hold{value, -1, 0};
  }
  double value(const double* p, const double* x) const override {
    return std::exp(p[1] * (std::log(p[0]) + std::log(x[0])));
  }
  std::string formula(const double* p, const std::vector<std::string>& columns) const override {
    return fmt::format("({:.4g}·{})^{:.4g}", p[0], columns[0], p[1]);
  }
};

struct Entry {
  std::string_view name;
  std::unique_ptr<const Form> (*make)(const Bounds&);
};

template <PowerSumSpec (*spec)()>
std::unique_ptr<const Form> sum_of_powers(const Bounds&) {
  return std::make_unique<const SumOfPowers>(spec());
}

template <std::unique_ptr<const Form> (*make)()>
std::unique_ptr<const Form> without_bounds(const Bounds&) {
  return make();
}

template <int breaks>
std::unique_ptr<const Form> broken(const Bounds&) {
  return broken_power(breaks);
}

template <class Link>
std::unique_ptr<const Form> link(const Bounds&) {
  return std::make_unique<const Link>();
}

constexpr Entry kForms[] = {
    {"power", sum_of_powers<power>},
    {"power-floor", sum_of_powers<power_floor>},
    {"var-power", [](const Bounds&) -> std::unique_ptr<const Form> { return std::make_unique<const VarPower>(); }},
    {"chinchilla", sum_of_powers<chinchilla>},
    {"chinchilla-tied", sum_of_powers<chinchilla_tied>},
    {"kaplan", without_bounds<kaplan>},
    {"over-training", sum_of_powers<over_training>},
    {"data-constrained", without_bounds<data_constrained>},
    {"farseer", without_bounds<farseer>},
    {"m3", without_bounds<shifted_power>},
    {"m4", without_bounds<bent_power>},
    {"broken-power", broken<1>},
    {"broken-power-2", broken<2>},
    {"broken-power-3", broken<3>},
    {"sigmoid", link<Sigmoid>},
    {"exponential", link<Exponential>},
    {"bounded", [](const Bounds& b) -> std::unique_ptr<const Form> { return std::make_unique<const BoundedScore>(b); }},
};

}  // namespace

void Form::values(const double* coordinates, const Eigen::MatrixXd& logx, Workspace&, Eigen::VectorXd& curve) const {
  curve.resize(logx.rows());
  SecondOrder at;
  double x[kMaxParameters];
  for (Eigen::Index i = 0; i < logx.rows(); ++i) {
    for (Eigen::Index c = 0; c < logx.cols(); ++c) x[c] = logx(i, c);
    second_order(coordinates, x, at);
    curve[i] = at.value;
  }
}

void Form::accumulate(const double* coordinates, const Eigen::MatrixXd& logx, Workspace&, const Eigen::VectorXd& first,
                      const Eigen::VectorXd& second, SmallVector& gradient, SmallMatrix& hessian) const {
  SecondOrder at;
  double x[kMaxParameters];
  for (Eigen::Index i = 0; i < logx.rows(); ++i) {
    for (Eigen::Index c = 0; c < logx.cols(); ++c) x[c] = logx(i, c);
    second_order(coordinates, x, at);
    if (i == 0) {
      gradient.setZero(at.gradient.size());
      hessian.setZero(at.gradient.size(), at.gradient.size());
    }
    gradient += first[i] * at.gradient;
    hessian += first[i] * at.hessian + second[i] * at.gradient * at.gradient.transpose();
  }
}

Hold Form::hold(size_t, double value, const double*) const {
  return {value, -1, 0};
}

absl::StatusOr<std::unique_ptr<const Form>> Form::ready_for(const Eigen::MatrixXd&, const std::vector<double>&,
                                                            const FitOptions& options) const {
  if (!options.search.empty())
    return absl::InvalidArgumentError(
        fmt::format("search: only an expression is searched between given values, not {}", name()));
  return nullptr;
}

void Form::choose_units(std::vector<double>&) const {}

void Form::make_canonical(SmallVector&) const {}

std::vector<SmallVector> Form::starts(const std::vector<Coordinate>&, const Sample&, const Criterion&) const {
  return {};
}

std::unique_ptr<const Form> make_form(std::string_view name, const Bounds& bounds,
                                      const std::vector<std::string>& columns) {
  // As Alabdulmohsin et al. 2022 number them.
  if (name == "m1") name = "power";
  if (name == "m2") name = "power-floor";
  if (!split_chain(name).link.empty()) return Chain::make(name, bounds);
  for (const Entry& entry : kForms)
    if (entry.name == name) return entry.make(bounds);
  absl::StatusOr<std::unique_ptr<const Form>> expression = ExpressionForm::make(name, columns);
  return expression.ok() ? *std::move(expression) : nullptr;
}

std::vector<std::string> form_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kForms) names.emplace_back(entry.name);
  return names;
}

absl::StatusOr<std::string> describe_form(std::string_view name) {
  const auto form = make_form(name, {});
  if (!form)
    return absl::InvalidArgumentError(
        fmt::format("form: '{}' is unknown; known forms: {}", name, fmt::join(form_names(), ", ")));
  return std::string(form->description());
}

}  // namespace scalelaw::analysis
