// The way back from a law to the fit that made it.
#pragma once

#include "analysis/law.h"

namespace scalelaw::analysis {

/// Options with which the observations that the law was fitted to give it again: to fit it without some of them, beside
/// another one, or with other intervals. Bootstrap and intervals are left at their defaults.
FitOptions options_of(const Law& law);

}  // namespace scalelaw::analysis
