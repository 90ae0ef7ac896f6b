#include <algorithm>

#include "trainer/nn/flops.h"
#include "trainer/scoring/scorer.h"
#include "trainer/scoring/scoring.h"
#include "trainer/var/families.h"
#include "trainer/var/var_tokenizer.h"

namespace scalelaw::trainer {

namespace {

/// Tokens per code that are counted before hardly used codes are moved.
constexpr int64_t kCountsPerCode = 200;

class VarTokenizerFamily : public Family {
 public:
  explicit VarTokenizerFamily(const FamilyContext& context)
      : tokenizer_(VarTokenizerOptions::read(context.params)), device_(context.device), scoring_(context) {
    feature_weight_ = context.params.number("feature_weight", 0, 0, 100);
    if (feature_weight_ > 0) {
      auto scorer = context.inputs.find("scorer");
      if (scorer == context.inputs.end()) {
        throw BadRun("feature_weight: needs the artifact `scorer`, whose features it compares");
      }
      features_ = load_scorer(scorer->second, context.scenes, device_);
      for (torch::Tensor& parameter : features_->parameters()) parameter.set_requires_grad(false);
    }
    tokenizer_->to(device_);
  }

  torch::nn::Module& module() override { return *tokenizer_; }

  TrainingDefaults defaults() const override {
    TrainingDefaults defaults;
    defaults.samples = 80000;
    defaults.batch = 16;
    defaults.learning_rate = 7e-3;
    defaults.weight_decay = 0;
    defaults.beta2 = 0.99;
    // Codes that move onto rests must stay there: no average.
    defaults.ema = 0;
    return defaults;
  }

  int64_t backbone_params() const override {
    int64_t count = 0;
    for (const torch::Tensor& parameter : tokenizer_->parameters()) count += parameter.numel();
    if (!tokenizer_->discriminator()) return count;
    for (const torch::Tensor& parameter : tokenizer_->discriminator()->parameters()) count -= parameter.numel();
    return count;
  }

  void initialise(const Batch& batch) override { tokenizer_->initialise_codebook(batch.images); }

  torch::Tensor loss(const Batch& batch) override {
    if (tokenizer_->counted() >= kCountsPerCode * tokenizer_->options().vocabulary) tokenizer_->revive(batch.images);
    torch::Tensor latent = tokenizer_->encode_latent(batch.images);
    VarTokenizerImpl::Quantized quantized = tokenizer_->quantize(latent);
    torch::Tensor images = tokenizer_->decode_latent(quantized.latent);
    torch::Tensor reconstruction = torch::mse_loss(images, batch.images);
    if (torch::GradMode::is_enabled()) tokenizer_->count_usage(quantized.ids);
    parts_ = {{"reconstruction", reconstruction.detach()}};
    torch::Tensor loss = reconstruction + quantized.loss;
    if (features_) {
      torch::Tensor difference = feature_difference(images, batch.images);
      parts_["feature_loss"] = difference.detach();
      loss = loss + feature_weight_ * difference;
    }
    if (tokenizer_->discriminator()) {
      DiscriminatorImpl::Losses game = tokenizer_->discriminator()->losses(batch.images, images);
      parts_["discriminator_loss"] = game.telling.detach();
      loss = loss + tokenizer_->options().adversarial_weight * game.fooling + game.telling;
    }
    return loss;
  }

  Values training_values() override {
    Values values;
    for (const auto& [name, part] : parts_) values[name] = part.item<double>();
    return values;
  }

  /// Codes that are hardly used move.
  bool loss_changes_state() const override { return true; }
  bool draws() const override { return true; }
  /// Reconstructions.
  torch::Tensor draw(const Batch& batch) override { return tokenizer_->decode(tokenizer_->encode(batch.images)); }

  double evaluation_flops(double forward_flops_per_sample) const override {
    // The loop's 4096 held-out scenes, and the scored ones again.
    return static_cast<double>(4 * kScoredPrompts + scoring_.prompts()) * forward_flops_per_sample;
  }

  Values evaluate(const Dataset& held_out, const std::function<void(double)>& progress) override {
    torch::NoGradGuard no_grad;
    double error = 0;
    torch::Tensor used = torch::zeros({tokenizer_->options().vocabulary}, torch::kLong);
    for (int64_t begin = 0; begin < held_out.size(); begin += kEvaluationBatch) {
      int64_t count = std::min(kEvaluationBatch, held_out.size() - begin);
      torch::Tensor images = held_out.range(begin, count).images.to(device_);
      torch::Tensor ids = tokenizer_->encode(images);
      error += torch::mse_loss(tokenizer_->decode(ids), images).item<double>() * static_cast<double>(count);
      used += torch::bincount(ids.flatten(), {}, used.numel()).cpu();
      progress(0.5 * static_cast<double>(begin + count) / static_cast<double>(held_out.size()));
    }
    Values values;
    values["val_reconstruction"] = error / static_cast<double>(held_out.size());
    values["val_loss"] = values["val_reconstruction"];
    values["codebook_usage"] = (used > 0).to(torch::kDouble).mean().item<double>();
    if (scoring_.on()) {
      // The scorer asks for images of the first held-out captions, in order: it gets the real ones, reconstructed.
      int64_t next = 0;
      auto reconstruct = [&](const torch::Tensor& captions) {
        torch::Tensor images = held_out.range(next, captions.size(0)).images.to(device_);
        next += captions.size(0);
        return tokenizer_->decode(tokenizer_->encode(images));
      };
      auto scored = [&](double fraction) { progress(0.5 + 0.5 * fraction); };
      values.merge(scores_of_images(scoring_(held_out, reconstruct, scored), "_reconstruction"));
    }
    return values;
  }

 private:
  // Mean squared distance of unit feature vectors, over the scorer's maps (as LPIPS, Zhang et al. 2018, without learned
  // weights): what matters to the eye that answers questions counts for more than pixels.
  torch::Tensor feature_difference(const torch::Tensor& images, const torch::Tensor& real) {
    UncountedFlops frozen;
    torch::Tensor difference = torch::zeros({}, images.options());
    std::vector<torch::Tensor> ours = features_->maps(images), theirs = features_->maps(real);
    auto unit = [](const torch::Tensor& map) { return map * torch::rsqrt(map.square().sum(1, true) + 1e-6); };
    for (size_t i = 0; i < ours.size(); ++i) {
      difference = difference + (unit(ours[i]) - unit(theirs[i])).square().sum(1).mean();
    }
    return difference / static_cast<double>(ours.size());
  }

  VarTokenizer tokenizer_;
  torch::Device device_;
  Scoring scoring_;
  double feature_weight_ = 0;
  ScorerNet features_{nullptr};
  std::map<std::string, torch::Tensor> parts_;  // of the latest loss
};

}  // namespace

FamilyEntry var_tokenizer_family() {
  return {.name = "var-tokenizer",
          .summary = "multi-scale residual VQ autoencoder: images to token maps for VAR",
          .inputs = {{.name = "scorer", .required = false, .purpose = "scores reconstructions of held-out scenes"}},
          .artifact = "tokenizer",
          .make = [](const FamilyContext& context) -> std::unique_ptr<Family> {
            return std::make_unique<VarTokenizerFamily>(context);
          }};
}

}  // namespace scalelaw::trainer
