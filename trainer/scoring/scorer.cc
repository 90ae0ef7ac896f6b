#include "trainer/scoring/scorer.h"

#include <numeric>

#include <fmt/format.h>

#include "trainer/artifact.h"
#include "trainer/scoring/questions.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

constexpr int64_t kEvaluationScenes = 4096;
// A grid of means keeps where things are, at any resolution.
constexpr int64_t kGrid = 4;

torch::nn::Conv2d convolution(int64_t in, int64_t out) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).padding(1));
}

Tensor half_size(const Tensor& x) {
  return torch::max_pool2d(torch::relu(x), 2);
}

class Scorer : public Family {
 public:
  explicit Scorer(const FamilyContext& context)
      : net_(context.params.integer("width", 24, 4, 512), context.scenes.objects),
        questions_(scene_questions(context.scenes.objects)),
        device_(context.device) {
    if (context.captions.free) throw BadRun("data: a scorer learns from fashion-scenes, whose answers are known");
    if (context.scenes.resolution % 4 != 0) {
      throw BadRun(fmt::format("resolution: must be a multiple of 4 for a scorer, not {}", context.scenes.resolution));
    }
  }

  torch::nn::Module& module() override { return *net_; }

  int64_t backbone_params() const override {
    int64_t count = 0;
    for (const auto& parameter : net_->parameters()) count += parameter.numel();
    return count;
  }

  TrainingDefaults defaults() const override {
    TrainingDefaults defaults;
    defaults.samples = 150000;
    defaults.batch = 128;
    defaults.learning_rate = 3e-3;
    // Batch statistics belong to the newest weights; the rate's decay to zero averages enough.
    defaults.ema = 0;
    return defaults;
  }

  Tensor loss(const Batch& batch) override {
    std::vector<Tensor> logits = net_->logits(net_->features(batch.images));
    const Tensor answers = by_place(batch.answers);
    Tensor total;
    for (size_t question = 0; question < logits.size(); ++question) {
      Tensor part = torch::cross_entropy_loss(logits[question], answers.select(1, static_cast<int64_t>(question)));
      total = total.defined() ? total + part : part;
    }
    return total;
  }

  /// Batch statistics.
  bool loss_changes_state() const override { return true; }

  double evaluation_flops(double forward_flops_per_sample) const override {
    return kEvaluationScenes * forward_flops_per_sample;
  }

  Values evaluate(const Dataset& held_out, const std::function<void(double)>& progress) override {
    Tensor right = torch::zeros({static_cast<int64_t>(questions_.size())}, torch::kDouble);
    for (int64_t begin = 0; begin < kEvaluationScenes; begin += kEvaluationBatch) {
      Batch batch = held_out.range(begin, kEvaluationBatch).to(device_);
      right += (look(net_, batch.images).answers == by_place(batch.answers)).to(torch::kDouble).sum(0).cpu();
      progress(static_cast<double>(begin + kEvaluationBatch) / kEvaluationScenes);
    }
    right /= static_cast<double>(kEvaluationScenes);
    Values values = {{"accuracy", right.mean().item<double>()}};
    for (const Question& asked : questions_) {
      double sum = 0, count = 0;
      for (size_t q = 0; q < questions_.size(); ++q) {
        if (questions_[q].name != asked.name) continue;
        sum += right[static_cast<int64_t>(q)].item<double>();
        ++count;
      }
      values["accuracy_" + asked.name] = sum / count;
    }
    return values;
  }

 private:
  ScorerNet net_;
  const std::vector<Question>& questions_;
  torch::Device device_;
};

}  // namespace

ScorerNetImpl::ScorerNetImpl(int64_t width, int64_t objects)
    : answers_(answers_by_place(objects)),
      first_(register_module("first", convolution(3, width))),
      second_(register_module("second", convolution(width, 2 * width))),
      third_(register_module("third", convolution(2 * width, 2 * width))),
      first_norm_(register_module("first_norm", torch::nn::BatchNorm2d(width))),
      second_norm_(register_module("second_norm", torch::nn::BatchNorm2d(2 * width))),
      third_norm_(register_module("third_norm", torch::nn::BatchNorm2d(2 * width))),
      hidden_(register_module("hidden", torch::nn::Linear(kGrid * kGrid * 2 * width, 4 * width))),
      output_(register_module(
          "output", torch::nn::Linear(4 * width, std::accumulate(answers_.begin(), answers_.end(), int64_t{0})))) {}

std::vector<Tensor> ScorerNetImpl::maps(const Tensor& images) {
  Tensor first = first_norm_(first_(images));
  Tensor second = second_norm_(second_(half_size(first)));
  return {first, second, torch::relu(third_norm_(third_(half_size(second))))};
}

Tensor ScorerNetImpl::features(const Tensor& images) {
  Tensor x = torch::adaptive_avg_pool2d(maps(images).back(), {kGrid, kGrid}).flatten(1);
  return torch::relu(hidden_(x));
}

std::vector<Tensor> ScorerNetImpl::logits(const Tensor& features) {
  return output_(features).split_with_sizes(answers_, 1);
}

Seen look(ScorerNet& scorer, const Tensor& images) {
  torch::NoGradGuard no_grad;
  Seen seen;
  seen.features = scorer->features(images.clamp(-1, 1));
  std::vector<Tensor> answers;
  for (const Tensor& logits : scorer->logits(seen.features)) answers.push_back(logits.argmax(1));
  seen.answers = torch::stack(answers, 1);
  return seen;
}

ScorerNet load_scorer(const std::string& path, const SceneParams& scenes, torch::Device device) {
  Params params(artifact_params(path, "scorer"));
  const int64_t resolution = params.integer("resolution", 16, 1), objects = params.integer("objects", 1, 1);
  if (resolution != scenes.resolution || objects != scenes.objects) {
    throw BadRun(fmt::format("{}: a scorer for resolution {} and {} object(s), needed are {} and {}", path, resolution,
                             objects, scenes.resolution, scenes.objects));
  }
  ScorerNet scorer(params.integer("width", 24), objects);
  load_artifact(path, "scorer", *scorer);
  scorer->to(device);
  scorer->eval();
  return scorer;
}

FamilyEntry scorer_family() {
  return {"scorer",
          "CNN that answers questions about a scene (object, colour, background); the others are scored with it",
          {},
          "scorer",
          [](const FamilyContext& context) -> std::unique_ptr<Family> { return std::make_unique<Scorer>(context); }};
}

}  // namespace scalelaw::trainer
