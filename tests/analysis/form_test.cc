#include "analysis/form.h"

#include <gtest/gtest.h>

#include "analysis/law.h"
#include "analysis/pinned.h"
#include "analysis/random.h"

namespace scalelaw::analysis {
namespace {

class EveryForm : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    form_ = make_form(GetParam(), Bounds{0.3, 0.95});
    ASSERT_NE(form_, nullptr);
    const auto columns = static_cast<Eigen::Index>(form_->default_columns().size());
    logx_ = Eigen::MatrixXd(3, columns);
    for (Eigen::Index i = 0; i < logx_.size(); ++i) logx_.data()[i] = 0.7 * random_.normal();
    for (const Coordinate& c : form_->coordinates(logx_)) {
      const double low = std::isfinite(c.low) ? c.low : 0, high = std::isfinite(c.high) ? c.high : low + 2;
      at_.push_back(low + (high - low) * (0.2 + 0.3 * random_.uniform()));
    }
  }
  SecondOrder curve(const std::vector<double>& coordinates) const {
    SecondOrder out;
    const Eigen::VectorXd row = logx_.row(1);
    form_->second_order(coordinates.data(), row.data(), out);
    return out;
  }

  Random random_{11, 3};
  std::unique_ptr<const Form> form_;
  Eigen::MatrixXd logx_;
  std::vector<double> at_;
};

TEST_P(EveryForm, DerivativesAgreeWithDifferences) {
  const SecondOrder here = curve(at_);
  constexpr double kStep = 1e-5;
  for (size_t i = 0; i < at_.size(); ++i) {
    std::vector<double> up = at_, down = at_;
    up[i] += kStep;
    down[i] -= kStep;
    const SecondOrder above = curve(up), below = curve(down);
    const auto row = static_cast<Eigen::Index>(i);
    EXPECT_NEAR(here.gradient[row], (above.value - below.value) / (2 * kStep), 1e-6) << "coordinate " << i;
    for (size_t j = 0; j < at_.size(); ++j) {
      const auto column = static_cast<Eigen::Index>(j);
      EXPECT_NEAR(here.hessian(row, column), (above.gradient[column] - below.gradient[column]) / (2 * kStep), 1e-5)
          << "coordinates " << i << ", " << j;
    }
  }
}

TEST_P(EveryForm, BasisTimesLinearCoordinatesIsTheCurve) {
  Eigen::MatrixXd phi;
  Eigen::VectorXd offset;
  size_t linear = 0;
  for (const Coordinate& c : form_->coordinates(logx_)) linear += c.linear();
  form_->basis(at_.data() + linear, logx_, phi, offset);
  ASSERT_EQ(phi.cols(), static_cast<Eigen::Index>(linear));
  double sum = offset[1];
  for (size_t j = 0; j < linear; ++j) sum += phi(1, static_cast<Eigen::Index>(j)) * at_[j];
  EXPECT_NEAR(sum, curve(at_).value, 1e-12);
}

TEST_P(EveryForm, ParametersInNaturalUnitsGiveTheSameCurve) {
  const std::vector<double> log_scale(static_cast<size_t>(logx_.cols()), std::log(3e9));
  const std::vector<double> parameters = form_->parameters(at_.data(), log_scale.data());
  ASSERT_EQ(parameters.size(), form_->parameter_names().size());
  std::vector<double> x;
  for (Eigen::Index c = 0; c < logx_.cols(); ++c) x.push_back(3e9 * std::exp(logx_(1, c)));
  const double expected = curve(at_).value;
  EXPECT_NEAR(form_->value(parameters.data(), x.data()), expected, 1e-9 * std::abs(expected));
}

TEST_P(EveryForm, AParameterThatIsHeldKeepsItsValueAndTheCurve) {
  const std::vector<double> log_scale(static_cast<size_t>(logx_.cols()), std::log(3e4));
  const std::vector<double> parameters = form_->parameters(at_.data(), log_scale.data());
  const SecondOrder expected = curve(at_);
  for (size_t j = 0; j < at_.size(); ++j) {
    const std::string name = form_->parameter_names()[j];
    auto pinned = Pinned::make(make_form(GetParam(), Bounds{0.3, 0.95}), {{name, parameters[j]}}, log_scale);
    ASSERT_TRUE(pinned.ok()) << pinned.status();
    std::vector<double> free = at_;
    free.erase(free.begin() + static_cast<std::ptrdiff_t>(j));
    const Eigen::VectorXd row = logx_.row(1);
    SecondOrder here, above, below;
    (*pinned)->second_order(free.data(), row.data(), here);
    EXPECT_NEAR(here.value, expected.value, 1e-9 * std::abs(expected.value)) << name;
    EXPECT_EQ((*pinned)->parameters(free.data(), log_scale.data())[j], parameters[j]);
    for (size_t i = 0; i < free.size(); ++i) {
      constexpr double kStep = 1e-5;
      std::vector<double> up = free, down = free;
      up[i] += kStep;
      down[i] -= kStep;
      (*pinned)->second_order(up.data(), row.data(), above);
      (*pinned)->second_order(down.data(), row.data(), below);
      const auto a = static_cast<Eigen::Index>(i);
      const double scale = 1 + here.hessian.cwiseAbs().maxCoeff();
      EXPECT_NEAR(here.gradient[a], (above.value - below.value) / (2 * kStep), 1e-6 * scale) << name;
      EXPECT_NEAR(here.hessian(a, a), (above.gradient[a] - below.gradient[a]) / (2 * kStep), 1e-5 * scale) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, EveryForm, testing::ValuesIn(form_names()), [](const auto& param_info) {
  std::string name = param_info.param;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

TEST(Form, AnUnknownNameListsTheKnownOnes) {
  const auto status = describe_form("exponential").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(status.message()).find("power-floor"), std::string::npos);
}

}  // namespace
}  // namespace scalelaw::analysis
