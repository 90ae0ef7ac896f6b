#pragma once

#include "trainer/family.h"

namespace scalelaw::trainer {

/// `diffusion-dit`: metrics `loss` while training; `val_loss` and, with a scorer, `alignment…` at the end.
FamilyEntry diffusion_dit_family();

}  // namespace scalelaw::trainer
