// Alabdulmohsin et al. 2022 (arXiv 2209.06640): few-shot error curves, fitted below, judged beyond; the README of
// shared/data/revisiting_neural_scaling_laws has the baselines.
#include <gtest/gtest.h>

#include <map>

#include "analysis/law.h"
#include "tests/analysis/fixtures.h"
#include "tests/analysis/shared_data.h"

namespace scalelaw::analysis {
namespace {

class Revisiting : public SharedData {
 protected:
  struct Curve {
    std::vector<Observation> below, beyond;
  };
  static Curve curve(const std::string& model, const std::string& task) {
    // Of points at the same x the last counts, as in the authors' code.
    std::map<double, std::pair<double, bool>> points;
    for (const Row& row : shared_rows("revisiting_neural_scaling_laws/benchmark.vision.csv"))
      if (row.text("Model") == model && row.text("Task") == task)
        points[row.number("Seen Examples")] = {row.number("Loss"), row.number("Training") == 1};
    Curve result;
    for (const auto& [x, point] : points) {
      Observation o;
      o.run = std::to_string(x);
      o.samples = x;
      o.value = point.first;
      (point.second ? result.below : result.beyond).push_back(o);
    }
    return result;
  }
  /// Root mean square of ln ŷ − ln y beyond the fitted points.
  static double error_beyond(const Law& law, const Curve& curve) {
    double squares = 0;
    for (const Observation& o : curve.beyond)
      squares += std::pow(std::log(evaluate(law, {o.samples}) / o.value), 2) / static_cast<double>(curve.beyond.size());
    return std::sqrt(squares);
  }
  static FitOptions options(const std::string& form) {
    FitOptions result;
    result.form = form;
    result.x = {"samples"};
    result.points = "all";
    result.residual = "log";
    result.objective = "l2";
    result.bootstrap = 0;
    if (form == "m4") result.fixed["e0"] = 1;
    return result;
  }
};

struct Baseline {
  std::string model, task;
  double m2, m4;
};
const std::vector<Baseline> kBaselines = {
    {"ViT/B/16", "inet_5", .0411, .0139},  {"ViT/B/16", "inet_10", .0462, .0123},
    {"ViT/B/16", "bird_10", .0601, .0156}, {"ViT/S/16", "inet_5", .0397, .0044},
    {"ViT/S/16", "inet_10", .0350, .0039}, {"BiT/101/3", "inet_10", .1135, .0306},
    {"MiX/L/16", "inet_10", .0983, .0040}, {"MiX/L/16", "bird_10", .0551, .0515},
    {"MiX/L/16", "cal_25", .0966, .0966},
};

TEST_F(Revisiting, M2ExtrapolatesAsTheBaselineDoes) {
  for (const Baseline& b : kBaselines) {
    const Curve c = curve(b.model, b.task);
    const auto law = fit(c.below, options("m2"));
    ASSERT_TRUE(law.ok()) << law.status();
    EXPECT_EQ(law->form, "power-floor");
    EXPECT_NEAR(error_beyond(*law, c), b.m2, 6e-5) << b.model << " " << b.task;
  }
}

// The baseline's M4 minimises by turns and stops after 400; at its coefficients for ViT/B/16 inet_5 (b 4822, c −.487,
// alpha .212, E .273) the training objective is .000984. Ours is the minimum, .000658; so the two extrapolate a little
// differently, either way.
TEST_F(Revisiting, M4ReachesALowerObjectiveThanTheBaseline) {
  const Curve c = curve("ViT/B/16", "inet_5");
  const auto law = fit(c.below, options("m4"));
  ASSERT_TRUE(law.ok()) << law.status();
  FitOptions theirs = options("m4");
  theirs.fixed = {{"E", .273}, {"e0", 1}, {"alpha", .212}, {"b", 4822}, {"c", -.487}};
  const auto baseline = fit(c.below, theirs);
  ASSERT_TRUE(baseline.ok()) << baseline.status();
  EXPECT_NEAR(baseline->objective.value, .00098425, 1e-8);
  EXPECT_LT(law->objective.value, .0006582);
}

TEST_F(Revisiting, M4ExtrapolatesNearlyAsTheBaselineDoesAndFarBetterThanM2) {
  double m2 = 0, m4 = 0;
  for (const Baseline& b : kBaselines) {
    // Twelve points below carry no M4: the baseline itself falls back on M2's error there.
    if (b.task == "cal_25") continue;
    const Curve c = curve(b.model, b.task);
    const auto law = fit(c.below, options("m4"));
    ASSERT_TRUE(law.ok()) << law.status();
    const double error = error_beyond(*law, c);
    EXPECT_NEAR(error, b.m4, .0081) << b.model << " " << b.task;
    m2 += b.m2 / 8;
    m4 += error / 8;
  }
  EXPECT_LT(m4, .020);
  EXPECT_LT(m4, m2 / 3);
}

TEST_F(Revisiting, ABrokenPowerLawFitsNoWorseThanM2) {
  for (const Baseline& b : kBaselines) {
    const Curve c = curve(b.model, b.task);
    const auto broken = fit(c.below, options("broken-power")), floor = fit(c.below, options("m2"));
    ASSERT_TRUE(broken.ok() && floor.ok());
    EXPECT_LE(broken->objective.value, floor->objective.value * (1 + 1e-9)) << b.model << " " << b.task;
  }
}

}  // namespace
}  // namespace scalelaw::analysis
