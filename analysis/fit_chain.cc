// The two stages of a chain, each an ordinary fit, joined into one law.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "absl/status/status.h"
#include "analysis/chain.h"
#include "analysis/law.h"
#include "analysis/problem.h"
#include "analysis/random.h"

namespace scalelaw::analysis {
namespace {

/// One measurement of one run: checkpoints of a run differ by what they have seen.
using Moment = std::tuple<std::string, double, double>;
Moment moment(const Observation& o) {
  return {o.run, o.samples, o.flops};
}

/// The link's observations: a score each, with its loss as a column. Where runs are drawn with replacement, those
/// without a score keep their place, at no weight, so that a draw takes the same runs for both stages.
absl::StatusOr<std::vector<Observation>> pair(const std::vector<Observation>& losses,
                                              const std::vector<Observation>& scores, bool keep_places) {
  std::map<Moment, const Observation*> score_at;
  double mean = 0;
  for (const Observation& o : scores) {
    score_at[moment(o)] = &o;
    mean += o.value / static_cast<double>(scores.size());
  }
  std::vector<Observation> pairs;
  size_t matched = 0;
  for (const Observation& loss : losses) {
    const auto found = score_at.find(moment(loss));
    const bool scored = found != score_at.end();
    matched += scored;
    if (!scored && !keep_places) continue;
    Observation o = scored ? *found->second : loss;
    if (!scored) {
      o.value = mean;
      o.weight = 0;
    }
    o.columns["loss"] = loss.value;
    pairs.push_back(std::move(o));
  }
  if (matched < scores.size())
    return absl::FailedPreconditionError(
        fmt::format("score_observations: {} of {} have no loss observation of the same run, samples and flops",
                    scores.size() - matched, scores.size()));
  return pairs;
}

/// Correlations of two fits' parameters; between the fits there are none that either knows of.
std::vector<std::vector<double>> side_by_side(const Law& a, const Law& b) {
  const size_t n = a.correlation.size(), size = n + b.correlation.size();
  std::vector<std::vector<double>> result(size, std::vector<double>(size, 0));
  for (size_t i = 0; i < n; ++i) std::copy(a.correlation[i].begin(), a.correlation[i].end(), result[i].begin());
  for (size_t i = n; i < size; ++i)
    std::copy(b.correlation[i - n].begin(), b.correlation[i - n].end(),
              result[i].begin() + static_cast<std::ptrdiff_t>(n));
  return result;
}

/// The law's points with the scores of their runs instead of their losses; those without a score are left out.
std::vector<Point> scored_points(const Law& loss, const std::vector<Observation>& scores) {
  std::multimap<std::string, double> by_run;
  for (const Observation& o : scores) by_run.emplace(o.run, o.value);
  std::vector<Point> points;
  for (Point point : loss.points) {
    double sum = 0;
    int count = 0;
    for (const std::string& run : point.runs)
      for (auto [at, end] = by_run.equal_range(run); at != end; ++at) {
        sum += at->second;
        ++count;
      }
    if (count == 0) continue;
    point.value = sum / count;
    points.push_back(std::move(point));
  }
  return points;
}

}  // namespace

absl::StatusOr<Law> fit_chain(const std::vector<Observation>& loss_observations,
                              const std::vector<Observation>& score_observations, const FitOptions& options) {
  const ChainName halves = split_chain(options.form);
  const std::unique_ptr<const Form> chain = make_form(options.form, {});
  if (halves.link.empty() || !chain)
    return absl::InvalidArgumentError(
        fmt::format("form: '{}' is no chain; it is written LOSSFORM>sigmoid or LOSSFORM>exponential, with LOSSFORM a "
                    "form of the loss such as chinchilla",
                    options.form));

  FitOptions loss_options = options, link_options;
  loss_options.form = halves.loss;
  loss_options.metric = "loss";
  loss_options.chance.reset();
  loss_options.ceiling.reset();
  loss_options.fixed.clear();
  loss_options.rivals.emplace();
  link_options.form = halves.link;
  link_options.metric = options.metric;
  link_options.x = {"loss"};
  link_options.bootstrap = options.bootstrap;
  link_options.threads = options.threads;
  link_options.intervals = options.intervals;
  link_options.rivals.emplace();
  const std::vector<std::string> names = chain->parameter_names();
  const size_t loss_size = make_form(halves.loss, {})->parameter_names().size();
  const std::vector<std::string> link_names = make_form(halves.link, {})->parameter_names();
  for (const auto& [name, value] : options.fixed) {
    const auto j = static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
    if (j == names.size())
      return absl::InvalidArgumentError(fmt::format("fixed: form '{}' has no parameter '{}'; its parameters: {}",
                                                    options.form, name, fmt::join(names, ", ")));
    if (j < loss_size)
      loss_options.fixed[name] = value;
    else
      link_options.fixed[link_names[j - loss_size]] = value;
  }

  std::vector<Observation> losses;
  for (const Observation& o : loss_observations)
    if (within_flops(options, o.flops)) losses.push_back(o);
  std::vector<Observation> scores;
  for (const Observation& o : score_observations)
    if (within_flops(options, o.flops)) scores.push_back(o);
  const absl::StatusOr<Law> loss = fit(losses, loss_options);
  if (!loss.ok())
    return absl::Status(loss.status().code(), fmt::format("loss stage: {}", std::string(loss.status().message())));
  const bool resampled = loss->resample == "pairs" || loss->resample == "cluster";
  const auto pairs = pair(losses, scores, resampled);
  if (!pairs.ok()) return pairs.status();
  // The same seed draws the same runs; where noise is simulated instead, that of loss and score is independent.
  if (resampled) link_options.resample = loss->resample;
  link_options.seed = resampled ? options.seed : ~options.seed;
  const absl::StatusOr<Law> link = fit(*pairs, link_options);
  if (!link.ok())
    return absl::Status(link.status().code(), fmt::format("score stage: {}", std::string(link.status().message())));

  Law law = *loss;
  law.metric = options.metric;
  law.form = std::string(chain->name());
  law.objective = link->objective;
  for (size_t j = 0; j < link->parameters.size(); ++j) {
    law.parameters.push_back(link->parameters[j]);
    law.parameters.back().name = names[loss_size + j];
  }
  law.basins.clear();
  for (const Basin& basin : link->basins) {
    law.basins.push_back({loss->basins[0].parameters, basin.objective});
    law.basins.back().parameters.insert(law.basins.back().parameters.end(), basin.parameters.begin(),
                                        basin.parameters.end());
  }
  law.formula = options.metric + " = " + chain->formula(law.basins[0].parameters.data(), law.x);
  law.points = scored_points(*loss, scores);
  law.r2 = r_squared(law, *chain);
  law.pearson_log = 0;

  // A new run scatters about the chain by both: its loss about the surface, its score about the link.
  double squares = 0;
  for (const Point& point : law.points) squares += std::pow(point.value - evaluate(law, point.x), 2);
  const int dof = std::max(1, static_cast<int>(law.points.size()) - static_cast<int>(names.size()));
  law.sigma = std::sqrt(squares / dof);
  law.sigma_dof = dof;
  law.draws.resize(std::min(loss->draws.size(), link->draws.size()));
  for (size_t d = 0; d < law.draws.size(); ++d) {
    const std::vector<double>& further = link->draws[d].parameters;
    law.draws[d].parameters.insert(law.draws[d].parameters.end(), further.begin(), further.end());
    Random random(options.seed + 1, d);
    law.draws[d].sigma = law.sigma * std::sqrt(dof / random.chi_squared(dof));
  }
  law.own_draws = static_cast<int>(law.draws.size());
  law.correlation = side_by_side(*loss, *link);
  law.condition = std::max(loss->condition, link->condition);
  for (const Profile& profile : link->profiles) {
    const auto j = std::find(link_names.begin(), link_names.end(), profile.parameter) - link_names.begin();
    law.profiles.push_back(profile);
    law.profiles.back().parameter = names[loss_size + static_cast<size_t>(j)];
  }

  law.warnings = {fmt::format("loss stage: {} residuals, objective {} = {:.6g} over {} points",
                              loss->objective.residual, loss->objective.kind, loss->objective.value,
                              loss->points.size())};
  for (const std::string& warning : loss->warnings) law.warnings.push_back("loss stage: " + warning);
  for (const std::string& warning : link->warnings) law.warnings.push_back("score stage: " + warning);
  return law;
}

}  // namespace scalelaw::analysis
