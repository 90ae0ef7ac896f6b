#include "analysis/expression_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/status/status.h"
#include "analysis/law.h"
#include "analysis/random.h"
#include "tests/analysis/fixtures.h"

namespace scalelaw::analysis {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kChinchilla = "E + A*N^-alpha + B*D^-beta";

FitOptions options_for(const std::string& form, std::vector<std::string> x, int bootstrap = 0) {
  FitOptions options;
  options.form = form;
  options.x = std::move(x);
  options.points = "all";
  options.bootstrap = bootstrap;
  return options;
}

Law fitted(const std::vector<Observation>& observations, const FitOptions& options) {
  absl::StatusOr<Law> law = fit(observations, options);
  if (!law.ok()) throw std::runtime_error(std::string(law.status().message()));
  return *std::move(law);
}

/// Expressions of params and flops in which every operation and every way to enter occurs.
class Laws : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto made = ExpressionForm::make(GetParam(), {"params", "flops"});
    ASSERT_TRUE(made.ok()) << made.status();
    logx_ = Eigen::MatrixXd(6, 2);
    for (Eigen::Index i = 0; i < logx_.size(); ++i) logx_.data()[i] = 0.7 * random_.normal();
    auto ready = (*made)->ready_for(logx_, log_scale_, FitOptions());
    ASSERT_TRUE(ready.ok()) << ready.status();
    form_ = *std::move(ready);
    for (const Coordinate& c : form_->coordinates(logx_))
      at_.push_back(c.linear() ? 0.5 + random_.uniform() : c.grid[c.grid.size() / 2] + 0.01 * random_.uniform());
  }
  SecondOrder curve(const std::vector<double>& coordinates, Eigen::Index row) const {
    SecondOrder out;
    const Eigen::VectorXd x = logx_.row(row);
    form_->second_order(coordinates.data(), x.data(), out);
    return out;
  }

  Random random_{3, 5};
  const std::vector<double> log_scale_ = {std::log(7.0), std::log(2.0)};
  std::unique_ptr<const Form> form_;
  Eigen::MatrixXd logx_;
  std::vector<double> at_;
};

TEST_P(Laws, DerivativesAgreeWithDifferences) {
  const SecondOrder here = curve(at_, 1);
  ASSERT_TRUE(std::isfinite(here.value));
  for (size_t i = 0; i < at_.size(); ++i) {
    const double step = 1e-5 * std::max(1.0, std::abs(at_[i]));
    std::vector<double> up = at_, down = at_;
    up[i] += step;
    down[i] -= step;
    const SecondOrder above = curve(up, 1), below = curve(down, 1);
    const auto row = static_cast<Eigen::Index>(i);
    const double scale = 1 + here.hessian.cwiseAbs().maxCoeff() + std::abs(here.value);
    EXPECT_NEAR(here.gradient[row], (above.value - below.value) / (2 * step), 1e-6 * scale) << "coordinate " << i;
    for (Eigen::Index j = 0; j < here.gradient.size(); ++j)
      EXPECT_NEAR(here.hessian(row, j), (above.gradient[j] - below.gradient[j]) / (2 * step), 1e-5 * scale)
          << "coordinates " << i << ", " << j;
  }
}

TEST_P(Laws, RowsTogetherAreRowsOneByOne) {
  Workspace work;
  Eigen::VectorXd values;
  form_->values(at_.data(), logx_, work, values);
  const Eigen::VectorXd first = Eigen::VectorXd::LinSpaced(6, -1, 2), second = Eigen::VectorXd::LinSpaced(6, 3, 1);
  SmallVector gradient;
  SmallMatrix hessian;
  form_->accumulate(at_.data(), logx_, work, first, second, gradient, hessian);
  SmallVector expected_gradient = SmallVector::Zero(gradient.size());
  SmallMatrix expected_hessian = SmallMatrix::Zero(gradient.size(), gradient.size());
  for (Eigen::Index i = 0; i < 6; ++i) {
    const SecondOrder one = curve(at_, i);
    EXPECT_NEAR(values[i], one.value, 1e-12 * std::abs(one.value));
    expected_gradient += first[i] * one.gradient;
    expected_hessian += first[i] * one.hessian + second[i] * one.gradient * one.gradient.transpose();
  }
  const double scale = 1 + expected_hessian.cwiseAbs().maxCoeff();
  EXPECT_LT((gradient - expected_gradient).cwiseAbs().maxCoeff(), 1e-11 * scale);
  EXPECT_LT((hessian - expected_hessian).cwiseAbs().maxCoeff(), 1e-11 * scale);
}

TEST_P(Laws, BasisTimesLinearCoordinatesIsTheCurve) {
  Eigen::MatrixXd phi;
  Eigen::VectorXd offset;
  size_t linear = 0;
  for (const Coordinate& c : form_->coordinates(logx_)) linear += c.linear();
  form_->basis(at_.data() + linear, logx_, phi, offset);
  for (Eigen::Index i = 0; i < 6; ++i) {
    double sum = offset[i];
    for (size_t j = 0; j < linear; ++j) sum += phi(i, static_cast<Eigen::Index>(j)) * at_[j];
    EXPECT_NEAR(sum, curve(at_, i).value, 1e-11 * (1 + std::abs(sum)));
  }
}

