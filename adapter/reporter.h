// From a program's records to the events of the trainer protocol.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <nlohmann/json.hpp>

#include "adapter/records.h"
#include "analysis/expression.h"

namespace scalelaw::adapter {

/// What is known of a run before it reports: its parameters (numbers and texts), `seed`, and `budget_flops`,
/// `budget_samples` or `budget_steps`.
struct RunFacts {
  std::map<std::string, double> numbers;
  std::map<std::string, std::string> texts;
};
/// From the specification of the trainer protocol. Errors: INVALID_ARGUMENT.
absl::StatusOr<RunFacts> facts_of(const nlohmann::json& spec);

/// An argument of the program's command with `{EXPRESSION}` replaced by its value and `{NAME}` by a text; `{E:d}` is
/// rounded to a whole number, `{{` is a brace. Errors: INVALID_ARGUMENT naming the argument and what there is.
absl::StatusOr<std::string> filled(const std::string& argument, const RunFacts& facts);

/// Expressions (analysis/expression.h) over a record's fields, over fields of earlier records that this one lacks, and
/// over the run's facts.
struct Meaning {
  /// Default: the field `step`.
  std::string step = {};
  /// `NAME=EXPRESSION` or the name of a field; empty: every field that the other expressions do not use.
  std::vector<std::string> metrics = {};
  /// Of the model: from the facts alone. May be empty.
  std::string params = {};
  std::string flops_per_sample = {};
  /// At a step; default: none.
  std::string samples = {};
};

class Reporter {
 public:
  /// Errors: INVALID_ARGUMENT naming the option whose expression is wrong.
  static absl::StatusOr<Reporter> make(const Meaning& meaning, RunFacts facts);

  /// The events of one record, as lines of JSON: `start` before the first, then `metrics` and `progress`. Nothing for a
  /// record without any of the metrics, or before a step is known.
  /// Errors: OUT_OF_RANGE where a metric is not finite, with its name and step; INVALID_ARGUMENT for a step that is no
  /// whole number.
  absl::StatusOr<std::string> events(const Record& record);
  const RunFacts& facts() const { return facts_; }

 private:
  struct Metric {
    std::string name;
    /// The name of a field, or an expression.
    std::string source;
    analysis::Expression expression = {};
  };
  std::optional<double> value(const analysis::Expression& expression, const Record& record) const;
  std::map<std::string, double> values_of(const Record& record) const;
  std::string start(int64_t step);

  RunFacts facts_;
  analysis::Expression step_;
  std::optional<analysis::Expression> samples_;
  std::vector<Metric> metrics_;
  /// Not metrics, since other expressions use them.
  std::vector<std::string> used_;
  Record seen_;
  bool started_ = false;
};

}  // namespace scalelaw::adapter
