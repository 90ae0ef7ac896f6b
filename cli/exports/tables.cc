#include "cli/exports/tables.h"

#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "proto/message_json.h"

namespace scalelaw::cli {
namespace {

/// The shortest text that reads back as the same number.
std::string exact(double value) {
  return fmt::format("{}", value);
}

std::string value_text(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kNumberValue:
      return exact(value.number_value());
    case google::protobuf::Value::kStringValue:
      return value.string_value();
    case google::protobuf::Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    default:
      return to_json(value).dump();
  }
}

std::string line(const std::vector<std::string>& cells) {
  std::string text;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) text += ',';
    text += csv_cell(cells[i]);
  }
  text += '\n';
  return text;
}

std::string state_word(v1::RunState state) {
  return short_name(*v1::RunState_descriptor()->FindValueByNumber(state));
}

/// Names in formulas have underscores, which LaTeX reserves.
std::string latex_text(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '_' || c == '%' || c == '&' || c == '#' || c == '$') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

/// `1.23 \times 10^{-4}`: three significant digits.
std::string latex_number(double value) {
  const std::string text = fmt::format("{:.3g}", value);
  const size_t e = text.find('e');
  if (e == text.npos) return text;
  return fmt::format("{} \\times 10^{{{}}}", text.substr(0, e), std::stoi(text.substr(e + 1)));
}

std::string latex_symbol(const std::string& name) {
  static const std::set<std::string> greek = {"alpha", "beta", "gamma", "delta", "eta", "eps", "zeta", "kappa"};
  if (name == "eps") return "\\epsilon";
  if (greek.contains(name)) return fmt::format("\\{}", name);
  return name.size() == 1 ? name : fmt::format("\\mathrm{{{}}}", latex_text(name));
}

}  // namespace

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == text.npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  quoted += '"';
  return quoted;
}

std::string runs_csv(const std::vector<ExportedRun>& runs) {
  std::set<std::string> params, metrics;
  for (const ExportedRun& one : runs) {
    for (const auto& [name, value] : one.run.params().fields()) params.insert(name);
    for (const auto& [name, value] : one.run.latest()) metrics.insert(name);
  }
  std::vector<std::string> header = {"run_id",  "run",    "stage",   "state", "seed",
                                     "holdout", "params", "samples", "flops", "steps"};
  for (const std::string& name : params) header.push_back("param_" + name);
  header.insert(header.end(), metrics.begin(), metrics.end());
  std::string text = line(header);
  for (const auto& [run, curves] : runs) {
    std::vector<std::string> cells = {std::to_string(run.id()),
                                      run.name(),
                                      run.stage(),
                                      state_word(run.state()),
                                      std::to_string(run.seed()),
                                      run.holdout() ? "1" : "0",
                                      run.model_params() > 0 ? std::to_string(run.model_params()) : "",
                                      std::to_string(run.samples()),
                                      exact(run.flops()),
                                      std::to_string(run.step())};
    for (const std::string& name : params) {
      const auto value = run.params().fields().find(name);
      cells.push_back(value == run.params().fields().end() ? "" : value_text(value->second));
    }
    for (const std::string& name : metrics) {
      const auto value = run.latest().find(name);
      cells.push_back(value == run.latest().end() ? "" : exact(value->second));
    }
    text += line(cells);
  }
  return text;
}

std::string curves_csv(const std::vector<ExportedRun>& runs) {
  std::string text = "run_id,run,metric,step,samples,flops,value\n";
  for (const auto& [run, curves] : runs)
    for (const v1::Curve& curve : curves)
      for (const v1::Point& point : curve.points())
        text += fmt::format("{},{},{},{},{},{},{}\n", run.id(), csv_cell(run.name()), csv_cell(curve.metric()),
                            point.step(), point.samples(), point.flops(), point.value());
  return text;
}

std::string runs_jsonl(const std::vector<ExportedRun>& runs) {
  std::string text;
  for (const auto& [run, curves] : runs) {
    nlohmann::ordered_json one = to_json(run);
    one["curves"] = nlohmann::ordered_json::object();
    for (const v1::Curve& curve : curves) {
      nlohmann::ordered_json& points = one["curves"][curve.metric()] = nlohmann::ordered_json::array();
      for (const v1::Point& point : curve.points())
        points.push_back(
            {{"step", point.step()}, {"samples", point.samples()}, {"flops", point.flops()}, {"value", point.value()}});
    }
    text += one.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  return text;
}

std::string laws_latex(const std::vector<v1::Law>& laws) {
  std::string text =
      "% Needs \\usepackage{booktabs}. Intervals are 95 %.\n"
      "\\begin{tabular}{lllrl}\n\\toprule\nMetric & Law & of & Runs & Parameters \\\\\n\\midrule\n";
  for (const v1::Law& law : laws) {
    std::vector<std::string> parameters;
    for (const v1::Parameter& p : law.parameters()) {
      std::string one = fmt::format("${} = {}", latex_symbol(p.name()), latex_number(p.value()));
      if (p.ci95_low() < p.ci95_high())
        one += fmt::format("\\ [{}, {}]", latex_number(p.ci95_low()), latex_number(p.ci95_high()));
      parameters.push_back(one + "$");
    }
    text += fmt::format("{} & {} & {} & {} & {} \\\\\n", latex_text(law.metric()), latex_text(law.form()),
                        latex_text(fmt::format("{}", fmt::join(law.x(), ", "))), law.n(), fmt::join(parameters, "; "));
  }
  return text + "\\bottomrule\n\\end{tabular}\n";
}

}  // namespace scalelaw::cli