TEST_P(Laws, ParametersInNaturalUnitsGiveTheSameCurve) {
  const std::vector<double> parameters = form_->parameters(at_.data(), log_scale_.data());
  // As read from a document: a form that has not seen any points.
  const auto read = ExpressionForm::make(form_->name(), {"params", "flops"});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ((*read)->parameter_names(), form_->parameter_names());
  for (Eigen::Index i = 0; i < 6; ++i) {
    const double x[] = {7 * std::exp(logx_(i, 0)), 2 * std::exp(logx_(i, 1))};
    const double expected = curve(at_, i).value;
    EXPECT_NEAR((*read)->value(parameters.data(), x), expected, 1e-11 * (1 + std::abs(expected)));
  }
}

INSTANTIATE_TEST_SUITE_P(Expressions, Laws,
                         testing::Values("E + A*N^-alpha + B*C^-alpha", "E - K*exp(-g*N)/C", "(beta*N*C)^alpha",
                                         "A/(1 + N/N0)^a + C^-b", "S/(1 + exp(-k*(N - N0))) + 0*C", "b*(1/N + c/C)^g",
                                         "a + b*ln(N) - c*log10(C)", "A*N^(-a - b*log(C))",
                                         "A*sqrt(N + n0)*abs(C - c0)", "A*min(N, n0)^-a + B*max(C/c0, 1)^-b",
                                         "exp(a - alpha*log(N)) + C^2/(B + N)", "A*N^-(a/b)*C^(2*b)"));

TEST(ExpressionForm, FindsWhatEntersLinearly) {
  const auto form = ExpressionForm::make("E + A*N^-alpha - (B - c*D)/D^beta*2", {"params", "samples"});
  ASSERT_TRUE(form.ok()) << form.status();
  EXPECT_THAT((*form)->parameter_names(), ElementsAre("E", "A", "B", "c", "alpha", "beta"));
  EXPECT_EQ((*form)->name(), "E + A*params^-alpha - (B - c*samples)/samples^beta*2");
}

TEST(ExpressionForm, GivesTheOptimumOfTheBuiltInForm) {
  const std::vector<Observation> runs = chinchilla_runs();
  ASSERT_EQ(runs.size(), 234u);
  FitOptions built_in = options_for("chinchilla", {"params", "samples"}, 100);
  FitOptions expression = options_for(kChinchilla, {"params", "samples"}, 100);
  expression.objective = "huber";
  const Law expected = fitted(runs, built_in), law = fitted(runs, expression);
  EXPECT_EQ(law.form, "E + A*params^-alpha + B*samples^-beta");
  EXPECT_NEAR(law.objective.value, expected.objective.value, 1e-10 * expected.objective.value);
  ASSERT_EQ(law.parameters.size(), expected.parameters.size());
  for (size_t j = 0; j < law.parameters.size(); ++j) {
    EXPECT_EQ(law.parameters[j].name, expected.parameters[j].name);
    EXPECT_NEAR(law.parameters[j].value, expected.parameters[j].value, 1e-5 * expected.parameters[j].value);
    EXPECT_NEAR(law.parameters[j].ci95_low, expected.parameters[j].ci95_low, 1e-3 * expected.parameters[j].ci95_low);
    EXPECT_NEAR(law.parameters[j].ci95_high, expected.parameters[j].ci95_high, 1e-3 * expected.parameters[j].ci95_high);
  }
}

TEST(ExpressionForm, PredictsFromItsDocument) {
  const Law law = fitted(chinchilla_runs(), options_for(kChinchilla, {"params", "samples"}, 40));
  const absl::StatusOr<Law> read = from_json(to_json(law));
  ASSERT_TRUE(read.ok()) << read.status();
  const std::map<std::string, double> at = {{"params", 7e10}, {"samples", 1.4e12}};
  const auto expected = predict(law, at), prediction = predict(*read, at);
  ASSERT_TRUE(prediction.ok()) << prediction.status();
  EXPECT_EQ(prediction->value, expected->value);
  EXPECT_EQ(prediction->low95, expected->low95);
  EXPECT_EQ(prediction->high50, expected->high50);
  EXPECT_THAT(law.formula, HasSubstr("*params^-0.3513 + "));
}

struct Known {
  const char* expression;
  double (*curve)(double);
  std::map<std::string, double> parameters;
};

