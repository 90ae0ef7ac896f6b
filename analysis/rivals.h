// Other forms that the points may follow as well: what a prediction does not know about the form.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace scalelaw::analysis {

/// Forms that a fit of `form` has to reckon with although it cannot see them in its own residuals: one with a floor for
/// a law without, as within a decade or two the two look alike and beyond they part.
std::vector<std::string> usual_rivals(std::string_view form);

/// A form as weighed against others on the same points.
struct Contender {
  double objective = 0;
  int parameters = 0;
};

/// Akaike weights (Burnham and Anderson 2002, §2.9) of the quasi-likelihood 2·objective/unit + 2·parameters: exp(−Δ/2),
/// normalised. `unit` (see `LikelihoodScale`) comes from the contender with the most parameters, as Mallows's C_p has
/// it, so that a form that misses the points cannot hide in noise of its own making.
///
/// Without the small-sample correction AICc: on the five points of a ladder it rules out any floor whatever the values,
/// and it is beyond the points that a floor matters.
std::vector<double> akaike_weights(const std::vector<Contender>& contenders, double unit);

}  // namespace scalelaw::analysis
