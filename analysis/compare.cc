#include "analysis/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "analysis/allocation.h"
#include "analysis/form.h"
#include "analysis/root.h"

namespace scalelaw::analysis {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
/// Points of the scan for crossings.
constexpr int kScan = 200;
constexpr double kPrecision = 1e-10;
/// How far, as a factor either way, B's compute is looked for.
constexpr double kMostMultiplier = 1e30;

/// One recipe as a curve: the best that it does with so much compute.
class Recipe {
 public:
  static absl::StatusOr<Recipe> make(const Law& law, const SurfaceOptions& options) {
    Recipe recipe;
    recipe.form_ = form_of(law);
    if (!recipe.form_)
      return absl::InvalidArgumentError(fmt::format("form: '{}' is unknown to this version", law.form));
    for (const Parameter& p : law.parameters) recipe.parameters_.push_back(p.value);
    if (law.x.size() == 1) {
      recipe.column_ = law.x[0] == "C" ? "flops" : law.x[0];
      recipe.low_ = law.ranges[0].low;
      recipe.high_ = law.ranges[0].high;
      const double low = recipe.form_->value(recipe.parameters_.data(), &recipe.low_);
      const double high = recipe.form_->value(recipe.parameters_.data(), &recipe.high_);
      recipe.sign_ = high > low ? -1 : 1;
      return recipe;
    }
    absl::StatusOr<Surface> surface = Surface::make(law, options);
    if (!surface.ok()) return surface.status();
    recipe.surface_ = std::move(*surface);
    recipe.sign_ = recipe.surface_->sign();
    recipe.column_ = "flops";
    recipe.low_ = kInfinity;
    for (const Point& point : law.points) {
      recipe.low_ = std::min(recipe.low_, recipe.surface_->flops_of(point.x));
      recipe.high_ = std::max(recipe.high_, recipe.surface_->flops_of(point.x));
    }
    return recipe;
  }

  double value(const std::vector<double>& parameters, double at) const {
    if (surface_) return best_allocation(*surface_, parameters, at, {}).value;
    return form_->value(parameters.data(), &at);
  }
  /// Less is better.
  double badness(const std::vector<double>& parameters, double at) const {
    const double value = sign_ * this->value(parameters, at);
    return std::isnan(value) ? kInfinity : value;
  }
  /// The least compute at which the curve is as good; infinite where it never is.
  double needed(const std::vector<double>& parameters, double badness, double guess) const {
    const auto excess = [&](double u) { return this->badness(parameters, std::exp(u)) - badness; };
    const double most = std::log(kMostMultiplier);
    double low = std::log(guess), high = low, step = 1;
    if (excess(low) > 0) {
      for (; !(excess(high) <= 0); step *= 2) {
        if (high > std::log(guess) + most) return kInfinity;
        low = high;
        high += step;
      }
    } else {
      for (; excess(low) <= 0; step *= 2) {
        if (low < std::log(guess) - most) return 0;
        high = low;
        low -= step;
      }
    }
    return std::exp(root(excess, low, high, kPrecision));
  }

  const std::vector<double>& parameters() const { return parameters_; }
  const std::string& column() const { return column_; }
  double sign() const { return sign_; }
  double low() const { return low_; }
  double high() const { return high_; }

