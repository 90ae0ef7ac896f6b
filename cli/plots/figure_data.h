// What the figures of a study show, wherever it comes from.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scalelaw/v1/laws.pb.h"

namespace scalelaw::cli {

/// One metric of one study.
struct FigureData {
  std::string study;
  std::string metric;
  /// Bounds of a score. A metric with bounds is a score: linear axis, more is better; all others are losses.
  std::optional<double> chance, ceiling;
  /// Runs of the study, held-out ones too.
  std::vector<v1::Observation> observations;
  /// The newest law over FLOPs alone, and its predictions by rising FLOPs, from the smallest run to beyond the largest.
  std::optional<v1::Law> law;
  std::vector<v1::Prediction> curve;
  /// Held-out runs beside what the law said.
  std::vector<v1::Verification> verifications;

  bool is_score() const { return chance.has_value() || ceiling.has_value(); }
};

/// The sizes tried at one budget, and a parabola in log10 N around the best of them.
struct IsoFlop {
  double budget = 0;
  struct Size {
    double params = 0;
    /// Mean over seeds.
    double value = 0;
  };
  std::vector<Size> sizes;  // by rising params
  /// value = a + b·t + c·t², t = log10(params): of the logarithm of the value for a loss. Fitted to the best size tried
  /// and up to two on either side, since far from its minimum no isoFLOP curve is a parabola; from three sizes on.
  struct Parabola {
    double a = 0, b = 0, c = 0;
  };
  std::optional<Parabola> parabola;
  /// What it was fitted to.
  double from_params = 0, to_params = 0;
  /// Where the parabola is best, if that is within the sizes tried.
  std::optional<Size> best;

  /// The parabola's value at a size. Requires `parabola`.
  double at(double params, bool is_score) const;
};

/// One per budget (of runs that are not held out), by rising budget; runs without a FLOPs budget are grouped by what
/// they spent. The curve is a guide for the eye; a law is fitted elsewhere.
std::vector<IsoFlop> isoflops(const FigureData& data);

struct FrontierPoint {
  double flops = 0;
  /// Mean over the seeds of the best size.
  double value = 0;
};
/// The best size's value at each budget, by rising FLOPs; a point that a cheaper one beats is left out.
std::vector<FrontierPoint> frontier(const FigureData& data);

}  // namespace scalelaw::cli
