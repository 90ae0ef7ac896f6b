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
    for (const char* form : {"m2", "m3", "m4", "broken-power"}) {
      const auto law = fit(c.below, options(form));
      if (!law.ok()) {
        std::printf("%s\n", law.status().ToString().c_str());
        continue;
      }
      std::printf("%s %s %s n=%zu: %.4f obj %.6g (m2 %.4f m4 %.4f) %s\n", b.model.c_str(), b.task.c_str(), form,
                  c.below.size(), error_beyond(*law, c), law->objective.value, b.m2, b.m4, law->formula.c_str());
    }
  }
}

}  // namespace
}  // namespace scalelaw::analysis
