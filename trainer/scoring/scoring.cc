#include "trainer/scoring/scoring.h"

#include "trainer/data/random.h"
#include "trainer/scoring/distribution.h"
#include "trainer/scoring/external_scorer.h"
#include "trainer/scoring/questions.h"
#include "trainer/scoring/scorer.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

constexpr uint64_t kSamplingSeed = 20240405;
constexpr int64_t kGuesses = 16;

// Right answers per question, [Q], counting only what the captions name. `seen` [B, Q] is by place.
Tensor count_right(const Tensor& seen, const Batch& batch) {
  return ((as_asked(seen, batch.answers) == batch.answers) & batch.named).to(torch::kDouble).sum(0).cpu();
}

// Expected right answers of somebody who guesses, [Q]. With two objects the better match of the guesses is what counts,
// so that the share is measured.
Tensor count_guessed(const Batch& batch, const std::vector<Question>& questions, int64_t objects, uint64_t stream) {
  if (objects == 1) {
    std::vector<double> chances;
    for (const Question& question : questions) chances.push_back(1.0 / static_cast<double>(question.answers));
    return batch.named.to(torch::kDouble).sum(0).cpu() * torch::tensor(chances, torch::kDouble);
  }
  const std::vector<int64_t> counts = answers_by_place(objects);
  const int64_t cells = batch.size() * static_cast<int64_t>(counts.size());
  Tensor right = torch::zeros({static_cast<int64_t>(counts.size())}, torch::kDouble);
  for (int64_t i = 0; i < kGuesses; ++i) {
    Tensor guess = torch::empty({batch.size(), static_cast<int64_t>(counts.size())}, torch::kLong);
    for (int64_t cell = 0; cell < cells; ++cell) {
      const uint64_t random = mix(stream, static_cast<uint64_t>(i * cells + cell));
      guess.data_ptr<int64_t>()[cell] = below(random, counts[static_cast<size_t>(cell) % counts.size()]);
    }
    right += count_right(guess.to(batch.answers.device()), batch);
  }
  return right / kGuesses;
}

// What all batches of an evaluation add up to.
struct Tally {
  Tensor asked, guessed, right, right_on_real;  // [Q]
  std::vector<Tensor> drawn, real;              // features

  explicit Tally(size_t questions) {
    for (Tensor* sum : {&asked, &guessed, &right, &right_on_real}) {
      *sum = torch::zeros({static_cast<int64_t>(questions)}, torch::kDouble);
    }
  }

  Values values(const std::vector<Question>& questions) const {
    const double all = asked.sum().item<double>();
    Values values = {{"alignment", right.sum().item<double>() / all},
                     {"alignment_chance", guessed.sum().item<double>() / all},
                     {"alignment_ceiling", right_on_real.sum().item<double>() / all},
                     {"scorer_fd", frechet_distance(torch::cat(real), torch::cat(drawn))},
                     {"scorer_recall", recall(torch::cat(real), torch::cat(drawn))}};
    std::map<std::string, std::pair<double, double>> by_name;
    for (size_t q = 0; q < questions.size(); ++q) {
      auto& [name_right, name_asked] = by_name[questions[q].name];
      name_right += right[static_cast<int64_t>(q)].item<double>();
      name_asked += asked[static_cast<int64_t>(q)].item<double>();
    }
    for (const auto& [name, share] : by_name) values["alignment_" + name] = share.first / share.second;
    return values;
  }
};

}  // namespace

Scoring::Scoring(const FamilyContext& context)
    : command_(context.params.words("score_command")),
      folder_(context.directory + "/scored"),
      scenes_(context.scenes),
      device_(context.device) {
  auto scorer = context.inputs.find("scorer");
  if (scorer == context.inputs.end()) return;
  if (context.captions.free) {
    throw BadRun(
        "inputs.scorer: answers questions about fashion-scenes, not about a folder's images; use score_command");
  }
  scorer_ = scorer->second;
}

Values Scoring::operator()(const Dataset& held_out, const Sampler& sampler,
                           const std::function<void(double)>& progress) const {
  torch::NoGradGuard no_grad;
  ScorerNet scorer{nullptr};
  if (!scorer_.empty()) scorer = load_scorer(scorer_, scenes_, device_);
  torch::manual_seed(kSamplingSeed);

  Tally tally(held_out.questions().size());
  std::vector<Tensor> images, real_images;
  for (int64_t begin = 0; begin < kScoredPrompts; begin += kScoredBatch) {
    Batch batch = held_out.range(begin, kScoredBatch).to(device_);
    Tensor drawn_images = sampler(batch.tokens);
    if (scorer) {
      Seen drawn = look(scorer, drawn_images), real = look(scorer, batch.images);
      tally.asked += batch.named.to(torch::kDouble).sum(0).cpu();
      tally.guessed += count_guessed(batch, held_out.questions(), scenes_.objects, static_cast<uint64_t>(begin));
      tally.right += count_right(drawn.answers, batch);
      tally.right_on_real += count_right(real.answers, batch);
      tally.drawn.push_back(drawn.features);
      tally.real.push_back(real.features);
    }
    if (!command_.empty()) {
      images.push_back(drawn_images.cpu());
      real_images.push_back(batch.images.cpu());
    }
    progress(static_cast<double>(begin + kScoredBatch) / kScoredPrompts);
  }

  Values values;
  if (scorer) values = tally.values(held_out.questions());
  if (!command_.empty()) {
    std::vector<std::string> captions;
    for (int64_t i = 0; i < kScoredPrompts; ++i) captions.push_back(held_out.caption(i % held_out.size()));
    values.merge(external_score(command_, folder_ + "/drawn", torch::cat(images), captions));
    for (const auto& [name, value] : external_score(command_, folder_ + "/real", torch::cat(real_images), captions)) {
      values[name + "_real"] = value;
    }
  }
  return values;
}

Values scores_of_images(const Values& scores, const std::string& suffix) {
  Values of_images;
  for (const auto& [name, value] : scores) {
    const bool bound = name.ends_with("_chance") || name.ends_with("_ceiling") || name.ends_with("_real");
    if (!bound) of_images[name + suffix] = value;
  }
  return of_images;
}

}  // namespace scalelaw::trainer
