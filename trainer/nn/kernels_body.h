// The kernels, written once with vectors of 16 floats; the compiler maps these to whatever the target has. Included by
// kernels_*.cc only, each compiled for another instruction set, hence no standard headers that hold inline functions
// (the linker would keep one copy for all) and everything in an unnamed namespace.
#pragma once

#include <cstdint>

#include "trainer/nn/kernels.h"

namespace scalelaw::trainer {
namespace {

using Vector = float __attribute__((vector_size(64)));
using Integers = int32_t __attribute__((vector_size(64)));
using Unaligned = float __attribute__((vector_size(64), aligned(4), may_alias));
constexpr int64_t kLanes = 16;

#define INLINE inline __attribute__((always_inline))

INLINE Vector load(const float* p) {
  return *reinterpret_cast<const Unaligned*>(p);
}
INLINE void store(float* p, Vector v) {
  *reinterpret_cast<Unaligned*>(p) = v;
}
INLINE Vector splat(float x) {
  return Vector{} + x;
}
INLINE float sum(Vector v) {
  using Half = float __attribute__((vector_size(32)));
  using Quarter = float __attribute__((vector_size(16)));
  Half h = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
           __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  Quarter q = __builtin_shufflevector(h, h, 0, 1, 2, 3) + __builtin_shufflevector(h, h, 4, 5, 6, 7);
  return (q[0] + q[1]) + (q[2] + q[3]);
}
INLINE Vector maximum(Vector a, Vector b) {
  return a > b ? a : b;
}

// e^x to 2 ulp (Cephes' polynomial on [−½ln2, ½ln2]); x is clamped to ±87, NaN stays NaN.
INLINE Vector exponential(Vector x) {
  x = x > 87.0F ? splat(87.0F) : x;
  x = x < -87.0F ? splat(-87.0F) : x;
  // Adding and subtracting 1.5·2^23 rounds to the nearest integer.
  Vector shifted = x * 1.44269504F + 12582912.0F;
  Vector n = shifted - 12582912.0F;
  Vector r = x - n * 0.693359375F + n * 2.12194440e-4F;
  Vector p = splat(1.9875691500e-4F);
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  Integers exponent = (reinterpret_cast<Integers>(shifted) + (127 - 0x4B400000)) << 23;
  return p * reinterpret_cast<Vector>(exponent);
}

INLINE float root(float x) {
  return __builtin_sqrtf(x);
}
INLINE void clear(float* p, int64_t n) {
  __builtin_memset(p, 0, static_cast<uint64_t>(n) * sizeof(float));
}

// ---- LayerNorm with a shift and scale per sample ----

void norm_forward(NormShape shape, int64_t begin, int64_t end, const float* x, const float* shift, const float* scale,
                  float* out, float* mean, float* rstd) {
  const int64_t w = shape.width;
  const float inverse = 1.0F / static_cast<float>(w);
  for (int64_t b = begin; b < end; ++b) {
    const float* shifts = shift + b * shape.shift_stride;
    const float* scales = scale + b * shape.scale_stride;
    for (int64_t row = b * shape.tokens; row < (b + 1) * shape.tokens; ++row) {
      const float* in = x + row * w;
      Vector total{};
      for (int64_t c = 0; c < w; c += kLanes) total += load(in + c);
      const float mu = sum(total) * inverse;
      Vector squares{};
      for (int64_t c = 0; c < w; c += kLanes) {
        Vector d = load(in + c) - mu;
        squares += d * d;
      }
      const float r = 1.0F / root(sum(squares) * inverse + 1e-6F);
      mean[row] = mu;
      rstd[row] = r;
      for (int64_t c = 0; c < w; c += kLanes) {
        store(out + row * w + c, (load(in + c) - mu) * r * (load(scales + c) + 1.0F) + load(shifts + c));
      }
    }
  }
}

void norm_backward(NormShape shape, int64_t begin, int64_t end, const float* grad_out, const float* x,
                   const float* scale, const float* mean, const float* rstd, float* grad_x, float* grad_shift,
                   float* grad_scale) {
  const int64_t w = shape.width;
  const float inverse = 1.0F / static_cast<float>(w);
  for (int64_t b = begin; b < end; ++b) {
    const float* scales = scale + b * shape.scale_stride;
    float* d_shift = grad_shift + b * w;
    float* d_scale = grad_scale + b * w;
    clear(d_shift, w);
    clear(d_scale, w);
    for (int64_t row = b * shape.tokens; row < (b + 1) * shape.tokens; ++row) {
      const float* in = x + row * w;
      const float* g = grad_out + row * w;
      const float mu = mean[row], r = rstd[row];
      Vector sum_g{}, sum_gx{};
      for (int64_t c = 0; c < w; c += kLanes) {
        Vector grad = load(g + c), normed = (load(in + c) - mu) * r;
        store(d_shift + c, load(d_shift + c) + grad);
        store(d_scale + c, load(d_scale + c) + grad * normed);
        grad *= load(scales + c) + 1.0F;
        sum_g += grad;
        sum_gx += grad * normed;
      }
      const float mean_g = sum(sum_g) * inverse, mean_gx = sum(sum_gx) * inverse;
      for (int64_t c = 0; c < w; c += kLanes) {
        Vector grad = load(g + c) * (load(scales + c) + 1.0F), normed = (load(in + c) - mu) * r;
        store(grad_x + row * w + c, (grad - mean_g - normed * mean_gx) * r);
      }
    }
  }
}

// ---- gelu(x + bias), tanh approximation: u·σ(2z), z = √(2/π)·(u + 0.044715·u³) ----

constexpr float kGeluA = 1.5957691216F;  // 2·√(2/π)
constexpr float kGeluB = 0.044715F;

void gelu_forward(int64_t n, int64_t begin, int64_t end, const float* x, const float* bias, float* out) {
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t c = 0; c < n; c += kLanes) {
      Vector u = load(x + row * n + c) + load(bias + c);
      Vector z = kGeluA * u * (u * u * kGeluB + 1.0F);
      store(out + row * n + c, u / (exponential(-z) + 1.0F));
    }
  }
}

