// Trained models as files: weights, the parameters they were built from, and the family that made them.
#pragma once

#include <string>

#include <torch/torch.h>
#include <nlohmann/json.hpp>

namespace scalelaw::trainer {

/// Writes `path` whole or not at all (temporary name, fsync, rename). `params` is `Params::resolved()`.
/// Throws std::runtime_error naming the path and the cause (disk full, no permission).
void save_artifact(const std::string& path, const std::string& family, const nlohmann::json& params,
                   const torch::nn::Module& module);

/// The parameters an artifact was built from; construct the module with `Params(artifact_params(...))`.
/// Throws BadRun if the file is missing, damaged, or made by another family.
nlohmann::json artifact_params(const std::string& path, const std::string& family);

/// Loads the weights into a module built from `artifact_params`. Throws BadRun as above.
void load_artifact(const std::string& path, const std::string& family, torch::nn::Module& module);

/// Loads the weights that an artifact of any family has for its submodule `name` into `submodule`. Throws BadRun if the
/// file is none, has no such part, or one of another shape.
void load_submodule(const std::string& path, const std::string& name, torch::nn::Module& submodule);

}  // namespace scalelaw::trainer
