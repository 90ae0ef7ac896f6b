#pragma once

#include "trainer/family.h"

namespace scalelaw::trainer {

/// `diffusion-dit` and `diffusion-unet`: metrics `loss` while training; `val_loss` and, with a scorer, `alignment…` at
/// the end. With T-GATE also, of the same weights, `sampling_macs` and `sampling_macs_ungated` (multiply-adds per
/// image, all steps), `sampling_time_saved` (share of the ungated sampler's time, measured in turn with it) and
/// `alignment_ungated`.
FamilyEntry diffusion_dit_family();
FamilyEntry diffusion_unet_family();

}  // namespace scalelaw::trainer
