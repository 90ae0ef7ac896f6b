#include "trainer/loop/plan.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "trainer/artifact.h"
#include "trainer/data/random.h"
#include "trainer/nn/flops.h"

namespace scalelaw::trainer {
namespace {

constexpr int64_t kProbeBatch = 4;

torch::Device device_named(const std::string& name, const Placement& placement) {
  if (name == "cpu" || (name == "auto" && !torch::cuda::is_available())) return torch::kCPU;
  if (!torch::cuda::is_available()) throw BadRun("device: cuda was asked for, but this libtorch sees no GPU");
  if (placement.alone()) return torch::kCUDA;
  if (placement.local_rank >= static_cast<int64_t>(torch::cuda::device_count())) {
    throw BadRun(
        fmt::format("LOCAL_RANK: {} of this machine's {} GPUs", placement.local_rank, torch::cuda::device_count()));
  }
  return {torch::kCUDA, static_cast<c10::DeviceIndex>(placement.local_rank)};
}

void check_inputs(const FamilyEntry& entry, const RunSpec& spec, Plan::Model model) {
  for (const FamilyInput& input : entry.inputs) {
    if (model == Plan::Model::kBuilt && input.required && !spec.inputs.contains(input.name)) {
      throw BadRun(fmt::format("inputs.{}: missing; {} needs it: {}", input.name, entry.name, input.purpose));
    }
  }
  for (const auto& [name, path] : spec.inputs) {
    bool known = std::any_of(entry.inputs.begin(), entry.inputs.end(), [&](const auto& i) { return i.name == name; });
    if (!known) throw BadRun(fmt::format("inputs.{}: {} takes no such artifact", name, entry.name));
    if (!std::filesystem::exists(path)) throw BadRun(fmt::format("inputs.{}: no file {}", name, path));
  }
}

void read_training(Params& params, TrainingDefaults& training) {
  training.batch = params.integer("batch", training.batch, 1, 65536);
  training.learning_rate = params.number("learning_rate", training.learning_rate, 0, 1);
  training.weight_decay = params.number("weight_decay", training.weight_decay, 0, 10);
  training.beta1 = params.number("beta1", training.beta1, 0, 0.9999);
  training.beta2 = params.number("beta2", training.beta2, 0, 0.99999);
  training.clip = params.number("clip", training.clip, 1e-6, 1e6);
  training.warmup = params.number("warmup", training.warmup, 0, 1);
  training.schedule = params.choice("schedule", training.schedule, {"constant", "cosine", "wsd"});
  training.ema = params.number("ema", training.ema, 0, 1);
}

int64_t read_parts(Params& params, const Placement& placement, int64_t batch) {
  const int64_t given = params.integer("accumulate", 0, 0, 65536);
  const int64_t parts = given == 0 ? placement.count : given;
  if (parts % placement.count != 0) {
    throw BadRun(fmt::format("accumulate: must be a multiple of the {} processes, not {}", placement.count, parts));
  }
  if (batch % parts != 0) {
    throw BadRun(fmt::format("batch: {} does not split into {} equal parts (accumulate, processes)", batch, parts));
  }
  return parts;
}

// The text encoder of an earlier model, which stays as it is or trains on.
void take_text_encoder(const FamilyEntry& entry, const RunSpec& spec, Params& params, Family* family) {
  const bool reads_text =
      std::any_of(entry.inputs.begin(), entry.inputs.end(), [](const auto& input) { return input.name == "text"; });
  if (!reads_text) return;
  const bool frozen = params.choice("text_encoder", "trained", {"trained", "frozen"}) == "frozen";
  auto input = spec.inputs.find("text");
  if (input == spec.inputs.end()) {
    if (frozen) throw BadRun("text_encoder: a frozen one comes from a trained model, which inputs.text must name");
    return;
  }
  if (family == nullptr) return;
  const auto children = family->module().named_children();
  if (!children.contains("text")) throw BadRun("inputs.text: this model reads no captions");
  torch::nn::Module& encoder = *children["text"];
  load_submodule(input->second, "text", encoder);
  for (torch::Tensor& parameter : encoder.parameters()) parameter.set_requires_grad(!frozen);
}

}  // namespace

Plan::Plan(const FamilyEntry& entry, const RunSpec& spec, Model model)
    : params(with_preset(entry, spec.params)), data(params), placement(Placement::from_environment()) {
  check_inputs(entry, spec, model);
  device = device_named(params.choice("device", "auto", {"auto", "cpu", "cuda"}), placement);
  torch::manual_seed(mix(spec.seed, 0));
  const FamilyContext context{params, spec.inputs, spec.seed, device, data.scenes(), data.captions(), spec.directory};
  if (model == Model::kBuilt) {
    family = entry.make(context);
    training = family->defaults();
  } else {
    described = entry.describe(context);
    training = described->training;
  }
  take_text_encoder(entry, spec, params, family.get());
  read_training(params, training);
  parts = read_parts(params, placement, training.batch);
  const std::string precision = params.choice("precision", "auto", {"auto", "float32", "bf16"});
  if (precision == "bf16" && !device.is_cuda()) {
    throw BadRun("precision: bf16 needs a GPU; on a CPU float32 is faster (auto chooses by the device)");
  }
  bf16 = precision != "float32" && device.is_cuda();
  evaluates_both = params.choice("evaluate", "average", {"average", "both"}) == "both" && training.ema > 0;
  diverged_above = params.number("diverged_above", diverged_above, 0, 1e6);
  if (!family || family->draws()) sample_grids = params.integer("sample_grids", 0, 0, 1000);
  metrics_every = params.integer("metrics_every", 0, 0);
  checkpoint_seconds = params.number("checkpoint_seconds", checkpoint_seconds, 0, 1e6);
  params.finish();
  if (family) family->module().to(device);
}

ModelFacts Plan::facts(const RunSpec& spec) {
  ModelFacts facts;
  if (described) {
    facts.cost = described->cost;
    facts.params = facts.cost->params;
    facts.params_total = facts.cost->params_total;
    facts.flops_per_sample = facts.cost->flops_per_sample();
  } else {
    facts.params = family->backbone_params();
    for (const auto& parameter : family->module().parameters()) facts.params_total += parameter.numel();
    // Held-out images: of scenes the smaller file, and FLOPs depend on shapes alone.
    Batch probe = data.held_out(kProbeBatch)->range(0, kProbeBatch).to(device);
    torch::NoGradGuard no_grad;
    double forward = count_flops([&] { family->loss(probe); }) / static_cast<double>(probe.size());
    facts.flops_per_sample = 3 * forward;
  }
  facts.batch = training.batch;
  facts.steps = spec.budget.steps(facts.flops_per_sample, facts.batch, training.samples);
  facts.samples = facts.steps * facts.batch;
  facts.resolved = params.resolved();
  return facts;
}

std::string Plan::identity(const FamilyEntry& entry, const RunSpec& spec, int64_t steps) const {
  nlohmann::json same = params.resolved();
  for (const char* name : {"metrics_every", "checkpoint_seconds", "device", "evaluate", "sample_grids", "recompute",
                           "diverged_above", "cache_mb", "score_command"}) {
    same.erase(name);
  }
  return fmt::format("{} {} seed={} steps={}", entry.name, same.dump(), spec.seed, steps);
}

}  // namespace scalelaw::trainer