void gelu_backward(int64_t n, int64_t begin, int64_t end, const float* grad_out, const float* x, const float* bias,
                   float* grad_x, float* grad_bias) {
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t c = 0; c < n; c += kLanes) {
      Vector u = load(x + row * n + c) + load(bias + c);
      Vector u2 = u * u;
      Vector gate = 1.0F / (exponential(-(kGeluA * u * (u2 * kGeluB + 1.0F))) + 1.0F);
      Vector slope = gate + u * gate * (1.0F - gate) * kGeluA * (u2 * (3.0F * kGeluB) + 1.0F);
      Vector grad = load(grad_out + row * n + c) * slope;
      store(grad_x + row * n + c, grad);
      store(grad_bias + c, load(grad_bias + c) + grad);
    }
  }
}

// ---- x + gate·(branch + bias) ----

void gate_forward(int64_t tokens, int64_t width, int64_t gate_stride, int64_t begin, int64_t end, const float* x,
                  const float* branch, const float* bias, const float* gate, float* out) {
  for (int64_t b = begin; b < end; ++b) {
    const float* gates = gate + b * gate_stride;
    for (int64_t row = b * tokens; row < (b + 1) * tokens; ++row) {
      for (int64_t c = 0; c < width; c += kLanes) {
        int64_t i = row * width + c;
        store(out + i, load(x + i) + load(gates + c) * (load(branch + i) + load(bias + c)));
      }
    }
  }
}

void gate_backward(int64_t tokens, int64_t width, int64_t gate_stride, int64_t begin, int64_t end,
                   const float* grad_out, const float* branch, const float* bias, const float* gate, float* grad_branch,
                   float* grad_bias, float* grad_gate) {
  for (int64_t b = begin; b < end; ++b) {
    const float* gates = gate + b * gate_stride;
    for (int64_t c = 0; c < width; c += kLanes) {
      Vector g = load(gates + c), offset = load(bias + c), d_gate{}, d_bias{};
      for (int64_t row = b * tokens; row < (b + 1) * tokens; ++row) {
        int64_t i = row * width + c;
        Vector grad = load(grad_out + i);
        d_gate += grad * (load(branch + i) + offset);
        grad *= g;
        d_bias += grad;
        store(grad_branch + i, grad);
      }
      store(grad_gate + b * width + c, d_gate);
      store(grad_bias + c, load(grad_bias + c) + d_bias);
    }
  }
}

// ---- Attention ----

