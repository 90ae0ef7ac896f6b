#include "analysis/surface.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "absl/status/status.h"

namespace scalelaw::analysis {
namespace {

/// Usual names of the columns that a surface knows.
const std::map<std::string, std::string>& usual_names() {
  static const auto* names = new std::map<std::string, std::string>{
      {"params", "params"},
      {"N", "params"},
      {"samples", "samples"},
      {"D", "samples"},
      {"tokens", "samples"},
      {"images", "samples"},
      {"flops", "flops"},
      {"C", "flops"},
      {"samples_per_param", "samples_per_param"},
      {"tokens_per_param", "samples_per_param"},
      {"M", "samples_per_param"},
  };
  return *names;
}

absl::Status check_cost(const TrainingCost& cost) {
  if (!(cost.factor > 0) || !std::isfinite(cost.factor))
    return absl::InvalidArgumentError(fmt::format("cost.factor: must be positive and finite, not {}", cost.factor));
  if (!(cost.exponent > 0) || !std::isfinite(cost.exponent))
    return absl::InvalidArgumentError(fmt::format("cost.exponent: must be positive and finite, not {}", cost.exponent));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TrainingCost> fit_training_cost(const std::vector<Observation>& observations) {
  double n = 0, mean_x = 0, mean_y = 0, xx = 0, xy = 0;
  for (const Observation& o : observations) {
    if (!(o.params > 0 && o.samples > 0 && o.flops > 0)) continue;
    const double x = std::log(o.params), y = std::log(o.flops / o.samples);
    ++n;
    const double dx = x - mean_x;
    mean_x += dx / n;
    mean_y += (y - mean_y) / n;
    xx += dx * (x - mean_x);
    xy += dx * (y - mean_y);
  }
  if (!(xx > 1e-9))
    return absl::FailedPreconditionError(
        "cost: FLOPs per sample by size need observations of at least two sizes with params, samples and flops; give "
        "cost.factor and cost.exponent instead");
  const double exponent = xy / xx;
  return TrainingCost{std::exp(mean_y - exponent * mean_x), exponent};
}

absl::StatusOr<Surface> Surface::make(const Law& law, const SurfaceOptions& options) {
  Surface surface;
  surface.form_ = form_of(law);
  if (!surface.form_) return absl::InvalidArgumentError(fmt::format("form: '{}' is unknown to this version", law.form));
  if (absl::Status status = check_cost(options.cost); !status.ok()) return status;
  surface.cost_ = options.cost;
  for (const auto& [name, meaning] : options.columns)
    if (std::find(law.x.begin(), law.x.end(), name) == law.x.end())
      return absl::InvalidArgumentError(
          fmt::format("columns: the law has no column '{}'; its columns: {}", name, fmt::join(law.x, ", ")));
  std::set<Meaning> known;
  for (const std::string& name : law.x) {
    const auto given = options.columns.find(name), usual = usual_names().find(name);
    const std::string meaning = given != options.columns.end() ? given->second
                                : usual != usual_names().end() ? usual->second
                                                               : "";
    Column column{name, Meaning::kHeld, 0};
    if (meaning == "params") column.meaning = Meaning::kParams;
    if (meaning == "samples") column.meaning = Meaning::kSamples;
    if (meaning == "flops") column.meaning = Meaning::kFlops;
    if (meaning == "samples_per_param") column.meaning = Meaning::kSamplesPerParam;
    if (column.meaning == Meaning::kHeld) {
      if (!meaning.empty())
        return absl::InvalidArgumentError(fmt::format(
            "columns: '{}' cannot stand for '{}'; known: params, samples, flops, samples_per_param", name, meaning));
      const auto held = options.at.find(name);
      if (held == options.at.end())
        return absl::InvalidArgumentError(
            fmt::format("at: give a value for '{}', or say in columns which of params, samples, flops, "
                        "samples_per_param it is",
                        name));
      if (!(held->second > 0) || !std::isfinite(held->second))
        return absl::InvalidArgumentError(fmt::format("at: {} must be positive, not {}", name, held->second));
      column.held = held->second;
    } else {
      known.insert(column.meaning);
    }
    surface.columns_.push_back(std::move(column));
  }
  for (const auto& [name, value] : options.at)
    if (std::none_of(surface.columns_.begin(), surface.columns_.end(),
                     [&](const Column& c) { return c.name == name && c.meaning == Meaning::kHeld; }))
      return absl::InvalidArgumentError(fmt::format(
          "at: '{}' is no column of the law that can be held; its columns: {}", name, fmt::join(law.x, ", ")));
  if (known.size() < 2)
    return absl::InvalidArgumentError(
        fmt::format("law: a law of {} alone does not tell size from data; fit one of two columns, such as params and "
                    "samples (form chinchilla)",
                    fmt::join(law.x, ", ")));

  // More of everything improves a model; a ratio between them says nothing.
  std::vector<double> parameters, least, most;
  for (const Parameter& p : law.parameters) parameters.push_back(p.value);
  for (size_t c = 0; c < law.x.size(); ++c) {
    const Column& column = surface.columns_[c];
    const double centre = std::sqrt(law.ranges[c].low * law.ranges[c].high);
    const bool grows = column.meaning != Meaning::kHeld && column.meaning != Meaning::kSamplesPerParam;
    least.push_back(grows ? law.ranges[c].low : column.meaning == Meaning::kHeld ? column.held : centre);
    most.push_back(grows ? law.ranges[c].high : least.back());
  }
  surface.sign_ =
      surface.form_->value(parameters.data(), most.data()) > surface.form_->value(parameters.data(), least.data()) ? -1
                                                                                                                   : 1;
  return surface;
}

double Surface::column_value(const Column& column, double params, double samples, double flops) const {
  switch (column.meaning) {
    case Meaning::kParams:
      return params;
    case Meaning::kSamples:
      return samples;
    case Meaning::kFlops:
      return flops;
    case Meaning::kSamplesPerParam:
      return samples / params;
    case Meaning::kHeld:
      break;
  }
  return column.held;
}

double Surface::value(const std::vector<double>& parameters, double params, double samples, double flops) const {
  std::array<double, kMaxParameters> x{};
  for (size_t c = 0; c < columns_.size(); ++c) x[c] = column_value(columns_[c], params, samples, flops);
  return form_->value(parameters.data(), x.data());
}

double Surface::badness(const std::vector<double>& parameters, double params, double samples, double flops) const {
  constexpr double kWorst = std::numeric_limits<double>::infinity();
  if (!(params > 0 && samples > 0 && flops > 0)) return kWorst;
  const double turned = sign_ * value(parameters, params, samples, flops);
  return std::isnan(turned) ? kWorst : turned;
}

std::map<std::string, double> Surface::columns_at(double params, double samples, double flops) const {
  std::map<std::string, double> result;
  for (const Column& column : columns_) result[column.name] = column_value(column, params, samples, flops);
  return result;
}

double Surface::flops_of(const std::vector<double>& x) const {
  double params = 0, samples = 0, ratio = 0;
  for (size_t c = 0; c < columns_.size(); ++c) {
    if (columns_[c].meaning == Meaning::kFlops) return x[c];
    if (columns_[c].meaning == Meaning::kParams) params = x[c];
    if (columns_[c].meaning == Meaning::kSamples) samples = x[c];
    if (columns_[c].meaning == Meaning::kSamplesPerParam) ratio = x[c];
  }
  // Any two of the three give the others.
  if (params == 0) params = samples / ratio;
  if (samples == 0) samples = params * ratio;
  return cost_.per_sample(params) * samples;
}

}  // namespace scalelaw::analysis
