// Over-training and downstream error: Gadre et al. 2024 (arXiv 2403.08540), 104 models; the README of
// shared/data/gadre_overtraining has the figures.
#include <gtest/gtest.h>

#include "analysis/law.h"
#include "tests/analysis/fixtures.h"
#include "tests/analysis/shared_data.h"

namespace scalelaw::analysis {
namespace {

struct Published {
  std::string dataset;
  /// Their parametrisation: L = E + alpha·N^g + beta·6^(g/2)·(M·N)^g.
  double alpha, beta, g, floor;
  /// The paper's: L = E + (a·M^eta + b·M^−eta)·C^−eta, to three digits.
  double a, b, eta;
  /// err = eps − k·exp(−gamma·L): average over 46 tasks, then over 17.
  double k, gamma, eps, k17, gamma17, eps17;
};

const std::vector<Published> kPublished = {
    {"c4_original", 113.6926, 189.5155, -.2424722, 1.5082606, 141.3, 189.5, .1212, 1.28852, .972165, .758949, 2.07891,
     .756121, .849742},
    {"rpj", 166.2110, 366.6872, -.2728507, 1.8366484, 212.2, 366.7, .1364, 1.32290, .890708, .760850, 2.20649, .714590,
     .856992},
    {"rw_original", 125.0957, 246.2067, -.2543948, 1.7344621, 157.1, 246.2, .1272, 1.12807, .821522, .767679, 2.21481,
     .707048, .865280},
};

class Gadre : public SharedData {
 protected:
  static std::vector<Observation> models(const std::string& dataset, const std::string& value, bool with_1b = false) {
    std::vector<Observation> result;
    for (const Row& row : shared_rows("gadre_overtraining/runs.csv")) {
      if (row.text("dataset_name") != dataset) continue;
      const std::string& model = row.text("model_name");
      const double multiple = row.number("tok_mult");
      const bool sampled = (multiple == 20 && (model == "d=96_l=8_h=4" || model == "d=512_l=8_h=4" ||
                                               model == "d=576_l=24_h=8" || model == "d=1024_l=24_h=8")) ||
                           (multiple == 320 && model == "d=96_l=8_h=4") ||
                           (with_1b && multiple == 20 && model == "open_lm_1b");
      if (sampled) result.push_back(observation(row, value));
    }
    return result;
  }
  static Observation observation(const Row& row, const std::string& value) {
    Observation o;
    o.run = row.text("name");
    o.params = row.number("N");
    o.samples = row.number("D");
    o.flops = row.number("flops");
    o.columns["loss"] = row.number("loss_c4_val");
    o.value = row.number(value);
    return o;
  }
  static Observation held_out(const std::string& model, double multiple, const std::string& dataset,
                              const std::string& value) {
    for (const Row& row : shared_rows("gadre_overtraining/runs.csv"))
      if (row.text("model_name") == model && row.number("tok_mult") == multiple && row.text("dataset_name") == dataset)
        return observation(row, value);
    throw std::runtime_error("no such model");
  }
  static FitOptions raw(const std::string& form) {
    FitOptions options;
    options.form = form;
    options.residual = "raw";
    options.objective = "l2";
    options.points = "all";
    options.bootstrap = 0;
    return options;
  }
};

TEST_F(Gadre, LossOfFiveModelsGivesThePublishedCoefficientsInBothParametrisations) {
  for (const Published& p : kPublished) {
    const auto five = models(p.dataset, "loss_c4_val");
    ASSERT_EQ(five.size(), 5u);
    const auto law = fit(five, raw("over-training"));
    ASSERT_TRUE(law.ok()) << law.status();
    const double eta = parameter(*law, "eta");
    EXPECT_NEAR(parameter(*law, "E"), p.floor, 1e-4);
    EXPECT_NEAR(-2 * eta, p.g, 1e-5);
    EXPECT_NEAR(parameter(*law, "a") * std::pow(6, -eta), p.alpha, 2e-2);
    EXPECT_NEAR(parameter(*law, "b"), p.beta, 4e-2);
    EXPECT_NEAR(parameter(*law, "a"), p.a, 0.1);
    EXPECT_NEAR(parameter(*law, "b"), p.b, 0.1);
    EXPECT_NEAR(eta, p.eta, 5e-5);
  }
}

TEST_F(Gadre, ErrorsOfSixModelsGiveThePublishedCoefficients) {
  for (const Published& p : kPublished) {
    const auto average = fit(models(p.dataset, "err_avg", true), raw("exponential"));
    ASSERT_TRUE(average.ok()) << average.status();
    EXPECT_NEAR(parameter(*average, "k"), p.k, 1e-4);
    EXPECT_NEAR(parameter(*average, "gamma"), p.gamma, 1e-5);
    EXPECT_NEAR(parameter(*average, "eps"), p.eps, 1e-5);
    const auto subset = fit(models(p.dataset, "err_avg_subset", true), raw("exponential"));
    ASSERT_TRUE(subset.ok()) << subset.status();
    EXPECT_NEAR(parameter(*subset, "k"), p.k17, 1e-4);
    EXPECT_NEAR(parameter(*subset, "gamma"), p.gamma17, 1e-5);
    EXPECT_NEAR(parameter(*subset, "eps"), p.eps17, 1e-5);
  }
}

double relative_error(double predicted, double measured) {
  return std::abs(predicted - measured) / measured;
}

// The notebook's figures are those of the models trained on RedPajama, their loss measured on C4: the published error
// law takes the loss that the loss law predicts.
TEST_F(Gadre, HeldOutModelsArePredictedAsWellAsTheNotebookStores) {
  const auto loss = fit(models("rpj", "loss_c4_val"), raw("over-training"));
  const auto error = fit(models("rpj", "err_avg_subset", true), raw("exponential"));
  ASSERT_TRUE(loss.ok() && error.ok());
  struct HeldOut {
    std::string model;
    double multiple, of_loss, of_error;
  };
  for (const HeldOut& h : {HeldOut{"open_lm_1b", 640, .007103, .036365}, HeldOut{"open_lm_7b", 20, .007320, .000464}}) {
    const Observation measured = held_out(h.model, h.multiple, "rpj", "loss_c4_val");
    const double predicted = evaluate(*loss, {measured.flops, measured.samples / measured.params});
    EXPECT_NEAR(relative_error(predicted, measured.value), h.of_loss, 5e-7) << h.model;
    EXPECT_NEAR(
        relative_error(evaluate(*error, {predicted}), held_out(h.model, h.multiple, "rpj", "err_avg_subset").value),
        h.of_error, 5e-7)
        << h.model;
  }
}

TEST_F(Gadre, AChainPredictsErrorsFromComputeAndRatio) {
  const auto losses = models("rpj", "loss_c4_val", true), errors = models("rpj", "err_avg_subset", true);
  FitOptions options = raw("over-training>exponential");
  options.bootstrap = 200;
  const auto chain = fit_chain(losses, errors, options);
  ASSERT_TRUE(chain.ok()) << chain.status();
  const auto loss = fit(losses, raw("over-training")), link = fit(errors, raw("exponential"));
  ASSERT_TRUE(loss.ok() && link.ok());
  const Observation large = held_out("open_lm_7b", 20, "rpj", "err_avg_subset");
  const double expected = evaluate(*link, {evaluate(*loss, {large.flops, 20})});
  const auto predicted = predict(*chain, {{"flops", large.flops}, {"tokens_per_param", 20}});
  ASSERT_TRUE(predicted.ok()) << predicted.status();
  EXPECT_NEAR(predicted->value, expected, 1e-12);
  EXPECT_LT(relative_error(predicted->value, large.value), 0.01);
  EXPECT_LT(predicted->low95, large.value);
  EXPECT_GT(predicted->high95, large.value);
}

}  // namespace
}  // namespace scalelaw::analysis
