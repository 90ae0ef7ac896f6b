#include "analysis/approaches.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "analysis/akima.h"
#include "analysis/random.h"
#include "tests/analysis/fixtures.h"
#include "tests/analysis/shared_data.h"

namespace scalelaw::analysis {
namespace {

/// L(N, D) of Hoffmann et al. 2022, section 3.3.
constexpr double kE = 1.69, kA = 406.4, kB = 410.7, kAlpha = 0.34, kBeta = 0.28;

double hoffmann(double params, double samples) {
  return kE + kA * std::pow(params, -kAlpha) + kB * std::pow(samples, -kBeta);
}
/// Their eq. 4.
double best_params(double flops) {
  const double g = std::pow(kAlpha * kA / (kBeta * kB), 1 / (kAlpha + kBeta));
  return g * std::pow(flops / 6, kBeta / (kAlpha + kBeta));
}

/// `sizes` per budget, evenly in logs over best/reach … best·reach.
std::vector<Observation> ladder(const std::vector<double>& budgets, int sizes, double reach, double noise = 0,
                                double centre = 1) {
  StudyBuilder study;
  Random random(3, 1);
  for (double flops : budgets)
    for (int i = 0; i < sizes; ++i) {
      const double params = centre * best_params(flops) * std::pow(reach, 2.0 * i / (sizes - 1) - 1);
      study.add(flops, params, hoffmann(params, flops / 6 / params) * std::exp(noise * random.normal()));
    }
  return study.observations();
}

const std::vector<double> kBudgets = {1e17, 1e18, 1e19, 1e20, 1e21};

const OptimalSizes& of(const ApproachComparison& study, Approach approach) {
  for (const OptimalSizes& a : study.approaches)
    if (a.approach == approach) return a;
  throw std::runtime_error("no such approach: " + study.impossible.at(0));
}

TEST(PowerLaw, RecoversALineAndItsErrors) {
  // Hand-made: residuals ±s about 2·x^0.5 at three points, orthogonal to the line.
  const double s = 0.01;
  const auto law =
      fit_power_law({1, std::exp(1), std::exp(2)}, {2 * std::exp(s), 2 * std::exp(0.5 - 2 * s), 2 * std::exp(1 + s)});
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_NEAR(law->coefficient, 2, 1e-12);
  EXPECT_NEAR(law->exponent, 0.5, 1e-12);
  // Σr² = 6s², ν = 1, Σ(x − x̄)² = 2.
  EXPECT_NEAR(law->exponent_se, std::sqrt(6 * s * s / 2), 1e-12);
  EXPECT_NEAR(law->exponent_high95, 0.5 + 12.7062047 * std::sqrt(3) * s, 1e-8);
  EXPECT_NEAR(law->log_se(std::exp(1)), std::sqrt(6 * s * s / 3), 1e-12);
}

TEST(PowerLaw, PointsThatAreKnownBetterCountMore) {
  const auto law = fit_power_law({1, 10, 100, 1000}, {1, 10, 100, 5000}, {0.01, 0.01, 0.01, 100});
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_NEAR(law->exponent, 1, 1e-6);
}

TEST(PowerLaw, SaysWhatItLacks) {
  EXPECT_EQ(fit_power_law({1, 2}, {1, 2}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(fit_power_law({3, 3, 3}, {1, 2, 3}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(fit_power_law({1, 2, 3}, {1, 2, -3}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(fit_power_law({1, 2, 3}, {1, 2, 3}, {1, 0, 1}).status().code(), absl::StatusCode::kInvalidArgument);
}

// Reference values: scipy 1.10.1's Akima1DInterpolator.
TEST(Akima, IsTheInterpolantOfItsName) {
  const std::vector<double> x = {0, 0.7, 2, 2.5, 4};
  std::vector<double> y;
  for (double u : x) y.push_back((u - 1.6) * (u - 1.6) + 3);
  const Akima curve(x, y);
  EXPECT_NEAR(curve(0.3), 4.6347046186895815, 1e-12);
  EXPECT_NEAR(curve(1.6), 3.1067331049517293, 1e-12);
  EXPECT_NEAR(curve(3.3), 6.0674970760233915, 1e-12);
  const auto lowest = curve.minimum();
  ASSERT_TRUE(lowest.has_value());
  EXPECT_NEAR(lowest->x, 1.7008002206883555, 1e-7);
  EXPECT_NEAR(lowest->y, 3.099784677556466, 1e-12);
}

TEST(Akima, AnOutlyingPointDisturbsItsNeighboursOnly) {
  // Akima 1970: slopes rest on two chords on either side.
  const std::vector<double> x = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<double> y(x.size(), 0.0);
  y[5] = 1;
  const Akima curve(x, y);
  EXPECT_EQ(curve(1.5), 0);
  EXPECT_EQ(curve(8.5), 0);
  EXPECT_GT(curve(4.5), 0.1);
}

TEST(Akima, HasNoMinimumWhereAnEndIsLowest) {
  EXPECT_FALSE(Akima({0, 1, 2, 3}, {4, 3, 2, 1}).minimum().has_value());
  EXPECT_FALSE(Akima({0, 1, 2, 3}, {1, 2, 3, 4}).minimum().has_value());
}

TEST(Approaches, TheSurfaceGivesHoffmannsOptimumExactly) {
  ApproachOptions options;
  options.noise = 0;
  options.at_flops = 1e24;
  const auto study = compare_approaches(ladder(kBudgets, 9, 8), options);
  ASSERT_TRUE(study.ok()) << study.status();
  const OptimalSizes& parametric = of(*study, Approach::kParametric);
  EXPECT_NEAR(parametric.params.exponent, kBeta / (kAlpha + kBeta), 1e-5);
  EXPECT_NEAR(parametric.samples.exponent, kAlpha / (kAlpha + kBeta), 1e-5);
  EXPECT_NEAR(parametric.params.at(1e24) / best_params(1e24), 1, 1e-3);
  EXPECT_NEAR(study->flops_per_param_sample, 6, 1e-9);
}

// The known bias of Approach 2: sizes within ±8× of the optimum of Hoffmann's surface, 16 per budget, 1e17–1e21 FLOPs;
// extrapolated to 1e24 FLOPs the vertex of the parabola gives 2.88 % too few samples, by its cubic term alone.
TEST(Approaches, TheParabolaHasItsKnownBias) {
  ApproachOptions options;
  options.noise = 0;
  options.at_flops = 1e24;
  const auto study = compare_approaches(ladder(kBudgets, 16, 8), options);
  ASSERT_TRUE(study.ok()) << study.status();
  const OptimalSizes& parabola = of(*study, Approach::kParabola);
  const double true_samples = 1e24 / 6 / best_params(1e24);
  EXPECT_NEAR(parabola.samples.at(1e24) / true_samples - 1, -0.0288, 5e-5);
  // The exponent is right: sizes centred on the optimum are off by the same factor at every budget.
  EXPECT_NEAR(parabola.params.exponent, kBeta / (kAlpha + kBeta), 1e-9);
  ASSERT_TRUE(parabola.own_bias.has_value());
  EXPECT_NEAR(std::exp(-parabola.own_bias->log_params) - 1, -0.0288, 1e-4);
}

TEST(Approaches, AkimaHasAFractionOfTheParabolasBias) {
  ApproachOptions options;
  options.noise = 0;
  options.at_flops = 1e24;
  // Off centre, as sizes are that were chosen before the optimum was known.
  const auto study = compare_approaches(ladder(kBudgets, 9, 8, 0, 1.5), options);
  ASSERT_TRUE(study.ok()) << study.status();
  const auto error = [&](Approach approach) {
    return std::abs(std::log(of(*study, approach).params.at(1e24) / best_params(1e24)));
  };
  EXPECT_LT(error(Approach::kAkima), error(Approach::kParabola) / 3);
}

TEST(Approaches, AgreeWhereTheSurfaceHolds) {
  const auto study = compare_approaches(ladder({1e17, 3e17, 1e18, 3e18, 1e19, 3e19, 1e20}, 9, 8, 0.003), {});
  ASSERT_TRUE(study.ok()) << study.status();
  EXPECT_EQ(study->approaches.size(), 4u) << study->impossible.at(0);
  EXPECT_EQ(study->noise_source, "parabolas");
  EXPECT_NEAR(study->noise, 0.003, 0.0008);
  EXPECT_EQ(study->verdict, "the approaches agree within their errors");
  for (const OptimalSizes& a : study->approaches) {
    EXPECT_LT(a.params.exponent_low95, kBeta / (kAlpha + kBeta)) << approach_name(a.approach);
    EXPECT_GT(a.params.exponent_high95, kBeta / (kAlpha + kBeta)) << approach_name(a.approach);
  }
}

TEST(Approaches, DisagreeWhereTheSurfaceIsWrong) {
  // Sizes far below the optimum fail, the more the larger the budget: no L(N, D) of Hoffmann's form does that, and
  // nor does a parabola. Akima's interpolation sees the sizes about the optimum only.
  auto observations = ladder({1e17, 3e17, 1e18, 3e18, 1e19, 3e19, 1e20}, 9, 8, 0.001);
  for (Observation& o : observations)
    if (o.params < best_params(o.flops) / 2) o.value *= 1 + 0.02 * std::log(o.flops / 1e17);
  ApproachOptions options;
  options.noise = 0.001;
  const auto study = compare_approaches(observations, options);
  ASSERT_TRUE(study.ok()) << study.status();
  EXPECT_NEAR(of(*study, Approach::kAkima).params.exponent, kBeta / (kAlpha + kBeta), 0.02);
  EXPECT_NE(study->verdict.find("parabola and akima disagree on the exponent of N*"), std::string::npos)
      << study->verdict;
  for (const Disagreement& d : study->disagreements) EXPECT_EQ(d.disagree, std::abs(d.z) > d.critical);
}

TEST(Approaches, TheEnvelopeOfTrainingCurvesFindsTheOptimum) {
  std::vector<Observation> curves;
  for (int size = 0; size < 14; ++size)
    for (double tokens = 1e8; tokens < 3e11; tokens *= 1.2) {
      Observation o;
      o.run = std::to_string(size);
      o.params = 1e7 * std::pow(1.6, size);
      o.samples = tokens;
      o.flops = 6 * o.params * o.samples;
      o.value = hoffmann(o.params, o.samples);
      curves.push_back(o);
    }
  ApproachOptions options;
  options.noise = 1e-4;
  options.approaches = {Approach::kEnvelope};
  const auto study = compare_approaches(curves, options);
  ASSERT_TRUE(study.ok()) << study.status();
  const OptimalSizes& envelope = study->approaches[0];
  EXPECT_NEAR(envelope.params.exponent, kBeta / (kAlpha + kBeta), 0.02);
  EXPECT_NEAR(envelope.params.at(1e20) / best_params(1e20), 1, 0.1);
  EXPECT_FALSE(envelope.skipped.empty());  // where the smallest or largest size wins
}

TEST(Approaches, LeaveOutBudgetsWhoseBestSizeIsAtAnEnd) {
  auto observations = ladder(kBudgets, 9, 8);
  std::erase_if(observations, [](const Observation& o) { return o.flops == 1e19 && o.params > best_params(1e19) / 2; });
  ApproachOptions options;
  options.noise = 1e-4;
  const auto study = compare_approaches(observations, options);
  ASSERT_TRUE(study.ok()) << study.status();
  for (Approach approach : {Approach::kEnvelope, Approach::kParabola, Approach::kAkima}) {
    ASSERT_EQ(of(*study, approach).skipped.size(), 1u);
    EXPECT_NEAR(of(*study, approach).skipped[0].flops, 1e19, 1e9);
    EXPECT_EQ(of(*study, approach).optima.size(), 4u);
  }
}

TEST(Approaches, AreTheSameForAnyNumberOfThreads) {
  ApproachOptions options;
  options.draws = 60;
  options.surface.threads = 1;
  const auto observations = ladder(kBudgets, 7, 6, 0.003);
  const auto one = compare_approaches(observations, options);
  options.surface.threads = 5;
  const auto five = compare_approaches(observations, options);
  ASSERT_TRUE(one.ok() && five.ok());
  for (size_t a = 0; a < one->approaches.size(); ++a) {
    EXPECT_EQ(one->approaches[a].draw_exponent, five->approaches[a].draw_exponent);
    EXPECT_EQ(one->approaches[a].params.exponent_se, five->approaches[a].params.exponent_se);
  }
}

TEST(Approaches, NameWhatIsWrong) {
  const auto good = ladder(kBudgets, 7, 6);
  ApproachOptions options;
  options.draws = 3;
  EXPECT_NE(compare_approaches(good, options).status().message().find("draws"), std::string::npos);
  options = {};
  options.noise = -1;
  EXPECT_NE(compare_approaches(good, options).status().message().find("noise"), std::string::npos);
  auto bad = good;
  bad[4].samples = 0;
  EXPECT_NE(compare_approaches(bad, {}).status().message().find("run 5: samples"), std::string::npos);
  options = {};
  options.approaches = {Approach::kParabola};
  options.noise = 0.01;
  const auto one_budget = compare_approaches(ladder({1e19}, 7, 6), options);
  EXPECT_EQ(one_budget.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(one_budget.status().message().find("1 of 1 budgets"), std::string::npos) << one_budget.status();
  EXPECT_FALSE(approach_of("isoflop").ok());
  EXPECT_EQ(*approach_of("akima"), Approach::kAkima);
}

class Porian : public SharedData {};

// Porian et al. 2024, table 1: fifteen configurations, from each one's optima (N*, D* with their noise) at budgets.
TEST_F(Porian, EveryPublishedExponentIsReproduced) {
  const auto optima = shared_rows("porian/optimal_pairs.csv");
  int configurations = 0;
  for (const Row& published : shared_rows("porian/published_fits_from_pickle.csv")) {
    std::vector<double> flops, params, params_std, samples, samples_std;
    for (const Row& row : optima) {
      const auto same = [&](const char* column) { return row.text(column) == published.text(column); };
      if (!same("file") || !same("dataset") || !same("hparams") || !same("warmup") || !same("decay") ||
          !same("param_count") || !same("val") || !row.has("n"))
        continue;
      flops.push_back(row.number("flops"));
      params.push_back(row.number("n"));
      params_std.push_back(row.number("n_star_std"));
      samples.push_back(row.number("t"));
      samples_std.push_back(row.number("t_star_std"));
    }
    const auto n = fit_power_law(flops, params, params_std);
    const auto t = fit_power_law(flops, samples, samples_std);
    ASSERT_TRUE(n.ok() && t.ok()) << n.status() << t.status();
    EXPECT_NEAR(n->exponent, published.number("n_exponent"), 5e-8) << published.text("file");
    EXPECT_NEAR(n->coefficient / published.number("n_coef"), 1, 2e-6);
    EXPECT_NEAR(t->exponent, published.number("t_exponent"), 5e-8);
    // Their interval is of the noise alone; ours takes their standard deviations at their word.
    EXPECT_LT(n->exponent_low95, published.number("lo"));
    EXPECT_GT(n->exponent_high95, published.number("hi"));
    ++configurations;
  }
  EXPECT_EQ(configurations, 15);
}

}  // namespace
}  // namespace scalelaw::analysis
