#include "analysis/form.h"

#include <gtest/gtest.h>

#include "analysis/chain.h"
#include "analysis/law.h"
#include "analysis/pinned.h"
#include "tests/analysis/fixtures.h"
#include "tests/analysis/truths.h"

namespace scalelaw::analysis {
namespace {

/// A form at the coordinates of its truth, at six points of its study.
class At {
 public:
  At(std::unique_ptr<const Form> form, const std::vector<double>& parameters,
     const std::vector<Observation>& observations)
      : form_(std::move(form)), parameters_(parameters) {
    const std::vector<std::string> columns = form_->default_columns();
    logx_.resize(6, static_cast<Eigen::Index>(columns.size()));
    for (Eigen::Index i = 0; i < logx_.rows(); ++i)
      for (size_t c = 0; c < columns.size(); ++c)
        logx_(i, static_cast<Eigen::Index>(c)) =
            std::log(column_value(observations[static_cast<size_t>(i) * observations.size() / 6], columns[c]));
    for (Eigen::Index c = 0; c < logx_.cols(); ++c) log_scale_.push_back(logx_.col(c).mean());
    form_->choose_units(log_scale_);
    for (Eigen::Index c = 0; c < logx_.cols(); ++c) logx_.col(c).array() -= log_scale_[static_cast<size_t>(c)];
    coordinates_.resize(parameters.size());
    const auto put = [&](bool constants) {
      for (size_t j = 0; j < parameters.size(); ++j) {
        const Hold hold = form_->hold(j, parameters[j], log_scale_.data());
        if (constants == (hold.exponent < 0))
          coordinates_[j] = constants
                                ? hold.factor
                                : hold.factor * std::exp(hold.slope * coordinates_[static_cast<size_t>(hold.exponent)]);
      }
    };
    put(true);
    put(false);
  }
  SecondOrder curve(const std::vector<double>& coordinates, Eigen::Index row) const {
    SecondOrder out;
    const Eigen::VectorXd x = logx_.row(row);
    form_->second_order(coordinates.data(), x.data(), out);
    return out;
  }
  const Form& form() const { return *form_; }
  const std::vector<double>& coordinates() const { return coordinates_; }
  const std::vector<double>& parameters() const { return parameters_; }
  const Eigen::MatrixXd& logx() const { return logx_; }
  const std::vector<double>& log_scale() const { return log_scale_; }

