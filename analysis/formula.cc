#include "analysis/formula.h"

namespace scalelaw::analysis {

std::vector<std::string> ParametrisedForm::parameter_names() const {
  std::vector<std::string> names;
  for (const FormulaParameter& p : table()) names.push_back(p.coordinate.name);
  return names;
}

std::vector<double> ParametrisedForm::parameters(const double* c, const double* log_scale) const {
  std::vector<double> result;
  for (size_t j = 0; j < table().size(); ++j) {
    const FormulaParameter& p = table()[j];
    double s = 0;
    if (p.column >= 0) s = log_scale[p.column] * (p.power + (p.exponent < 0 ? 0 : p.slope * c[p.exponent]));
    result.push_back(p.logarithm ? std::exp(c[j] + s) : c[j] * std::exp(s));
  }
  return result;
}

Hold ParametrisedForm::hold(size_t j, double value, const double* log_scale) const {
  const FormulaParameter& p = table()[j];
  const double scale = p.column < 0 ? 0 : log_scale[p.column];
  if (p.logarithm) return {std::log(value) - p.power * scale, -1, 0};
  const double factor = value * std::exp(-p.power * scale);
  if (p.exponent < 0) return {factor, -1, 0};
  return {factor, p.exponent, -p.slope * scale};
}

void ParametrisedForm::natural_coordinates(const double* parameters, double* c) const {
  for (size_t j = 0; j < table().size(); ++j) c[j] = table()[j].logarithm ? std::log(parameters[j]) : parameters[j];
}

std::vector<double> even_grid(double low, double high, int count) {
  std::vector<double> grid(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) grid[static_cast<size_t>(i)] = low + (high - low) * i / (count - 1);
  return grid;
}

}  // namespace scalelaw::analysis
