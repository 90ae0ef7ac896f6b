// AdamW (Loshchilov & Hutter 2019) with clipping and the weight average, fused: all parameters live in one buffer and
// each step reads and writes it once.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/torch.h>

namespace scalelaw::trainer {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.99, epsilon = 1e-8;
  /// On matrices only; vectors (biases, gains) are not decayed.
  double weight_decay = 0.01;
  /// Largest global gradient norm; larger gradients are scaled down.
  double clip = 1.0;
};

class AdamW {
 public:
  /// Moves the module's trainable parameters into the flat buffer: they become views of it.
  AdamW(torch::nn::Module& module, const AdamWOptions& options);

  /// Forgets the gradients, so that the next backward pass hands over its own tensors and nothing is zeroed or added.
  void clear_gradients();

  /// All gradients in one tensor [n], zero where there is none. The parameters' gradients are views of it from here on:
  /// what is done to it, as summing it over processes, is done to them.
  torch::Tensor gather_gradients();

  /// One update; returns the gradient norm before clipping. Not finite: nothing was changed.
  double step(double learning_rate, double average_share);

  /// Exchanges weights and average: once to evaluate, once more to train on.
  void swap_average();

  int64_t steps_taken() const { return steps_; }
  int64_t size() const { return weights_.numel(); }

  /// All state as flat tensors, for checkpoints; `restore` copies into place.
  struct State {
    int64_t steps = 0;
    torch::Tensor weights, moment1, moment2, average;
  };
  State state() const { return {steps_, weights_, moment1_, moment2_, average_}; }
  /// Throws std::invalid_argument if the sizes differ.
  void restore(const State& state);

 private:
  struct Slice {
    torch::Tensor parameter;
    int64_t begin, size;
    bool decays;
  };
  double gradient_norm();
  void step_on_cpu(const struct AdamStep& fixed, double learning_rate);
  void step_composed(const struct AdamStep& fixed, double learning_rate);

  AdamWOptions options_;
  std::vector<Slice> slices_;
  torch::Tensor weights_, moment1_, moment2_, average_;  // [n]
  int64_t steps_ = 0;
};

}  // namespace scalelaw::trainer
