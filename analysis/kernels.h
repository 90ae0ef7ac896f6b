// The loops over rows that a fit spends its time in. Raw pointers, no Eigen: kernels_body.h is compiled once per
// instruction set, and `kernels()` picks by what the machine has.
//
// Every kernel works on eight lanes whatever the machine's width, adds the lanes up in one order and never contracts a
// product and a sum: all sets give the same bits.
#pragma once

#include <cstdint>

#include "analysis/criterion.h"

namespace scalelaw::analysis {

inline constexpr int kLanes = 8;
/// Most linear coordinates that `profile` eliminates.
inline constexpr int kMaxProfiled = 6;

/// Any `Criterion` in numbers: ρ(r) = slope·|r| − offset where |r| > threshold, else r²/2.
struct Shape {
  explicit Shape(const Criterion& criterion);
  bool log = false;
  double threshold = 0;
  double slope = 0;
  double offset = 0;
};

struct Moments {
  double first = 0, second = 0;
};

struct Kernels {
  const char* name;

  /// out = e^(exponent·slope), to about an ulp; saturates short of overflow.
  void (*power)(std::int64_t rows, double exponent, const double* slope, double* out);

  /// Σ w·ρ(r) of r = ln(curve·inverse_y), or curve − y, with `first` = w·∂ρ/∂curve and `second` = w·∂²ρ/∂curve²;
  /// infinite where a curve in logs is not positive and finite.
  double (*penalty_slopes)(const Shape& shape, std::int64_t rows, const double* curve, const double* y,
                           const double* inverse_y, const double* weight, double* first, double* second);
  /// The sum with `robust` = w·ρ'(r)/r: what weighted least squares stand in for ρ with. 0 where r is not finite.
  double (*penalty_weights)(const Shape& shape, std::int64_t rows, const double* curve, const double* y,
                            const double* inverse_y, const double* weight, double* robust);

  /// gram[a·count + b] = Σ second·column_a·column_b (both triangles), moment[a] = Σ first·column_a.
  void (*gram)(std::int64_t rows, int count, const double* const* columns, const double* second, const double* first,
               double* gram, double* moment);
  /// out = e^(exponent·slope), curve += amplitude·out.
  void (*add_power)(std::int64_t rows, double exponent, double amplitude, const double* slope, double* out,
                    double* curve);
  /// by_exponent += amplitude·power·slope; gives Σ first·power·slope and Σ first·power·slope².
  Moments (*bend)(std::int64_t rows, double amplitude, const double* power, const double* slope, const double* first,
                  double* by_exponent);

  /// sums[f·draws + d] += Σ_r by_feature[f·rows + r]·weights[r·draws + d]; draws: a multiple of kLanes.
  void (*weighted_sums)(std::int64_t rows, std::int64_t features, std::int64_t draws, const double* by_feature,
                        const double* weights, double* sums);

  /// For kLanes draws at once, the minimum over c ≥ 0 of half the weighted squares (constant + cᵀGc)/2 − hᵀc at each
  /// of `points` grid points. place[point·size …]: where its G (lower triangle by rows), h and constant stand among
  /// the rows of `sums` (`stride` doubles apart); linear ≤ kMaxProfiled. value: points × kLanes.
  void (*profile)(int linear, std::int64_t points, const std::int32_t* place, const double* sums, std::int64_t stride,
                  double* value);
};

/// The fastest that this machine can run; SCALELAW_KERNELS=baseline|avx2 in the environment limits the choice.
const Kernels& kernels();

extern const Kernels kBaselineKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

}  // namespace scalelaw::analysis
