#include "cli/imports/mapping.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <re2/re2.h>

#include "absl/status/status.h"
#include "analysis/expression.h"

namespace scalelaw::cli {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
using Names = std::vector<const char*>;

std::optional<double> number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

/// One run as a table: a row for each step at which something was measured.
class RunTable : public analysis::Columns {
 public:
  explicit RunTable(const ForeignRun& run) : run_(run) {
    std::set<int64_t> all;
    for (const auto& [name, curve] : run.curves)
      for (const auto& [step, value] : curve) all.insert(step);
    if (all.empty()) all.insert(0);
    steps_.assign(all.begin(), all.end());
  }

  const std::vector<int64_t>& steps() const { return steps_; }
  Eigen::Index rows() const override { return static_cast<Eigen::Index>(steps_.size()); }
  void define(const std::string& name, Eigen::ArrayXd values) { mapped_[name] = std::move(values); }

  bool has(const std::string& name) const {
    const auto param = run_.params.find(name);
    return run_.curves.contains(name) || (param != run_.params.end() && number(param->second));
  }
  absl::StatusOr<Eigen::ArrayXd> numbers(const std::string& name) const override {
    if (const auto curve = run_.curves.find(name); curve != run_.curves.end()) return along(curve->second);
    if (const auto param = run_.params.find(name); param != run_.params.end()) {
      if (const auto value = number(param->second)) return constant(*value);
      return absl::InvalidArgumentError(fmt::format("'{}' is '{}', no number", name, param->second));
    }
    if (const auto known = mapped_.find(name); known != mapped_.end()) return known->second;
    if (name == "step") {
      Eigen::ArrayXd values(rows());
      for (Eigen::Index i = 0; i < rows(); ++i) values[i] = static_cast<double>(steps_[static_cast<size_t>(i)]);
      return values;
    }
    return absl::InvalidArgumentError(
        fmt::format("there is no '{}'; there are: {}", name, fmt::join(all_names(), ", ")));
  }
  absl::StatusOr<Eigen::ArrayXd> equals(const std::string& name, std::string_view text) const override {
    const auto param = run_.params.find(name);
    return constant(param != run_.params.end() && param->second == text ? 1 : 0);
  }

 private:
  /// What was measured last at each step.
  Eigen::ArrayXd along(const std::map<int64_t, double>& curve) const {
    Eigen::ArrayXd values(rows());
    for (Eigen::Index i = 0; i < rows(); ++i) {
      const auto after = curve.upper_bound(steps_[static_cast<size_t>(i)]);
      values[i] = after == curve.begin() ? kNone : std::prev(after)->second;
    }
    return values;
  }
  Eigen::ArrayXd constant(double value) const { return Eigen::ArrayXd::Constant(rows(), value); }
  std::vector<std::string> all_names() const {
    std::set<std::string> names = {"step"};
    for (const auto& [name, curve] : run_.curves) names.insert(name);
    for (const auto& [name, text] : run_.params)
      if (number(text)) names.insert(name);
    for (const auto& [name, values] : mapped_) names.insert(name);
    return {names.begin(), names.end()};
  }

  const ForeignRun& run_;
  std::vector<int64_t> steps_;
  std::map<std::string, Eigen::ArrayXd> mapped_;
};

absl::Status in_option(const std::string& option, const std::string& run, const absl::Status& status) {
  return {status.code(), fmt::format("{}: run '{}': {}", option, run, std::string(status.message()))};
}

/// An option's expression, parsed once for all runs.
class Term {
 public:
  static absl::StatusOr<Term> parse(const std::string& option, const std::string& text, Names usual = {}) {
    Term term;
    term.option_ = option;
    term.usual_ = std::move(usual);
    if (text.empty()) return term;
    absl::StatusOr<analysis::Expression> expression = analysis::parse_expression(text);
    if (!expression.ok())
      return absl::InvalidArgumentError(fmt::format("{}: {}", option, std::string(expression.status().message())));
    term.expression_ = *std::move(expression);
    return term;
  }
  /// Of every row; unset where the option is not given and the run has none of the usual names.
  absl::StatusOr<std::optional<Eigen::ArrayXd>> of(const RunTable& table, const std::string& run) const {
    absl::StatusOr<Eigen::ArrayXd> values = absl::NotFoundError("");
    if (expression_) {
      values = analysis::evaluate(*expression_, table);
    } else {
      const auto name = std::find_if(usual_.begin(), usual_.end(), [&](const char* one) { return table.has(one); });
      if (name == usual_.end()) return std::optional<Eigen::ArrayXd>();
      values = table.numbers(*name);
    }
    if (!values.ok()) return in_option(option_, run, values.status());
    return std::optional(*std::move(values));
  }
  const std::string& option() const { return option_; }

