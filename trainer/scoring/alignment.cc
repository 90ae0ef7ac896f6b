#include "trainer/scoring/alignment.h"

#include "trainer/scoring/scorer.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

constexpr uint64_t kSamplingSeed = 20240405;

// Right answers per question, [kQuestions], counting only what the captions name.
Tensor count_right(const Tensor& answers, const Batch& batch) {
  return ((answers == batch.answers) & batch.named).to(torch::kDouble).sum(0).cpu();
}

}  // namespace

Values alignment(const std::string& scorer_path, const Scenes& held_out, torch::Device device, const Sampler& sampler,
                 const std::function<void(double)>& progress) {
  torch::NoGradGuard no_grad;
  ScorerNet scorer = load_scorer(scorer_path, held_out.resolution(), device);
  torch::manual_seed(kSamplingSeed);

  Tensor asked = torch::zeros({kQuestions}, torch::kDouble);
  Tensor right = torch::zeros_like(asked), right_on_real = torch::zeros_like(asked);
  for (int64_t begin = 0; begin < kAlignmentPrompts; begin += kAlignmentBatch) {
    Batch batch = held_out.range(begin, kAlignmentBatch).to(device);
    asked += batch.named.to(torch::kDouble).sum(0).cpu();
    right += count_right(answer(scorer, sampler(batch.tokens)), batch);
    right_on_real += count_right(answer(scorer, batch.images), batch);
    progress(static_cast<double>(begin + kAlignmentBatch) / kAlignmentPrompts);
  }

  Tensor guessing = torch::tensor({1.0 / kObjects, 1.0 / kColours, 1.0 / kBackgrounds}, torch::kDouble);
  const double questions = asked.sum().item<double>();
  Values values = {{"alignment", right.sum().item<double>() / questions},
                   {"alignment_chance", (asked * guessing).sum().item<double>() / questions},
                   {"alignment_ceiling", right_on_real.sum().item<double>() / questions}};
  for (int64_t q = 0; q < kQuestions; ++q) {
    values["alignment_" + kQuestionNames[static_cast<size_t>(q)]] = (right[q] / asked[q]).item<double>();
  }
  return values;
}

}  // namespace scalelaw::trainer
