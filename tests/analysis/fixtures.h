// Observations for the tests.
#pragma once

#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "analysis/law.h"
#include "analysis/random.h"

namespace scalelaw::analysis {

/// One run per budget (and size), without noise unless a disturbance is given.
class StudyBuilder {
 public:
  StudyBuilder& add(double flops, double params, double value, std::int64_t seed = 0) {
    Observation o;
    o.run = std::to_string(observations_.size() + 1);
    o.params = params;
    o.samples = flops / (6 * params);
    o.flops = o.budget_flops = flops;
    o.value = value;
    o.seed = seed;
    observations_.push_back(std::move(o));
    return *this;
  }
  const std::vector<Observation>& observations() const { return observations_; }

 private:
  std::vector<Observation> observations_;
};

/// `count` runs at FLOPs 1e10·ratio^i with values curve(flops)·exp(noise·z).
template <class Curve>
std::vector<Observation> curve_study(int count, double ratio, const Curve& curve, double noise = 0) {
  StudyBuilder study;
  Random random(7, 1);
  for (int i = 0; i < count; ++i) {
    const double flops = 1e10 * std::pow(ratio, i);
    study.add(flops, 1e5, curve(flops) * std::exp(noise * random.normal()));
  }
  return study.observations();
}

/// The 234 runs of tests/analysis/data/chinchilla.csv.
inline std::vector<Observation> chinchilla_runs() {
  std::ifstream file(std::string(SCALELAW_TEST_DATA) + "/chinchilla.csv");
  std::vector<Observation> result;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    Observation o;
    char comma;
    fields >> o.flops >> comma >> o.params >> comma >> o.samples >> comma >> o.value;
    o.run = std::to_string(result.size() + 1);
    result.push_back(std::move(o));
  }
  return result;
}

inline double parameter(const Law& law, const std::string& name) {
  for (const Parameter& p : law.parameters)
    if (p.name == name) return p.value;
  return std::nan("");
}

}  // namespace scalelaw::analysis
