#include "cli/commands/choice_text.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands/law_text.h"
#include "cli/format.h"

namespace scalelaw::cli {
namespace {

std::string percent(double fraction) {
  return std::isfinite(fraction) ? fmt::format("{:.3g} %", 100 * fraction) : "";
}
std::string signed_percent(double fraction) {
  return std::isfinite(fraction) ? fmt::format("{:+.2g} %", 100 * fraction) : "";
}
std::string plus_minus(double value, double se) {
  return se > 0 ? fmt::format("{:.4g} ± {:.2g}", value, se) : fmt::format("{:.4g}", value);
}
std::string place(const google::protobuf::Map<std::string, double>& at) {
  const std::map<std::string, double> sorted(at.begin(), at.end());
  std::vector<std::string> parts;
  for (const auto& [column, value] : sorted) parts.push_back(with_unit(column, value));
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

std::string ranking_text(const v1::Ranking& ranking, const Terminal& terminal) {
  std::string text =
      terminal.paint(Color::kBold,
                     fmt::format("Forms for {}, by their errors beyond what they were fitted to", ranking.metric())) +
      "\n";
  for (const v1::Split& split : ranking.splits())
    text += fmt::format("  {:.3g} ×: fitted to {} points up to {}, held against {} beyond\n", split.factor(),
                        split.fitted(), with_unit(ranking.by(), split.threshold()), split.held_out());
  for (const std::string& skipped : ranking.skipped()) text += fmt::format("  left out: {}\n", skipped);

  // A column per range of factors that any form has points in.
  std::map<double, double> ranges;
  for (const v1::RankedForm& form : ranking.forms())
    for (const v1::FactorError& error : form.by_factor())
      if (error.count() > 0) ranges[error.low()] = error.high();
  std::vector<Column> columns = {
      {"  form"},        {"of"},          {"error", true}, {"above the best", true}, {"bias", true},
      {"in 95 %", true}, {"weight", true}};
  for (const auto& [low, high] : ranges)
    columns.push_back(
        {std::isfinite(high) ? fmt::format("{:.3g}–{:.3g} ×", low, high) : fmt::format("≥ {:.3g} ×", low), true});
  columns.push_back({""});
  std::vector<std::vector<Cell>> rows;
  std::string failures;
  for (const v1::RankedForm& form : ranking.forms()) {
    const bool fitted = std::isfinite(form.error());
    std::vector<Cell> cells = {
        {"  " + form.form(), form.survives() ? Color::kBold : Color::kNone},
        {fmt::format("{}", fmt::join(form.x(), ", "))},
        {fitted ? percent(form.error()) : "–"},
        {fitted && form.excess() > 0 ? fmt::format("{} ± {}", percent(form.excess()), percent(form.excess_se())) : ""},
        {fitted ? signed_percent(form.bias()) : ""},
        {fitted && form.has_coverage95() ? percent(form.coverage95()) : ""},
        {form.has_weight() && form.weight() > 0 ? fmt::format("{:.2f}", form.weight()) : ""}};
    for (const auto& [low, high] : ranges) {
      const auto found =
          std::find_if(form.by_factor().begin(), form.by_factor().end(),
                       [low = low](const v1::FactorError& e) { return e.low() == low && e.count() > 0; });
      cells.push_back({found == form.by_factor().end() ? "" : percent(found->error())});
    }
    cells.push_back({form.survives() ? "not told apart from the best" : "", Color::kDim});
    rows.push_back(std::move(cells));
    for (const std::string& failure : form.failures()) failures += fmt::format("  {}: {}\n", form.form(), failure);
  }
  return text + "\n" + table(columns, rows, terminal) + (failures.empty() ? "" : "\n" + failures) +
         warnings_text(ranking.warnings(), terminal);
}

std::string approaches_text(const v1::ApproachesResponse& response, const Terminal& terminal) {
  std::string text = terminal.paint(Color::kBold, fmt::format("The best size for {}, by {} approaches",
                                                              response.metric(), response.approaches_size())) +
                     "\n";
  text += fmt::format("  noise of one run {} (known from its {}); C = {:.4g}·N·D\n\n", percent(response.noise()),
                      response.noise_source(), response.flops_per_param_sample());
  std::vector<std::vector<Cell>> rows;
  for (const v1::Approach& one : response.approaches())
    rows.push_back({{"  " + one.name()},
                    {std::to_string(one.optima_size())},
                    {plus_minus(one.params().exponent(), one.params().exponent_se())},
                    {plus_minus(one.samples().exponent(), one.samples().exponent_se())},
                    {format_count(one.params().value())},
                    {fmt::format("± {}", percent(one.params().log_se()))},
                    {format_count(one.samples().value())},
                    {one.has_bias_log_params() ? signed_percent(std::expm1(one.bias_log_params())) : ""}});
  text += table({{"  approach"},
                 {"budgets", true},
                 {"N* ∝ C^", true},
                 {"D* ∝ C^", true},
                 {fmt::format("N* at {}", format_flops(response.at_flops())), true},
                 {""},
                 {"D* there", true},
                 {"own bias in N*", true}},
                rows, terminal);
  for (const std::string& reason : response.impossible()) text += fmt::format("  not possible: {}\n", reason);
  text += fmt::format("\n  {}\n", response.verdict());
  for (const v1::Disagreement& one : response.disagreements())
    if (one.disagree())
      text += fmt::format("  {} and {} disagree in {}: {:.4g} and {:.4g}, z = {:.1f} (from {:.1f} on)\n", one.a(),
                          one.b(), one.quantity() == "params" ? "ln N*" : "the exponent of N*", one.a_value(),
                          one.b_value(), one.z(), one.critical());
  for (const v1::Approach& one : response.approaches())
    for (const std::string& warning : one.warnings())
      text += terminal.paint(Color::kYellow, fmt::format("  warning: {}: {}", one.name(), warning)) + "\n";
  return text;
}

std::string diagnosis_text(const v1::Diagnosis& diagnosis, const Terminal& terminal) {
  constexpr int kShown = 10;
  const v1::Law& law = diagnosis.law();
  std::string text = terminal.paint(Color::kBold, fmt::format("{}, {} of {} rows of {} runs", law.metric(), law.form(),
                                                              diagnosis.rows(), diagnosis.runs())) +
                     fmt::format("\n  {}\n", law.formula());
  if (diagnosis.repeated_runs() > 0)
    text += fmt::format("  {} runs have several rows, up to {}: they are no independent measurements\n",
                        diagnosis.repeated_runs(), diagnosis.most_rows());
  if (diagnosis.has_flops())
    text += fmt::format("  FLOPs: C = {:.4g}·N·D (spread {}, over {} rows){}\n", diagnosis.flops().ratio(),
                        percent(diagnosis.flops().log_spread()), diagnosis.flops().rows(),
                        std::abs(diagnosis.flops().slope()) > 0.01
                            ? fmt::format("; the factor grows as N^{:.2g}", diagnosis.flops().slope())
                            : "");

  const bool log = law.objective().residual() == "log";
  const auto change = [log](double by) { return log ? signed_percent(std::expm1(by)) : fmt::format("{:+.3g}", by); };
  std::vector<std::vector<Cell>> rows;
  for (const v1::Influence& one : diagnosis.influences()) {
    if (rows.size() == kShown) break;
    rows.push_back({{"  " + one.run(), Color::kNone},
                    {one.rows() > 1 ? std::to_string(one.rows()) : ""},
                    {change(one.prediction_change())},
                    {one.estimated() ? "estimated" : "", Color::kDim}});
  }
  text += fmt::format("\nWhat the prediction at {} would be without one run (the {} that matter most):\n",
                      place(diagnosis.at()), rows.size());
  text += table({{"  run"}, {"rows", true}, {"change", true}, {""}}, rows, terminal);

  if (diagnosis.outliers().empty()) {
    text += "\nNo outliers.\n";
  } else {
    rows.clear();
    for (const v1::Outlier& one : diagnosis.outliers())
      rows.push_back({{fmt::format("  {}", fmt::join(one.runs(), ", "))},
                      {place(one.at())},
                      {format_value(one.value())},
                      {format_value(one.fitted())},
                      {fmt::format("{:+.1f}", one.z()), Color::kBold}});
    text += fmt::format("\n{} outliers by robust z:\n", diagnosis.outliers_size());
    text += table({{"  run"}, {"at", false, true}, {"measured", true}, {"fitted", true}, {"z", true}}, rows, terminal);
    if (diagnosis.has_without_outliers())
      text += fmt::format("  without them:  {}\n", diagnosis.without_outliers().formula());
  }
  return text + warnings_text(diagnosis.warnings(), terminal);
}

}  // namespace scalelaw::cli