 private:
  std::unique_ptr<const Form> form_;
  std::optional<Surface> surface_;
  std::vector<double> parameters_;
  std::string column_;
  double sign_ = 1;
  double low_ = 0;
  double high_ = 0;
};

/// One pair of parameter sets.
struct Pair {
  const std::vector<double>* a;
  const std::vector<double>* b;
};

/// Draws of A with draws of B. Two laws fitted with the same seed have drawn the same random numbers: the draws of
/// one are shifted, so that those that meet have nothing in common.
std::vector<Pair> pair_draws(const Law& a, const Law& b, bool paired) {
  std::vector<Pair> pairs;
  if (a.draws.empty() || b.draws.empty()) return pairs;
  const size_t count = paired ? std::min(a.draws.size(), b.draws.size()) : std::max(a.draws.size(), b.draws.size());
  const size_t shift = paired ? 0 : b.draws.size() / 2;
  for (size_t d = 0; d < count; ++d)
    pairs.push_back({&a.draws[d % a.draws.size()].parameters, &b.draws[(d + shift) % b.draws.size()].parameters});
  return pairs;
}

class Comparer {
 public:
  Comparer(const Recipe& a, const Recipe& b, std::vector<Pair> draws, const CompareOptions& options)
      : a_(a), b_(b), central_{&a.parameters(), &b.parameters()}, draws_(std::move(draws)) {
    low_ = std::log(std::min(a.low(), b.low()) / options.horizon);
    high_ = std::log(std::max(a.high(), b.high()) * options.horizon);
  }

  ComparedAt at(double x) const {
    ComparedAt result;
    result.at = x;
    std::vector<double> a_values, b_values, multipliers;
    double better = 0, unreachable = 0;
    for (const Pair& pair : draws_) {
      a_values.push_back(a_.value(*pair.a, x));
      b_values.push_back(b_.value(*pair.b, x));
      multipliers.push_back(multiplier(pair, x));
      better += a_.badness(*pair.a, x) < b_.badness(*pair.b, x);
      unreachable += std::isinf(multipliers.back());
    }
    const auto count = static_cast<double>(draws_.size());
    result.a = summarise(a_.value(*central_.a, x), std::move(a_values));
    result.b = summarise(b_.value(*central_.b, x), std::move(b_values));
    result.multiplier = summarise(multiplier(central_, x), std::move(multipliers));
    result.unreachable = draws_.empty() ? 0 : unreachable / count;
    result.a_better = draws_.empty() ? kNan : better / count;
    result.inside = inside(x) && inside(x * result.multiplier.value);
    return result;
  }

  std::vector<Crossing> crossings(double& crossing_share) const {
    std::vector<std::vector<double>> by_draw;
    double crossed = 0;
    for (const Pair& pair : draws_) {
      by_draw.push_back(crossings_of(pair));
      crossed += !by_draw.back().empty();
    }
    crossing_share = draws_.empty() ? 0 : crossed / static_cast<double>(draws_.size());
    std::vector<Crossing> result;
    for (double u : crossings_of(central_)) {
      Crossing crossing;
      std::vector<double> nearest;
      for (const std::vector<double>& found : by_draw)
        if (!found.empty())
          nearest.push_back(std::exp(*std::min_element(
              found.begin(), found.end(), [&](double x, double y) { return std::abs(x - u) < std::abs(y - u); })));
      crossing.share = crossing_share;
      crossing.at = summarise(std::exp(u), std::move(nearest));
      crossing.inside = inside(crossing.at.value);
      crossing.a_better_beyond = difference(central_, u + 1e-3) < 0;
      result.push_back(crossing);
    }
    return result;
  }

 private:
  double multiplier(const Pair& pair, double x) const {
    const double target = a_.badness(*pair.a, x);
    return std::isfinite(target) ? b_.needed(*pair.b, target, x) / x : kNan;
  }
  bool inside(double x) const {
    constexpr double kRounding = 1e-9;
    return x >= std::max(a_.low(), b_.low()) * (1 - kRounding) && x <= std::min(a_.high(), b_.high()) * (1 + kRounding);
  }
  /// Below 0 where A is better.
  double difference(const Pair& pair, double u) const {
    return a_.badness(*pair.a, std::exp(u)) - b_.badness(*pair.b, std::exp(u));
  }
  /// In logs, in ascending order.
  std::vector<double> crossings_of(const Pair& pair) const {
    const auto function = [&](double u) { return difference(pair, u); };
    std::vector<double> result;
    double before = function(low_), u_before = low_;
    for (int i = 1; i < kScan; ++i) {
      const double u = low_ + (high_ - low_) * i / (kScan - 1), here = function(u);
      if ((before < 0 && here > 0) || (before > 0 && here < 0))
        result.push_back(root(function, u_before, u, kPrecision));
      // Curves that touch, as two equal ones do everywhere, do not cross.
      if (here != 0) {
        before = here;
        u_before = u;
      }
    }
    return result;
  }

