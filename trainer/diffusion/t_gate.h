// T-GATE (Zhang et al. 2024, arXiv 2404.02747): cross-attention says all that it has to say in the first denoising
// steps. At the gate step every cross-attention's output is kept, as the mean of the captioned and the null branch;
// later steps reuse it, need no caption, and so no second branch for guidance.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include <torch/torch.h>

namespace scalelaw::trainer {

/// The outputs of a denoiser's cross-attentions, in the order in which a forward pass meets them.
class CrossAttentionCache {
 public:
  enum class Use {
    kCompute,  // attend as usual
    kKeep,     // attend as usual and keep the mean of the batch's two halves (captions first, then the null condition)
    kReuse,    // do not attend: the kept outputs, for a batch of half the size
  };

  /// Says what the next forward pass does. `kReuse` needs a pass that kept.
  void begin_pass(Use use) {
    use_ = use;
    next_ = 0;
    if (use == Use::kKeep) kept_.clear();
  }

  /// One cross-attention: `attend` gives its output [2B, …] (reused: [B, …]).
  torch::Tensor operator()(const std::function<torch::Tensor()>& attend) {
    if (use_ == Use::kReuse) return kept_.at(next_++);
    torch::Tensor out = attend();
    if (use_ == Use::kKeep) {
      auto halves = out.chunk(2);
      kept_.push_back(0.5 * (halves[0] + halves[1]));
    }
    return out;
  }

 private:
  Use use_ = Use::kCompute;
  size_t next_ = 0;
  std::vector<torch::Tensor> kept_;
};

}  // namespace scalelaw::trainer
