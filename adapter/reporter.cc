#include "adapter/reporter.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace scalelaw::adapter {
namespace {

using analysis::Expression;
using nlohmann::json;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// One row: the record, then earlier records, then the facts.
class Row : public analysis::Columns {
 public:
  Row(const RunFacts& facts, const Record* record = nullptr, const Record* seen = nullptr)
      : facts_(facts), layers_{record, seen, &facts.numbers} {}

  Eigen::Index rows() const override { return 1; }
  absl::StatusOr<Eigen::ArrayXd> numbers(const std::string& name) const override {
    for (const Record* layer : layers_)
      if (layer != nullptr)
        if (const auto found = layer->find(name); found != layer->end())
          return Eigen::ArrayXd::Constant(1, found->second);
    if (facts_.texts.contains(name))
      return absl::InvalidArgumentError(fmt::format("'{}' is '{}', no number", name, facts_.texts.at(name)));
    std::vector<std::string> names;
    for (const Record* layer : layers_)
      if (layer != nullptr)
        for (const auto& [one, value] : *layer) names.push_back(one);
    return absl::InvalidArgumentError(fmt::format("there is no '{}'; there are: {}", name, fmt::join(names, ", ")));
  }
  absl::StatusOr<Eigen::ArrayXd> equals(const std::string& name, std::string_view text) const override {
    const auto found = facts_.texts.find(name);
    return Eigen::ArrayXd::Constant(1, found != facts_.texts.end() && found->second == text ? 1 : 0);
  }

