// Families `diffusion-dit` and `diffusion-unet`: a denoiser trained on captioned scenes.
#include "trainer/diffusion/family.h"

#include <chrono>
#include <cmath>

#include "trainer/diffusion/dit.h"
#include "trainer/diffusion/objective.h"
#include "trainer/diffusion/sampling.h"
#include "trainer/diffusion/unet.h"
#include "trainer/nn/flops.h"
#include "trainer/scoring/scoring.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

constexpr int64_t kValidationScenes = 2048;
constexpr int64_t kValidationBatch = 256;
constexpr uint64_t kValidationSeed = 20240402;
/// Images that are sampled with and without T-GATE to compare costs.
constexpr int64_t kGateProbe = 64;

// What the two families share.
struct DiffusionParams {
  double caption_dropout;
  Objective objective;
  Sampling sampling;

  static DiffusionParams read(Params& params) {
    DiffusionParams diffusion;
    diffusion.caption_dropout = params.number("caption_dropout", 0.1, 0, 1);
    diffusion.objective = read_objective(params);
    diffusion.sampling = Sampling::read(params, diffusion.objective);
    return diffusion;
  }
};

class Diffusion : public Family {
 public:
  Diffusion(std::shared_ptr<Denoiser> denoiser, const TrainingDefaults& defaults, const FamilyContext& context)
      : denoiser_(std::move(denoiser)),
        defaults_(defaults),
        diffusion_(DiffusionParams::read(context.params)),
        device_(context.device),
        scoring_(context) {
    if (diffusion_.sampling.gate_step > 0 && !denoiser_->has_cross_attention()) {
      throw BadRun("tgate_step: T-GATE needs cross-attention of all tokens: conditioning=cross-attention, no MoD");
    }
  }

  torch::nn::Module& module() override { return *denoiser_; }
  int64_t backbone_params() const override { return denoiser_->backbone_params(); }
  TrainingDefaults defaults() const override { return defaults_; }

  Tensor loss(const Batch& batch) override {
    Tensor clean = denoiser_->arrange(batch.images);
    Tensor time = training_times(diffusion_.objective, batch.size(), clean.device());
    return training_loss(diffusion_.objective, network(), clean, torch::randn_like(clean), time,
                         drop_captions(batch.tokens, diffusion_.caption_dropout));
  }

  bool draws() const override { return true; }
  Tensor draw(const Batch& batch) override { return images_for(batch.tokens, diffusion_.sampling); }

  double evaluation_flops(double forward_flops_per_sample) const override {
    const int64_t samplers = diffusion_.sampling.gate_step > 0 ? 2 : 1;
    const int64_t samples = kValidationScenes + samplers * 2 * diffusion_.sampling.steps * scoring_.prompts();
    return static_cast<double>(samples) * forward_flops_per_sample;
  }

  Values evaluate(const Dataset& held_out, const std::function<void(double)>& progress) override {
    const bool gated = diffusion_.sampling.gate_step > 0;
    const double validated = kValidationScenes / evaluation_flops(1.0), scored = gated ? (1 + validated) / 2 : 1;
    Values values = {{"val_loss", validation_loss(held_out, [&](double share) { progress(share * validated); })}};
    if (scoring_.on()) {
      auto sampled = [&](double share) { progress(validated + (scored - validated) * share); };
      auto images = [this](const Tensor& tokens) { return images_for(tokens, diffusion_.sampling); };
      values.merge(scoring_(held_out, images, sampled));
    }
    if (gated) values.merge(beside_ungated(held_out, [&](double share) { progress(scored + (1 - scored) * share); }));
    return values;
  }

 private:
  Network network() {
    return [this](const Tensor& x, const Tensor& time, const Tensor& tokens, CrossAttentionCache* cache) {
      return denoiser_->forward(x, time, tokens, cache);
    };
  }

  // The same scenes, noises and times for every run, so that two runs differ by their weights alone.
  double validation_loss(const Dataset& held_out, const std::function<void(double)>& progress) {
    torch::manual_seed(kValidationSeed);
    double total = 0;
    const int64_t batches = kValidationScenes / kValidationBatch;
    for (int64_t i = 0; i < batches; ++i) {
      Batch batch = held_out.range(i * kValidationBatch, kValidationBatch).to(device_);
      Tensor clean = denoiser_->arrange(batch.images);
      Tensor time = training_times(diffusion_.objective, batch.size(), device_);
      Tensor noise = torch::randn_like(clean);
      total += training_loss(diffusion_.objective, network(), clean, noise, time, batch.tokens).item<double>();
      progress(static_cast<double>(i + 1) / static_cast<double>(batches));
    }
    return total / static_cast<double>(batches);
  }

