// Hand-written CPU loops behind nn/fused.h and the optimizer. Raw pointers, no torch: kernels_body.h is compiled three
// times, for AVX-512, AVX2 and the compiler's baseline, and `kernels()` picks by what the machine has.
//
// Layouts are row-major float. B: batch, T: tokens per sample, w: width. A `stride` is the distance in floats between
// the rows of two samples. Every kernel works on the samples (or elements) [begin, end) so that callers can split the
// work over threads. Gradients of per-sample rows are written; gradients summed over the batch (biases) are added to
// the caller's zeroed buffer, one per thread.
#pragma once

#include <cstdint>

namespace scalelaw::trainer {

struct NormShape {
  int64_t tokens, width;
  int64_t shift_stride, scale_stride;
};

struct AttentionShape {
  int64_t tokens, width, heads;
  /// Per token how many tokens it sees, or null.
  const int64_t* visible;
  /// Per head, or null: then scores are divided by √(w/heads) and q, k are not normalised.
  const float* q_scale;
};

struct AdamStep {
  float learning_rate, beta1, beta2, epsilon;
  /// Decoupled decay as a factor on the weight: 1 − learning_rate·weight_decay.
  float shrink;
  /// 1 / (1 − beta^step).
  float correction1, correction2;
  /// Factor on the gradient (clipping).
  float gradient_scale;
  /// Share of the new weight in the average.
  float average_share;
};

struct Kernels {
  const char* name;

  /// out = norm(x)·(1 + scale) + shift; saves mean and 1/σ per token [B·T].
  void (*norm_forward)(NormShape, int64_t begin, int64_t end, const float* x, const float* shift, const float* scale,
                       float* out, float* mean, float* rstd);
  /// grad_shift, grad_scale: [B, w] contiguous.
  void (*norm_backward)(NormShape, int64_t begin, int64_t end, const float* grad_out, const float* x,
                        const float* scale, const float* mean, const float* rstd, float* grad_x, float* grad_shift,
                        float* grad_scale);

  /// Rows [begin, end) of [R, n]: out = gelu(x + bias).
  void (*gelu_forward)(int64_t n, int64_t begin, int64_t end, const float* x, const float* bias, float* out);
  void (*gelu_backward)(int64_t n, int64_t begin, int64_t end, const float* grad_out, const float* x, const float* bias,
                        float* grad_x, float* grad_bias);

  /// out = x + gate·(branch + bias).
  void (*gate_forward)(int64_t tokens, int64_t width, int64_t gate_stride, int64_t begin, int64_t end, const float* x,
                       const float* branch, const float* bias, const float* gate, float* out);
  /// grad_gate: [B, w] contiguous. The gradient of x is grad_out itself.
  void (*gate_backward)(int64_t tokens, int64_t width, int64_t gate_stride, int64_t begin, int64_t end,
                        const float* grad_out, const float* branch, const float* bias, const float* gate,
                        float* grad_branch, float* grad_bias, float* grad_gate);

  /// Saves the probabilities [B, heads, T, T]. tokens ≤ kMaxTokens, w/heads ≤ kMaxHeadWidth.
  void (*attention_forward)(AttentionShape, int64_t begin, int64_t end, const float* qkv, const float* bias, float* out,
                            float* probabilities);
  /// grad_q_scale [heads] is used only with q_scale.
  void (*attention_backward)(AttentionShape, int64_t begin, int64_t end, const float* grad_out, const float* qkv,
                             const float* bias, const float* probabilities, float* grad_qkv, float* grad_bias,
                             float* grad_q_scale);

  /// Sum of squares.
  double (*square_sum)(int64_t n, const float* x);
  /// AdamW on one tensor and its running average, in one pass. average may be null.
  void (*adamw)(AdamStep, int64_t n, const float* gradient, float* weight, float* moment1, float* moment2,
                float* average);
};

inline constexpr int64_t kMaxTokens = 256;
inline constexpr int64_t kMaxHeadWidth = 256;

/// The best set for this machine.
const Kernels& kernels();

extern const Kernels kBaselineKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

}  // namespace scalelaw::trainer
