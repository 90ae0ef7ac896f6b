#include "trainer/var/var_sampling.h"

#include <algorithm>
#include <numeric>

namespace scalelaw::trainer {

VarSampling VarSampling::read(Params& params) {
  VarSampling sampling;
  sampling.guidance = params.number("guidance", sampling.guidance, 0, 20);
  sampling.top_k = params.integer("top_k", sampling.top_k, 0);
  sampling.top_p = params.number("top_p", sampling.top_p, 0, 1);
  return sampling;
}

namespace {

/// Least share of draws that `draw_likely` must keep to be worth it.
constexpr double kWorthTrying = 0.5;

// Token of [0, count) by its probability; `random` in [0, 1).
int64_t token_at(const float* probabilities, int64_t count, float random) {
  float left = random * std::accumulate(probabilities, probabilities + count, 0.0F);
  for (int64_t token = 0; token + 1 < count; ++token) {
    left -= probabilities[token];
    if (left < 0) return token;
  }
  return count - 1;
}

// What all that is likelier holds.
double mass_before(const float* probabilities, int64_t count, int64_t token) {
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const bool first =
        probabilities[i] > probabilities[token] || (probabilities[i] == probabilities[token] && i < token);
    sum += first ? probabilities[i] : 0.0F;
  }
  return sum;
}

// From the fewest tokens that hold top_p, without finding them: a draw from all counts if it is one of them. Sorting
// every row would take longer than the model.
torch::Tensor draw_likely(const torch::Tensor& logits, double top_p) {
  const torch::Tensor probabilities = logits.softmax(1).to(torch::kFloat).contiguous();
  const int64_t count = probabilities.size(1);
  torch::Tensor tokens = torch::empty({probabilities.size(0)}, torch::kLong);
  std::vector<int64_t> open(static_cast<size_t>(probabilities.size(0)));
  std::iota(open.begin(), open.end(), 0);
  while (!open.empty()) {
    const torch::Tensor random = torch::rand({static_cast<int64_t>(open.size())});
    std::vector<int64_t> refused;
    for (size_t i = 0; i < open.size(); ++i) {
      const float* row = probabilities.data_ptr<float>() + open[i] * count;
      const int64_t token = token_at(row, count, random.data_ptr<float>()[i]);
      if (mass_before(row, count, token) < top_p) {
        tokens.data_ptr<int64_t>()[open[i]] = token;
      } else {
        refused.push_back(open[i]);
      }
    }
    open = std::move(refused);
  }
  return tokens;
}

}  // namespace

torch::Tensor draw_tokens(const torch::Tensor& logits, int64_t top_k, double top_p) {
  if (logits.device().is_cpu() && top_k == 0 && top_p >= kWorthTrying) return draw_likely(logits, top_p);
  int64_t kept = top_k > 0 ? std::min(top_k, logits.size(1)) : logits.size(1);
  auto [sorted, tokens] = logits.topk(kept, 1);
  torch::Tensor probabilities = sorted.softmax(1);
  // A token stays if those before it hold less than top_p: the first always does.
  torch::Tensor before = probabilities.cumsum(1) - probabilities;
  probabilities = probabilities.masked_fill(before >= std::max(top_p, 1e-9), 0);
  return tokens.gather(1, probabilities.multinomial(1)).squeeze(1);
}

Known known_parts(VarTokenizerImpl& tokenizer, const torch::Tensor& images, const torch::Tensor& drawn) {
  torch::NoGradGuard no_grad;
  // A latent place is drawn if any of its pixels is, a token if any of its places is.
  torch::Tensor places = torch::max_pool2d(drawn.to(torch::kFloat).unsqueeze(0), VarTokenizerOptions::kPatch);
  std::vector<torch::Tensor> known;
  for (int64_t k = 0; k < tokenizer.scales().count(); ++k) {
    known.push_back(tokenizer.at_scale(places.unsqueeze(0), k).flatten() == 0);
  }
  return {tokenizer.encode_latent(images.masked_fill(drawn, 0)), torch::cat(known)};
}

torch::Tensor sample(VarImpl& model, VarTokenizerImpl& tokenizer, const torch::Tensor& captions,
                     const VarSampling& sampling, const Known* known) {
  torch::NoGradGuard no_grad;
  const Scales& scales = tokenizer.scales();
  int64_t batch = captions.size(0);
  // Both branches of guidance in one batch: captions first, then the null condition.
  torch::Tensor condition = model.condition(torch::cat({captions, torch::full_like(captions, kPadding)}));
  torch::Tensor latent = tokenizer.empty_latent(batch);
  VarImpl::Cache cache;
  std::vector<torch::Tensor> ids;
  for (int64_t k = 0; k < scales.count(); ++k) {
    torch::Tensor inputs = k == 0 ? torch::Tensor() : tokenizer.at_scale(latent, k).repeat({2, 1, 1});
    std::vector<torch::Tensor> logits = model.step(inputs, condition, k, cache).split(batch);
    double weight = scales.count() == 1
                        ? sampling.guidance
                        : sampling.guidance * static_cast<double>(k) / static_cast<double>(scales.count() - 1);
    torch::Tensor guided = (1 + weight) * logits[0] - weight * logits[1];
    ids.push_back(draw_tokens(guided.flatten(0, 1), sampling.top_k, sampling.top_p).view({batch, -1}));
    if (known != nullptr) {
      torch::Tensor forced = tokenizer.nearest_codes(known->latent - latent, k);
      ids.back() = torch::where(known->tokens.slice(0, scales.begin(k), scales.end(k)), forced, ids.back());
    }
    latent = tokenizer.add_scale(latent, tokenizer.codes(ids.back()), k);
  }
  return torch::cat(ids, 1);
}

}  // namespace scalelaw::trainer
