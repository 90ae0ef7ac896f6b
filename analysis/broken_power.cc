#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "analysis/formula.h"
#include "analysis/published.h"
#include "analysis/starts.h"

namespace scalelaw::analysis {
namespace {

/// Where a break may lie beyond the points, in e-folds.
constexpr double kBelow = 0.5, kAbove = 2;
constexpr double kSharpest = 0.02, kSmoothest = 5, kSteepest = 8;

/// y = a + b·x^−c0·Π_i (1 + (x/d_i)^(1/f_i))^(−c_i·f_i), i = 1 … k (Caballero et al. 2023, Broken neural scaling laws,
/// arXiv 2210.14891, eq. 1): power laws above the limit a, with slope −(c0 + … + c_i) between the breaks d_i and
/// d_(i+1) in log–log, bent over about f_i e-folds.
template <int kBreaks>
class BrokenPower : public FormulaForm<BrokenPower<kBreaks>, 3 + 3 * kBreaks> {
  using Base = FormulaForm<BrokenPower, 3 + 3 * kBreaks>;
  static constexpr int kSize = 3 + 3 * kBreaks;

 public:
  std::string_view name() const override {
    constexpr std::array<std::string_view, 3> kNames = {"broken-power", "broken-power-2", "broken-power-3"};
    return kNames[kBreaks - 1];
  }
  std::string_view description() const override {
    constexpr std::array<std::string_view, 3> kTexts = {
        "y = a + b·x^−c0·(1 + (x/d1)^(1/f1))^(−c1·f1): one break (Caballero et al. 2023, arXiv 2210.14891)",
        "y = a + b·x^−c0·Π_i (1 + (x/d_i)^(1/f_i))^(−c_i·f_i): two breaks (Caballero et al. 2023, arXiv 2210.14891)",
        "y = a + b·x^−c0·Π_i (1 + (x/d_i)^(1/f_i))^(−c_i·f_i): three breaks (Caballero et al. 2023, arXiv 2210.14891)"};
    return kTexts[kBreaks - 1];
  }
  std::vector<std::string> default_columns() const override { return {"flops"}; }

  std::vector<Coordinate> coordinates(const Eigen::MatrixXd& logx) const override {
    std::vector<Coordinate> result = Base::coordinates(logx);
    for (int i = 0; i < kBreaks; ++i) {
      Coordinate& d = result[4 + 3 * i];
      d.low = logx.col(0).minCoeff() - kBelow;
      d.high = logx.col(0).maxCoeff() + kAbove;
      d.grid = even_grid(d.low, d.high, 30);
    }
    return result;
  }

  template <class T>
  T curve(const T* c, const double* logx) const {
    using std::exp;
    T log_power = -(c[2] * logx[0]);
    for (int i = 0; i < kBreaks; ++i) {
      const T &slope = c[3 + 3 * i], &place = c[4 + 3 * i];
      const T width = exp(c[5 + 3 * i]);
      log_power = log_power - slope * width * softplus((logx[0] - place) / width);
    }
    return c[0] + c[1] * exp(log_power);
  }

  /// The breaks by where they are, so that one curve has one name.
  void make_canonical(SmallVector& c) const override {
    std::array<std::array<double, 3>, kBreaks> breaks;
    for (int i = 0; i < kBreaks; ++i) breaks[i] = {c[4 + 3 * i], c[3 + 3 * i], c[5 + 3 * i]};
    std::sort(breaks.begin(), breaks.end());
    for (int i = 0; i < kBreaks; ++i) {
      c[4 + 3 * i] = breaks[i][0];
      c[3 + 3 * i] = breaks[i][1];
      c[5 + 3 * i] = breaks[i][2];
    }
  }

  bool has_starts() const override { return true; }
  std::vector<SmallVector> starts(const std::vector<Coordinate>& coordinates, const Sample& sample,
                                  const Criterion& criterion) const override;

