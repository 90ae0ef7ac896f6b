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
class Farseer : public FormulaForm<Farseer, 9> {
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
    const auto stretched = [&](const T& a, const T& exponent, const T& b) { return a * exp(exponent * logx[0]) + b; };
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

/// The best Chinchilla surface in this form's coordinates (its floor and size term as one stretched exponential),
/// with exponents of either sign for the dependences on N that it lacks.
std::vector<SmallVector> Farseer::starts(const std::vector<Coordinate>& coordinates, const Sample& sample,
                                         const Criterion& criterion) const {
  const std::vector<Optimum> surfaces = minimise(*make_form("chinchilla", {}), sample, criterion);
  if (surfaces.empty()) return {};
  const SmallVector& s = surfaces.front().coordinates;
  const Eigen::Index rows = sample.y.size();
  Transformed floor{Eigen::MatrixXd::Ones(rows, 2), Eigen::VectorXd(rows), Eigen::VectorXd(rows)};
  std::vector<SmallVector> result;
  for (double gamma : axis_of(coordinates[8], {-s[3], 0.15})) {
    for (Eigen::Index i = 0; i < rows; ++i) {
      floor.columns(i, 0) = std::exp(gamma * sample.logx(i, 0));
      floor.z[i] = std::log(s[0] + s[1] * std::exp(-s[3] * sample.logx(i, 0)) + 1e-12);
      floor.unit[i] = residual_slope(criterion, sample.y[i]) * std::exp(floor.z[i]);
    }
    Eigen::VectorXd coefficient;
    if (!std::isfinite(regress(floor, sample, criterion, coefficient))) continue;
    for (double alpha : axis_of(coordinates[6], {-0.3, 0.3}))
      for (double beta : axis_of(coordinates[7], {-0.3, 0.3})) {
        SmallVector start(9);
        // Not quite none: where a dependence has no size, its exponent has no effect and the search no direction.
        constexpr double kLittle = 0.02;
        start << kLittle, std::log(s[4]), kLittle, std::log(std::max(s[2], 1e-12)), coefficient, alpha, beta, gamma;
        clamp(coordinates, start);
        result.push_back(start);
      }
  }
  return result;
}

}  // namespace

std::unique_ptr<const Form> farseer() {
  return std::make_unique<const Farseer>();
}

}  // namespace scalelaw::analysis
