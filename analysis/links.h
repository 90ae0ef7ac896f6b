// From a loss to what it is good for: curves of one column, `loss`. As the second half of a chain (chain.h) they make
// laws of a score from laws of a loss.
#pragma once

#include <fmt/format.h>

#include <algorithm>

#include "analysis/formula.h"

namespace scalelaw::analysis {

/// score = lower + (upper − lower)/(1 + exp((L − L0)/s)): accuracy against loss (Dubey et al. 2024, arXiv 2407.21783,
/// section 3.2.1; Bhagia et al. 2024, arXiv 2412.04403, eq. 2). s > 0: the score nears `lower` where the loss is high.
class Sigmoid : public FormulaForm<Sigmoid, 4> {
 public:
  std::string_view name() const override { return "sigmoid"; }
  std::string_view description() const override {
    return "score = lower + (upper − lower)/(1 + exp((L − L0)/s)) (Dubey et al. 2024, Bhagia et al. 2024)";
  }
  std::vector<std::string> default_columns() const override { return {"loss"}; }
  std::string_view default_residual() const override { return "raw"; }

  std::vector<Coordinate> coordinates(const Eigen::MatrixXd& logx) const override {
    std::vector<Coordinate> result = FormulaForm::coordinates(logx);
    const double low = std::exp(logx.col(0).minCoeff()), high = std::exp(logx.col(0).maxCoeff());
    const double range = std::max(high - low, 1e-6);
    result[2].low = low - range;
    result[2].high = high + range;
    result[2].grid = even_grid(result[2].low, result[2].high, 49);
    result[3].low = std::log(range / 200);
    result[3].high = std::log(range * 5);
    result[3].grid = even_grid(result[3].low, result[3].high, 25);
    return result;
  }

  /// X: the logarithm of the loss, a number or a jet like the coordinates.
  template <class T, class X>
  T curve(const T* c, const X* logx) const {
    using std::exp;
    const T z = (exp(logx[0]) - c[2]) / exp(c[3]);
    const T high = exp(-softplus(z)), low = exp(-softplus(-z));
    return c[0] * low + c[1] * high;
  }

  std::string formula(const double* p, const std::vector<std::string>& x) const override {
    return fmt::format("{:.4g} + {:.4g}/(1 + exp(({} − {:.4g})/{:.4g}))", p[0], p[1] - p[0], x[0], p[2], p[3]);
  }

 protected:
  const std::vector<FormulaParameter>& table() const override {
    static const std::vector<FormulaParameter> kTable = {
        {{"lower", 0, kUnlimited, {}}},
        {{"upper", 0, kUnlimited, {}}},
        {{"L0", -10, 10, even_grid(-10, 10, 49)}, false, 0, 1},
        {{"s", -6, 3, even_grid(-6, 3, 25)}, true, 0, 1},
    };
    return kTable;
  }
};

/// err = ε − k·exp(−γ·L) (Gadre et al. 2024, arXiv 2403.08540, eq. 5): average top-1 error against loss; for a score,
/// which rises as the loss falls, k < 0.
class Exponential : public FormulaForm<Exponential, 3> {
 public:
  std::string_view name() const override { return "exponential"; }
  std::string_view description() const override { return "err = eps − k·exp(−gamma·L) (Gadre et al. 2024, eq. 5)"; }
  std::vector<std::string> default_columns() const override { return {"loss"}; }
  std::string_view default_residual() const override { return "raw"; }

  template <class T, class X>
  T curve(const T* c, const X* logx) const {
    using std::exp;
    return c[0] - c[1] * exp(-(exp(c[2]) * exp(logx[0])));
  }

  std::string formula(const double* p, const std::vector<std::string>& x) const override {
    return fmt::format("{:.4g} − {:.4g}·exp(−{:.4g}·{})", p[0], p[1], p[2], x[0]);
  }

 protected:
  const std::vector<FormulaParameter>& table() const override {
    static const std::vector<double> kRates = even_grid(std::log(0.01), std::log(50), 80);
    static const std::vector<FormulaParameter> kTable = {
        {{"eps", -kUnlimited, kUnlimited, {}}},
        {{"k", -kUnlimited, kUnlimited, {}}},
        {{"gamma", kRates.front(), kRates.back(), kRates}, true, 0, -1},
    };
    return kTable;
  }
};

}  // namespace scalelaw::analysis
