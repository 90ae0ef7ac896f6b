// Published laws that are no sum of powers: one function each, documented where it is defined.
#pragma once

#include <memory>

#include "analysis/form.h"

namespace scalelaw::analysis {

std::unique_ptr<const Form> kaplan();
std::unique_ptr<const Form> data_constrained();
std::unique_ptr<const Form> farseer();
/// M3 and M4 of Alabdulmohsin et al. 2022.
std::unique_ptr<const Form> shifted_power();
std::unique_ptr<const Form> bent_power();
/// 1 to 3 breaks.
std::unique_ptr<const Form> broken_power(int breaks);
inline constexpr int kMaxBreaks = 3;

}  // namespace scalelaw::analysis