 private:
  const RunFacts& facts_;
  const std::vector<const Record*> layers_;
};

absl::StatusOr<Expression> parse(const std::string& option, const std::string& text) {
  absl::StatusOr<Expression> expression = analysis::parse_expression(text);
  if (expression.ok()) return expression;
  return absl::InvalidArgumentError(fmt::format("{}: {}", option, std::string(expression.status().message())));
}

/// Adds a fact that other expressions may use.
absl::Status define(const std::string& option, const std::string& name, const std::string& text, RunFacts& facts) {
  if (text.empty()) return absl::OkStatus();
  const absl::StatusOr<Expression> expression = parse(option, text);
  if (!expression.ok()) return expression.status();
  const absl::StatusOr<Eigen::ArrayXd> value = analysis::evaluate(*expression, Row(facts));
  if (!value.ok())
    return absl::InvalidArgumentError(fmt::format("{}: {}", option, std::string(value.status().message())));
  if (!((*value)[0] >= 0) || !std::isfinite((*value)[0]))
    return absl::InvalidArgumentError(fmt::format("{}: '{}' is {}; it must be at least 0", option, text, (*value)[0]));
  facts.numbers[name] = (*value)[0];
  return absl::OkStatus();
}

std::string line(const json& event) {
  return event.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

absl::StatusOr<RunFacts> facts_of(const json& spec) {
  if (!spec.is_object()) return absl::InvalidArgumentError("SCALELAW_SPEC holds no JSON object");
  RunFacts facts;
  if (spec.contains("params") && spec["params"].is_object())
    for (const auto& [name, value] : spec["params"].items()) {
      if (value.is_number()) facts.numbers[name] = value.get<double>();
      if (!value.is_number()) facts.texts[name] = value.is_string() ? value.get<std::string>() : value.dump();
    }
  if (spec.contains("budget") && spec["budget"].is_object())
    for (const auto& [kind, amount] : spec["budget"].items())
      if (amount.is_number()) facts.numbers["budget_" + kind] = amount.get<double>();
  if (spec.contains("seed") && spec["seed"].is_number()) facts.numbers.emplace("seed", spec["seed"].get<double>());
  return facts;
}

absl::StatusOr<std::string> filled(const std::string& argument, const RunFacts& facts) {
  std::string result;
  for (size_t at = 0; at < argument.size(); ++at) {
    const char c = argument[at];
    if ((c == '{' || c == '}') && at + 1 < argument.size() && argument[at + 1] == c) {
      result += c;
      ++at;
      continue;
    }
    if (c != '{') {
      result += c;
      continue;
    }
    const size_t end = argument.find('}', at);
    if (end == argument.npos)
      return absl::InvalidArgumentError(fmt::format("'{}': a brace is not closed; a brace itself is {{{{", argument));
    std::string inside = argument.substr(at + 1, end - at - 1);
    at = end;
    if (const auto text = facts.texts.find(inside); text != facts.texts.end()) {
      result += text->second;
      continue;
    }
    const bool whole = inside.ends_with(":d");
    if (whole) inside.resize(inside.size() - 2);
    const absl::StatusOr<Expression> expression = parse(fmt::format("'{}'", argument), inside);
    if (!expression.ok()) return expression.status();
    const absl::StatusOr<Eigen::ArrayXd> value = analysis::evaluate(*expression, Row(facts));
    if (!value.ok())
      return absl::InvalidArgumentError(fmt::format("'{}': {}", argument, std::string(value.status().message())));
    result += whole ? fmt::format("{:.0f}", std::round((*value)[0])) : fmt::format("{}", (*value)[0]);
  }
  return result;
}

absl::StatusOr<Reporter> Reporter::make(const Meaning& meaning, RunFacts facts) {
  Reporter reporter;
  if (auto s = define("--params", "params", meaning.params, facts); !s.ok()) return s;
  if (auto s = define("--flops-per-sample", "flops_per_sample", meaning.flops_per_sample, facts); !s.ok()) return s;
  reporter.facts_ = std::move(facts);
  absl::StatusOr<Expression> step = parse("--step", meaning.step.empty() ? "step" : meaning.step);
  if (!step.ok()) return step.status();
  reporter.used_ = analysis::names(*step);
  reporter.step_ = *std::move(step);
  if (!meaning.samples.empty()) {
    absl::StatusOr<Expression> samples = parse("--samples", meaning.samples);
    if (!samples.ok()) return samples.status();
    for (const std::string& name : analysis::names(*samples)) reporter.used_.push_back(name);
    reporter.samples_ = *std::move(samples);
  }
  for (const std::string& text : meaning.metrics) {
    const size_t equals = text.find('=');
    Metric metric{.name = text.substr(0, equals), .source = equals == text.npos ? text : text.substr(equals + 1)};
    absl::StatusOr<Expression> expression = parse("--metric", metric.source);
    if (!expression.ok()) return expression.status();
    metric.expression = *std::move(expression);
    reporter.metrics_.push_back(std::move(metric));
  }
  return reporter;
}

std::optional<double> Reporter::value(const Expression& expression, const Record& record) const {
  const absl::StatusOr<Eigen::ArrayXd> values = analysis::evaluate(expression, Row(facts_, &record, &seen_));
  return values.ok() ? std::optional((*values)[0]) : std::nullopt;
}

std::map<std::string, double> Reporter::values_of(const Record& record) const {
  std::map<std::string, double> values;
  if (metrics_.empty()) {
    for (const auto& [name, number] : record)
      if (std::find(used_.begin(), used_.end(), name) == used_.end()) values[name] = number;
    return values;
  }
  for (const Metric& metric : metrics_) {
    // A field may have a name that reads like a quotient: loss/val.
    if (const auto field = record.find(metric.source); field != record.end()) {
      values[metric.name] = field->second;
      continue;
    }
    const std::vector<std::string> names = analysis::names(metric.expression);
    if (std::none_of(names.begin(), names.end(), [&](const std::string& name) { return record.contains(name); }))
      continue;
    if (const auto number = value(metric.expression, record)) values[metric.name] = *number;
  }
  return values;
}

// What an earlier attempt reported from here on did not happen.
std::string Reporter::start(int64_t step) {
  started_ = true;
  json event = {{"event", "start"}, {"step", std::max<int64_t>(0, step - 1)}};
  if (const auto params = facts_.numbers.find("params"); params != facts_.numbers.end())
    event["params"] = std::llround(params->second);
  if (const auto flops = facts_.numbers.find("flops_per_sample"); flops != facts_.numbers.end())
    event["flops_per_sample"] = flops->second;
  return line(event);
}

absl::StatusOr<std::string> Reporter::events(const Record& record) {
  const std::map<std::string, double> values = values_of(record);
  const std::optional<double> at = value(step_, record);
  const double samples = samples_ ? value(*samples_, record).value_or(kNone) : kNone;
  for (const auto& [name, number] : record) seen_[name] = number;
  if (values.empty() || !at) return std::string();
  if (!(*at >= 0) || *at != std::floor(*at) || *at > 9e15)
    return absl::InvalidArgumentError(fmt::format("--step: {} is no whole number ≥ 0", *at));
  const auto step = static_cast<int64_t>(*at);
  for (const auto& [name, number] : values)
    if (!std::isfinite(number)) return absl::OutOfRangeError(fmt::format("{} is {} at step {}", name, number, step));

  std::string text = started_ ? "" : start(step);
  json event = {{"event", "metrics"}, {"step", step}, {"values", values}};
  std::map<std::string, double> spent = {{"budget_steps", *at}};
  if (samples >= 0 && std::isfinite(samples)) {
    event["samples"] = std::llround(samples);
    spent["budget_samples"] = samples;
    if (const auto each = facts_.numbers.find("flops_per_sample"); each != facts_.numbers.end()) {
      event["flops"] = each->second * samples;
      spent["budget_flops"] = each->second * samples;
    }
  }
  text += line(event);
  for (const auto& [budget, amount] : spent)
    if (const auto whole = facts_.numbers.find(budget); whole != facts_.numbers.end() && whole->second > 0)
      text += line({{"event", "progress"}, {"fraction", std::clamp(amount / whole->second, 0.0, 1.0)}});
  return text;
}

}  // namespace scalelaw::adapter
