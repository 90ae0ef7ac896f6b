// Which size to train on how much data: the optimum of a law over size and data.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/allocation.h"
#include "analysis/estimate.h"
#include "analysis/law.h"
#include "analysis/surface.h"

namespace scalelaw::analysis {

/// A size that can be trained.
struct Size {
  std::string name;
  double params = 0;
  /// Measured training FLOPs per sample. 0: by the training cost.
  double flops_per_sample = 0;
};

struct OptimalOptions {
  /// Exactly one of the two. `flops`: all compute, training and serving, to be spent for the best value.
  /// `target`: the value to reach with the least compute.
  std::optional<double> flops;
  std::optional<double> target;
  SurfaceOptions surface;
  Spending spending;
  /// Only these sizes. Empty: any.
  std::vector<Size> sizes;
  /// Samples per training step; 0 where steps are of no interest.
  double batch = 0;
  /// Multiples of the best size at which the cost of being off is told.
  std::vector<double> off_factors = {0.25, 0.5, 2, 4};
  /// The extra compute, as a share, within which sizes are as good as the best.
  double tolerance = 0.01;
};

/// Training another size than the best one.
struct OffOptimum {
  /// Its size as a multiple of the best.
  double factor = 0;
  double params = 0;
  /// With the same compute.
  double samples = 0;
  double value = 0;
  /// Extra compute, as a share, with which this size reaches what the best size does; infinite where it cannot.
  /// The interval holds, draw by draw, what this very size costs beyond the draw's own optimum.
  Estimate overhead;
};

struct SizeChoice {
  Size size;
  Estimate samples;
  Estimate value;
  Estimate flops;
  /// Share of the draws in which it is the best on the list.
  double best_share = 0;
};

struct Optimal {
  Estimate params;
  Estimate samples;
  /// Zero where no batch was given.
  Estimate steps;
  /// The law's curve at the optimum; its interval holds the uncertainty of the parameters alone.
  Estimate value;
  /// Training and serving.
  Estimate flops;
  double training_flops = 0;
  double serving_flops = 0;
  /// d ln N*/d ln C and d ln D*/d ln C there; NaN where a list of sizes or a limit decides.
  Estimate params_exponent;
  Estimate samples_exponent;
  Limit limit = Limit::kNone;
  /// One new run at the optimum, noise included.
  Prediction prediction;
  /// What the recommended size itself costs beyond the optimum, as `OffOptimum::overhead`: 0, and by draws.
  Estimate overhead;
  std::vector<OffOptimum> off;
  /// Sizes that cost at most `tolerance` more compute.
  double params_low = 0;
  double params_high = 0;
  /// The sizes asked for, in their order.
  std::vector<SizeChoice> sizes;
  /// Share of the draws that have no best size or cannot reach the target.
  double without_optimum = 0;
  std::vector<std::string> warnings;
};

/// The optimum of a law L(N, D) of any form: for N, D (or C, or D/N) see `SurfaceOptions`.
///
/// With a budget C: min L(N, D) subject to 6·N·D = C (Hoffmann et al. 2022, eq. 4: for L = E + A·N^−α + B·D^−β
/// N* = G·(C/6)^(β/(α+β)), D* = G⁻¹·(C/6)^(α/(α+β)), G = (αA/βB)^(1/(α+β))), the cost being `surface.cost`.
/// With served samples: min 6·N·D + 2·N·D_inf subject to L(N, D) = target (Sardana et al. 2023, eq. 3), and its dual,
/// the best value for a given sum. A limit of the data caps D: the rest goes into size. Every draw of the law is
/// optimised on its own, which gives the intervals.
///
/// Errors: INVALID_ARGUMENT naming the field; FAILED_PRECONDITION where the law has no best size (with the parameter to
/// blame), no size can be afforded, or the target is beyond what the law can reach.
absl::StatusOr<Optimal> optimal(const Law& law, const OptimalOptions& options);

}  // namespace scalelaw::analysis