// C[M, N] = A·B with A given by two strides (so that Aᵀ costs nothing), B and C row-major; N a multiple of 16.
INLINE void small_product(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_column,
                          const float* b, int64_t ldb, float* c, int64_t ldc) {
  int64_t i = 0;
  for (; i + 4 <= m; i += 4) {
    const float *a0 = a + i * a_row, *a1 = a0 + a_row, *a2 = a1 + a_row, *a3 = a2 + a_row;
    for (int64_t j = 0; j < n; j += kLanes) {
      Vector c0{}, c1{}, c2{}, c3{};
      for (int64_t p = 0; p < k; ++p) {
        Vector row = load(b + p * ldb + j);
        c0 += a0[p * a_column] * row;
        c1 += a1[p * a_column] * row;
        c2 += a2[p * a_column] * row;
        c3 += a3[p * a_column] * row;
      }
      store(c + i * ldc + j, c0);
      store(c + (i + 1) * ldc + j, c1);
      store(c + (i + 2) * ldc + j, c2);
      store(c + (i + 3) * ldc + j, c3);
    }
  }
  for (; i < m; ++i) {
    for (int64_t j = 0; j < n; j += kLanes) {
      Vector row_sum{};
      for (int64_t p = 0; p < k; ++p) row_sum += a[i * a_row + p * a_column] * load(b + p * ldb + j);
      store(c + i * ldc + j, row_sum);
    }
  }
}

constexpr int64_t round_up(int64_t n) {
  return (n + kLanes - 1) / kLanes * kLanes;
}

// One head of one sample, copied out of the packed projection and padded to whole vectors: rows of q, k, v
// [tokens, head width], and the transposes that the products need as right-hand sides [head width, tokens].
struct Head {
  explicit Head(AttentionShape shape)
      : tokens(shape.tokens), d(shape.width / shape.heads), padded_d(round_up(d)), padded_tokens(round_up(tokens)) {
    int64_t rows = tokens * padded_d, columns = padded_d * padded_tokens;
    memory = new float[static_cast<uint64_t>(8 * rows + 2 * columns + 3 * tokens * padded_tokens + 2 * tokens)]();
    float* next = memory;
    auto take = [&next](int64_t n) { return (next += n) - n; };
    q = take(rows), k = take(rows), v = take(rows), o = take(rows);
    dq = take(rows), dk = take(rows), dv = take(rows), d_out = take(rows);
    k_t = take(columns), v_t = take(columns);
    p = take(tokens * padded_tokens), dp = take(tokens * padded_tokens), ds = take(tokens * padded_tokens);
    q_norm = take(tokens), k_norm = take(tokens);
  }
  ~Head() { delete[] memory; }
  Head(const Head&) = delete;
  Head& operator=(const Head&) = delete;

  int64_t tokens, d, padded_d, padded_tokens;
  float* memory;
  float *q, *k, *v, *o, *dq, *dk, *dv, *d_out, *k_t, *v_t, *p, *dp, *ds;
  float *q_norm, *k_norm;  // 1/|q|, 1/|k| where q and k are normalised
};

INLINE void copy_rows(int64_t tokens, int64_t d, const float* from, int64_t from_stride, const float* bias, float* to,
                      int64_t to_stride) {
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t c = 0; c < d; ++c) to[t * to_stride + c] = from[t * from_stride + c] + (bias ? bias[c] : 0.0F);
  }
}

INLINE void transpose(int64_t rows, int64_t columns, const float* from, int64_t from_stride, float* to,
                      int64_t to_stride) {
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < rows; ++r) to[c * to_stride + r] = from[r * from_stride + c];
  }
}

// Scales each row to unit length and remembers 1/length.
INLINE void normalise_rows(Head& head, float* rows, float* inverse_norms) {
  for (int64_t t = 0; t < head.tokens; ++t) {
    float* row = rows + t * head.padded_d;
    Vector squares{};
    for (int64_t c = 0; c < head.padded_d; c += kLanes) squares += load(row + c) * load(row + c);
    const float inverse = 1.0F / root(sum(squares) + 1e-12F);
    inverse_norms[t] = inverse;
    for (int64_t c = 0; c < head.padded_d; c += kLanes) store(row + c, load(row + c) * inverse);
  }
}

