#include "trainer/scoring/questions.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

bool has_two_objects(const Tensor& answers) {
  return answers.size(1) > kRelation;
}

Tensor pick(const Tensor& answers, std::initializer_list<int64_t> columns) {
  return answers.index_select(1, torch::tensor(std::vector<int64_t>(columns), answers.options()));
}

// The two objects with their colours exchanged.
Tensor exchanged(const Tensor& answers) {
  return pick(answers, {kSecondObject, kSecondColour, kBackground, kObject, kColour, kRelation});
}

// [B, 1]: the caption's first object is the right or lower one.
Tensor first_is_behind(const Tensor& answers) {
  return answers.narrow(1, kRelation, 1) % 2 == 1;
}

Tensor with_relation(const Tensor& answers, const Tensor& relation) {
  return torch::cat({answers.narrow(1, 0, kRelation), relation}, 1);
}

}  // namespace

std::vector<int64_t> answers_by_place(int64_t objects) {
  std::vector<int64_t> counts;
  for (const Question& question : scene_questions(objects)) counts.push_back(question.answers);
  if (objects == 2) counts[kRelation] = 2;
  return counts;
}

Tensor by_place(const Tensor& answers) {
  if (!has_two_objects(answers)) return answers;
  Tensor placed = torch::where(first_is_behind(answers), exchanged(answers), answers);
  return with_relation(placed, answers.narrow(1, kRelation, 1).div(2, "floor"));
}

Tensor as_asked(const Tensor& seen, const Tensor& asked) {
  if (!has_two_objects(asked)) return seen;
  const Tensor swapped = exchanged(seen);
  auto right = [&](const Tensor& answers) {
    auto things = {int64_t{kObject}, int64_t{kColour}, int64_t{kSecondObject}, int64_t{kSecondColour}};
    return (pick(answers, things) == pick(asked, things)).sum(1, true);
  };
  const Tensor straight_right = right(seen), swapped_right = right(swapped);
  const Tensor swap =
      (swapped_right > straight_right) | ((swapped_right == straight_right) & first_is_behind(asked));  // [B, 1]
  const Tensor relation = 2 * seen.narrow(1, kRelation, 1) + swap.to(torch::kLong);
  return with_relation(torch::where(swap, swapped, seen), relation);
}

}  // namespace scalelaw::trainer
