#include "analysis/profile.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/newton.h"

namespace scalelaw::analysis {
namespace {

/// The curve is drawn until its statistic is this many times the critical value.
constexpr double kShown = 1.6;
constexpr int kMaxSteps = 60;
/// Steps in standard errors: even ones near the optimum, then growing, as a flat profile has far to go.
constexpr double kFirstStep = 0.35;
constexpr double kGrowth = 1.25;
constexpr int kEvenSteps = 8;
/// A parameter on a logarithmic scale that can be this many e-folds away is not bounded by the data.
constexpr double kFarthest = 23;
/// How much stiffer the spring is than the objective.
constexpr double kStiffness = 20;
constexpr int kRefinements = 4;

struct Step {
  double u = 0;
  double statistic = 0;
  SmallVector coordinates;
};

class Tracer {
 public:
  Tracer(const Problem& problem, const Sample& sample, const ParameterScale& parameters, const LikelihoodScale& scale,
         const SmallVector& best, int parameter)
      : parameters_(parameters),
        parameter_(parameter),
        total_(*problem.form, sample),
        criterion_(problem.criterion),
        unit_(scale.unit),
        critical_(scale.critical95()) {
    if (criterion_.penalty == Penalty::kLad) {
      // A kink has no curvature to step by. Huber's ρ is δ·|r| beyond a δ far below the noise.
      const double delta = 1e-2 * scale.unit;
      criterion_ = {criterion_.residual, Penalty::kHuber, delta};
      unit_ *= delta;
    }
    stages_ = {criterion_};
    if (criterion_.penalty == Penalty::kHuber) {
      // From the scale of the noise down: there is hardly any curvature in a δ far below it.
      const double noise = std::max(unit_ / criterion_.delta, std::sqrt(unit_));
      for (double delta = 4 * criterion_.delta; delta < noise; delta *= 4)
        stages_.insert(stages_.begin(), {criterion_.residual, Penalty::kHuber, delta});
    }
    minimum_ = describe(best).statistic;
    const std::vector<Coordinate> bounds = problem.form->coordinates(sample.logx);
    low_.resize(static_cast<Eigen::Index>(bounds.size()));
    high_.resize(low_.size());
    for (Eigen::Index a = 0; a < low_.size(); ++a) {
      low_[a] = bounds[a].low;
      high_[a] = bounds[a].high;
    }
  }

  /// Steps away from an optimum in one direction (−1 or +1), `step` being one standard error.
  std::vector<Step> trace(const SmallVector& optimum, double step, double direction) {
    std::vector<Step> path = {describe(optimum)};
    const double start = path.front().u;
    double length = kFirstStep * step;
    for (int i = 0; i < kMaxSteps; ++i) {
      if (i >= kEvenSteps) length *= kGrowth;
      const double target = path.back().u + direction * length;
      if (std::abs(target - start) > kFarthest + 30 * step) break;
      Step next = describe(settle(path.back().coordinates, target, length));
      // Nothing gives way any more: the parameter is at the end of what is possible.
      if (!((next.u - path.back().u) * direction > 1e-3 * length) || !std::isfinite(next.statistic)) break;
      path.push_back(std::move(next));
      if (path.back().statistic > kShown * critical_) break;
    }
    refine(path);
    return path;
  }

 private:
  Step describe(const SmallVector& coordinates) {
    SecondOrder at;
    total_(criterion_, coordinates, at);
    return {parameters_.at(parameter_, coordinates), 2 * at.value / unit_ - minimum_, coordinates};
  }

  SmallVector settle(SmallVector coordinates, double target, double length) {
    SmallVector slope;
    SmallMatrix bend;
    for (const Criterion& stage : stages_) {
      // A spring that would lift the statistic by kStiffness if the parameter stayed behind by one step; ρ grows with
      // δ.
      const double softer = criterion_.penalty == Penalty::kHuber ? stage.delta / criterion_.delta : 1;
      const double stiffness = kStiffness * softer * unit_ / (length * length);
      newton(
          [&](const SmallVector& c, SecondOrder& out) {
            const double behind = parameters_.at(parameter_, c) - target;
            total_(stage, c, out);
            if (!std::isfinite(out.value) || !std::isfinite(behind)) {
              out.value = std::numeric_limits<double>::infinity();
              return;
            }
            parameters_.derivatives(parameter_, c, slope, bend);
            out.value += 0.5 * stiffness * behind * behind;
            out.gradient += stiffness * behind * slope;
            out.hessian += stiffness * (slope * slope.transpose() + behind * bend);
          },
          coordinates, low_, high_);
    }
    return coordinates;
  }