 private:
  std::string option_;
  std::optional<analysis::Expression> expression_;
  Names usual_;
};

struct Metric {
  std::string name;
  std::string curve;
};

class Mapper {
 public:
  static absl::StatusOr<Mapper> make(const Mapping& mapping) {
    Mapper mapper;
    const auto take = [](Term& term, absl::StatusOr<Term> parsed) {
      if (parsed.ok()) term = *std::move(parsed);
      return parsed.status();
    };
    for (const absl::Status& status :
         {take(mapper.params_, Term::parse("--params", mapping.params, {"params", "N", "model_params", "n_params"})),
          take(mapper.samples_, Term::parse("--samples", mapping.samples, {"samples", "D", "tokens"})),
          take(mapper.flops_, Term::parse("--flops", mapping.flops, {"flops", "C"})),
          take(mapper.seed_, Term::parse("--seed", mapping.seed, {"seed"})),
          take(mapper.holdout_, Term::parse("--holdout", mapping.holdout))})
      if (!status.ok()) return status;
    for (const std::string& text : mapping.where) {
      absl::StatusOr<Term> condition = Term::parse("--where", text);
      if (!condition.ok()) return condition.status();
      mapper.where_.push_back(*std::move(condition));
    }
    for (const std::string& text : mapping.metrics) {
      const size_t equals = text.find('=');
      mapper.metrics_.push_back(equals == text.npos ? Metric{text, text}
                                                    : Metric{text.substr(0, equals), text.substr(equals + 1)});
    }
    if (!mapping.name_pattern.empty()) {
      mapper.pattern_ = std::make_unique<re2::RE2>(mapping.name_pattern, re2::RE2::Quiet);
      if (!mapper.pattern_->ok())
        return absl::InvalidArgumentError(fmt::format("--name-pattern: {}", mapper.pattern_->error()));
      if (mapper.pattern_->NamedCapturingGroups().empty())
        return absl::InvalidArgumentError("--name-pattern: has no named group; write one such as w(?P<width>\\d+)");
    }
    return mapper;
  }

  absl::StatusOr<MappedRuns> map(std::vector<ForeignRun> runs) const {
    MappedRuns result;
    if (absl::Status status = check_metrics(runs); !status.ok()) return status;
    int sized = 0, priced = 0;
    for (ForeignRun& run : runs) {
      if (pattern_ != nullptr) add_groups(run);
      RunTable table(run);
      absl::StatusOr<std::optional<v1::ImportedRun>> mapped = one(run, table, result);
      if (!mapped.ok()) return mapped.status();
      if (!mapped->has_value()) continue;
      sized += (*mapped)->model_params() > 0 ? 1 : 0;
      priced += (*mapped)->curves(0).points((*mapped)->curves(0).points_size() - 1).flops() > 0 ? 1 : 0;
      result.runs.push_back(**std::move(mapped));
    }
    const auto lacking = [&](int having, const char* what, const char* option) {
      const auto lack = static_cast<int>(result.runs.size()) - having;
      if (lack > 0)
        result.warnings.push_back(
            fmt::format("{} of {} runs do not say their {}: {}", lack, result.runs.size(), what, option));
    };
    lacking(sized, "number of parameters", "laws over size need it; name it by --params EXPRESSION");
    lacking(priced, "FLOPs",
            "laws over compute need them; name them by --flops EXPRESSION, such as '6*params*samples'");
    return result;
  }

 private:
  absl::Status check_metrics(const std::vector<ForeignRun>& runs) const {
    for (const Metric& metric : metrics_) {
      std::set<std::string> curves;
      for (const ForeignRun& run : runs)
        for (const auto& [name, curve] : run.curves) curves.insert(name);
      if (!curves.contains(metric.curve) && !runs.empty())
        return absl::InvalidArgumentError(
            fmt::format("--metric: no run has '{}'; there are: {}", metric.curve, fmt::join(curves, ", ")));
    }
    return absl::OkStatus();
  }

