// Laws made by hand, of which everything is known.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "analysis/law.h"

namespace scalelaw::analysis {

/// A law with these parameters, and one draw for each further list of them.
inline Law known_law(const std::string& form, const std::vector<std::string>& x,
                     const std::vector<std::pair<std::string, double>>& parameters,
                     const std::vector<std::pair<double, double>>& ranges,
                     const std::vector<std::vector<double>>& draws = {}) {
  Law law;
  law.metric = "loss";
  law.form = form;
  law.x = x;
  law.objective = {"l2", "log", 0, 0};
  law.sigma = 0.01;
  law.sigma_dof = 50;
  for (const auto& [name, value] : parameters)
    law.parameters.push_back({name, value, 0, value, value, true, false, ""});
  Point low, high;
  for (size_t c = 0; c < x.size(); ++c) {
    law.ranges.push_back({x[c], ranges[c].first, ranges[c].second});
    low.x.push_back(ranges[c].first);
    high.x.push_back(ranges[c].second);
  }
  law.points = {low, high};
  for (const std::vector<double>& draw : draws) law.draws.push_back({draw, law.sigma});
  return law;
}

/// The law of Hoffmann et al. 2022 (section D.2), its exponents with two more digits than are printed.
inline Law hoffmann_law() {
  return known_law("chinchilla", {"params", "samples"},
                   {{"E", 1.69}, {"A", 406.4}, {"B", 410.7}, {"alpha", 0.3392}, {"beta", 0.2849}},
                   {{4e7, 1.6e10}, {1e9, 5e11}});
}

}  // namespace scalelaw::analysis
