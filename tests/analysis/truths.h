// For every form: parameters such as papers report, and a study that follows them exactly.
#pragma once

#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "analysis/form.h"
#include "analysis/law.h"
#include "analysis/random.h"

namespace scalelaw::analysis {

struct Truth {
  std::string form;
  std::vector<double> parameters;
  std::vector<Observation> observations;
  FitOptions options;
};

namespace truths {

inline Observation run(std::size_t number) {
  Observation o;
  o.run = std::to_string(number + 1);
  return o;
}

/// 40 budgets, 1e10 FLOPs to 1e16.
inline std::vector<Observation> budgets() {
  std::vector<Observation> result;
  for (int i = 0; i < 40; ++i) {
    Observation o = run(result.size());
    o.flops = o.budget_flops = 1e10 * std::pow(1e6, i / 39.0);
    o.params = 1e5;
    o.samples = o.flops / (6 * o.params);
    result.push_back(o);
  }
  return result;
}

/// Six sizes by six amounts of data; every third amount is repeated 8 times, every third 60 times.
inline std::vector<Observation> surface() {
  std::vector<Observation> result;
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 6; ++j) {
      Observation o = run(result.size());
      o.params = 5e7 * std::pow(3, i);
      o.samples = 2e9 * std::pow(2.7, j);
      o.flops = 6 * o.params * o.samples;
      o.columns["unique_samples"] = o.samples / std::vector<double>{1, 8, 60}[static_cast<std::size_t>(i + j) % 3];
      result.push_back(o);
    }
  return result;
}

/// 30 losses, 2 to 5.
inline std::vector<Observation> losses() {
  std::vector<Observation> result;
  for (int i = 0; i < 30; ++i) {
    result.push_back(run(result.size()));
    result.back().columns["loss"] = 2 + 3 * i / 29.0;
  }
  return result;
}

inline std::vector<double> parameters(const std::string& form) {
  if (form == "power") return {400, -0.21};
  if (form == "power-floor") return {0.8, 400, 0.3};
  if (form == "var-power") return {2e-9, -0.23};
  if (form == "chinchilla") return {1.8, 480, 2100, 0.35, 0.37};
  if (form == "chinchilla-tied") return {1.87, 521, 1488, 0.3527};
  if (form == "kaplan") return {8.8e13, 5.4e13, 0.076, 0.095};
  if (form == "over-training") return {1.51, 141, 190, 0.121};
  if (form == "data-constrained") return {1.87, 521, 1488, 0.35, 0.36, 15.4, 5.3};
  if (form == "farseer") return {2, -1.3, -0.2, 9, 8, 0.5, -0.1, 0.1, -0.2};
  if (form == "m3") return {2000, -0.3, 1e-14};
  if (form == "m4") return {0.2, 1, 0.5, 2000, -0.3};
  if (form == "broken-power") return {0.5, 30, 0.1, 0.25, 1e12, 0.3};
  if (form == "broken-power-2") return {0.5, 30, 0.1, 0.25, 3e11, 0.3, -0.2, 3e13, 0.2};
  if (form == "broken-power-3") return {0.5, 30, 0.1, 0.3, 1e11, 0.2, -0.3, 5e12, 0.2, 0.3, 3e14, 0.2};
  if (form == "bounded") return {1e11, 0.7, 0.5};
  if (form == "sigmoid") return {0.1, 0.9, 3, 0.4};
  if (form == "exponential") return {0.76, 1.29, 0.97};
  throw std::invalid_argument("no truth for form " + form);
}

}  // namespace truths

/// Values disturbed by factors exp(noise·z), z standard normal.
inline Truth truth(const std::string& form_name, double noise = 0) {
  Truth result{form_name, truths::parameters(form_name), {}, {}};
  const Bounds bounds{0.37, 0.96};
  const auto form = make_form(form_name, bounds);
  const std::vector<std::string> columns = form->default_columns();
  if (columns[0] == "loss")
    result.observations = truths::losses();
  else
    result.observations = columns.size() > 1 ? truths::surface() : truths::budgets();
  Random random(5, 1);
  for (Observation& o : result.observations) {
    std::vector<double> x;
    for (const std::string& column : columns) x.push_back(column_value(o, column));
    o.value = form->value(result.parameters.data(), x.data()) * std::exp(noise * random.normal());
  }
  result.options.form = form_name;
  result.options.points = "all";
  result.options.bootstrap = 0;
  if (form->bounded()) {
    result.options.chance = bounds.chance;
    result.options.ceiling = bounds.ceiling;
  }
  return result;
}

}  // namespace scalelaw::analysis