TEST(ExpressionForm, FindsTheParametersOfCurvesWithoutNoise) {
  const std::vector<Known> cases = {
      {"E + a*C^-b", [](double c) { return 1.5 + 400 * std::pow(c, -0.25); }, {{"E", 1.5}, {"a", 400}, {"b", 0.25}}},
      {"(beta*C)^alpha", [](double c) { return std::pow(3e-12 * c, -0.2); }, {{"beta", 3e-12}, {"alpha", -0.2}}},
      {"a*(1/C + g)^c",
       [](double c) { return 50 * std::pow(1 / c + 2e-13, 0.1); },
       {{"a", 50}, {"g", 2e-13}, {"c", 0.1}}},
      {"m - k*(1 + C/C0)^-b",
       [](double c) { return 0.9 - 0.6 * std::pow(1 + c / 3e11, -0.7); },
       {{"m", 0.9}, {"k", 0.6}, {"C0", 3e11}, {"b", 0.7}}},
      {"m/(1 + exp(-k*(log(C) - x0)))",
       [](double c) { return 0.8 / (1 + std::exp(-0.9 * (std::log(c) - 26))); },
       {{"m", 0.8}, {"k", 0.9}, {"x0", 26}}},
      {"exp(a - b*log(C))", [](double c) { return std::exp(4 - 0.15 * std::log(c)); }, {{"a", 4}, {"b", 0.15}}},
      {"a + b*log(C)", [](double c) { return -0.5 + 0.04 * std::log(c); }, {{"a", -0.5}, {"b", 0.04}}},
  };
  for (const Known& known : cases) {
    FitOptions options = options_for(known.expression, {"flops"});
    options.residual = "raw";
    const Law law = fitted(curve_study(16, 2.5, known.curve), options);
    for (const auto& [name, value] : known.parameters)
      EXPECT_NEAR(parameter(law, name), value, 1e-4 * std::abs(value)) << known.expression << ": " << name;
  }
}

TEST(ExpressionForm, ColumnsAreTheNamesThatObservationsHave) {
  std::vector<Observation> runs = curve_study(12, 3, [](double c) { return 2 + 100 * std::pow(c, -0.2); });
  for (Observation& o : runs) o.columns["Seen Examples"] = o.flops;
  const Law implied = fitted(runs, options_for("E + a*\"Seen Examples\"^-b", {}));
  EXPECT_THAT(implied.x, ElementsAre("Seen Examples"));
  EXPECT_NEAR(parameter(implied, "b"), 0.2, 1e-6);
  const Law symbol = fitted(runs, options_for("E + a*C^-b", {}));
  EXPECT_THAT(symbol.x, ElementsAre("flops"));
}

TEST(ExpressionForm, IntervalsAndFixedValuesAreObserved) {
  const auto runs = curve_study(14, 3, [](double c) { return 1.5 + 400 * std::pow(c, -0.25); });
  FitOptions options = options_for("E + a*C^-b", {"flops"});
  options.search["b"] = {0.3, 1};
  EXPECT_NEAR(parameter(fitted(runs, options), "b"), 0.3, 1e-9);
  options.search.clear();
  options.fixed = {{"E", 1.4}, {"b", 0.2}};
  const Law law = fitted(runs, options);
  EXPECT_EQ(parameter(law, "E"), 1.4);
  EXPECT_EQ(parameter(law, "b"), 0.2);
  EXPECT_TRUE(law.parameters[0].fixed);
}

TEST(ExpressionForm, ErrorsSayWhatIsWrong) {
  const auto runs = curve_study(14, 3, [](double c) { return 1.5 + 400 * std::pow(c, -0.25); });
  const auto error = [&](const FitOptions& options) {
    const absl::StatusOr<Law> law = fit(runs, options);
    if (law.ok()) return std::string("none");
    EXPECT_TRUE(absl::IsInvalidArgument(law.status()));
    return std::string(law.status().message());
  };
  EXPECT_THAT(error(options_for("E + a*C^", {"flops"})), HasSubstr("expected a number, a name or '(' at position 9"));
  EXPECT_THAT(error(options_for("E + a*(C < 3)", {"flops"})), HasSubstr("a law has no conditions"));
  EXPECT_THAT(error(options_for("E + a*C^-b", {"flops", "params"})), HasSubstr("does not use params"));
  EXPECT_THAT(error(options_for("E + a^-b", {})), HasSubstr("is a column"));
  EXPECT_THAT(error(options_for("C*2 + 1", {"flops"})), HasSubstr("has no parameters"));
  EXPECT_THAT(error(options_for("gompertz", {"flops"})), HasSubstr("'gompertz' is unknown; known forms: power"));
  EXPECT_THAT(error(options_for("power-flor", {})), HasSubstr("'power-flor' is unknown; known forms: power"));
  EXPECT_THAT(error(options_for("exp(q)*C^-b", {"flops"})), HasSubstr("nothing in the expression says how large q is"));
  FitOptions unknown = options_for("E + a*C^-b", {"flops"});
  unknown.search["q"] = {0, 1};
  EXPECT_THAT(error(unknown), HasSubstr("no parameter 'q'; its parameters: E, a, b"));
  FitOptions linear = options_for("E + a*C^-b", {"flops"});
  linear.search["a"] = {0, 1};
  EXPECT_THAT(error(linear), HasSubstr("a enters linearly"));
  FitOptions built_in = options_for("power", {"flops"});
  built_in.search["b"] = {0, 1};
  EXPECT_THAT(error(built_in), HasSubstr("search: only"));
}

}  // namespace
}  // namespace scalelaw::analysis
