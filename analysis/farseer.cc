#include <fmt/format.h>

#include "analysis/formula.h"
#include "analysis/published.h"
#include "analysis/starts.h"

namespace scalelaw::analysis {
namespace {

constexpr double kSteepest = 1.5;

/// L(N, D) = e^(a3·N^γ + b3) + e^(a2·N^β + b2)·D^−e^(a1·N^α + b1) (Li et al. 2025, "Predictable Scale: Part II,
/// Farseer", arXiv 2506.10972): a power law of the data D, whose coefficient, exponent and floor are stretched
/// exponentials of the parameters N. With a1 = a2 = 0 it is Chinchilla's, up to the shape of its floor.
///
/// Centred, a·(N^α − 1)/α + b stands for a·N^α + b: a is then the slope at N's geometric mean, which the data know
/// whatever α is, and Newton's method does not creep along the valley in which a, b and α make up for each other.
template <bool kCentred>
class Farseer : public FormulaForm<Farseer<kCentred>, 9> {
 public:
  std::string_view name() const override { return "farseer"; }
  std::string_view description() const override {
    return "L = e^(a3·N^gamma + b3) + e^(a2·N^beta + b2)·D^−e^(a1·N^alpha + b1) (Li et al. 2025, arXiv 2506.10972)";
  }
  std::vector<std::string> default_columns() const override { return {"params", "samples"}; }
  std::string_view default_objective() const override { return "huber"; }
  /// An exponent that depends on N does not commute with a change of D's unit.
  void choose_units(std::vector<double>& log_scale) const override { log_scale[1] = 0; }

  template <class T>
  T curve(const T* c, const double* logx) const {
    using std::exp;
    const auto stretched = [&](const T& a, const T& exponent, const T& b) {
      if constexpr (!kCentred) return T(a * exp(exponent * logx[0]) + b);
      const T step = exponent * logx[0];
      if (std::abs(plain(step)) < 1e-5) return T(a * logx[0] * (1 + 0.5 * step) + b);
      return T(a * expm1_of(step) / exponent + b);
    };
    const T exponent = exp(stretched(c[0], c[6], c[1]));
    return exp(stretched(c[4], c[8], c[5])) + exp(stretched(c[2], c[7], c[3]) - exponent * logx[1]);
  }

  bool has_starts() const override { return true; }
  std::vector<SmallVector> starts(const std::vector<Coordinate>& coordinates, const Sample& sample,
                                  const Criterion& criterion) const override;
  std::string formula(const double* p, const std::vector<std::string>& x) const override {
    const std::string& n = x[0];
    return fmt::format(
        "exp({:.4g}·{}^{:.4g} + {:.4g}) + exp({:.4g}·{}^{:.4g} + {:.4g})·{}^−exp({:.4g}·{}^{:.4g} + {:.4g})", p[4], n,
        p[8], p[5], p[2], n, p[7], p[3], x[1], p[0], n, p[6], p[1]);
  }

 protected:
  const std::vector<FormulaParameter>& table() const override {
    static const std::vector<double> kOffsets = even_grid(-8, 8, 33), kSlopes = even_grid(-4, 4, 33);
    static const std::vector<double> kExponents = {-1, -0.7, -0.5, -0.35, -0.2, -0.1, 0.1, 0.2, 0.35, 0.5, 0.7, 1};
    const auto slope = [](const char* name, int exponent) {
      return FormulaParameter{{name, -kUnlimited, kUnlimited, kSlopes}, false, 0, 0, exponent, -1};
    };
    const auto offset = [](const char* name) { return FormulaParameter{{name, -kUnlimited, kUnlimited, kOffsets}}; };
    const auto exponent = [](const char* name) { return FormulaParameter{{name, -kSteepest, kSteepest, kExponents}}; };
    static const std::vector<FormulaParameter> kTable = {
        slope("a1", 6), offset("b1"),      slope("a2", 7),   offset("b2"),      slope("a3", 8),
        offset("b3"),   exponent("alpha"), exponent("beta"), exponent("gamma"),
    };
    return kTable;
  }
};

/// To first order in ln N about its mean, and with D's exponent and its slope on a grid, the surface is linear in
/// floor, coefficient and their slopes. From the grid's minima, exponents of either sign are polished in centred
/// coordinates.
template <bool kCentred>
std::vector<SmallVector> Farseer<kCentred>::starts(const std::vector<Coordinate>& coordinates, const Sample& sample,
                                                   const Criterion& criterion) const {
  const Eigen::Index rows = sample.y.size();
  const auto x = sample.logx.col(0).array();
  // D in units of its geometric mean here, so that the columns have one size.
  const double scale = sample.logx.col(1).mean();
  const Eigen::ArrayXd log_d = sample.logx.col(1).array() - scale;
  Transformed plane{Eigen::MatrixXd::Ones(rows, 4), sample.y, Eigen::VectorXd(rows)};
  plane.columns.col(1) = x;
  for (Eigen::Index i = 0; i < rows; ++i) plane.unit[i] = residual_slope(criterion, sample.y[i]);
  const double least = 1e-3 * sample.y.mean();
  const auto complete = [&](const double* theta, SmallVector& start) {
    const double exponent = theta[0], slope = theta[1];
    const Eigen::ArrayXd exponents = exponent * (slope * x).exp();
    plane.columns.col(2) = (-exponents * log_d).exp();
    plane.columns.col(3) = plane.columns.col(2).array() * x;
    Eigen::VectorXd c;
    const double value = regress(plane, sample, criterion, c);
    if (!std::isfinite(value)) return value;
    const double floor = std::max(c[0], least), coefficient = std::max(c[2], least);
    start.resize(9);
    start << slope, std::log(exponent), c[3] / coefficient + exponent * slope * scale,
        std::log(coefficient) + exponent * scale, c[1] / floor, std::log(floor), 0, 0, 0;
    return value;
  };
  const Farseer<true> centred;
  std::vector<SmallVector> result;
  // Not quite no slope: its exponent would have no effect, and the search no direction.
  for (SmallVector start : grid_minima(
           {{0.05, 0.08, 0.13, 0.2, 0.32, 0.5, 0.8, 1.3}, {-0.15, -0.08, -0.03, 0.03, 0.08, 0.15}}, complete, 3))
    for (double alpha : axis_of(coordinates[6], {-0.3, 0.3}))
      for (double beta : axis_of(coordinates[7], {-0.3, 0.3}))
        for (double gamma : axis_of(coordinates[8], {-0.3, 0.3})) {
          start.tail(3) << alpha, beta, gamma;
          SmallVector at = polish(centred, sample, criterion, start).coordinates;
          for (int part = 0; part < 3; ++part) {
            double& bend = at[6 + part];
            // Without any bend, the other coordinates' amplitudes would be infinite.
            if (std::abs(bend) < 1e-4) bend = std::copysign(1e-4, bend);
            at[2 * part] /= bend;
            at[2 * part + 1] -= at[2 * part];
          }
          clamp(coordinates, at);
          result.push_back(at);
        }
  return result;
}

}  // namespace

std::unique_ptr<const Form> farseer() {
  return std::make_unique<const Farseer<false>>();
}

}  // namespace scalelaw::analysis
