#include "trainer/nn/fused.h"

#include <cmath>

#include <ATen/Parallel.h>

#include "trainer/nn/cross_attention.h"
#include "trainer/nn/flops.h"
#include "trainer/nn/kernels.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool on_cpu(const Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == torch::kFloat;
}
bool whole_vectors(int64_t n) {
  return n % 16 == 0;
}

// Rows may be strided, elements not.
Tensor rows(const Tensor& x) {
  return x.stride(-1) == 1 ? x : x.contiguous();
}

// Splits [0, n) over threads and gives each its own zeroed row of [threads, columns], summed at the end: gradients that
// add up over the batch, without atomics, the same for the same number of threads.
template <typename Work>
Tensor sum_over_threads(int64_t n, int64_t columns, const Tensor& like, const Work& work) {
  int64_t threads = std::min<int64_t>(at::get_num_threads(), n);
  Tensor sums = torch::zeros({threads, columns}, like.options());
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      work(n * i / threads, n * (i + 1) / threads, sums.data_ptr<float>() + i * columns);
    }
  });
  return threads == 1 ? sums.squeeze(0) : sums.sum(0);
}

struct ModulatedNorm : torch::autograd::Function<ModulatedNorm> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& shift, const Tensor& scale) {
    const NormShape shape{x.size(1), x.size(2), shift.stride(0), scale.stride(0)};
    Tensor out = torch::empty_like(x), mean = torch::empty({x.size(0), x.size(1)}, x.options());
    Tensor rstd = torch::empty_like(mean);
    at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
      kernels().norm_forward(shape, begin, end, x.data_ptr<float>(), shift.data_ptr<float>(), scale.data_ptr<float>(),
                             out.data_ptr<float>(), mean.data_ptr<float>(), rstd.data_ptr<float>());
    });
    context->save_for_backward({x, scale, mean, rstd});
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &scale = saved[1], grad = grads[0].contiguous();
    const NormShape shape{x.size(1), x.size(2), 0, scale.stride(0)};
    Tensor grad_x = torch::empty_like(x), grad_shift = torch::empty({x.size(0), x.size(2)}, x.options());
    Tensor grad_scale = torch::empty_like(grad_shift);
    at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
      kernels().norm_backward(shape, begin, end, grad.data_ptr<float>(), x.data_ptr<float>(), scale.data_ptr<float>(),
                              saved[2].data_ptr<float>(), saved[3].data_ptr<float>(), grad_x.data_ptr<float>(),
                              grad_shift.data_ptr<float>(), grad_scale.data_ptr<float>());
    });
    return {grad_x, grad_shift, grad_scale};
  }
};

struct BiasGelu : torch::autograd::Function<BiasGelu> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& bias) {
    Tensor out = torch::empty_like(x);
    int64_t n = bias.numel();
    at::parallel_for(0, x.numel() / n, 16, [&](int64_t begin, int64_t end) {
      kernels().gelu_forward(n, begin, end, x.data_ptr<float>(), bias.data_ptr<float>(), out.data_ptr<float>());
    });
    context->save_for_backward({x, bias});
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &bias = saved[1], grad = grads[0].contiguous();
    Tensor grad_x = torch::empty_like(x);
    int64_t n = bias.numel();
    Tensor grad_bias = sum_over_threads(x.numel() / n, n, x, [&](int64_t begin, int64_t end, float* sums) {
      kernels().gelu_backward(n, begin, end, grad.data_ptr<float>(), x.data_ptr<float>(), bias.data_ptr<float>(),
                              grad_x.data_ptr<float>(), sums);
    });
    return {grad_x, grad_bias};
  }
};

struct GatedResidual : torch::autograd::Function<GatedResidual> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& branch, const Tensor& bias,
                        const Tensor& gate) {
    Tensor out = torch::empty_like(x);
    at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
      kernels().gate_forward(x.size(1), x.size(2), gate.stride(0), begin, end, x.data_ptr<float>(),
                             branch.data_ptr<float>(), bias.data_ptr<float>(), gate.data_ptr<float>(),
                             out.data_ptr<float>());
    });
    context->save_for_backward({branch, bias, gate});
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto saved = context->get_saved_variables();
    const Tensor &branch = saved[0], &bias = saved[1], &gate = saved[2], grad = grads[0].contiguous();
    Tensor grad_branch = torch::empty_like(branch);
    Tensor grad_gate = torch::empty({gate.size(0), gate.size(1)}, gate.options());
    Tensor grad_bias =
        sum_over_threads(branch.size(0), bias.numel(), bias, [&](int64_t begin, int64_t end, float* sums) {
          kernels().gate_backward(branch.size(1), branch.size(2), gate.stride(0), begin, end, grad.data_ptr<float>(),
                                  branch.data_ptr<float>(), bias.data_ptr<float>(), gate.data_ptr<float>(),
                                  grad_branch.data_ptr<float>(), sums, grad_gate.data_ptr<float>());
        });
    return {grad, grad_branch, grad_bias, grad_gate};
  }
};

