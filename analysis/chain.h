// A score as a law of what was spent, by way of the loss: (N, C, D) → loss → score.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/form.h"
#include "analysis/links.h"

namespace scalelaw::analysis {

/// The names of a chain's halves: `chinchilla>sigmoid` is a Chinchilla surface and a sigmoid of its loss. Without `>`,
/// `link` is empty.
struct ChainName {
  std::string loss;
  std::string link;
};
ChainName split_chain(std::string_view name);

/// y = link(loss(x)). Parameters: the loss form's, then the link's; a name that both have becomes `link_NAME` for the
/// link. Coordinates of the link are for a loss in natural units. Fitted in two stages (`fit_chain`), never at once.
class Chain : public Form {
 public:
  /// nullptr where a half is unknown or the second is no link.
  static std::unique_ptr<const Form> make(std::string_view name, const Bounds& bounds);

  std::string_view name() const override { return name_; }
  std::string_view description() const override { return description_; }
  std::vector<std::string> default_columns() const override { return loss_->default_columns(); }
  std::string_view default_objective() const override { return loss_->default_objective(); }
  std::string_view default_residual() const override { return loss_->default_residual(); }
  void choose_units(std::vector<double>& log_scale) const override { loss_->choose_units(log_scale); }
  std::vector<Coordinate> coordinates(const Eigen::MatrixXd& logx) const override;
  void basis(const double* theta, const Eigen::MatrixXd& logx, Eigen::MatrixXd& phi,
             Eigen::VectorXd& offset) const override;
  void second_order(const double* coordinates, const double* logx, SecondOrder& out) const override;
  bool has_starts() const override { return true; }
  std::vector<std::string> parameter_names() const override;
  std::vector<double> parameters(const double* coordinates, const double* log_scale) const override;
  Hold hold(size_t j, double value, const double* log_scale) const override;
  double value(const double* parameters, const double* x) const override;
  std::string formula(const double* parameters, const std::vector<std::string>& columns) const override;

 private:
  Chain() = default;

  std::string name_, description_;
  std::unique_ptr<const Form> loss_, link_;
  size_t loss_size_ = 0, link_size_ = 0;
  /// The link's derivatives by its coordinates, then by the logarithm of the loss.
  SecondOrder (*derivatives_)(const Form& link, const double* coordinates, double log_loss) = nullptr;
};

}  // namespace scalelaw::analysis