INLINE void load_head(AttentionShape shape, Head& head, const float* qkv, const float* bias, int64_t h) {
  const int64_t w = shape.width, first = h * head.d;
  copy_rows(head.tokens, head.d, qkv + first, 3 * w, bias + first, head.q, head.padded_d);
  copy_rows(head.tokens, head.d, qkv + w + first, 3 * w, bias + w + first, head.k, head.padded_d);
  copy_rows(head.tokens, head.d, qkv + 2 * w + first, 3 * w, bias + 2 * w + first, head.v, head.padded_d);
  if (shape.q_scale) {
    normalise_rows(head, head.q, head.q_norm);
    normalise_rows(head, head.k, head.k_norm);
  }
}

INLINE float score_scale(AttentionShape shape, int64_t h) {
  if (shape.q_scale) return shape.q_scale[h];
  return 1.0F / root(static_cast<float>(shape.width / shape.heads));
}

INLINE void softmax_rows(AttentionShape shape, Head& head, float scale) {
  for (int64_t i = 0; i < head.tokens; ++i) {
    float* row = head.p + i * head.padded_tokens;
    for (int64_t j = shape.visible ? shape.visible[i] : head.tokens; j < head.padded_tokens; ++j) row[j] = -1e30F;
    Vector high = splat(-1e30F);
    for (int64_t j = 0; j < head.padded_tokens; j += kLanes) high = maximum(high, load(row + j) * scale);
    float top = high[0];
    for (int64_t lane = 1; lane < kLanes; ++lane) top = high[lane] > top ? high[lane] : top;
    Vector total{};
    for (int64_t j = 0; j < head.padded_tokens; j += kLanes) {
      Vector e = exponential(load(row + j) * scale - top);
      e = load(row + j) <= -1e30F ? Vector{} : e;
      store(row + j, e);
      total += e;
    }
    const float inverse = 1.0F / sum(total);
    for (int64_t j = 0; j < head.padded_tokens; j += kLanes) store(row + j, load(row + j) * inverse);
  }
}

void attention_forward(AttentionShape shape, int64_t begin, int64_t end, const float* qkv, const float* bias,
                       float* out, float* probabilities) {
  Head head(shape);
  const int64_t t = head.tokens, w = shape.width, pd = head.padded_d, pt = head.padded_tokens;
  for (int64_t b = begin; b < end; ++b) {
    for (int64_t h = 0; h < shape.heads; ++h) {
      load_head(shape, head, qkv + b * t * 3 * w, bias, h);
      transpose(t, head.d, head.k, pd, head.k_t, pt);
      small_product(t, pt, head.d, head.q, pd, 1, head.k_t, pt, head.p, pt);
      softmax_rows(shape, head, score_scale(shape, h));
      small_product(t, pd, t, head.p, pt, 1, head.v, pd, head.o, pd);
      copy_rows(t, head.d, head.o, pd, nullptr, out + b * t * w + h * head.d, w);
      copy_rows(t, t, head.p, pt, nullptr, probabilities + (b * shape.heads + h) * t * t, t);
    }
  }
}

// Through y = x/|x| given dy and y: dx = (dy − y·(y·dy)) / |x|.
INLINE void normalise_rows_backward(const Head& head, const float* rows, const float* inverse_norms, float* grad) {
  for (int64_t t = 0; t < head.tokens; ++t) {
    const float* y = rows + t * head.padded_d;
    float* g = grad + t * head.padded_d;
    Vector products{};
    for (int64_t c = 0; c < head.padded_d; c += kLanes) products += load(y + c) * load(g + c);
    const float along = sum(products);
    for (int64_t c = 0; c < head.padded_d; c += kLanes) {
      store(g + c, (load(g + c) - load(y + c) * along) * inverse_norms[t]);
    }
  }
}

// Writes one third of the packed gradient and adds its column sums to the bias' gradient.
INLINE void store_gradient(const Head& head, const float* from, float* grad, int64_t stride, float* grad_bias) {
  for (int64_t t = 0; t < head.tokens; ++t) {
    for (int64_t c = 0; c < head.d; ++c) {
      grad[t * stride + c] = from[t * head.padded_d + c];
      grad_bias[c] += from[t * head.padded_d + c];
    }
  }
}