 private:
  std::unique_ptr<const Form> form_;
  std::vector<double> parameters_, coordinates_, log_scale_;
  Eigen::MatrixXd logx_;
};

/// Central differences of the value against the gradient, and of the gradient against the Hessian.
void expect_derivatives(const Form& form, const std::vector<double>& at, const Eigen::MatrixXd& logx) {
  for (Eigen::Index row = 0; row < logx.rows(); ++row) {
    const Eigen::VectorXd x = logx.row(row);
    SecondOrder here, above, below;
    form.second_order(at.data(), x.data(), here);
    ASSERT_TRUE(std::isfinite(here.value));
    ASSERT_GT(here.gradient.cwiseAbs().maxCoeff(), 0);
    for (size_t i = 0; i < at.size(); ++i) {
      const double step = 1e-5 * std::max(1e-2, std::abs(at[i]));
      std::vector<double> up = at, down = at;
      up[i] += step;
      down[i] -= step;
      form.second_order(up.data(), x.data(), above);
      form.second_order(down.data(), x.data(), below);
      const auto a = static_cast<Eigen::Index>(i);
      const double rounding = 1e-15 * std::abs(here.value) / step;
      const double slope = (above.value - below.value) / (2 * step);
      EXPECT_NEAR(here.gradient[a], slope, 1e-6 * std::abs(slope) + 10 * rounding)
          << "point " << row << ", " << form.parameter_names()[i];
      for (size_t j = 0; j < at.size(); ++j) {
        const auto b = static_cast<Eigen::Index>(j);
        const double bend = (above.gradient[b] - below.gradient[b]) / (2 * step);
        const double size = std::abs(bend) + std::abs(here.gradient[b]);
        EXPECT_NEAR(here.hessian(a, b), bend, 1e-5 * size + 1e-9) << "point " << row << ", " << i << ", " << j;
      }
    }
  }
}

class EveryForm : public testing::TestWithParam<std::string> {
 protected:
  static At at_truth() {
    const Truth t = truth(GetParam());
    return At(make_form(GetParam(), Bounds{0.37, 0.96}), t.parameters, t.observations);
  }
};

TEST_P(EveryForm, DerivativesAgreeWithDifferences) {
  const At at = at_truth();
  expect_derivatives(at.form(), at.coordinates(), at.logx());
}

TEST_P(EveryForm, SumsOverRowsAreSumsOfTheRowsDerivatives) {
  const At at = at_truth();
  const Eigen::Index rows = at.logx().rows(), size = static_cast<Eigen::Index>(at.coordinates().size());
  const Eigen::VectorXd first = Eigen::VectorXd::LinSpaced(rows, -1, 2),
                        second = Eigen::VectorXd::LinSpaced(rows, 3, 1);
  Workspace work;
  Eigen::VectorXd curve;
  SmallVector gradient, expected_gradient = SmallVector::Zero(size);
  SmallMatrix hessian, expected_hessian = SmallMatrix::Zero(size, size);
  at.form().values(at.coordinates().data(), at.logx(), work, curve);
  at.form().accumulate(at.coordinates().data(), at.logx(), work, first, second, gradient, hessian);
  for (Eigen::Index i = 0; i < rows; ++i) {
    const SecondOrder row = at.curve(at.coordinates(), i);
    EXPECT_NEAR(curve[i], row.value, 1e-13 * std::abs(row.value));
    expected_gradient += first[i] * row.gradient;
    expected_hessian += first[i] * row.hessian + second[i] * row.gradient * row.gradient.transpose();
  }
  EXPECT_LT((gradient - expected_gradient).cwiseAbs().maxCoeff(),
            1e-12 * (1 + expected_gradient.cwiseAbs().maxCoeff()));
  EXPECT_LT((hessian - expected_hessian).cwiseAbs().maxCoeff(), 1e-12 * (1 + expected_hessian.cwiseAbs().maxCoeff()));
}

TEST_P(EveryForm, BasisTimesLinearCoordinatesIsTheCurve) {
  const At at = at_truth();
  Eigen::MatrixXd phi;
  Eigen::VectorXd offset;
  size_t linear = 0;
  for (const Coordinate& c : at.form().coordinates(at.logx())) linear += c.linear();
  at.form().basis(at.coordinates().data() + linear, at.logx(), phi, offset);
  ASSERT_EQ(phi.cols(), static_cast<Eigen::Index>(linear));
  for (Eigen::Index i = 0; i < at.logx().rows(); ++i) {
    double sum = offset[i];
    for (size_t j = 0; j < linear; ++j) sum += phi(i, static_cast<Eigen::Index>(j)) * at.coordinates()[j];
    const double expected = at.curve(at.coordinates(), i).value;
    EXPECT_NEAR(sum, expected, 1e-12 * std::abs(expected));
  }
}

TEST_P(EveryForm, ParametersInNaturalUnitsGiveTheSameCurve) {
  const At at = at_truth();
  const std::vector<double> parameters = at.form().parameters(at.coordinates().data(), at.log_scale().data());
  ASSERT_EQ(parameters.size(), at.parameters().size());
  for (size_t j = 0; j < parameters.size(); ++j) EXPECT_NEAR(parameters[j] / at.parameters()[j], 1, 1e-10) << j;
  for (Eigen::Index i = 0; i < at.logx().rows(); ++i) {
    std::vector<double> x;
    for (size_t c = 0; c < at.log_scale().size(); ++c)
      x.push_back(std::exp(at.logx()(i, static_cast<Eigen::Index>(c)) + at.log_scale()[c]));
    const double expected = at.curve(at.coordinates(), i).value;
    EXPECT_NEAR(at.form().value(parameters.data(), x.data()), expected, 1e-10 * std::abs(expected));
  }
}

TEST_P(EveryForm, AParameterThatIsHeldKeepsItsValueAndTheCurve) {
  const At at = at_truth();
  for (size_t j = 0; j < at.parameters().size(); ++j) {
    const std::string name = at.form().parameter_names()[j];
    auto pinned = Pinned::make(make_form(GetParam(), Bounds{0.37, 0.96}), {{name, at.parameters()[j]}}, at.log_scale());
    ASSERT_TRUE(pinned.ok()) << pinned.status();
    std::vector<double> free = at.coordinates();
    free.erase(free.begin() + static_cast<std::ptrdiff_t>(j));
    EXPECT_EQ((*pinned)->parameters(free.data(), at.log_scale().data())[j], at.parameters()[j]);
    const Eigen::VectorXd row = at.logx().row(1);
    SecondOrder here;
    (*pinned)->second_order(free.data(), row.data(), here);
    const double expected = at.curve(at.coordinates(), 1).value;
    EXPECT_NEAR(here.value, expected, 1e-10 * std::abs(expected)) << name;
    // Names by coordinate are the inner form's: differences are shown without them.
    expect_derivatives(**pinned, free, at.logx());
  }
}

TEST_P(EveryForm, RecoversItsParametersFromAStudyWithoutNoise) {
  const Truth t = truth(GetParam());
  const auto law = fit(t.observations, t.options);
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_LT(law->objective.value, 1e-16);
  ASSERT_EQ(law->parameters.size(), t.parameters.size());
  for (size_t j = 0; j < t.parameters.size(); ++j)
    EXPECT_NEAR(law->parameters[j].value / t.parameters[j], 1, 1e-3) << law->parameters[j].name;
}

TEST_P(EveryForm, HasAFormulaAndADescription) {
  const At at = at_truth();
  EXPECT_FALSE(at.form().formula(at.parameters().data(), at.form().default_columns()).empty());
  EXPECT_NE(describe_form(GetParam())->find(" = "), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Forms, EveryForm, testing::ValuesIn(form_names()), [](const auto& param_info) {
  std::string name = param_info.param;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

class EveryChain : public testing::TestWithParam<std::string> {};

TEST_P(EveryChain, DerivativesAgreeWithDifferences) {
  const std::string name = GetParam();
  const ChainName halves = split_chain(name);
  std::vector<double> parameters = truths::parameters(halves.loss);
  const std::vector<double> link = truths::parameters(halves.link);
  parameters.insert(parameters.end(), link.begin(), link.end());
  const At at(make_form(name, {}), parameters, truth(halves.loss).observations);
  expect_derivatives(at.form(), at.coordinates(), at.logx());
}

INSTANTIATE_TEST_SUITE_P(Forms, EveryChain,
                         testing::Values("chinchilla>sigmoid", "chinchilla>exponential", "over-training>exponential",
                                         "power-floor>sigmoid", "farseer>sigmoid", "m3>exponential"),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           for (char& c : name)
                             if (c == '-' || c == '>') c = '_';
                           return name;
                         });

TEST(Form, AnUnknownNameListsTheKnownOnes) {
  const auto status = describe_form("expo").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(status.message()).find("power-floor"), std::string::npos);
  EXPECT_EQ(make_form("chinchilla>power", {}), nullptr);
  EXPECT_EQ(make_form("nothing>sigmoid", {}), nullptr);
  EXPECT_EQ(make_form("sigmoid>sigmoid", {}), nullptr);
}

TEST(Form, AlabdulmohsinsNumbersAreNames) {
  EXPECT_EQ(make_form("m1", {})->name(), "power");
  EXPECT_EQ(make_form("m2", {})->name(), "power-floor");
}

TEST(Form, ANameThatBothHalvesOfAChainHaveIsTheLinksWithAPrefix) {
  EXPECT_EQ(make_form("m3>exponential", {})->parameter_names(),
            (std::vector<std::string>{"b", "c", "gamma", "eps", "k", "link_gamma"}));
}

TEST(OverTraining, IsChinchillaWithOneExponentInOtherUnits) {
  // Gadre et al. 2024, section 3.1: A = a·6^−η, B = b·6^−η, α = β = 2η.
  const auto law = fit(truth("chinchilla-tied").observations, truth("over-training").options);
  ASSERT_TRUE(law.ok()) << law.status();
  const std::vector<double> tied = truths::parameters("chinchilla-tied");
  const double eta = tied[3] / 2;
  EXPECT_NEAR(parameter(*law, "eta"), eta, 1e-7);
  EXPECT_NEAR(parameter(*law, "a") / (tied[1] * std::pow(6, eta)), 1, 1e-5);
  EXPECT_NEAR(parameter(*law, "b") / (tied[2] * std::pow(6, eta)), 1, 1e-5);
  EXPECT_EQ(law->x, (std::vector<std::string>{"flops", "tokens_per_param"}));
}

}  // namespace
}  // namespace scalelaw::analysis