  std::string formula(const double* p, const std::vector<std::string>& x) const override {
    std::string text = fmt::format("{:.4g} + {:.4g}·{}^{:.4g}", p[0], p[1], x[0], -p[2]);
    for (int i = 0; i < kBreaks; ++i) {
      const double* b = p + 3 + 3 * i;
      text += fmt::format("·(1 + ({}/{:.4g})^{:.4g})^{:.4g}", x[0], b[1], 1 / b[2], -b[0] * b[2]);
    }
    return text;
  }

 protected:
  const std::vector<FormulaParameter>& table() const override {
    static const std::vector<FormulaParameter> kTable = [] {
      std::vector<FormulaParameter> table = {
          {{"a", 0, kUnlimited, {}}},
          {{"b", 0, kUnlimited, {}}, false, 0, 0, 2, 1},
          {{"c0", -kSteepest, kSteepest, even_grid(-2, 2, 41)}},
      };
      for (int i = 1; i <= kBreaks; ++i) {
        table.push_back({{fmt::format("c{}", i), -kSteepest, kSteepest, even_grid(-2, 2, 41)}});
        table.push_back({{fmt::format("d{}", i), -40, 40, even_grid(-40, 40, 30)}, true, 0, 1});
        const double sharp = std::log(kSharpest), smooth = std::log(kSmoothest);
        table.push_back({{fmt::format("f{}", i), sharp, smooth, even_grid(sharp, smooth, 12)}, true});
      }
      return table;
    }();
    return kTable;
  }

 private:
  class Regression;
  static std::vector<SmallVector> with_one_less(const Sample& sample, const Criterion& criterion);
};

/// With the limit a and all places and widths given, ln(y − a) is linear in ln b and the slopes. `Regression` is that
/// fit, kept from one set of breaks to the next.
template <int kBreaks>
class BrokenPower<kBreaks>::Regression {
 public:
  Regression(const std::vector<Coordinate>& coordinates, const Sample& sample, const Criterion& criterion)
      : coordinates_(coordinates), sample_(sample), criterion_(criterion) {
    const Eigen::Index rows = sample.y.size();
    t_ = {Eigen::MatrixXd(rows, 2 + kBreaks), Eigen::VectorXd(rows), Eigen::VectorXd(rows)};
    t_.columns.col(0).setOnes();
    t_.columns.col(1) = -sample.logx.col(0);
  }
  void put_limit(double limit) {
    limit_ = limit;
    t_.z = (sample_.y.array() - limit).log();
    for (Eigen::Index r = 0; r < sample_.y.size(); ++r)
      t_.unit[r] = residual_slope(criterion_, sample_.y[r]) * (sample_.y[r] - limit);
  }
  void put_break(int i, double place, double log_width) {
    place_[i] = place;
    log_width_[i] = log_width;
    const double width = std::exp(log_width);
    for (Eigen::Index r = 0; r < sample_.y.size(); ++r)
      t_.columns(r, 2 + i) = -width * softplus((sample_.logx(r, 0) - place) / width);
  }
  /// The criterion to first order, and the coordinates.
  double solve(SmallVector& out) {
    Eigen::VectorXd coefficient;
    const double value = regress(t_, sample_, criterion_, coefficient);
    if (!std::isfinite(value)) return kUnlimited;
    out.resize(kSize);
    out[0] = limit_;
    out[1] = std::exp(coefficient[0]);
    out[2] = coefficient[1];
    for (int i = 0; i < kBreaks; ++i) {
      out[3 + 3 * i] = coefficient[2 + i];
      out[4 + 3 * i] = place_[i];
      out[5 + 3 * i] = log_width_[i];
    }
    clamp(coordinates_, out);
    return value;
  }

