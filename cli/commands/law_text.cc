#include "cli/commands/law_text.h"

#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/format.h"

namespace scalelaw::cli {
namespace {

std::string interval(double low, double high) {
  return fmt::format("[{}, {}]", format_value(low), format_value(high));
}

std::string place(const v1::Prediction& prediction) {
  std::map<std::string, double> sorted(prediction.at().begin(), prediction.at().end());
  std::vector<std::string> parts;
  for (const auto& [column, value] : sorted) parts.push_back(with_unit(column, value));
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

std::string warnings_text(const google::protobuf::RepeatedPtrField<std::string>& all, const Terminal& terminal) {
  std::string text;
  for (const std::string& warning : all) text += terminal.paint(Color::kYellow, "  warning: " + warning) + "\n";
  return text;
}

std::string with_unit(const std::string& column, double value) {
  if (column == "flops") return format_flops(value);
  if (column == "params" || column == "samples") return fmt::format("{} {}", format_count(value), column);
  return fmt::format("{} {}", format_value(value), column);
}

std::string law_text(const v1::Law& law, const Terminal& terminal) {
  // A law fitted without a server has no number and no study.
  const std::string name =
      law.id() > 0 ? fmt::format("Law {}: {} of {}", law.id(), law.metric(), law.study()) : "Law of " + law.metric();
  std::string text = terminal.paint(Color::kBold, name);
  text += fmt::format("\n  {}\n  {} over {} points", law.formula(), law.form(), law.n());
  for (const v1::Range& range : law.ranges())
    text += fmt::format(", {} to {}", format_scientific(range.low()), with_unit(range.column(), range.high()));
  text += "\n\n";
  std::vector<std::vector<Cell>> rows;
  for (const v1::Parameter& parameter : law.parameters())
    rows.push_back({{"  " + parameter.name()},
                    {format_value(parameter.value())},
                    {parameter.se() > 0 ? format_value(parameter.se()) : ""},
                    {interval(parameter.ci95_low(), parameter.ci95_high())},
                    {parameter.fixed()                ? "fixed"
                     : !parameter.unbounded().empty() ? "unbounded " + parameter.unbounded()
                     : parameter.identified()         ? ""
                                                      : "not identified by these runs",
                     Color::kYellow}});
  text += table({{"  parameter"}, {"value", true}, {"std. error", true}, {"95 % interval"}, {""}}, rows, terminal);
  text += fmt::format("\n  R² {}", format_value(law.r2()));
  if (law.x_size() == 1) text += fmt::format(", Pearson r in log–log {}", format_value(law.pearson_log()));
  const v1::Objective& objective = law.objective();
  text += fmt::format("; {} on {} residuals", objective.kind(), objective.residual());
  if (objective.kind() == "huber") text += fmt::format(" (δ {})", format_value(objective.delta()));
  text += fmt::format(", objective {}\n", format_value(objective.value()));
  return text + warnings_text(law.warnings(), terminal);
}

std::string prediction_text(const v1::Prediction& prediction, const Terminal& terminal) {
  std::string value =
      fmt::format("{} at {}: {}", prediction.metric(), place(prediction), format_value(prediction.value()));
  std::string text = terminal.paint(Color::kBold, value) + "\n";
  text += fmt::format("  50 % interval  {}\n", interval(prediction.low50(), prediction.high50()));
  text += fmt::format("  95 % interval  {}\n", interval(prediction.low95(), prediction.high95()));
  std::map<std::string, double> sorted(prediction.extrapolation().begin(), prediction.extrapolation().end());
  for (const auto& [column, factor] : sorted)
    text += factor > 1 ? fmt::format("  {}: {:.3g} times beyond the fitted range\n", column, factor)
                       : fmt::format("  {}: inside the fitted range\n", column);
  if (prediction.law_id() > 0) {
    text += fmt::format("  by law {}", prediction.law_id());
    if (prediction.law_warnings() > 0)
      text += fmt::format(", fitted with {} warnings:  scalelaw laws --law {}", prediction.law_warnings(),
                          prediction.law_id());
    text += "\n";
  }
  return text + warnings_text(prediction.warnings(), terminal);
}

std::string verification_text(const v1::VerifyResponse& response, const Terminal& terminal) {
  if (response.verifications().empty())
    return "Nothing to verify yet: it takes a fitted law and a held-out run (holdout: true) that has succeeded.\n";
  std::vector<std::vector<Cell>> rows;
  int inside50 = 0, inside95 = 0;
  bool all_before = true;
  for (const v1::Verification& one : response.verifications()) {
    const v1::Prediction& prediction = one.prediction();
    inside50 += one.inside50();
    inside95 += one.inside95();
    all_before = all_before && one.predicted_before();
    rows.push_back(
        {{prediction.metric()},
         {fmt::format("{} {}", one.measured().run_id(), one.measured().run())},
         {place(prediction)},
         {format_value(prediction.value())},
         {interval(prediction.low95(), prediction.high95())},
         {format_value(one.measured().value()), Color::kBold},
         {fmt::format("{:+.1f} %", 100 * one.relative_error())},
         {one.inside50()   ? "inside 50 %"
          : one.inside95() ? "inside 95 %"
                           : "outside",
          one.inside95() ? Color::kGreen : Color::kRed},
         {one.predicted_before() ? "before" : "after", one.predicted_before() ? Color::kNone : Color::kYellow}});
  }
  int n = response.verifications_size();
  std::string text = table({{"metric"},
                            {"run", false, true},
                            {"at", true},
                            {"predicted", true},
                            {"95 % interval"},
                            {"measured", true},
                            {"error", true},
                            {"interval"},
                            {"law stored"}},
                           rows, terminal);
  text += fmt::format("\n{} of {} measurements inside the 95 % interval, {} inside the 50 % interval.\n", inside95, n,
                      inside50);
  if (!all_before) text += "A law stored after the run started could have been chosen knowing the answer.\n";
  return text;
}

}  // namespace scalelaw::cli
