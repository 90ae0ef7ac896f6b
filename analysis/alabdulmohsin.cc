// M3 and M4 of Alabdulmohsin, Neyshabur and Zhai 2022 (Revisiting neural scaling laws in language and vision, arXiv
// 2209.06640, section 3). M1 is `power`, M2 is `power-floor`.
#include <fmt/format.h>

#include <algorithm>

#include "analysis/formula.h"
#include "analysis/published.h"
#include "analysis/starts.h"
#include "analysis/sum_of_powers.h"

namespace scalelaw::analysis {
namespace {

/// M3: y = b·(1/x + γ)^−c, c < 0 where more helps: a power law that saturates at b·γ^−c, its offset inside the power.
class ShiftedPower : public FormulaForm<ShiftedPower, 3> {
 public:
  std::string_view name() const override { return "m3"; }
  std::string_view description() const override {
    return "y = b·(1/x + gamma)^−c (M3 of Alabdulmohsin et al. 2022, arXiv 2209.06640)";
  }
  std::vector<std::string> default_columns() const override { return {"flops"}; }

  std::vector<Coordinate> coordinates(const Eigen::MatrixXd& logx) const override {
    std::vector<Coordinate> result = FormulaForm::coordinates(logx);
    // From an offset that no point feels to one that drowns them all.
    result[2].low = -logx.col(0).maxCoeff() - 7;
    result[2].high = -logx.col(0).minCoeff() + 3;
    result[2].grid = even_grid(result[2].low, result[2].high, 40);
    return result;
  }

  template <class T>
  T curve(const T* c, const double* logx) const {
    using std::exp;
    return c[0] * exp(-(c[1] * (softplus(c[2] + logx[0]) - logx[0])));
  }

  std::string formula(const double* p, const std::vector<std::string>& x) const override {
    return fmt::format("{:.4g}·(1/{} + {:.4g})^{:.4g}", p[0], x[0], p[2], -p[1]);
  }

 protected:
  const std::vector<FormulaParameter>& table() const override {
    static const std::vector<FormulaParameter> kTable = {
        {{"b", 0, kUnlimited, {}}, false, 0, 0, 1, -1},
        {{"c", -4, 4, even_grid(-4, 4, 81)}},
        {{"gamma", -20, 20, even_grid(-20, 20, 40)}, true, 0, -1},
    };
    return kTable;
  }
};

/// M4: (y − E)/(e0 − y)^α = b·x^c, c < 0: a power law where y is near the limit E, bent where it is near e0, the value
/// before anything is learnt. Implicit in y, which lies between E and e0; α → 0 is M2.
class BentPower : public FormulaForm<BentPower, 5> {
 public:
  std::string_view name() const override { return "m4"; }
  std::string_view description() const override {
    return "(y − E)/(e0 − y)^alpha = b·x^c, E < y < e0 (M4 of Alabdulmohsin et al. 2022, arXiv 2209.06640); e0, the "
           "value before anything is learnt, may be fixed";
  }
  std::vector<std::string> default_columns() const override { return {"flops"}; }

  template <class T>
  T curve(const T* c, const double* logx) const {
    using std::log;
    const T range = c[1] - c[0];
    const T rest = log(c[3]) + c[4] * logx[0] - (1 - c[2]) * log(range);
    // y = E + range/(1 + e^−t), where ln σ(t) − α·ln σ(−t) = rest.
    const T t = logit(plain(rest), rest, c[2]);
    return c[0] + range * sigma(t);
  }

  bool has_starts() const override { return true; }
  std::vector<SmallVector> starts(const std::vector<Coordinate>& coordinates, const Sample& sample,
                                  const Criterion& criterion) const override;
  std::string formula(const double* p, const std::vector<std::string>& x) const override {
    return fmt::format("y where (y − {:.4g})/({:.4g} − y)^{:.4g} = {:.4g}·{}^{:.4g}", p[0], p[1], p[2], p[3], x[0],
                       p[4]);
  }

 protected:
  const std::vector<FormulaParameter>& table() const override {
    static const std::vector<FormulaParameter> kTable = {
        {{"E", 0, kUnlimited, even_grid(0, 1, 21)}},
        {{"e0", 0, kUnlimited, even_grid(0.1, 2, 20)}},
        {{"alpha", 0.01, 20, {0.01, 0.1, 0.2, 0.4, 0.7, 1, 1.5, 2, 3, 5, 10}}},
        {{"b", 1e-30, kUnlimited, geometric_grid(1e-3, 1e3, 61)}, false, 0, 0, 4, -1},
        {{"c", -4, 4, even_grid(-4, 4, 81)}},
    };
    return kTable;
  }

