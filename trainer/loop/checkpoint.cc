#include "trainer/loop/checkpoint.h"

#include <filesystem>
#include <sstream>

#include <fmt/format.h>

#include "trainer/files.h"
#include "trainer/params.h"

namespace scalelaw::trainer {
namespace {

constexpr int64_t kFormat = 2;

}  // namespace

std::string checkpoint_path(const std::string& directory) {
  return directory + "/checkpoint.pt";
}

void save_checkpoint(const std::string& directory, const std::string& identity, const Checkpoint& checkpoint,
                     const torch::nn::Module& module) {
  torch::serialize::OutputArchive archive;
  archive.write("format", torch::IValue(kFormat));
  archive.write("identity", torch::IValue(identity));
  archive.write("step", torch::IValue(checkpoint.step));
  archive.write("optimizer_steps", torch::IValue(checkpoint.optimizer.steps));
  archive.write("loss_sum", torch::IValue(checkpoint.loss_sum));
  archive.write("loss_count", torch::IValue(checkpoint.loss_count));
  archive.write("first_loss", torch::IValue(checkpoint.divergence.first));
  archive.write("recent_loss", torch::IValue(checkpoint.divergence.recent));
  archive.write("losses_seen", torch::IValue(checkpoint.divergence.seen));
  archive.write("weights", checkpoint.optimizer.weights);
  archive.write("moment1", checkpoint.optimizer.moment1);
  archive.write("moment2", checkpoint.optimizer.moment2);
  archive.write("average", checkpoint.optimizer.average);
  for (const auto& buffer : module.named_buffers()) archive.write("buffer/" + buffer.key(), buffer.value(), true);
  std::ostringstream bytes;
  archive.save_to(bytes);
  write_file(checkpoint_path(directory), bytes.str());
}

std::optional<Checkpoint> load_checkpoint(const std::string& directory, const std::string& identity,
                                          torch::nn::Module& module) {
  const std::string path = checkpoint_path(directory);
  if (!std::filesystem::exists(path)) return std::nullopt;
  Checkpoint checkpoint;
  std::string stored_identity;
  std::vector<std::pair<torch::Tensor, torch::Tensor>> buffers;
  try {
    torch::serialize::InputArchive archive;
    archive.load_from(path);
    auto read = [&archive](const std::string& name) {
      torch::IValue value;
      archive.read(name, value);
      return value;
    };
    auto read_tensor = [&archive](const std::string& name, bool buffer = false) {
      torch::Tensor value;
      archive.read(name, value, buffer);
      return value;
    };
    if (read("format").toInt() != kFormat) throw BadRun(path + ": written by another version of scalelaw-train");
    stored_identity = read("identity").toStringRef();
    checkpoint.step = read("step").toInt();
    checkpoint.optimizer = {read("optimizer_steps").toInt(), read_tensor("weights"), read_tensor("moment1"),
                            read_tensor("moment2"), read_tensor("average")};
    checkpoint.loss_sum = read("loss_sum").toDouble();
    checkpoint.loss_count = read("loss_count").toInt();
    checkpoint.divergence = {read("first_loss").toDouble(), read("losses_seen").toInt(),
                             read("recent_loss").toDouble()};
    for (const auto& buffer : module.named_buffers()) {
      buffers.emplace_back(buffer.value(), read_tensor("buffer/" + buffer.key(), true));
    }
  } catch (const c10::Error& error) {
    fmt::print(stderr, "scalelaw-train: warning: {} is damaged; starting from the first step\n", path);
    return std::nullopt;
  }
  if (stored_identity != identity) {
    throw BadRun(
        fmt::format("{}: a checkpoint of another run ({}); give this run its own directory", path, stored_identity));
  }
  torch::NoGradGuard no_grad;
  for (auto& [buffer, stored] : buffers) buffer.copy_(stored);
  return checkpoint;
}

}  // namespace scalelaw::trainer
