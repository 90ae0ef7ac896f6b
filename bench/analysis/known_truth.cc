#include "bench/analysis/known_truth.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "analysis/chain.h"
#include "analysis/form.h"

namespace scalelaw::analysis {
namespace {

/// Every combination of the axes.
std::vector<std::vector<double>> grid(const std::vector<std::vector<double>>& axes) {
  std::vector<std::vector<double>> points = {{}};
  for (const std::vector<double>& values : axes) {
    std::vector<std::vector<double>> longer;
    for (const std::vector<double>& point : points)
      for (double value : values) {
        longer.push_back(point);
        longer.back().push_back(value);
      }
    points = std::move(longer);
  }
  return points;
}

/// What a known truth means: how it is run, measured and fitted.
class Laboratory {
 public:
  explicit Laboratory(const KnownTruth& study)
      : study_(study),
        halves_(split_chain(study.form)),
        form_(make(halves_.loss)),
        link_(halves_.link.empty() ? nullptr : make(halves_.link)),
        columns_(form_->default_columns()),
        parameters_((link_ ? *make(study.form) : *form_).parameter_names()) {}

  const std::vector<std::string>& columns() const { return columns_; }
  const std::vector<std::string>& parameters() const { return parameters_; }

  FitOptions options() const {
    FitOptions result;
    result.form = study_.form;
    result.points = "all";
    result.objective = study_.objective;
    if (form_->bounded()) {
      result.chance = KnownTruth::kChance;
      result.ceiling = KnownTruth::kCeiling;
    }
    for (const std::string& name : study_.known) {
      const auto j = std::find(parameters_.begin(), parameters_.end(), name) - parameters_.begin();
      result.fixed[name] = study_.parameters[static_cast<size_t>(j)];
    }
    return result;
  }

  /// Of a run at x, what the law predicts; `loss` is set where the form is a chain.
  double measure(const std::vector<double>& x, Random& random, double* loss = nullptr) const {
    const double curve = form_->value(study_.parameters.data(), x.data());
    const double noise = study_.noise * random.normal();
    const double first = form_->default_residual() == "raw" ? curve + noise : curve * std::exp(noise);
    if (!link_) return first;
    if (loss) *loss = first;
    const double* parameters = study_.parameters.data() + form_->parameter_names().size();
    return link_->value(parameters, &first) + study_.score_noise * random.normal();
  }

  struct Runs {
    std::vector<Observation> losses, values;
  };
  Runs run(Random& random) const {
    Runs runs;
    for (const std::vector<double>& x : grid(study_.axes)) {
      Observation o;
      o.run = std::to_string(runs.values.size());
      for (size_t c = 0; c < x.size(); ++c) {
        if (columns_[c] == "flops")
          o.flops = x[c];
        else if (columns_[c] == "params")
          o.params = x[c];
        else if (columns_[c] == "samples")
          o.samples = x[c];
        else
          o.columns[columns_[c]] = x[c];
      }
      if (o.columns.contains("unique_samples") && o.columns["unique_samples"] > o.samples * 1.001) continue;
      double loss = 0;
      o.value = measure(x, random, &loss);
      runs.values.push_back(o);
      o.value = loss;
      if (link_) runs.losses.push_back(std::move(o));
    }
    return runs;
  }

  absl::StatusOr<Law> fit_law(const Runs& runs, const FitOptions& options) const {
    return link_ ? fit_chain(runs.losses, runs.values, options) : fit(runs.values, options);
  }

 private:
  static std::unique_ptr<const Form> make(const std::string& name) {
    return make_form(name, {KnownTruth::kChance, KnownTruth::kCeiling});
  }

  const KnownTruth& study_;
  const ChainName halves_;
  const std::unique_ptr<const Form> form_, link_;
  const std::vector<std::string> columns_, parameters_;
};

/// Warnings of one kind begin alike, but for the parameter's name and numbers.
std::string kind_of(const std::string& warning) {
  for (const char* kind : {"not identified", "only in combination", "another minimum", "the noise is not the same",
                           "beyond the last break", "bca:", "objective"})
    if (warning.find(kind) != std::string::npos) return kind;
  return warning.substr(0, 40);
}

void count(const KnownTruth& study, const Law& law, std::vector<double>& held, std::vector<double>& unidentified) {
  held.resize(law.parameters.size());
  unidentified.resize(law.parameters.size());
  for (size_t j = 0; j < law.parameters.size(); ++j) {
    const Parameter& p = law.parameters[j];
    const double truth = study.parameters[j];
    held[j] += p.fixed ? std::numeric_limits<double>::quiet_NaN() : p.ci95_low <= truth && truth <= p.ci95_high;
    unidentified[j] += !p.identified;
  }
}

}  // namespace

std::vector<double> axis(double low, double high, int count) {
  std::vector<double> values(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) values[i] = low * std::pow(high / low, static_cast<double>(i) / (count - 1));
  return values;
}

std::vector<double> KnownTruth::beyond(double factor) const {
  constexpr double kLossByCompute = -0.05;
  if (make_form(form, {})->default_columns()[0] == "loss") return {axes[0].front() * std::pow(factor, kLossByCompute)};
  std::vector<double> x;
  for (const std::vector<double>& values : axes) x.push_back(values.back() * factor);
  return x;
}

KnownTruthCoverage measure_known_truth(const KnownTruth& study, int studies, int bootstrap, int threads) {
  const Laboratory laboratory(study);
  KnownTruthCoverage coverage;
  coverage.names = laboratory.parameters();
  FitOptions options = laboratory.options();
  options.threads = threads;
  int fitted = 0;
  for (int i = 0; i < studies; ++i) {
    Random random(2025, static_cast<std::uint64_t>(i));
    const Laboratory::Runs runs = laboratory.run(random);
    options.seed = static_cast<std::uint64_t>(i);
    for (const std::string intervals : {"percentile", "bca", "profile"}) {
      options.intervals = intervals;
      options.bootstrap = intervals == "profile" ? 0 : bootstrap;
      const auto law = laboratory.fit_law(runs, options);
      if (!law.ok()) {
        ++coverage.refused;
        break;
      }
      count(study, *law, coverage.parameters[intervals], coverage.unidentified[intervals]);
      if (intervals != "percentile") continue;
      ++fitted;
      std::set<std::string> kinds;
      for (const std::string& warning : law->warnings) kinds.insert(kind_of(warning));
      for (const std::string& kind : kinds) ++coverage.warned[kind];
      for (double factor : {4.0, 10.0}) {
        const std::vector<double> x = study.beyond(factor);
        const double measured = laboratory.measure(x, random);
        std::map<std::string, double> at;
        for (size_t c = 0; c < x.size(); ++c) at[laboratory.columns()[c]] = x[c];
        const auto prediction = predict(*law, at);
        coverage.prediction95[factor] += prediction->low95 <= measured && measured <= prediction->high95;
        coverage.prediction50[factor] += prediction->low50 <= measured && measured <= prediction->high50;
      }
    }
  }
  const double n = std::max(1, fitted);
  for (auto* table : {&coverage.parameters, &coverage.unidentified})
    for (auto& [name, rates] : *table)
      for (double& rate : rates) rate /= n;
  for (auto* rates : {&coverage.prediction50, &coverage.prediction95})
    for (auto& [factor, rate] : *rates) rate /= n;
  for (auto& [kind, share] : coverage.warned) share /= n;
  return coverage;
}

}  // namespace scalelaw::analysis