  /// Adds points close to where the statistic is critical.
  void refine(std::vector<Step>& path) {
    for (int i = 0; i < kRefinements; ++i) {
      const auto above = std::find_if(path.begin(), path.end(), [&](const Step& s) { return s.statistic > critical_; });
      if (above == path.begin() || above == path.end()) return;
      const auto below = above - 1;
      // The root of the statistic is close to linear.
      const double from = std::sqrt(std::max(0.0, below->statistic)), to = std::sqrt(above->statistic);
      const double share = (std::sqrt(critical_) - from) / (to - from);
      const double length = above->u - below->u;
      Step between = describe(settle(below->coordinates, below->u + share * length, std::abs(length) * 0.2));
      if ((between.u - below->u) / length <= 0 || (above->u - between.u) / length <= 0) return;
      const bool close = std::abs(between.statistic / critical_ - 1) < 1e-3;
      path.insert(above, std::move(between));
      if (close) return;
    }
  }

  const ParameterScale& parameters_;
  const int parameter_;
  Total total_;
  Criterion criterion_;
  std::vector<Criterion> stages_;
  double unit_;
  const double critical_;
  double minimum_ = 0;
  SmallVector low_, high_;
};

/// Linear between the steps of a path ordered by u; infinite outside.
double statistic_at(const std::vector<Step>& path, double u) {
  const auto above = std::lower_bound(path.begin(), path.end(), u, [](const Step& s, double v) { return s.u < v; });
  if (above == path.end() || (above == path.begin() && above->u > u)) return std::numeric_limits<double>::infinity();
  if (above == path.begin()) return above->statistic;
  const Step& below = *(above - 1);
  return below.statistic + (u - below.u) / (above->u - below.u) * (above->statistic - below.statistic);
}

/// Both paths where neither lies above the other.
std::vector<Step> lower_envelope(const std::vector<Step>& a, const std::vector<Step>& b) {
  std::vector<Step> result;
  for (const Step& step : a)
    if (step.statistic <= statistic_at(b, step.u)) result.push_back(step);
  for (const Step& step : b)
    if (step.statistic < statistic_at(a, step.u)) result.push_back(step);
  std::sort(result.begin(), result.end(), [](const Step& x, const Step& y) { return x.u < y.u; });
  return result;
}

}  // namespace

Profile profile_likelihood(const Problem& problem, const Sample& sample, const std::vector<Optimum>& optima,
                           const Linearised& linearised, const LikelihoodScale& scale, int parameter) {
  const SmallVector& best = optima.front().coordinates;
  const ParameterScale parameters(problem, sample, best);
  Profile profile;
  profile.parameter = problem.form->parameter_names()[static_cast<size_t>(parameter)];
  profile.critical = scale.critical95();
  SmallVector slope;
  SmallMatrix bend;
  parameters.derivatives(parameter, best, slope, bend);
  const double variance = slope.dot(linearised.inverse * slope) * scale.variance;
  // At a bound there is no standard error: any step small against the range that matters will do.
  const double standard_error = variance > 0 && variance < 9
                                    ? std::sqrt(variance)
                                    : std::max(0.01, 0.1 * std::abs(parameters.at(parameter, best)));
  Tracer tracer(problem, sample, parameters, scale, best, parameter);
  std::vector<Step> envelope;
  for (const Optimum& optimum : optima) {
    if (2 * (optimum.objective - optima.front().objective) > profile.critical * scale.unit) continue;
    std::vector<Step> path = tracer.trace(optimum.coordinates, standard_error, -1);
    std::reverse(path.begin(), path.end());
    const std::vector<Step> up = tracer.trace(optimum.coordinates, standard_error, +1);
    path.insert(path.end(), up.begin() + 1, up.end());
    envelope = envelope.empty() ? path : lower_envelope(envelope, path);
  }
  for (const Step& step : envelope)
    profile.curve.push_back({parameters.natural(parameter, step.u), std::max(0.0, step.statistic)});
  return profile;
}

Interval profile_interval(const Profile& profile, const ParameterScale& scale, int parameter) {
  const auto inside = [&](const Profile::At& at) { return at.statistic <= profile.critical; };
  const auto crossing = [&](const Profile::At& in, const Profile::At& out) {
    const double from = std::sqrt(in.statistic), to = std::sqrt(out.statistic);
    return in.value + (std::sqrt(profile.critical) - from) / (to - from) * (out.value - in.value);
  };
  Interval interval;
  const auto first = std::find_if(profile.curve.begin(), profile.curve.end(), inside);
  const auto last = std::find_if(profile.curve.rbegin(), profile.curve.rend(), inside);
  const bool below = first == profile.curve.begin(), above = last == profile.curve.rbegin();
  interval.low = below ? scale.lowest(parameter) : crossing(*first, *(first - 1));
  interval.high = above ? scale.highest(parameter) : crossing(*last, *(last - 1));
  interval.unbounded = below && above ? "both" : below ? "below" : above ? "above" : "";
  return interval;
}

}  // namespace scalelaw::analysis
