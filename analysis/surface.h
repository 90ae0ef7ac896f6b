// A law as a surface over size and data, with what training costs: what optimal() and compare() search.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/form.h"
#include "analysis/law.h"

namespace scalelaw::analysis {

/// Training compute C = factor·N^exponent·D, FLOPs. The default is 6·N·D (Kaplan et al. 2020, section 2.1), where D
/// counts tokens; where a sample is an image, or embeddings and attention count, fit it: `fit_training_cost`.
struct TrainingCost {
  double factor = 6;
  double exponent = 1;

  /// FLOPs per training sample.
  double per_sample(double params) const { return factor * std::pow(params, exponent); }
};

/// Least squares of ln(flops/samples) on ln params over the observations that have all three.
/// Errors: FAILED_PRECONDITION where they have fewer than two sizes.
absl::StatusOr<TrainingCost> fit_training_cost(const std::vector<Observation>& observations);

struct SurfaceOptions {
  TrainingCost cost;
  /// What a column stands for, by its name: `params`, `samples`, `flops` (training compute) or `samples_per_param`.
  /// Columns of these names need no entry, nor do the usual ones for them: N; D, tokens, images; C; tokens_per_param,
  /// M.
  std::map<std::string, std::string> columns;
  /// Values at which the law's other columns are held: the unique samples of a law with repeats.
  std::map<std::string, double> at;
};

class Surface {
 public:
  /// Errors: INVALID_ARGUMENT naming the column: unknown meaning, another column without a value in `at`, a cost that
  /// is not positive, or a law whose columns do not tell size from data.
  static absl::StatusOr<Surface> make(const Law& law, const SurfaceOptions& options);

  /// The law's curve for a model of `params` trained on `samples`; `parameters` are the law's or a draw's.
  double value(const std::vector<double>& parameters, double params, double samples) const {
    return value(parameters, params, samples, cost_.per_sample(params) * samples);
  }
  /// As above, where training takes so many FLOPs.
  double value(const std::vector<double>& parameters, double params, double samples, double flops) const;

  /// Whether a metric falls as models improve: from how the law's curve runs over the range that it was fitted to.
  bool lower_is_better() const { return sign_ > 0; }
  /// `value` turned so that less is better; infinite where the curve has no value.
  double badness(const std::vector<double>& parameters, double params, double samples, double flops) const;
  double sign() const { return sign_; }

  const TrainingCost& cost() const { return cost_; }
  /// The law's columns at a size and its data, for `predict`.
  std::map<std::string, double> columns_at(double params, double samples, double flops) const;
  /// Training FLOPs of the point that has these columns.
  double flops_of(const std::vector<double>& x) const;

 private:
  enum class Meaning { kParams, kSamples, kFlops, kSamplesPerParam, kHeld };
  struct Column {
    std::string name;
    Meaning meaning = Meaning::kHeld;
    double held = 0;
  };
  double column_value(const Column& column, double params, double samples, double flops) const;

  std::shared_ptr<const Form> form_;
  std::vector<Column> columns_;
  TrainingCost cost_;
  double sign_ = 1;
};

}  // namespace scalelaw::analysis
