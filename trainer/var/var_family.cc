#include <algorithm>

#include <fmt/format.h>

#include "trainer/artifact.h"
#include "trainer/nn/flops.h"
#include "trainer/scoring/scoring.h"
#include "trainer/var/families.h"
#include "trainer/var/var.h"
#include "trainer/var/var_sampling.h"
#include "trainer/var/var_tokenizer.h"

namespace scalelaw::trainer {

namespace {

/// Share of captions that are dropped, so that one network learns both branches of guidance.
constexpr double kDropCaptions = 0.1;

VarTokenizer load_tokenizer(const FamilyContext& context) {
  const std::string& path = context.inputs.at("tokenizer");
  Params params(artifact_params(path, "var-tokenizer"));
  VarTokenizer tokenizer(VarTokenizerOptions::read(params));
  if (tokenizer->options().resolution != context.scenes.resolution) {
    throw BadRun(fmt::format("resolution: the tokenizer was trained on {} pixels per side, this run has {}",
                             tokenizer->options().resolution, context.scenes.resolution));
  }
  load_artifact(path, "var-tokenizer", *tokenizer);
  tokenizer->to(context.device);
  tokenizer->eval();
  return tokenizer;
}

VarOptions read_options(const FamilyContext& context, const VarTokenizerOptions& tokenizer) {
  VarOptions options = VarOptions::read(context.params);
  options.captions = context.captions;
  options.scales = tokenizer.scales;
  options.vocabulary = tokenizer.vocabulary;
  options.code_channels = tokenizer.code_channels;
  return options;
}

class VarFamily : public Family {
 public:
  explicit VarFamily(const FamilyContext& context)
      : tokenizer_(load_tokenizer(context)),
        teacher_(tokenizer_),
        model_(read_options(context, tokenizer_->options())),
        sampling_(VarSampling::read(context.params)),
        device_(context.device),
        scoring_(context) {
    model_->to(device_);
  }

  torch::nn::Module& module() override { return *model_; }

  TrainingDefaults defaults() const override {
    TrainingDefaults defaults;
    // Measured on scenes of 30 tokens: short runs want many small steps, and the best rate falls with the width.
    defaults.batch = 8;
    defaults.schedule = "wsd";
    defaults.learning_rate = 0.0085 * 32 / static_cast<double>(model_->options().width());
    defaults.weight_decay = 0.05;
    defaults.beta2 = 0.99;
    return defaults;
  }

  int64_t backbone_params() const override { return count_parameters(model_->options(), 0).backbone; }

  torch::Tensor loss(const Batch& batch) override {
    auto [ids, inputs] = tokenize(batch.images);
    torch::Tensor captions = drop_captions(batch.tokens, kDropCaptions);
    torch::Tensor logits = model_->forward(inputs, model_->condition(captions));
    return torch::cross_entropy_loss(logits.flatten(0, 1), ids.flatten());
  }

  bool draws() const override { return true; }
  torch::Tensor draw(const Batch& batch) override { return draw(batch.tokens); }

  double evaluation_flops(double forward_flops_per_sample) const override {
    // Teacher forcing on the loop's 4096 held-out scenes, and both branches of guidance for every prompt.
    return (4.0 * kScoredPrompts + 2.0 * static_cast<double>(scoring_.prompts())) * forward_flops_per_sample;
  }

  Values evaluate(const Dataset& held_out, const std::function<void(double)>& progress) override {
    torch::NoGradGuard no_grad;
    double share = scoring_.on() ? 0.4 : 1.0;
    Values values = teacher_forced(held_out, [&](double fraction) { progress(share * fraction); });
    if (scoring_.on()) {
      auto images = [this](const torch::Tensor& captions) { return draw(captions); };
      values.merge(scoring_(held_out, images, [&](double fraction) { progress(share + (1 - share) * fraction); }));
    }
    return values;
  }

 private:
  torch::Tensor draw(const torch::Tensor& captions) {
    return tokenizer_->decode(sample(*model_, *tokenizer_, captions, sampling_));
  }

  struct Tokenized {
    torch::Tensor ids;     // [B, T]
    torch::Tensor inputs;  // [B, T − n(0), C]
  };
  Tokenized tokenize(const torch::Tensor& images) {
    UncountedFlops frozen;
    torch::Tensor ids = tokenizer_->encode(images);
    return {ids, teacher_(ids)};
  }

  Values teacher_forced(const Dataset& held_out, const std::function<void(double)>& progress) {
    const Scales& scales = tokenizer_->scales();
    torch::Tensor loss = torch::zeros({scales.total()}, torch::kDouble);
    torch::Tensor wrong = torch::zeros({scales.total()}, torch::kDouble);
    for (int64_t begin = 0; begin < held_out.size(); begin += kEvaluationBatch) {
      Batch batch = held_out.range(begin, std::min(kEvaluationBatch, held_out.size() - begin)).to(device_);
      auto [ids, inputs] = tokenize(batch.images);
      torch::Tensor logits = model_->forward(inputs, model_->condition(batch.tokens));
      torch::Tensor likelihood = logits.log_softmax(2).gather(2, ids.unsqueeze(2)).squeeze(2);
      loss -= likelihood.to(torch::kDouble).sum(0).cpu();
      wrong += (logits.argmax(2) != ids).sum(0).cpu();
      progress(static_cast<double>(begin + batch.size()) / static_cast<double>(held_out.size()));
    }
    auto scenes = static_cast<double>(held_out.size());
    int64_t last = scales.begin(scales.count() - 1);
    Values values;
    values["loss_last"] = loss.slice(0, last).mean().item<double>() / scenes;
    values["loss_avg"] = loss.mean().item<double>() / scenes;
    values["err_last"] = wrong.slice(0, last).mean().item<double>() / scenes;
    values["err_avg"] = wrong.mean().item<double>() / scenes;
    values["val_loss"] = values["loss_avg"];
    return values;
  }

  VarTokenizer tokenizer_;
  TeacherInputs teacher_;
  Var model_;
  VarSampling sampling_;
  torch::Device device_;
  Scoring scoring_;
};

}  // namespace

FamilyEntry var_family() {
  return {.name = "var",
          .summary = "visual autoregressive transformer on a tokenizer's token maps (Tian et al. 2024)",
          .inputs = {{.name = "tokenizer", .required = true, .purpose = "images to token maps and back"},
                     {.name = "scorer", .required = false, .purpose = "alignment of sampled images"},
                     {.name = "text",
                      .required = false,
                      .purpose = "a trained model whose text encoder this one starts from, or keeps"}},
          .artifact = "model",
          .make = [](const FamilyContext& context) -> std::unique_ptr<Family> {
            return std::make_unique<VarFamily>(context);
          }};
}

}  // namespace scalelaw::trainer
