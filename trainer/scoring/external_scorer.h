// A scorer of the user's own: any program that looks at images and captions and prints a number (docs/scores.md).
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include "trainer/family.h"

namespace scalelaw::trainer {

/// Writes the images as PNG files with a `captions.jsonl` into `folder` (emptied first), runs `command` with the folder
/// as its last argument, and reads the last line that it prints: a number, which becomes `external_score`, or a JSON
/// object of numbers, each of which becomes `external_<name>`.
///
/// images [N, 3, R, R] in [−1, 1]. Throws BadRun if the command cannot be started or prints something else,
/// std::runtime_error if it fails (its standard error goes to ours).
Values external_score(const std::vector<std::string>& command, const std::string& folder, const torch::Tensor& images,
                      const std::vector<std::string>& captions);

}  // namespace scalelaw::trainer