  void add_groups(ForeignRun& run) const {
    std::vector<std::string> texts(static_cast<size_t>(pattern_->NumberOfCapturingGroups()));
    std::vector<re2::RE2::Arg> arguments(texts.size());
    std::vector<const re2::RE2::Arg*> pointers(texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      arguments[i] = re2::RE2::Arg(&texts[i]);
      pointers[i] = &arguments[i];
    }
    if (!re2::RE2::PartialMatchN(run.name, *pattern_, pointers.data(), static_cast<int>(pointers.size()))) return;
    for (const auto& [name, group] : pattern_->NamedCapturingGroups())
      run.params[name] = texts[static_cast<size_t>(group - 1)];
  }

  /// Unset where the run is left out.
  absl::StatusOr<std::optional<v1::ImportedRun>> one(const ForeignRun& run, RunTable& table, MappedRuns& result) const {
    const std::vector<Metric> metrics = metrics_of(run);
    if (metrics.empty()) {
      ++result.without_metrics;
      return std::optional<v1::ImportedRun>();
    }
    const Eigen::Index last = table.rows() - 1;
    v1::ImportedRun mapped;
    mapped.set_key(run.key);
    mapped.set_name(run.name);
    mapped.set_failed(run.failed);
    const auto set_time = [](std::optional<double> seconds, google::protobuf::Timestamp* time) {
      time->set_seconds(static_cast<int64_t>(*seconds));
      time->set_nanos(static_cast<int32_t>(1e9 * (*seconds - std::floor(*seconds))));
    };
    if (run.started) set_time(run.started, mapped.mutable_started());
    if (run.finished) set_time(run.finished, mapped.mutable_finished());
    for (const auto& [name, text] : run.params) {
      google::protobuf::Value& value = (*mapped.mutable_params()->mutable_fields())[name];
      const std::optional<double> parsed = number(text);
      parsed&& std::isfinite(*parsed) ? value.set_number_value(*parsed) : value.set_string_value(text);
    }

    std::map<const Term*, std::optional<Eigen::ArrayXd>> values;
    for (const Term* term : {&params_, &samples_, &flops_, &seed_, &holdout_}) {
      auto of_run = term->of(table, run.name);
      if (!of_run.ok()) return of_run.status();
      values[term] = *std::move(of_run);
      const bool number_of_runs = term == &params_ || term == &samples_ || term == &flops_;
      if (values[term] && number_of_runs) table.define(term->option().substr(2), *values[term]);
    }
    for (const Term& condition : where_) {
      const auto holds = condition.of(table, run.name);
      if (!holds.ok()) return holds.status();
      if ((**holds)[last] == 0) {
        ++result.filtered;
        return std::optional<v1::ImportedRun>();
      }
    }
    const auto last_of = [&](const Term& term) { return values[&term] ? (*values[&term])[last] : kNone; };
    if (const double params = last_of(params_); params >= 1) mapped.set_model_params(std::llround(params));
    if (const double seed = last_of(seed_); std::isfinite(seed)) mapped.set_seed(std::llround(seed));
    mapped.set_holdout(last_of(holdout_) == 1);

    const auto at = [&](const Term& term, size_t row) {
      const double value = values[&term] ? (*values[&term])[static_cast<Eigen::Index>(row)] : kNone;
      return std::isfinite(value) && value > 0 ? value : 0.0;
    };
    for (const Metric& metric : metrics) {
      v1::Curve& curve = *mapped.add_curves();
      curve.set_metric(metric.name);
      size_t row = 0;
      for (const auto& [step, value] : run.curves.at(metric.curve)) {
        while (table.steps()[row] != step) ++row;
        v1::Point& point = *curve.add_points();
        point.set_step(step);
        point.set_value(value);
        point.set_samples(std::llround(at(samples_, row)));
        point.set_flops(at(flops_, row));
      }
    }
    return std::optional(std::move(mapped));
  }

  /// Those that the run has.
  std::vector<Metric> metrics_of(const ForeignRun& run) const {
    std::vector<Metric> found;
    for (const Metric& metric : metrics_)
      if (run.curves.contains(metric.curve)) found.push_back(metric);
    if (metrics_.empty())
      for (const auto& [name, curve] : run.curves) found.push_back({name, name});
    return found;
  }

  Term params_, samples_, flops_, seed_, holdout_;
  std::vector<Term> where_;
  std::vector<Metric> metrics_;
  std::unique_ptr<re2::RE2> pattern_;
};

}  // namespace

absl::StatusOr<MappedRuns> map_runs(std::vector<ForeignRun> runs, const Mapping& mapping) {
  const absl::StatusOr<Mapper> mapper = Mapper::make(mapping);
  if (!mapper.ok()) return mapper.status();
  return mapper->map(std::move(runs));
}

}  // namespace scalelaw::cli
