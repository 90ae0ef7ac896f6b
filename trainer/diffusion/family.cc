// Family `diffusion-dit`: a diffusion transformer trained by rectified flow on captioned scenes.
#include "trainer/diffusion/family.h"

#include <cmath>

#include "trainer/diffusion/dit.h"
#include "trainer/diffusion/flow.h"
#include "trainer/scoring/scoring.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

constexpr int64_t kValidationScenes = 2048;
constexpr int64_t kValidationBatch = 256;
constexpr uint64_t kValidationSeed = 20240402;

class DiffusionDit : public Family {
 public:
  explicit DiffusionDit(const FamilyContext& context)
      : dit_(DitParams::read(context.params, context.scenes.resolution), context.captions),
        device_(context.device),
        scoring_(context) {
    Params& params = context.params;
    caption_dropout_ = params.number("caption_dropout", 0.1, 0, 1);
    guidance_ = params.number("guidance", 3.0, 0, 20);
    predicts_image_ = params.choice("prediction", "image", {"image", "velocity"}) == "image";
    sampler_steps_ = params.integer("sampler_steps", 20, 1, 1000);
  }

  torch::nn::Module& module() override { return *dit_; }
  int64_t backbone_params() const override { return dit_->backbone_params(); }

  TrainingDefaults defaults() const override {
    TrainingDefaults defaults;
    // Measured from width 16 to 96 and 1e10 to 1.6e12 FLOPs: small batches make most of a small budget, and the best
    // rate falls as the square root of the width.
    defaults.batch = 16;
    defaults.learning_rate = 8e-3 * std::sqrt(32.0 / static_cast<double>(dit_->params().width));
    defaults.warmup = 0.1;
    return defaults;
  }

  Tensor loss(const Batch& batch) override {
    Tensor clean = patchify(batch.images, dit_->params().patch);
    Tensor time = stratified_times(batch.size(), clean.device());
    return flow_loss(velocity(), clean, torch::randn_like(clean), time, drop_captions(batch.tokens, caption_dropout_));
  }

  bool draws() const override { return true; }
  Tensor draw(const Batch& batch) override { return sample(batch.tokens); }

  double evaluation_flops(double forward_flops_per_sample) const override {
    const int64_t samples = kValidationScenes + 2 * sampler_steps_ * scoring_.prompts();
    return static_cast<double>(samples) * forward_flops_per_sample;
  }

  Values evaluate(const Dataset& held_out, const std::function<void(double)>& progress) override {
    const double validation_share = kValidationScenes / evaluation_flops(1.0);
    Values values = {
        {"val_loss", validation_loss(held_out, [&](double share) { progress(share * validation_share); })}};
    if (scoring_.on()) {
      auto sampled = [&](double share) { progress(validation_share + (1 - validation_share) * share); };
      values.merge(scoring_(
          held_out, [this](const Tensor& tokens) { return sample(tokens); }, sampled));
    }
    return values;
  }

 private:
  Velocity velocity() {
    return [this](const Tensor& patches, const Tensor& time, const Tensor& tokens) {
      Tensor out = dit_->forward(patches, time, tokens);
      return predicts_image_ ? velocity_from_image(patches, out, time) : out;
    };
  }

  // The same scenes, noises and times for every run, so that two runs differ by their weights alone.
  double validation_loss(const Dataset& held_out, const std::function<void(double)>& progress) {
    torch::manual_seed(kValidationSeed);
    double total = 0;
    const int64_t batches = kValidationScenes / kValidationBatch;
    for (int64_t i = 0; i < batches; ++i) {
      Batch batch = held_out.range(i * kValidationBatch, kValidationBatch).to(device_);
      Tensor clean = patchify(batch.images, dit_->params().patch);
      Tensor time = stratified_times(batch.size(), device_);
      Tensor noise = torch::randn_like(clean);
      total += flow_loss(velocity(), clean, noise, time, batch.tokens).item<double>();
      progress(static_cast<double>(i + 1) / static_cast<double>(batches));
    }
    return total / static_cast<double>(batches);
  }

  // tokens [B, L] -> [B, 3, R, R]
  Tensor sample(const Tensor& tokens) {
    const DitParams& params = dit_->params();
    Tensor noise = torch::randn({tokens.size(0), params.tokens(), params.patch_size()},
                                torch::dtype(torch::kFloat).device(device_));
    return unpatchify(sample_flow(velocity(), noise, tokens, sampler_steps_, guidance_), params.patch);
  }

  Dit dit_;
  torch::Device device_;
  double caption_dropout_, guidance_;
  int64_t sampler_steps_;
  bool predicts_image_;
  Scoring scoring_;
};

}  // namespace

FamilyEntry diffusion_dit_family() {
  return {
      "diffusion-dit",
      "diffusion transformer (rectified flow) on captioned scenes",
      {{"scorer", false, "answers questions about sampled images; without it no alignment is reported"},
       {"text", false, "a trained model whose text encoder this one starts from, or keeps (text_encoder=frozen)"}},
      "model",
      [](const FamilyContext& context) -> std::unique_ptr<Family> { return std::make_unique<DiffusionDit>(context); }};
}

}  // namespace scalelaw::trainer
