#include "analysis/rivals.h"

#include <algorithm>
#include <cmath>

namespace scalelaw::analysis {

std::vector<std::string> usual_rivals(std::string_view form) {
  if (form == "power" || form == "var-power") return {"power-floor"};
  return {};
}

std::vector<double> akaike_weights(const std::vector<Contender>& contenders, double unit) {
  std::vector<double> criterion;
  for (const Contender& c : contenders) criterion.push_back(2 * c.objective / unit + 2 * c.parameters);
  const double least = *std::min_element(criterion.begin(), criterion.end());
  double sum = 0;
  for (double& c : criterion) sum += c = std::exp(-(c - least) / 2);
  for (double& c : criterion) c /= sum;
  return criterion;
}

}  // namespace scalelaw::analysis
