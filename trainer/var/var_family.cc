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
  if (!options.takes_scenes()) {
    throw BadRun(
        "condition: imagenet is of the published sizes, which can be described only; scenes have caption, class");
  }
  if (options.classes > 0 && (context.captions.free || context.scenes.objects != 1)) {
    throw BadRun("condition: class needs scenes of one object; others have captions");
  }
  options.captions = context.captions;
  options.scales = tokenizer.scales;
  options.vocabulary = tokenizer.vocabulary;
  options.code_channels = tokenizer.code_channels;
  return options;
}

// What a description needs of the tokenizer: the given one's, or what one of this resolution has by default.
VarTokenizerOptions tokenizer_options(const FamilyContext& context) {
  auto given = context.inputs.find("tokenizer");
  nlohmann::json params = given != context.inputs.end() ? artifact_params(given->second, "var-tokenizer")
                                                        : nlohmann::json{{"resolution", context.scenes.resolution}};
  Params tokenizer(params);
  return VarTokenizerOptions::read(tokenizer);
}

TrainingDefaults defaults_of(const VarOptions& options) {
  TrainingDefaults defaults;
  // Measured on scenes of 30 tokens: short runs want many small steps, and the best rate falls with the width.
  defaults.batch = 8;
  defaults.schedule = "wsd";
  defaults.learning_rate = 0.0085 * 32 / static_cast<double>(options.width());
  defaults.weight_decay = 0.05;
  defaults.beta2 = 0.99;
  return defaults;
}

// Weight of the loss that teaches a causal choice (Mixture-of-Depths). A predictor's gradient stays with it.
double read_routing_weight(Params& params, const VarOptions& options) {
  if (!options.mixture.on()) return 0;
  const bool predictor = options.causal_choice == VarOptions::CausalChoice::kPredictor;
  return params.number("mod_loss_weight", predictor ? 1.0 : 0.1, 0, 100);
}

// The part of an image that is drawn anew for the metric `alignment_painting`.
std::string read_painting(Params& params) {
  return params.choice("painting", "none", {"none", "inside", "outside"});
}

class VarFamily : public Family {
 public:
  explicit VarFamily(const FamilyContext& context)
      : tokenizer_(load_tokenizer(context)),
        teacher_(tokenizer_),
        model_(read_options(context, tokenizer_->options())),
        routing_weight_(read_routing_weight(context.params, model_->options())),
        sampling_(VarSampling::read(context.params)),
        painting_(read_painting(context.params)),
        device_(context.device),
        scoring_(context) {
    model_->to(device_);
  }

  torch::nn::Module& module() override { return *model_; }

  TrainingDefaults defaults() const override { return defaults_of(model_->options()); }

  int64_t backbone_params() const override { return cost_of(model_->options()).params; }

  torch::Tensor loss(const Batch& batch) override {
    auto [ids, inputs] = tokenize(batch.images);
    torch::Tensor captions = drop_captions(batch.tokens, kDropCaptions);
    VarImpl::Routing routing;
    torch::Tensor logits = model_->forward(inputs, model_->condition(captions), &routing);
    torch::Tensor loss = torch::cross_entropy_loss(logits.flatten(0, 1), ids.flatten());
    if (!routing.loss.defined()) return loss;
    routing_accuracy_ = routing.accuracy;
    return loss + routing_weight_ * routing.loss;
  }

  Values training_values() override {
    if (!routing_accuracy_.defined()) return {};
    return {{"router_accuracy", routing_accuracy_.item<double>()}};
  }

  bool draws() const override { return true; }
  torch::Tensor draw(const Batch& batch) override { return draw(batch.tokens); }

  double evaluation_flops(double forward_flops_per_sample) const override {
    // Teacher forcing on the loop's 4096 held-out scenes, and both branches of guidance for every prompt.
    return (4.0 * kScoredPrompts + (painting_ == "none" ? 2.0 : 4.0) * static_cast<double>(scoring_.prompts())) *
           forward_flops_per_sample;
  }

  Values evaluate(const Dataset& held_out, const std::function<void(double)>& progress) override {
    torch::NoGradGuard no_grad;
    double share = scoring_.on() ? 0.4 : 1.0;
    Values values = teacher_forced(held_out, [&](double fraction) { progress(share * fraction); });
    if (scoring_.on()) {
      auto images = [this](const torch::Tensor& captions) { return draw(captions); };
      const double half = painting_ == "none" ? 1 : 0.5;
      auto scored = [&](double done) { progress(share + (1 - share) * done); };
      values.merge(scoring_(held_out, images, [&](double fraction) { scored(half * fraction); }));
      if (painting_ != "none") {
        values.merge(paint(held_out, [&](double fraction) { scored(half + (1 - half) * fraction); }));
      }
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

  // Real held-out scenes, of which the middle (inside) or all but the middle (outside) is drawn anew for their
  // captions.
  Values paint(const Dataset& held_out, const std::function<void(double)>& progress) {
    const int64_t side = held_out.resolution(), quarter = side / 4;
    torch::Tensor drawn = torch::zeros({side, side}, torch::kBool);
    drawn.slice(0, quarter, side - quarter).slice(1, quarter, side - quarter).fill_(true);
    if (painting_ == "outside") drawn = drawn.logical_not();
    // The scorer asks for images of the first held-out captions, in order.
    int64_t next = 0;
    auto complete = [&](const torch::Tensor& captions) {
      torch::Tensor images = held_out.range(next, captions.size(0)).images.to(device_);
      next += captions.size(0);
      const Known known = known_parts(*tokenizer_, images, drawn.to(device_));
      return tokenizer_->decode(sample(*model_, *tokenizer_, captions, sampling_, &known));
    };
    return scores_of_images(scoring_(held_out, complete, progress), "_painting");
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
  double routing_weight_;
  torch::Tensor routing_accuracy_;
  VarSampling sampling_;
  std::string painting_;
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
          },
          .presets = var_presets(),
          .describe = [](const FamilyContext& context) -> Described {
            VarOptions options = VarOptions::read(context.params);
            options.captions = context.captions;
            if (options.takes_scenes()) {
              const VarTokenizerOptions tokenizer = tokenizer_options(context);
              options.scales = tokenizer.scales;
              options.vocabulary = tokenizer.vocabulary;
              options.code_channels = tokenizer.code_channels;
            }
            read_routing_weight(context.params, options);
            VarSampling::read(context.params);
            read_painting(context.params);
            Scoring scoring(context);
            return {cost_of(options), defaults_of(options)};
          }};
}

}  // namespace scalelaw::trainer