  const Recipe& a_;
  const Recipe& b_;
  const Pair central_;
  const std::vector<Pair> draws_;
  /// Range searched for crossings, in logs.
  double low_ = 0;
  double high_ = 0;
};

absl::Status prefixed(const char* law, const absl::Status& status) {
  return absl::Status(status.code(), fmt::format("{}: {}", law, std::string(status.message())));
}

absl::Status check(const Law& law_a, const Recipe& a, const Law& law_b, const Recipe& b,
                   const CompareOptions& options) {
  if (law_a.metric != law_b.metric)
    return absl::InvalidArgumentError(
        fmt::format("metric: the laws are of different ones, '{}' and '{}'", law_a.metric, law_b.metric));
  if (a.column() != b.column())
    return absl::InvalidArgumentError(fmt::format(
        "x: the laws are of different columns, '{}' and '{}'; fit both of the same one", a.column(), b.column()));
  if (a.sign() != b.sign())
    return absl::FailedPreconditionError(fmt::format(
        "{} falls with {} in one law and rises in the other: there is no better one", law_a.metric, a.column()));
  for (double x : options.at)
    if (!(x > 0) || !std::isfinite(x))
      return absl::InvalidArgumentError(fmt::format("at: must be positive and finite, not {}", x));
  if (!(options.horizon >= 1) || !std::isfinite(options.horizon))
    return absl::InvalidArgumentError(fmt::format("horizon: must be at least 1, not {}", options.horizon));
  if (options.paired && law_a.draws.size() != law_b.draws.size())
    return absl::InvalidArgumentError(fmt::format("paired: draws that go together are as many; these are {} and {}",
                                                  law_a.draws.size(), law_b.draws.size()));
  return absl::OkStatus();
}

void warn(const Law& law_a, const Law& law_b, Comparison& result) {
  for (const auto& [name, law] : {std::pair{"a", &law_a}, std::pair{"b", &law_b}}) {
    if (law->draws.empty())
      result.warnings.push_back(fmt::format("{}: fitted without a bootstrap: there are no intervals", name));
    for (const std::string& warning : law->warnings) result.warnings.push_back(fmt::format("{}: {}", name, warning));
  }
  for (const ComparedAt& at : result.at) {
    if (!at.inside)
      result.warnings.push_back(fmt::format(
          "at {} = {:.4g}: the comparison rests on at least one curve beyond the range that both were fitted to",
          result.column, at.at));
    if (at.unreachable > 0 || std::isinf(at.multiplier.value))
      result.warnings.push_back(
          fmt::format("at {} = {:.4g}: b never reaches a's value{}", result.column, at.at,
                      at.unreachable > 0 ? fmt::format(" in {:.2g} % of the draws", 100 * at.unreachable) : ""));
  }
}

}  // namespace

absl::StatusOr<Comparison> compare(const Law& law_a, const Law& law_b, const CompareOptions& options) {
  absl::StatusOr<Recipe> a = Recipe::make(law_a, options.a);
  if (!a.ok()) return prefixed("a", a.status());
  absl::StatusOr<Recipe> b = Recipe::make(law_b, options.b);
  if (!b.ok()) return prefixed("b", b.status());
  if (absl::Status status = check(law_a, *a, law_b, *b, options); !status.ok()) return status;

  Comparison result;
  result.metric = law_a.metric;
  result.column = a->column();
  result.paired = options.paired;
  const Comparer comparer(*a, *b, pair_draws(law_a, law_b, options.paired), options);
  std::vector<double> at = options.at;
  if (at.empty()) at.push_back(std::min(a->high(), b->high()));
  for (double x : at) result.at.push_back(comparer.at(x));
  result.crossings = comparer.crossings(result.crossing_share);
  warn(law_a, law_b, result);
  return result;
}

}  // namespace scalelaw::analysis
