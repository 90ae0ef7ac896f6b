// The two families of VAR, for the list of all families.
#pragma once

#include "trainer/family.h"

namespace scalelaw::trainer {

/// `var-tokenizer`: leaves the artifact `tokenizer`. Values: `val_loss` = `val_reconstruction` (mean squared error of
/// held-out images in [−1, 1]), `codebook_usage` (share of codes in use), and with a `scorer`
/// `alignment_reconstruction`, `scorer_fd_reconstruction`, …: the scores of reconstructed real scenes. Guided samples,
/// which are more typical than real scenes, can pass the first by a little. Trained on squared errors of pixels;
/// `adversarial_weight` and `feature_weight` (in the scorer's features, whose FLOPs are not counted) add VQGAN's
/// losses, shown as `discriminator_loss` and `feature_loss`.
FamilyEntry var_tokenizer_family();

/// `var`: needs `tokenizer`. Values: `loss_last`, `loss_avg`, `err_last`, `err_avg` on held-out scenes (cross-entropy
/// in nats and share of tokens not predicted, last scale and all), `val_loss` = `loss_avg`, and with a `scorer` the
/// figures of scoring/scoring.h, and with `painting` these again with the suffix `_painting`: of real scenes of which
/// the middle or all else was drawn anew. While training with Mixture-of-Depths, `router_accuracy`: share of tokens of
/// which the causal substitute tells whether they are chosen.
FamilyEntry var_family();

}  // namespace scalelaw::trainer
