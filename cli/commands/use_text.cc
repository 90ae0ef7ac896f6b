#include "cli/commands/use_text.h"

#include <cmath>
#include <functional>
#include <vector>

#include <fmt/format.h>

#include "cli/commands/law_text.h"
#include "cli/format.h"

namespace scalelaw::cli {
namespace {

using Format = std::function<std::string(double)>;

std::string number(double value, const Format& format) {
  return std::isinf(value) ? (value > 0 ? "∞" : "−∞") : std::isnan(value) ? "–" : format(value);
}

// `[1.2, 1.7]`; nothing where there are no draws to make one.
std::string interval(const v1::Estimate& estimate, const Format& format) {
  // Also of a value that was asked for, which every draw reaches.
  constexpr double kSame = 1e-9;
  const double width = estimate.high95() - estimate.low95();
  if (std::isnan(estimate.value()) || width <= kSame * std::abs(estimate.value())) return "";
  return fmt::format("[{}, {}]", number(estimate.low95(), format), number(estimate.high95(), format));
}
std::string with_interval(const v1::Estimate& estimate, const Format& format) {
  const std::string range = interval(estimate, format);
  return fmt::format("{}{}{}", number(estimate.value(), format), range.empty() ? "" : " ", range);
}

std::string share(double fraction) {
  return fmt::format("{:.3g} %", 100 * fraction);
}

std::vector<Cell> row(const std::string& name, const v1::Estimate& estimate, const Format& format,
                      const std::string& remark = "") {
  return {{"  " + name}, {number(estimate.value(), format), Color::kBold}, {interval(estimate, format)}, {remark}};
}

std::string cost_text(const v1::TrainingCost& cost) {
  const std::string size = std::abs(cost.exponent() - 1) < 5e-5 ? "N" : fmt::format("N^{:.4g}", cost.exponent());
  const std::string source = cost.source() == "fitted"    ? "fitted to what the runs have measured"
                             : cost.source() == "default" ? "nothing measured; --cost says otherwise"
                                                          : "as given";
  return fmt::format("  training costs {:.4g}·{}·D FLOPs ({})\n", cost.factor(), size, source);
}

std::string by_law(int32_t law_id) {
  return law_id == 0 ? "" : fmt::format(", by law {}", law_id);
}

std::string sizes_text(const v1::Optimum& optimum, const Terminal& terminal) {
  if (optimum.sizes().empty()) return "";
  std::vector<std::vector<Cell>> rows;
  for (const v1::SizeChoice& choice : optimum.sizes())
    rows.push_back({{fmt::format("  {}", format_count(choice.size().params()))},
                    {number(choice.samples().value(), format_count)},
                    {with_interval(choice.value(), format_value)},
                    {number(choice.flops().value(), format_scientific)},
                    {share(choice.best_share())}});
  std::string text = "\n";
  text +=
      table({{"  size"}, {"samples", true}, {optimum.metric()}, {"FLOPs", true}, {"best in", true}}, rows, terminal);
  return text;
}

std::string off_text(const v1::Optimum& optimum, const Terminal& terminal) {
  if (optimum.off().empty()) return "";
  std::vector<std::vector<Cell>> rows;
  for (const v1::OffOptimum& off : optimum.off())
    rows.push_back({{fmt::format("  × {:.3g}", off.factor())},
                    {format_count(off.params())},
                    {format_count(off.samples())},
                    {format_value(off.value())},
                    {number(off.overhead().value(), share)},
                    {interval(off.overhead(), share)}});
  std::string text = "\n";
  text += table({{"  off by"},
                 {"params", true},
                 {"samples", true},
                 {optimum.metric(), true},
                 {"extra compute", true},
                 {"95 % interval"}},
                rows, terminal);
  if (optimum.params_high() > 0)
    text += fmt::format("\n  From {} to {} params a model costs hardly more than the best one.\n",
                        number(optimum.params_low(), format_count), number(optimum.params_high(), format_count));
  return text;
}

}  // namespace

std::string optimum_text(const v1::Optimum& optimum, const Terminal& terminal) {
  std::string text =
      terminal.paint(Color::kBold, fmt::format("Best size for {}{}", format_flops(optimum.flops().value()),
                                               by_law(optimum.law_id()))) +
      "\n";
  std::string decided = optimum.limit().empty() ? "" : fmt::format("decided by {}", optimum.limit());
  if (!optimum.sizes().empty()) decided = "of the sizes given";
  std::vector<std::vector<Cell>> rows = {row("parameters", optimum.params(), format_count, decided),
                                         row("samples", optimum.samples(), format_count)};
  if (optimum.has_steps()) rows.push_back(row("steps", optimum.steps(), format_count));
  rows.push_back(row(optimum.metric(), optimum.value(), format_value, "the law's curve"));
  v1::Estimate run;
  run.set_value(optimum.prediction().value());
  run.set_low95(optimum.prediction().low95());
  run.set_high95(optimum.prediction().high95());
  rows.push_back(row("", run, format_value, "one new run, with its noise"));
  rows.push_back(row("compute", optimum.flops(), format_flops));
  text += table({{"  at the optimum"}, {"value", true}, {"95 % interval"}, {""}}, rows, terminal) + "\n";
  if (optimum.serving_flops() > 0)
    text += fmt::format("  {} to train, {} to serve\n", format_flops(optimum.training_flops()),
                        format_flops(optimum.serving_flops()));
  if (optimum.has_params_exponent())
    text += fmt::format("  parameters grow as C^{}, samples as C^{}\n",
                        with_interval(optimum.params_exponent(), format_value),
                        with_interval(optimum.samples_exponent(), format_value));
  text += cost_text(optimum.cost());
  if (optimum.without_optimum() > 0)
    text += fmt::format("  {} of the draws have no such optimum\n", share(optimum.without_optimum()));
  return text + sizes_text(optimum, terminal) + off_text(optimum, terminal) +
         warnings_text(optimum.warnings(), terminal);
}

std::string comparison_text(const v1::Comparison& comparison, const Terminal& terminal) {
  std::string text = terminal.paint(Color::kBold, fmt::format("{}: A is {}, B is {}", comparison.metric(),
                                                              comparison.a(), comparison.b())) +
                     "\n";
  text += comparison.paired() ? "  runs in common were resampled together\n"
                              : fmt::format("  draws are independent: {}\n", comparison.unpaired_because());
  std::vector<std::vector<Cell>> rows;
  for (const v1::ComparedAt& at : comparison.at())
    rows.push_back({{fmt::format("  {}", with_unit(comparison.column(), at.at()))},
                    {with_interval(at.a(), format_value)},
                    {with_interval(at.b(), format_value)},
                    {with_interval(at.multiplier(), [](double m) { return fmt::format("{:.3g} ×", m); }), Color::kBold},
                    {at.has_a_better() ? share(at.a_better()) : ""},
                    {at.unreachable() > 0 ? share(at.unreachable()) : ""},
                    {at.inside() ? "" : "extrapolated", Color::kYellow}});
  text += "\n";
  text += table(
      {{"  at", true}, {"A"}, {"B"}, {"B needs, of A's compute"}, {"A better in", true}, {"B never in", true}, {""}},
      rows, terminal);
  text += "\n";
  for (const v1::Crossing& crossing : comparison.crossings()) {
    const Format place = [&](double at) { return with_unit(comparison.column(), at); };
    text += fmt::format("  The curves cross at {}{}: beyond it {} is better ({} of the draws cross there).\n",
                        with_interval(crossing.at(), place), crossing.inside() ? "" : ", extrapolated",
                        crossing.a_better_beyond() ? "A" : "B", share(crossing.share()));
  }
  if (comparison.crossings().empty())
    text += fmt::format("  The curves do not cross in the range searched ({} of the draws do).\n",
                        share(comparison.crossing_share()));
  return text + warnings_text(comparison.warnings(), terminal);
}

std::string plan_text(const v1::RunPlan& plan, const Terminal& terminal) {
  std::string text = terminal.paint(Color::kBold, fmt::format("{} runs for {}{}", plan.runs_size(),
                                                              format_flops(plan.flops()), by_law(plan.law_id()))) +
                     "\n";
  // Of a best size the widths are those of its logarithm: shares of it.
  const bool best_size = plan.has_best_params_at_flops();
  const Format width = best_size ? Format(share) : Format(format_value);
  const std::string target = best_size
                                 ? fmt::format("the best size for {}: {} params",
                                               format_flops(plan.best_params_at_flops()), format_count(plan.target()))
                                 : fmt::format("{} at the target: {}", plan.metric(), format_value(plan.target()));
  text += fmt::format("  {} ± {} now, ± {} with them (95 %, the law's curve)\n", target, width(plan.curve_before()),
                      width(plan.curve_after()));
  if (plan.run_after() > 0)
    text += fmt::format("  one new run there: ± {} now, ± {} with them\n", format_value(plan.run_before()),
                        format_value(plan.run_after()));
  if (!plan.reached())
    text += terminal.paint(Color::kYellow, "  This does not reach the width that was asked for.") + "\n";
  text += cost_text(plan.cost()) + "\n";
  std::vector<std::vector<Cell>> rows;
  for (int i = 0; i < plan.runs_size(); ++i) {
    const v1::PlannedRun& run = plan.runs(i);
    const auto column = [&](const char* name) {
      const auto found = run.at().find(name);
      return found == run.at().end() ? std::string() : format_count(found->second);
    };
    rows.push_back({{fmt::format("  {}", i + 1)},
                    {column("params")},
                    {column("samples")},
                    {format_scientific(run.flops())},
                    {std::to_string(run.seed())},
                    {share(run.contribution())},
                    {fmt::format("± {}", width(run.half_width()))}});
  }
  text += table({{"  run", true},
                 {"params", true},
                 {"samples", true},
                 {"FLOPs", true},
                 {"seed", true},
                 {"share of the gain", true},
                 {"after it", true}},
                rows, terminal);
  return text + warnings_text(plan.warnings(), terminal);
}

}  // namespace scalelaw::cli
