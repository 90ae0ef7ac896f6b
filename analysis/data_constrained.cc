#include <fmt/format.h>

#include "analysis/formula.h"
#include "analysis/pinned.h"
#include "analysis/published.h"
#include "analysis/starts.h"
#include "analysis/sum_of_powers.h"

namespace scalelaw::analysis {
namespace {

constexpr double kLeastRepeats = 0.05, kMostRepeats = 1e5;

/// L(N, D, U) = E + A·N'^−α + B·D'^−β (Muennighoff et al. 2023, arXiv 2305.16264, eqs. 5 and 6 and appendix A): what
/// repeated data and excess parameters are still worth. D: tokens seen, U: unique tokens among them, N: parameters.
///   D' = U + U·R_D·(1 − e^(−R/R_D)),        R = D/U − 1 repetitions
///   N' = U_N + U_N·R_N·(1 − e^(−R'/R_N)),   R' = N/U_N − 1, U_N = min(N, N_opt(U))
///   N_opt(U) = (αA/(βB))^(1/α)·U^(β/α)      the size that is compute-optimal for U unique tokens
/// The paper fits E, A, B, α, β to runs without repeats (D ≤ U) first, and R_D, R_N to all runs with these fixed:
/// `FitOptions::fixed` does that. With nothing fixed, all seven are fitted together, starting from that estimate.
class DataConstrained : public FormulaForm<DataConstrained, 7> {
 public:
  std::string_view name() const override { return "data-constrained"; }
  std::string_view description() const override {
    return "L = E + A·N'^−alpha + B·D'^−beta, D' = U + U·R_D·(1 − exp(−(D/U − 1)/R_D)), N' likewise with R_N beyond "
           "the size that is optimal for U unique samples (Muennighoff et al. 2023)";
  }
  std::vector<std::string> default_columns() const override { return {"params", "samples", "unique_samples"}; }
  std::string_view default_objective() const override { return "huber"; }
  /// D and U are compared, so they share a unit.
  void choose_units(std::vector<double>& log_scale) const override { log_scale[2] = log_scale[1]; }

  template <class T>
  T curve(const T* c, const double* logx) const {
    using std::exp, std::log;
    const T &floor = c[0], &a = c[1], &b = c[2], &alpha = c[3], &beta = c[4];
    const double log_unique = std::min(logx[1], logx[2]);
    const double repeats = std::expm1(logx[1] - log_unique);
    const T r_d = exp(c[5]), r_n = exp(c[6]);
    const T log_data = log_unique + log1p_of(-(r_d * expm1_of(-repeats / r_d)));
    const T log_optimal = (log(alpha * a) - log(beta * b) + beta * log_unique) / alpha;
    T log_size = logx[0];
    if (logx[0] > plain(log_optimal)) {
      const T excess = expm1_of(logx[0] - log_optimal);
      log_size = log_optimal + log1p_of(-(r_n * expm1_of(-excess / r_n)));
    }
    return floor + a * exp(-(alpha * log_size)) + b * exp(-(beta * log_data));
  }

  bool has_starts() const override { return true; }
  std::vector<SmallVector> starts(const std::vector<Coordinate>& coordinates, const Sample& sample,
                                  const Criterion& criterion) const override;
  std::string formula(const double* p, const std::vector<std::string>& x) const override {
    return fmt::format("{:.4g} + {:.4g}·N'^−{:.4g} + {:.4g}·D'^−{:.4g}, R_D = {:.4g}, R_N = {:.4g}, N' of {}, D' of {}",
                       p[0], p[1], p[3], p[2], p[4], p[5], p[6], x[0], x[1]);
  }

 protected:
  const std::vector<FormulaParameter>& table() const override {
    const double least = std::log(kLeastRepeats), most = std::log(kMostRepeats);
    static const std::vector<FormulaParameter> kTable = {
        {{"E", 0, kUnlimited, {}}},
        {{"A", 1e-12, kUnlimited, geometric_grid(1e-3, 1e3, 40)}, false, 0, 0, 3, 1},
        {{"B", 1e-12, kUnlimited, geometric_grid(1e-3, 1e3, 40)}, false, 1, 0, 4, 1},
        {{"alpha", 0.02, 3, geometric_grid(0.02, 3, 20)}},
        {{"beta", 0.02, 3, geometric_grid(0.02, 3, 20)}},
        {{"R_D", least, most, even_grid(least, most, 75)}, true},
        {{"R_N", least, most, even_grid(least, most, 25)}, true},
    };
    return kTable;
  }
};

Sample rows_without_repeats(const Sample& sample) {
  std::vector<Eigen::Index> rows;
  for (Eigen::Index i = 0; i < sample.y.size(); ++i)
    if (sample.logx(i, 1) <= sample.logx(i, 2) + 1e-9) rows.push_back(i);
  return {sample.logx(rows, Eigen::seqN(0, 2)), sample.y(rows), sample.weight(rows)};
}

/// Whether there is a surface to be fitted: more rows than its parameters, several sizes, several amounts of data.
bool carries_a_surface(const Sample& sample) {
  const auto varies = [&](Eigen::Index column) {
    return sample.logx.col(column).maxCoeff() > sample.logx.col(column).minCoeff() + 1e-9;
  };
  return sample.y.size() > 5 && varies(0) && varies(1);
}

/// The paper's two stages; their minima are polished together afterwards.
std::vector<SmallVector> DataConstrained::starts(const std::vector<Coordinate>&, const Sample& sample,
                                                 const Criterion& criterion) const {
  const auto surface = make_form("chinchilla", {});
  Sample first = rows_without_repeats(sample);
  if (!carries_a_surface(first)) first = {sample.logx.leftCols(2), sample.y, sample.weight};
  constexpr size_t kMostSurfaces = 2;
  std::vector<SmallVector> result;
  const std::vector<Optimum> surfaces = minimise(*surface, first, criterion);
  for (size_t s = 0; s < std::min(kMostSurfaces, surfaces.size()); ++s) {
    const SmallVector& five = surfaces[s].coordinates;
    const std::map<std::string, double> fixed = {{"E", five[0]},
                                                 {"A", std::max(five[1], 1e-9)},
                                                 {"B", std::max(five[2], 1e-9)},
                                                 {"alpha", five[3]},
                                                 {"beta", five[4]}};
    const auto pinned = Pinned::make(std::make_unique<const DataConstrained>(), fixed, {0, 0, 0});
    for (const Optimum& repeats : minimise(**pinned, sample, criterion)) {
      SmallVector start(7);
      start << five, repeats.coordinates;
      result.push_back(start);
    }
  }
  return result;
}

}  // namespace

std::unique_ptr<const Form> data_constrained() {
  return std::make_unique<const DataConstrained>();
}

}  // namespace scalelaw::analysis
