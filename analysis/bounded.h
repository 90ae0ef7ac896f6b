// A score between chance and a ceiling.
#pragma once

#include "analysis/form.h"

namespace scalelaw::analysis {

/// S(x) = ceiling − (ceiling − chance)·e(x), e(x) = (1 + (x/x0)^(b/s))^(−s).
///
/// e is the share of the attainable score that is still missing. For x ≫ x0 it is a power law, e = (x/x0)^−b, as errors
/// are (Hestness et al. 2017); for x ≪ x0 it is 1: a model that has learnt nothing guesses. s in [0.1, 1] is the
/// softness of the onset between them: s = 1 is the logistic curve in ln x, s → 0 a kink at x0. It is one broken power
/// law (Caballero et al. 2023) whose first segment is flat and whose limits are known, so it cannot leave its bounds
/// however far it is extrapolated. The logistic curve alone ties the way in to the way out: scores measured on
/// isoFLOP frontiers leave chance abruptly and approach the ceiling slowly, which it can only miss.
class BoundedScore : public Form {
 public:
  explicit BoundedScore(const Bounds& bounds) : bounds_(bounds) {}

  std::string_view name() const override { return "bounded"; }
  std::string_view description() const override;
  std::vector<std::string> default_columns() const override { return {"flops"}; }
  bool bounded() const override { return true; }
  std::vector<Coordinate> coordinates(const Eigen::MatrixXd& logx) const override;
  void basis(const double* theta, const Eigen::MatrixXd& logx, Eigen::MatrixXd& phi,
             Eigen::VectorXd& offset) const override;
  void second_order(const double* coordinates, const double* logx, SecondOrder& out) const override;
  std::vector<std::string> parameter_names() const override { return {"x0", "b", "s"}; }
  std::vector<double> parameters(const double* coordinates, const double* log_scale) const override;
  Hold hold(size_t j, double value, const double* log_scale) const override;
  double value(const double* parameters, const double* x) const override;
  std::string formula(const double* parameters, const std::vector<std::string>& columns) const override;

 private:
  double score(double log_x_over_x0, double b, double s) const;
  const Bounds bounds_;
};

}  // namespace scalelaw::analysis