void attention_backward(AttentionShape shape, int64_t begin, int64_t end, const float* grad_out, const float* qkv,
                        const float* bias, const float* probabilities, float* grad_qkv, float* grad_bias,
                        float* grad_q_scale) {
  Head head(shape);
  const int64_t t = head.tokens, w = shape.width, pd = head.padded_d, pt = head.padded_tokens;
  for (int64_t b = begin; b < end; ++b) {
    for (int64_t h = 0; h < shape.heads; ++h) {
      load_head(shape, head, qkv + b * t * 3 * w, bias, h);
      copy_rows(t, t, probabilities + (b * shape.heads + h) * t * t, t, nullptr, head.p, pt);
      copy_rows(t, head.d, grad_out + b * t * w + h * head.d, w, nullptr, head.d_out, pd);
      transpose(t, head.d, head.v, pd, head.v_t, pt);

      small_product(t, pd, t, head.p, 1, pt, head.d_out, pd, head.dv, pd);         // dV = Pᵀ·dO
      small_product(t, pt, head.d, head.d_out, pd, 1, head.v_t, pt, head.dp, pt);  // dP = dO·Vᵀ
      const float scale = score_scale(shape, h);
      for (int64_t i = 0; i < t; ++i) {  // dS = P·(dP − Σ dP·P), S before the scale
        Vector products{};
        for (int64_t j = 0; j < pt; j += kLanes) products += load(head.p + i * pt + j) * load(head.dp + i * pt + j);
        const float mean = sum(products);
        for (int64_t j = 0; j < pt; j += kLanes) {
          store(head.ds + i * pt + j, load(head.p + i * pt + j) * (load(head.dp + i * pt + j) - mean) * scale);
        }
      }
      small_product(t, pd, t, head.ds, pt, 1, head.k, pd, head.dq, pd);  // dQ = dS·K
      small_product(t, pd, t, head.ds, 1, pt, head.q, pd, head.dk, pd);  // dK = dSᵀ·Q
      if (shape.q_scale) {
        // Σ dS·S/scale = Σ q·dq / scale, with q, dq before the scale.
        Vector products{};
        for (int64_t i = 0; i < t * pd; i += kLanes) products += load(head.q + i) * load(head.dq + i);
        grad_q_scale[h] += sum(products) / scale;
        normalise_rows_backward(head, head.q, head.q_norm, head.dq);
        normalise_rows_backward(head, head.k, head.k_norm, head.dk);
      }
      float* grad = grad_qkv + b * t * 3 * w + h * head.d;
      store_gradient(head, head.dq, grad, 3 * w, grad_bias + h * head.d);
      store_gradient(head, head.dk, grad + w, 3 * w, grad_bias + w + h * head.d);
      store_gradient(head, head.dv, grad + 2 * w, 3 * w, grad_bias + 2 * w + h * head.d);
    }
  }
}

// ---- Optimizer ----

double square_sum(int64_t n, const float* x) {
  double total = 0;
  int64_t i = 0;
  while (i + kLanes <= n) {
    // Blocks keep the single-precision partial sums short.
    Vector partial{};
    for (int64_t stop = i + 4096 < n ? i + 4096 : n; i + kLanes <= stop; i += kLanes)
      partial += load(x + i) * load(x + i);
    total += static_cast<double>(sum(partial));
  }
  for (; i < n; ++i) total += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return total;
}

void adamw(AdamStep step, int64_t n, const float* gradient, float* weight, float* moment1, float* moment2,
           float* average) {
  const float share1 = 1 - step.beta1, share2 = 1 - step.beta2;
  const float rate = step.learning_rate * step.correction1;
  for (int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * step.gradient_scale;
    const float m = step.beta1 * moment1[i] + share1 * g;
    const float v = step.beta2 * moment2[i] + share2 * g * g;
    moment1[i] = m;
    moment2[i] = v;
    weight[i] = step.shrink * weight[i] - rate * m / (root(v * step.correction2) + step.epsilon);
  }
  if (!average) return;
  for (int64_t i = 0; i < n; ++i) average[i] += step.average_share * (weight[i] - average[i]);
}

#undef INLINE

constexpr Kernels kernels_named(const char* name) {
  return {name,          norm_forward,      norm_backward,      gelu_forward, gelu_backward, gate_forward,
          gate_backward, attention_forward, attention_backward, square_sum,   adamw};
}

}  // namespace
}  // namespace scalelaw::trainer
