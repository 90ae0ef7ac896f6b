// The two families of VAR, for the list of all families.
#pragma once

#include "trainer/family.h"

namespace scalelaw::trainer {

/// `var-tokenizer`: leaves the artifact `tokenizer`. Values: `val_loss` = `val_reconstruction` (mean squared error of
/// held-out images in [−1, 1]), `codebook_usage` (share of codes in use), and with a `scorer`
/// `alignment_reconstruction`, `scorer_fd_reconstruction`, …: the scores of reconstructed real scenes. Guided samples,
/// which are more typical than real scenes, can pass the first by a little.
FamilyEntry var_tokenizer_family();

/// `var`: needs `tokenizer`. Values: `loss_last`, `loss_avg`, `err_last`, `err_avg` on held-out scenes (cross-entropy
/// in nats and share of tokens not predicted, last scale and all), `val_loss` = `loss_avg`, and with a `scorer` the
/// figures of scoring/scoring.h.
FamilyEntry var_family();

}  // namespace scalelaw::trainer
