// The judge of the tokenizer's adversarial loss: a patch discriminator (Isola et al. 2017), as in VQGAN (Esser et al.
// 2021), which says of each part of an image whether it is real.
#pragma once

#include <torch/torch.h>

namespace scalelaw::trainer {

class DiscriminatorImpl : public torch::nn::Module {
 public:
  explicit DiscriminatorImpl(int64_t width);

  /// images [B, 3, R, R] -> scores [B, 1, R/4, R/4]: above 0 is real.
  torch::Tensor forward(const torch::Tensor& images) { return judge(images, false); }

  struct Losses {
    torch::Tensor telling;  // hinge loss of telling real from fake; its gradient reaches the discriminator alone
    torch::Tensor fooling;  // of passing for real; its gradient reaches `fake` alone
  };
  /// Both sides of the game in one backward pass. Scalars.
  Losses losses(const torch::Tensor& real, const torch::Tensor& fake);

 private:
  torch::Tensor judge(const torch::Tensor& images, bool frozen);

  std::vector<torch::nn::Conv2d> layers_;
};
TORCH_MODULE(Discriminator);

}  // namespace scalelaw::trainer
