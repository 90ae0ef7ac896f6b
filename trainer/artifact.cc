#include "trainer/artifact.h"

#include <sstream>

#include <fmt/format.h>

#include "trainer/files.h"
#include "trainer/params.h"

namespace scalelaw::trainer {
namespace {

torch::serialize::InputArchive open_archive(const std::string& path, const std::string& family) {
  torch::serialize::InputArchive archive;
  torch::IValue made_by;
  try {
    archive.load_from(path);
    archive.read("family", made_by);
  } catch (const c10::Error&) {
    throw BadRun(fmt::format("{}: missing, damaged, or not an artifact of scalelaw-train", path));
  }
  if (made_by.toStringRef() != family) {
    throw BadRun(fmt::format("{}: made by family {}, needed is {}", path, made_by.toStringRef(), family));
  }
  return archive;
}

}  // namespace

void save_artifact(const std::string& path, const std::string& family, const nlohmann::json& params,
                   const torch::nn::Module& module) {
  torch::serialize::OutputArchive archive, weights;
  archive.write("family", torch::IValue(family));
  archive.write("params", torch::IValue(params.dump()));
  module.save(weights);
  archive.write("module", weights);
  std::ostringstream bytes;
  archive.save_to(bytes);
  write_file(path, bytes.str());
}

nlohmann::json artifact_params(const std::string& path, const std::string& family) {
  torch::IValue params;
  open_archive(path, family).read("params", params);
  return nlohmann::json::parse(params.toStringRef());
}

void load_artifact(const std::string& path, const std::string& family, torch::nn::Module& module) {
  torch::serialize::InputArchive archive = open_archive(path, family), weights;
  try {
    archive.read("module", weights);
    module.load(weights);
  } catch (const c10::Error& error) {
    throw BadRun(fmt::format("{}: does not fit this version's {}: {}", path, family, error.what_without_backtrace()));
  }
}

void load_submodule(const std::string& path, const std::string& name, torch::nn::Module& submodule) {
  std::vector<std::vector<int64_t>> shapes;
  for (const auto& parameter : submodule.parameters()) shapes.push_back(parameter.sizes().vec());
  torch::serialize::InputArchive archive, weights, part;
  try {
    archive.load_from(path);
    archive.read("module", weights);
    weights.read(name, part);
    submodule.load(part);
  } catch (const c10::Error&) {
    throw BadRun(fmt::format("{}: missing, damaged, or an artifact without such a {} part", path, name));
  }
  // Loading takes over whatever shape the file has.
  for (size_t i = 0; const auto& parameter : submodule.parameters()) {
    if (parameter.sizes() == shapes[i++]) continue;
    throw BadRun(fmt::format("{}: its {} part has another shape (width, captions) than this model's", path, name));
  }
}

}  // namespace scalelaw::trainer