struct Attention : torch::autograd::Function<Attention> {
  static AttentionShape shape_of(const Tensor& qkv, int64_t heads, const std::vector<int64_t>& visible,
                                 const Tensor& q_scale) {
    return {qkv.size(1), qkv.size(2) / 3, heads, visible.empty() ? nullptr : visible.data(),
            q_scale.numel() > 0 ? q_scale.data_ptr<float>() : nullptr};
  }
  static Tensor forward(AutogradContext* context, const Tensor& qkv, const Tensor& bias, int64_t heads,
                        const std::vector<int64_t>& visible, const Tensor& q_scale) {
    const int64_t batch = qkv.size(0), tokens = qkv.size(1), width = qkv.size(2) / 3;
    const AttentionShape shape = shape_of(qkv, heads, visible, q_scale);
    Tensor out = torch::empty({batch, tokens, width}, qkv.options());
    Tensor probabilities = torch::empty({batch, heads, tokens, tokens}, qkv.options());
    at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
      kernels().attention_forward(shape, begin, end, qkv.data_ptr<float>(), bias.data_ptr<float>(),
                                  out.data_ptr<float>(), probabilities.data_ptr<float>());
    });
    context->save_for_backward({qkv, bias, probabilities, q_scale});
    context->saved_data["heads"] = heads;
    context->saved_data["visible"] = visible;
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto saved = context->get_saved_variables();
    const Tensor &qkv = saved[0], &bias = saved[1], &probabilities = saved[2], &q_scale = saved[3];
    const Tensor grad = grads[0].contiguous();
    const int64_t heads = context->saved_data["heads"].toInt(), width3 = qkv.size(2);
    const auto visible = context->saved_data["visible"].toIntVector();
    const AttentionShape shape = shape_of(qkv, heads, visible, q_scale);
    Tensor grad_qkv = torch::empty_like(qkv);
    Tensor sums = sum_over_threads(qkv.size(0), width3 + heads, qkv, [&](int64_t begin, int64_t end, float* sum) {
      kernels().attention_backward(shape, begin, end, grad.data_ptr<float>(), qkv.data_ptr<float>(),
                                   bias.data_ptr<float>(), probabilities.data_ptr<float>(), grad_qkv.data_ptr<float>(),
                                   sum, sum + width3);
    });
    Tensor grad_q_scale = q_scale.numel() > 0 ? sums.narrow(0, width3, heads) : Tensor();
    return {grad_qkv, sums.narrow(0, 0, width3), Tensor(), Tensor(), grad_q_scale};
  }
};

Tensor attention_composed(const Tensor& qkv, int64_t heads, const std::vector<int64_t>& visible,
                          const Tensor& q_scale) {
  const int64_t batch = qkv.size(0), tokens = qkv.size(1), width = qkv.size(2) / 3;
  auto parts = qkv.view({batch, tokens, 3, heads, width / heads}).permute({2, 0, 3, 1, 4}).unbind(0);
  Tensor q = parts[0], k = parts[1], v = parts[2];  // [B, H, T, d]
  if (q_scale.defined()) {
    std::tie(q, k) = unit_length(q, k, q_scale);
  } else {
    q = q / std::sqrt(static_cast<double>(width / heads));
  }
  Tensor scores = torch::matmul(q, k.transpose(-1, -2));
  if (!visible.empty()) {
    Tensor ends = torch::tensor(visible, torch::kLong).to(qkv.device()).unsqueeze(1);
    Tensor hidden = torch::arange(tokens, ends.options()).unsqueeze(0) >= ends;
    scores = scores.masked_fill(hidden, -1e30);
  }
  return torch::matmul(torch::softmax(scores, -1), v).transpose(1, 2).reshape({batch, tokens, width});
}

}  // namespace

Tensor modulated_norm(const Tensor& x, const Tensor& shift, const Tensor& scale) {
  if (on_cpu(x) && whole_vectors(x.size(-1))) return ModulatedNorm::apply(x.contiguous(), rows(shift), rows(scale));
  return torch::layer_norm(x, {x.size(-1)}, {}, {}, 1e-6) * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1);
}

Tensor bias_gelu(const Tensor& x, const Tensor& bias) {
  if (on_cpu(x) && whole_vectors(bias.numel())) return BiasGelu::apply(x.contiguous(), bias);
  return torch::gelu(x + bias, "tanh");
}

Tensor gated_residual(const Tensor& x, const Tensor& branch, const Tensor& bias, const Tensor& gate) {
  if (on_cpu(x) && whole_vectors(bias.numel())) {
    return GatedResidual::apply(x.contiguous(), branch.contiguous(), bias, rows(gate));
  }
  return x + gate.unsqueeze(1) * (branch + bias);
}

Tensor attention(const Tensor& qkv, const Tensor& bias, int64_t heads, const std::vector<int64_t>& visible,
                 const Tensor& q_scale) {
  const int64_t tokens = qkv.size(1), width = qkv.size(2) / 3;
  if (on_cpu(qkv) && tokens <= kMaxTokens && width / heads <= kMaxHeadWidth) {
    // q·kᵀ and p·v, masked pairs included, as the papers count.
    report_flops(4.0 * static_cast<double>(qkv.size(0) * tokens * tokens * width));
    // An autograd function takes no undefined tensor: an empty one stands for none.
    return Attention::apply(qkv.contiguous(), bias, heads, visible, q_scale.defined() ? q_scale : torch::empty({0}));
  }
  return attention_composed(qkv + bias, heads, visible, q_scale);
}

}  // namespace scalelaw::trainer