 private:
  const std::vector<Coordinate>& coordinates_;
  const Sample& sample_;
  const Criterion& criterion_;
  Transformed t_;
  double limit_ = 0;
  std::array<double, kBreaks> place_{}, log_width_{};
};

/// One break more than the best curves with one less, wherever on a grid; and all breaks anew on a coarser one.
template <int kBreaks>
std::vector<SmallVector> BrokenPower<kBreaks>::starts(const std::vector<Coordinate>& coordinates, const Sample& sample,
                                                      const Criterion& criterion) const {
  if (!(sample.y.minCoeff() > 0)) return {};
  constexpr size_t kMost = 6;
  const double lowest = sample.y.minCoeff();
  const double first = sample.logx.col(0).minCoeff(), last = sample.logx.col(0).maxCoeff() + kAbove / 2;
  std::vector<double> limits;
  for (double share : {0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995}) limits.push_back(share * lowest);
  limits = axis_of(coordinates[0], limits);
  Regression regression(coordinates, sample, criterion);

  std::vector<SmallVector> result;
  for (const SmallVector& base : with_one_less(sample, criterion)) {
    constexpr int kAdded = kBreaks - 1;
    for (int i = 0; i < kAdded; ++i) regression.put_break(i, base[4 + 3 * i], base[5 + 3 * i]);
    const auto complete = [&](const double* theta, SmallVector& out) {
      regression.put_limit(theta[0]);
      regression.put_break(kAdded, theta[1], theta[2]);
      return regression.solve(out);
    };
    const std::vector<SmallVector> minima = grid_minima(
        {limits, even_grid(first, last, 14), {std::log(0.05), std::log(0.25), std::log(1.0)}}, complete, kMost);
    result.insert(result.end(), minima.begin(), minima.end());
    // No worse than with one break less.
    SmallVector same(kSize);
    same << base, 0, (first + last) / 2, std::log(0.25);
    clamp(coordinates, same);
    result.push_back(same);
  }
  if constexpr (kBreaks > 1) {
    std::vector<std::vector<double>> axes = {limits, {std::log(0.1), std::log(0.5)}};
    for (int i = 0; i < kBreaks; ++i) axes.push_back(even_grid(first, last, kBreaks == 2 ? 14 : 10));
    const auto complete = [&](const double* theta, SmallVector& out) {
      for (int i = 0; i < kBreaks; ++i) {
        if (i > 0 && theta[2 + i] <= theta[1 + i]) return kUnlimited;
        regression.put_break(i, theta[2 + i], theta[1]);
      }
      regression.put_limit(theta[0]);
      return regression.solve(out);
    };
    const std::vector<SmallVector> minima = grid_minima(axes, complete, kMost);
    result.insert(result.end(), minima.begin(), minima.end());
  }
  return result;
}

/// The best curves with one break less, at most two.
template <int kBreaks>
std::vector<SmallVector> BrokenPower<kBreaks>::with_one_less(const Sample& sample, const Criterion& criterion) {
  std::vector<SmallVector> fewer;
  if constexpr (kBreaks == 1) {
    for (const Optimum& optimum : minimise(*make_form("power-floor", {}), sample, criterion))
      fewer.push_back(optimum.coordinates);
    // A curve that rises has no floor.
    for (const Optimum& optimum : minimise(*make_form("power", {}), sample, criterion))
      fewer.push_back(SmallVector{{0, optimum.coordinates[0], -optimum.coordinates[1]}});
  } else {
    for (const Optimum& optimum : minimise(BrokenPower<kBreaks - 1>(), sample, criterion))
      fewer.push_back(optimum.coordinates);
  }
  if (fewer.size() > 2) fewer.resize(2);
  return fewer;
}

}  // namespace

std::unique_ptr<const Form> broken_power(int breaks) {
  if (breaks == 1) return std::make_unique<const BrokenPower<1>>();
  if (breaks == 2) return std::make_unique<const BrokenPower<2>>();
  return std::make_unique<const BrokenPower<3>>();
}

}  // namespace scalelaw::analysis
