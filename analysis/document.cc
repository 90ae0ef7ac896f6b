// A law as JSON: see docs/laws.md for the format and for how to predict from it in another language.
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "analysis/form.h"
#include "analysis/law.h"

namespace scalelaw::analysis {
namespace {

using nlohmann::json;
/// 2: rivals, whose draws belong into prediction intervals. A document of version 1 has none.
constexpr int kVersion = 2;

/// JSON has no infinities; an unidentified parameter may have one.
json number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}
double to_number(const json& value) {
  if (value.is_number()) return value.get<double>();
  const std::string text = value.get<std::string>();
  if (text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-inf") return -std::numeric_limits<double>::infinity();
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  throw std::invalid_argument(fmt::format("'{}' is no number", text));
}
json numbers(const std::vector<double>& values) {
  json array = json::array();
  for (double value : values) array.push_back(number(value));
  return array;
}
std::vector<double> to_numbers(const json& array) {
  std::vector<double> values;
  for (const json& value : array) values.push_back(to_number(value));
  return values;
}

json parameters_to_json(const Law& law) {
  json object = json::object();
  json order = json::array();
  for (const Parameter& p : law.parameters) {
    order.push_back(p.name);
    object[p.name] = {{"value", number(p.value)},
                      {"se", number(p.se)},
                      {"ci95", {number(p.ci95_low), number(p.ci95_high)}},
                      {"identified", p.identified},
                      {"unbounded", p.unbounded}};
    if (p.fixed) object[p.name]["fixed"] = true;
  }
  return {{"order", std::move(order)}, {"values", std::move(object)}};
}

json draws_to_json(const std::vector<Draw>& draws) {
  json array = json::array();
  for (const Draw& d : draws) array.push_back({{"parameters", numbers(d.parameters)}, {"sigma", number(d.sigma)}});
  return array;
}
std::vector<Draw> to_draws(const json& array) {
  std::vector<Draw> draws;
  for (const json& d : array) draws.push_back({to_numbers(d.at("parameters")), to_number(d.at("sigma"))});
  return draws;
}

json uncertainty_to_json(const Law& law) {
  json correlation = json::array();
  for (const std::vector<double>& row : law.correlation) correlation.push_back(numbers(row));
  json profiles = json::array();
  for (const Profile& p : law.profiles) {
    json curve = json::array();
    for (const Profile::At& at : p.curve) curve.push_back({number(at.value), number(at.statistic)});
    profiles.push_back({{"parameter", p.parameter}, {"critical", number(p.critical)}, {"curve", std::move(curve)}});
  }
  json rivals = json::array();
  for (const Rival& r : law.rivals)
    rivals.push_back({{"law", r.form},
                      {"parameters", numbers(r.parameters)},
                      {"weight", number(r.weight)},
                      {"draws", draws_to_json(r.draws)}});
  return {
      {"resample", law.resample},           {"intervals", law.intervals},      {"correlation", std::move(correlation)},
      {"condition", number(law.condition)}, {"profiles", std::move(profiles)}, {"own_draws", law.own_draws},
      {"rivals", std::move(rivals)}};
}

void parse_uncertainty(const json& document, Law& law) {
  law.resample = document.at("resample").get<std::string>();
  law.intervals = document.at("intervals").get<std::string>();
  for (const json& row : document.at("correlation")) law.correlation.push_back(to_numbers(row));
  law.condition = to_number(document.at("condition"));
  for (const json& p : document.at("profiles")) {
    Profile& profile = law.profiles.emplace_back();
    profile.parameter = p.at("parameter").get<std::string>();
    profile.critical = to_number(p.at("critical"));
    for (const json& at : p.at("curve")) profile.curve.push_back({to_number(at.at(0)), to_number(at.at(1))});
  }
  law.own_draws = document.at("own_draws").get<int>();
  for (const json& r : document.at("rivals"))
    law.rivals.push_back({r.at("law").get<std::string>(), to_numbers(r.at("parameters")), to_number(r.at("weight")),
                          to_draws(r.at("draws"))});
}

Law parse(const json& document) {
  if (const int version = document.at("version").get<int>(); version < 1 || version > kVersion)
    throw std::invalid_argument(
        fmt::format("version {} is not among those that this program reads, 1 to {}", version, kVersion));
  Law law;
  law.metric = document.at("metric").get<std::string>();
  law.form = document.at("law").get<std::string>();
  law.formula = document.at("formula").get<std::string>();
  law.x = document.at("x").get<std::vector<std::string>>();
  const json& objective = document.at("objective");
  law.objective = {objective.at("kind").get<std::string>(), objective.at("residual").get<std::string>(),
                   to_number(objective.at("delta")), to_number(objective.at("value"))};
  for (const json& name : document.at("parameter_order")) {
    const json& p = document.at("parameters").at(name.get<std::string>());
    law.parameters.push_back({name.get<std::string>(), to_number(p.at("value")), to_number(p.at("se")),
                              to_number(p.at("ci95").at(0)), to_number(p.at("ci95").at(1)),
                              p.at("identified").get<bool>(), p.value("fixed", false), p.value("unbounded", "")});
  }
  if (document.contains("bounds")) {
    law.chance = to_number(document.at("bounds").at("chance"));
    law.ceiling = to_number(document.at("bounds").at("ceiling"));
  }
  law.r2 = to_number(document.at("r2"));
  law.pearson_log = to_number(document.at("pearson_log"));
  law.sigma = to_number(document.at("noise").at("sigma"));
  law.sigma_dof = to_number(document.at("noise").at("degrees_of_freedom"));
  law.warnings = document.at("warnings").get<std::vector<std::string>>();
  for (const json& r : document.at("ranges"))
    law.ranges.push_back({r.at("column").get<std::string>(), to_number(r.at("low")), to_number(r.at("high"))});
  law.points_kind = document.at("points_kind").get<std::string>();
  for (const json& p : document.at("points"))
    law.points.push_back(
        {to_numbers(p.at("x")), to_number(p.at("value")), p.at("runs").get<std::vector<std::string>>()});
  for (const json& b : document.at("basins"))
    law.basins.push_back({to_numbers(b.at("parameters")), to_number(b.at("objective"))});
  law.draws = to_draws(document.at("draws"));
  law.own_draws = static_cast<int>(law.draws.size());
  if (document.contains("uncertainty")) parse_uncertainty(document.at("uncertainty"), law);
  law.observations_hash = document.at("observations_hash").get<std::string>();
  law.code_version = document.at("code_version").get<std::string>();
  return law;
}

/// What `predict` and `evaluate` take for granted.
absl::Status check(const Law& law) {
  const auto form = make_form(law.form, {}, law.x);
  if (!form)
    return absl::InvalidArgumentError(
        fmt::format("law: '{}' is unknown; known forms: {}", law.form, fmt::join(form_names(), ", ")));
  const size_t count = form->parameter_names().size();
  if (law.parameters.size() != count)
    return absl::InvalidArgumentError(
        fmt::format("parameters: {} has {}, not {}", law.form, count, law.parameters.size()));
  if (form->bounded() && !law.chance) return absl::InvalidArgumentError("bounds: missing");
  if (law.x.size() != form->default_columns().size() || law.ranges.size() != law.x.size())
    return absl::InvalidArgumentError("x, ranges: need one entry per column of the law");
  for (const Draw& draw : law.draws)
    if (draw.parameters.size() != count)
      return absl::InvalidArgumentError("draws: a draw has the wrong number of parameters");
  if (law.own_draws < 0 || law.own_draws > static_cast<int>(law.draws.size()))
    return absl::InvalidArgumentError("uncertainty: own_draws: more than there are draws");
  for (const Rival& rival : law.rivals) {
    const auto other = make_form(rival.form, {}, law.x);
    if (!other || other->default_columns().size() != law.x.size())
      return absl::InvalidArgumentError(
          fmt::format("uncertainty: rivals: '{}' is no form of {} column(s)", rival.form, law.x.size()));
    for (const Draw& draw : rival.draws)
      if (draw.parameters.size() != other->parameter_names().size())
        return absl::InvalidArgumentError("uncertainty: rivals: a draw has the wrong number of parameters");
  }
  return absl::OkStatus();
}

}  // namespace

std::string to_json(const Law& law) {
  json document = {
      {"version", kVersion},
      {"metric", law.metric},
      {"law", law.form},
      {"formula", law.formula},
      {"x", law.x},
      {"n", law.points.size()},
      {"objective",
       {{"kind", law.objective.kind},
        {"residual", law.objective.residual},
        {"delta", number(law.objective.delta)},
        {"value", number(law.objective.value)}}},
      {"r2", number(law.r2)},
      {"pearson_log", number(law.pearson_log)},
      {"noise", {{"sigma", number(law.sigma)}, {"degrees_of_freedom", number(law.sigma_dof)}}},
      {"warnings", law.warnings},
      {"points_kind", law.points_kind},
      {"observations_hash", law.observations_hash},
      {"code_version", law.code_version},
  };
  json parameters = parameters_to_json(law);
  document["parameter_order"] = std::move(parameters["order"]);
  document["parameters"] = std::move(parameters["values"]);
  if (law.chance && law.ceiling)
    document["bounds"] = {{"chance", number(*law.chance)}, {"ceiling", number(*law.ceiling)}};
  json& ranges = document["ranges"] = json::array();
  for (const Range& r : law.ranges)
    ranges.push_back({{"column", r.column}, {"low", number(r.low)}, {"high", number(r.high)}});
  json& points = document["points"] = json::array();
  for (const Point& p : law.points)
    points.push_back({{"x", numbers(p.x)}, {"value", number(p.value)}, {"runs", p.runs}});
  json& basins = document["basins"] = json::array();
  for (const Basin& b : law.basins)
    basins.push_back({{"parameters", numbers(b.parameters)}, {"objective", number(b.objective)}});
  document["draws"] = draws_to_json(law.draws);
  document["uncertainty"] = uncertainty_to_json(law);
  return document.dump();
}

absl::StatusOr<Law> from_json(std::string_view text) {
  try {
    Law law = parse(json::parse(text));
    if (absl::Status status = check(law); !status.ok()) return status;
    return law;
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(fmt::format("law document: {}", error.what()));
  }
}

}  // namespace scalelaw::analysis
