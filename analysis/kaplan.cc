#include <fmt/format.h>

#include "analysis/formula.h"
#include "analysis/published.h"
#include "analysis/starts.h"
#include "analysis/sum_of_powers.h"

namespace scalelaw::analysis {
namespace {

/// L(N, D) = ((N_c/N)^(α_N/α_D) + D_c/D)^α_D (Kaplan et al. 2020, arXiv 2001.08361, eq. 1.5), in nats per token;
/// N: parameters without embeddings, D: tokens, N_c and D_c in the same units.
class Kaplan : public FormulaForm<Kaplan, 4> {
 public:
  std::string_view name() const override { return "kaplan"; }
  std::string_view description() const override {
    return "L = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D (Kaplan et al. 2020, eq. 1.5)";
  }
  std::vector<std::string> default_columns() const override { return {"params", "samples"}; }
  std::string_view default_objective() const override { return "huber"; }

  template <class T>
  T curve(const T* c, const double* logx) const {
    using std::exp;
    // ln(e^p + e^q) = q + softplus(p − q).
    const T size = (c[2] / c[3]) * (c[0] - logx[0]), data = c[1] - logx[1];
    return exp(c[3] * (data + softplus(size - data)));
  }

  bool has_starts() const override { return true; }
  std::vector<SmallVector> starts(const std::vector<Coordinate>& coordinates, const Sample& sample,
                                  const Criterion& criterion) const override;
  std::string formula(const double* p, const std::vector<std::string>& x) const override {
    return fmt::format("(({:.4g}/{})^{:.4g} + {:.4g}/{})^{:.4g}", p[0], x[0], p[2] / p[3], p[1], x[1], p[3]);
  }

 protected:
  const std::vector<FormulaParameter>& table() const override {
    static const std::vector<FormulaParameter> kTable = {
        {{"N_c", -300, 300, even_grid(-60, 60, 61)}, true, 0, 1},
        {{"D_c", -300, 300, even_grid(-60, 60, 61)}, true, 1, 1},
        {{"alpha_N", 0.005, 2, geometric_grid(0.01, 1.5, 24)}},
        {{"alpha_D", 0.005, 2, geometric_grid(0.01, 1.5, 24)}},
    };
    return kTable;
  }
};

/// At given exponents, L^(1/α_D) is linear in N_c^(α_N/α_D) and D_c.
std::vector<SmallVector> Kaplan::starts(const std::vector<Coordinate>& coordinates, const Sample& sample,
                                        const Criterion& criterion) const {
  const Eigen::Index rows = sample.y.size();
  if (!(sample.y.minCoeff() > 0)) return {};
  const double unit = sample.y.array().log().mean();
  Transformed t{Eigen::MatrixXd(rows, 2), Eigen::VectorXd(rows), Eigen::VectorXd(rows)};
  const auto complete = [&](const double* theta, SmallVector& at) {
    const double alpha_n = theta[0], alpha_d = theta[1];
    for (Eigen::Index i = 0; i < rows; ++i) {
      t.columns(i, 0) = std::exp(-alpha_n / alpha_d * sample.logx(i, 0));
      t.columns(i, 1) = std::exp(-sample.logx(i, 1));
      t.z[i] = std::exp((std::log(sample.y[i]) - unit) / alpha_d);
      t.unit[i] = residual_slope(criterion, sample.y[i]) * alpha_d * sample.y[i] / t.z[i];
    }
    Eigen::VectorXd coefficient;
    const double value = regress(t, sample, criterion, coefficient);
    if (!std::isfinite(value)) return kUnlimited;
    coefficient = coefficient.cwiseMax(1e-8);
    at.resize(4);
    at << (std::log(coefficient[0]) + unit / alpha_d) * alpha_d / alpha_n, std::log(coefficient[1]) + unit / alpha_d,
        alpha_n, alpha_d;
    clamp(coordinates, at);
    return value;
  };
  constexpr size_t kMost = 8;
  return grid_minima(
      {axis_of(coordinates[2], geometric_grid(0.02, 1.2, 20)), axis_of(coordinates[3], geometric_grid(0.02, 1.2, 20))},
      complete, kMost);
}

}  // namespace

std::unique_ptr<const Form> kaplan() {
  return std::make_unique<const Kaplan>();
}

}  // namespace scalelaw::analysis