 private:
  template <class T>
  static T sigma(const T& t) {
    using std::exp;
    return exp(-softplus(-t));
  }
  /// ln σ(t) − α·ln σ(−t) − rest, and its slope by t.
  template <class T>
  static T miss(const T& t, const T& rest, const T& alpha) {
    return alpha * softplus(t) - softplus(-t) - rest;
  }
  static double slope(double t, double alpha) { return alpha * sigma(t) + sigma(-t); }

  /// The function is monotone and its slope lies between α and 1, so Newton's method gets there from its asymptotes.
  static double solve(double rest, double alpha) {
    double t = rest <= 0 ? rest : rest / alpha;
    for (int i = 0; i < 100; ++i) {
      const double step = miss(t, rest, alpha) / slope(t, alpha);
      t -= step;
      // The next step would be of the order of this one squared.
      if (!(std::abs(step) > 1e-9 * (1 + std::abs(t)))) break;
    }
    return t;
  }
  static double logit(double, double rest, double alpha) { return solve(rest, alpha); }
  /// Implicit differentiation: a Newton step on jets from the solution makes the gradient right, a second one the
  /// Hessian, as each doubles the order to which the equation holds.
  static Jet<5> logit(double at, const Jet<5>& rest, const Jet<5>& alpha) {
    Jet<5> t = solve(at, alpha.value);
    for (int order = 0; order < 2; ++order) {
      t = t - miss(t, rest, alpha) / (alpha * sigma(t) + sigma(-t));
    }
    return t;
  }
};

/// At given E, e0 and α, ln((y − E)/(e0 − y)^α) is linear in ln b and c.
std::vector<SmallVector> BentPower::starts(const std::vector<Coordinate>& coordinates, const Sample& sample,
                                           const Criterion& criterion) const {
  const double lowest = sample.y.minCoeff(), highest = sample.y.maxCoeff(), range = highest - lowest;
  if (!(lowest > 0) || !(range > 0)) return {};
  std::vector<double> floors, ceilings;
  for (double share : {0.0, 0.2, 0.4, 0.6, 0.75, 0.85, 0.92, 0.97, 0.99, 0.999}) floors.push_back(share * lowest);
  for (double share : {0.002, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0}) ceilings.push_back(highest + share * range);
  const Eigen::Index rows = sample.y.size();
  Transformed t{Eigen::MatrixXd::Ones(rows, 2), Eigen::VectorXd(rows), Eigen::VectorXd(rows)};
  t.columns.col(1) = sample.logx.col(0);
  const auto complete = [&](const double* theta, SmallVector& at) {
    const double floor = theta[0], ceiling = theta[1], alpha = theta[2];
    for (Eigen::Index i = 0; i < rows; ++i) {
      const double above = sample.y[i] - floor, below = ceiling - sample.y[i];
      // Beyond a limit that is held: no transform, no say.
      t.z[i] = t.unit[i] = 0;
      if (!(above > 0) || !(below > 0)) continue;
      t.z[i] = std::log(above) - alpha * std::log(below);
      t.unit[i] = residual_slope(criterion, sample.y[i]) / (1 / above + alpha / below);
    }
    Eigen::VectorXd coefficient;
    const double value = regress(t, sample, criterion, coefficient);
    if (!std::isfinite(value)) return kUnlimited;
    at.resize(5);
    at << floor, ceiling, alpha, std::exp(coefficient[0]), coefficient[1];
    clamp(coordinates, at);
    return value;
  };
  constexpr size_t kMost = 12;
  return grid_minima({axis_of(coordinates[0], floors), axis_of(coordinates[1], ceilings),
                      axis_of(coordinates[2], {0.01, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.4, 2, 3, 5})},
                     complete, kMost);
}

}  // namespace

std::unique_ptr<const Form> shifted_power() {
  return std::make_unique<const ShiftedPower>();
}

std::unique_ptr<const Form> bent_power() {
  return std::make_unique<const BentPower>();
}

}  // namespace scalelaw::analysis
