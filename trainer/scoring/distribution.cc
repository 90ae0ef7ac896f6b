#include "trainer/scoring/distribution.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

Tensor covariance(const Tensor& features) {
  Tensor centred = features - features.mean(0, true);
  return torch::mm(centred.t(), centred) / static_cast<double>(features.size(0) - 1);
}

Tensor square_root(const Tensor& symmetric) {
  auto [values, vectors] = torch::linalg_eigh(symmetric);
  return torch::mm(vectors * values.clamp_min(0).sqrt(), vectors.t());
}

}  // namespace

double frechet_distance(const Tensor& real, const Tensor& drawn) {
  const Tensor a = real.to(torch::kCPU, torch::kDouble), b = drawn.to(torch::kCPU, torch::kDouble);
  const Tensor means = (a.mean(0) - b.mean(0)).square().sum();
  const Tensor first = covariance(a), second = covariance(b);
  // Σ₁Σ₂ has the eigenvalues of the symmetric Σ₁^½·Σ₂·Σ₁^½.
  const Tensor root = square_root(first);
  const Tensor mixed = torch::linalg_eigvalsh(torch::mm(torch::mm(root, second), root)).clamp_min(0).sqrt().sum();
  return std::max(0.0, (means + first.trace() + second.trace() - 2 * mixed).item<double>());
}

double recall(const Tensor& real, const Tensor& drawn, int64_t k) {
  const Tensor a = real.to(torch::kCPU, torch::kFloat), b = drawn.to(torch::kCPU, torch::kFloat);
  // The nearest of all is the sample itself.
  const Tensor reach = std::get<0>(torch::cdist(b, b).kthvalue(k + 1, 1));  // [M]
  return (torch::cdist(a, b) <= reach).any(1).to(torch::kDouble).mean().item<double>();
}

}  // namespace scalelaw::trainer