  // tokens [B, L] -> [B, 3, R, R]
  Tensor images_for(const Tensor& tokens, const Sampling& sampling) {
    std::vector<int64_t> shape = denoiser_->layout();
    shape.insert(shape.begin(), tokens.size(0));
    Tensor noise = torch::randn(shape, torch::dtype(torch::kFloat).device(device_));
    return denoiser_->restore(sample(network(), diffusion_.objective, noise, tokens, sampling));
  }

  // The same weights and captions without T-GATE: what it saves of work and of time, and what it costs in score.
  Values beside_ungated(const Dataset& held_out, const std::function<void(double)>& progress) {
    Sampling ungated = diffusion_.sampling;
    ungated.gate_step = 0;
    Tensor tokens = held_out.range(0, kGateProbe).tokens.to(device_);
    auto macs = [&](const Sampling& sampling) {
      return count_flops([&] { images_for(tokens.slice(0, 0, 4), sampling); }) / (2 * 4);
    };
    auto seconds = [&](const Sampling& sampling) {
      const auto begin = std::chrono::steady_clock::now();
      images_for(tokens, sampling).sum().item<double>();  // waits for the device
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    Values values = {{"sampling_macs", macs(diffusion_.sampling)}, {"sampling_macs_ungated", macs(ungated)}};
    double with = 0, without = 0;
    for (int round = 0; round < 3; ++round) {
      with += seconds(diffusion_.sampling);
      without += seconds(ungated);
    }
    values["sampling_time_saved"] = 1 - with / without;
    if (scoring_.on()) {
      auto images = [&](const Tensor& captions) { return images_for(captions, ungated); };
      values.merge(scores_of_images(scoring_(held_out, images, progress), "_ungated"));
    }
    return values;
  }

  std::shared_ptr<Denoiser> denoiser_;
  TrainingDefaults defaults_;
  DiffusionParams diffusion_;
  torch::Device device_;
  Scoring scoring_;
};

TrainingDefaults defaults_of(const DitParams& params) {
  TrainingDefaults defaults;
  // Measured from width 16 to 96 and 1e10 to 1.6e12 FLOPs: small batches make most of a small budget, and the best
  // rate falls as the square root of the width.
  defaults.batch = 16;
  defaults.learning_rate = 8e-3 * std::sqrt(32.0 / static_cast<double>(params.width));
  defaults.warmup = 0.1;
  return defaults;
}

TrainingDefaults defaults_of(const UnetShape& shape) {
  TrainingDefaults defaults;
  defaults.batch = 16;
  defaults.learning_rate = 2e-3 * std::sqrt(32.0 / static_cast<double>(shape.channels));
  defaults.warmup = 0.1;
  return defaults;
}

std::vector<FamilyInput> inputs() {
  return {{"scorer", false, "answers questions about sampled images; without it no alignment is reported"},
          {"text", false, "a trained model whose text encoder this one starts from, or keeps (text_encoder=frozen)"}};
}

}  // namespace

FamilyEntry diffusion_dit_family() {
  return {.name = "diffusion-dit",
          .summary = "diffusion transformer: patches as tokens; text pooled or by cross-attention (PixArt-α)",
          .inputs = inputs(),
          .artifact = "model",
          .make = [](const FamilyContext& context) -> std::unique_ptr<Family> {
            auto params = DitParams::read(context.params, context.scenes.resolution, context.captions);
            return std::make_unique<Diffusion>(std::make_shared<DitImpl>(params), defaults_of(params), context);
          },
          .presets = dit_presets(),
          .describe = [](const FamilyContext& context) -> Described {
            auto params = DitParams::read(context.params, context.scenes.resolution, context.captions);
            DiffusionParams::read(context.params);
            Scoring scoring(context);
            return {cost_of(params), defaults_of(params)};
          }};
}

FamilyEntry diffusion_unet_family() {
  return {.name = "diffusion-unet",
          .summary = "diffusion UNet by the shape rules of SD2, SDXL and IF",
          .inputs = inputs(),
          .artifact = "model",
          .make = [](const FamilyContext& context) -> std::unique_ptr<Family> {
            auto shape = UnetShape::read(context.params, context.scenes.resolution, context.captions);
            return std::make_unique<Diffusion>(std::make_shared<UnetImpl>(shape), defaults_of(shape), context);
          },
          .presets = unet_presets(),
          .describe = [](const FamilyContext& context) -> Described {
            auto shape = UnetShape::read(context.params, context.scenes.resolution, context.captions);
            DiffusionParams::read(context.params);
            Scoring scoring(context);
            return {cost_of(shape), defaults_of(shape)};
          }};
}

}  // namespace scalelaw::trainer
