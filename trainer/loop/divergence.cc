#include "trainer/loop/divergence.h"

#include <cmath>

#include <fmt/format.h>

namespace scalelaw::trainer {

std::optional<std::string> DivergenceGuard::check(double loss, double gradient_norm) {
  if (!std::isfinite(loss)) return fmt::format("the loss is {}", loss);
  if (!std::isfinite(gradient_norm))
    return fmt::format("the gradient's norm is {} at loss {:.4g}", gradient_norm, loss);
  ++state_.seen;
  if (state_.seen <= kFirstSteps) {
    state_.first += (loss - state_.first) / static_cast<double>(state_.seen);
    state_.recent = state_.first;
    return std::nullopt;
  }
  state_.recent += (loss - state_.recent) / kMemory;
  if (factor_ > 0 && state_.recent > factor_ * state_.first) {
    return fmt::format("the loss rose to {:.4g}, {:.1f} times that of the first {} steps", state_.recent,
                       state_.recent / state_.first, kFirstSteps);
  }
  return std::nullopt;
}

}  // namespace scalelaw::trainer
