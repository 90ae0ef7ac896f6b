#include "trainer/var/var_tokenizer.h"

#include <cmath>
#include <stdexcept>

#include <fmt/format.h>

namespace scalelaw::trainer {

namespace nn = torch::nn;
namespace F = torch::nn::functional;

namespace {

/// An interpolation from side `from` to side `to` as a matrix [from², to²], measured on unit vectors.
torch::Tensor interpolation_matrix(int64_t from, int64_t to, bool bicubic) {
  torch::Tensor units = torch::eye(from * from).view({from * from, 1, from, from});
  if (from == to) return units.view({from * from, to * to});
  auto options = F::InterpolateFuncOptions().size(std::vector<int64_t>{to, to});
  if (bicubic) {
    options = options.mode(torch::kBicubic).align_corners(false);
  } else {
    options = options.mode(torch::kArea);
  }
  return F::interpolate(units, options).reshape({from * from, to * to}).contiguous();
}

nn::Conv2d conv(int64_t in, int64_t out, int64_t kernel) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).padding(kernel / 2));
}

/// x + conv(SiLU(conv(SiLU(x)))), 3×3.
struct ResidualImpl : nn::Module {
  explicit ResidualImpl(int64_t width)
      : first(register_module("first", conv(width, width, 3))),
        second(register_module("second", conv(width, width, 3))) {}
  torch::Tensor forward(const torch::Tensor& x) { return x + second(torch::silu(first(torch::silu(x)))); }
  nn::Conv2d first, second;
};
TORCH_MODULE(Residual);

/// Which of `phis` convolutions scale k of `scales` uses: spread evenly from the first to the last scale.
int64_t phi_index(int64_t k, int64_t scales, int64_t phis) {
  return scales == 1 ? 0 : (k * (phis - 1) + (scales - 1) / 2) / (scales - 1);
}

}  // namespace

VarTokenizerOptions VarTokenizerOptions::read(Params& params) {
  VarTokenizerOptions options;
  options.resolution = params.integer("resolution", options.resolution, 8, 256);
  std::string fallback = options.resolution == 16   ? "1,2,3,4"
                         : options.resolution == 32 ? "1,2,3,4,6,8"
                                                    : "1,2,3,4,6,8,12,16";
  std::string scales = params.choice("scales", fallback, {"1,2,4", "1,2,3,4", "1,2,3,4,6,8", "1,2,3,4,6,8,12,16"});
  options.scales = Scales::parse(scales);
  if (options.scales.latent_side() * kPatch != options.resolution) {
    throw BadRun(fmt::format("scales: \"{}\" ends at {}, but resolution {} needs {}", scales,
                             options.scales.latent_side(), options.resolution, options.resolution / kPatch));
  }
  options.vocabulary = params.integer("vocabulary", options.vocabulary, 2, 32767);
  options.code_channels = params.integer("code_channels", options.code_channels, 1, 256);
  options.width = params.integer("width", options.width, 8, 1024);
  options.phis = params.integer("phis", std::min(options.phis, options.scales.count()), 1, options.scales.count());
  options.commitment = params.number("commitment", options.commitment, 0, 10);
  options.adversarial_weight = params.number("adversarial_weight", options.adversarial_weight, 0, 100);
  return options;
}

VarTokenizerImpl::VarTokenizerImpl(const VarTokenizerOptions& options) : options_(options) {
  int64_t width = options.width;
  int64_t patch = VarTokenizerOptions::kPatch;
  int64_t patch_pixels = 3 * patch * patch;
  encoder_ =
      register_module("encoder", nn::Sequential(nn::Conv2d(nn::Conv2dOptions(3, width, patch).stride(patch)),
                                                Residual(width), nn::SiLU(), conv(width, options.code_channels, 1)));
  decoder_ = register_module(
      "decoder", nn::Sequential(conv(options.code_channels, width, 3), Residual(width), Residual(width), nn::SiLU(),
                                conv(width, patch_pixels, 1), nn::PixelShuffle(nn::PixelShuffleOptions(patch))));
  for (int64_t i = 0; i < options.phis; ++i) {
    phis_.push_back(register_module(fmt::format("phi{}", i), conv(options.code_channels, options.code_channels, 3)));
  }
  codebook_ = register_parameter("codebook", torch::randn({options.vocabulary, options.code_channels}));
  usage_ = register_buffer("usage", torch::zeros({options.vocabulary}));
  if (options.adversarial_weight > 0) {
    discriminator_ = register_module("discriminator", Discriminator(std::max<int64_t>(8, width / 2)));
  }
  for (int64_t k = 0; k < scales().count(); ++k) {
    // Constants of the scales, not state: buffers only so that `to(device)` moves them.
    int64_t side = scales().side(k);
    area_.push_back(
        register_buffer(fmt::format("area{}", k), interpolation_matrix(scales().latent_side(), side, false)));
    bicubic_.push_back(
        register_buffer(fmt::format("bicubic{}", k), interpolation_matrix(side, scales().latent_side(), true)));
  }
}

torch::Tensor VarTokenizerImpl::encode_latent(const torch::Tensor& images) {
  return encoder_->forward(images);
}

torch::Tensor VarTokenizerImpl::decode_latent(const torch::Tensor& latent) {
  return decoder_->forward(latent);
}

torch::Tensor VarTokenizerImpl::phi(const torch::Tensor& upsampled, int64_t k) {
  auto& conv = phis_[static_cast<size_t>(phi_index(k, scales().count(), options_.phis))];
  return 0.5 * upsampled + 0.5 * conv(upsampled);
}

torch::Tensor VarTokenizerImpl::nearest(const torch::Tensor& vectors) const {
  // ‖v − e‖² without ‖v‖², which is the same for all codes.
  return torch::addmm(codebook_.square().sum(1), vectors, codebook_.t(), 1, -2).argmin(1);
}

torch::Tensor VarTokenizerImpl::codes(const torch::Tensor& ids) const {
  return torch::embedding(codebook_, ids);
}

torch::Tensor VarTokenizerImpl::at_scale(const torch::Tensor& latent, int64_t k) const {
  return torch::matmul(latent.flatten(2), area_[static_cast<size_t>(k)]).transpose(1, 2);
}

torch::Tensor VarTokenizerImpl::nearest_codes(const torch::Tensor& missing, int64_t k) const {
  torch::Tensor vectors = at_scale(missing, k).reshape({-1, options_.code_channels});
  return nearest(vectors).view({missing.size(0), -1});
}

torch::Tensor VarTokenizerImpl::add_scale(const torch::Tensor& latent, const torch::Tensor& codes, int64_t k) {
  torch::Tensor map = codes.transpose(1, 2);  // [B, C, n(k)]
  torch::Tensor upsampled = torch::matmul(map.contiguous(), bicubic_[static_cast<size_t>(k)]);
  return latent + phi(upsampled.view(latent.sizes()), k);
}

torch::Tensor VarTokenizerImpl::empty_latent(int64_t batch) const {
  int64_t side = scales().latent_side();
  return torch::zeros({batch, options_.code_channels, side, side}, codebook_.options().requires_grad(false));
}

torch::Tensor VarTokenizerImpl::accumulate(const torch::Tensor& codes) {
  torch::Tensor latent = empty_latent(codes.size(0));
  for (int64_t k = 0; k < scales().count(); ++k) {
    latent = add_scale(latent, codes.narrow(1, scales().begin(k), scales().tokens(k)), k);
  }
  return latent;
}

torch::Tensor VarTokenizerImpl::accumulated_inputs(const torch::Tensor& codes) {
  torch::Tensor latent = empty_latent(codes.size(0));
  std::vector<torch::Tensor> inputs;
  for (int64_t k = 0; k + 1 < scales().count(); ++k) {
    latent = add_scale(latent, codes.narrow(1, scales().begin(k), scales().tokens(k)), k);
    inputs.push_back(at_scale(latent, k + 1));
  }
  return torch::cat(inputs, 1);
}

VarTokenizerImpl::Quantized VarTokenizerImpl::quantize(const torch::Tensor& latent) {
  int64_t batch = latent.size(0);
  torch::Tensor target = latent.detach();
  torch::Tensor accumulated = empty_latent(batch);
  torch::Tensor loss = torch::zeros({}, target.options());
  std::vector<torch::Tensor> ids;
  Quantized result;
  for (int64_t k = 0; k < scales().count(); ++k) {
    torch::Tensor scale_ids = nearest_codes(target - accumulated.detach(), k);
    ids.push_back(scale_ids);
    accumulated = add_scale(accumulated, codes(scale_ids), k);
    loss = loss + torch::mse_loss(accumulated, target) +
           options_.commitment * torch::mse_loss(accumulated.detach(), latent);
  }
  result.ids = torch::cat(ids, 1);
  result.latent = latent + (accumulated - latent).detach();
  result.loss = loss / scales().count();
  return result;
}

torch::Tensor VarTokenizerImpl::encode(const torch::Tensor& images) {
  torch::NoGradGuard no_grad;
  return quantize(encode_latent(images)).ids;
}

torch::Tensor VarTokenizerImpl::decode(const torch::Tensor& ids) {
  torch::NoGradGuard no_grad;
  return decode_latent(accumulate(codes(ids))).clamp(-1, 1);
}

void VarTokenizerImpl::fill_codebook(const torch::Tensor& unused, const torch::Tensor& vectors) {
  torch::Tensor codes = unused.nonzero().flatten();
  torch::Tensor from = torch::randint(vectors.size(0), {codes.size(0)}, codes.options());
  torch::Tensor fresh = vectors.index_select(0, from);
  codebook_.index_copy_(0, codes, fresh + 0.01 * fresh.std() * torch::randn_like(fresh));
}

void VarTokenizerImpl::initialise_codebook(const torch::Tensor& images) {
  torch::NoGradGuard no_grad;
  // Each scale gets its share of the codes by number of tokens, taken from the rests that it will meet.
  torch::Tensor latent = encode_latent(images);
  torch::Tensor accumulated = empty_latent(latent.size(0));
  torch::Tensor code = torch::arange(options_.vocabulary, codebook_.device());
  for (int64_t k = 0; k < scales().count(); ++k) {
    torch::Tensor rest = at_scale(latent - accumulated, k).reshape({-1, options_.code_channels});
    int64_t begin = options_.vocabulary * k / scales().count();
    int64_t end = options_.vocabulary * (k + 1) / scales().count();
    fill_codebook((code >= begin) & (code < end), rest);
    // Codes of later scales hold noise still; they are not to be found by this one.
    torch::Tensor known = codebook_.narrow(0, 0, end);
    torch::Tensor ids = torch::addmm(known.square().sum(1), rest, known.t(), 1, -2).argmin(1);
    accumulated = add_scale(accumulated, codes(ids).view({latent.size(0), -1, options_.code_channels}), k);
  }
  usage_.zero_();
}

void VarTokenizerImpl::count_usage(const torch::Tensor& ids) {
  torch::NoGradGuard no_grad;
  usage_.add_(torch::bincount(ids.flatten(), {}, options_.vocabulary));
}

void VarTokenizerImpl::revive(const torch::Tensor& images) {
  torch::NoGradGuard no_grad;
  torch::Tensor latent = encode_latent(images);
  torch::Tensor rest = (latent - quantize(latent).latent).flatten(2).transpose(1, 2);  // [B, S², C]
  torch::Tensor worst = rest.square().sum(2).argmax(1);
  torch::Tensor vectors = rest.index({torch::arange(rest.size(0), worst.options()), worst});
  // Hardly used: less than a twentieth of an even share.
  fill_codebook(usage_ < usage_.mean() / 20, vectors);
  usage_.zero_();
}

TeacherInputs::TeacherInputs(VarTokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {
  torch::NoGradGuard no_grad;
  const Scales& scales = tokenizer_->scales();
  int64_t size = scales.total() * tokenizer_->options().code_channels;
  torch::Tensor zero = tokenizer_->empty_latent(1).new_zeros({1, size});
  auto inputs = [&](const torch::Tensor& rows) {
    return tokenizer_->accumulated_inputs(rows.view({rows.size(0), scales.total(), -1})).flatten(1);
  };
  bias_ = inputs(zero).flatten();
  weight_ = (inputs(torch::eye(size, zero.options())) - bias_).contiguous();
}

torch::Tensor TeacherInputs::operator()(const torch::Tensor& ids) const {
  torch::NoGradGuard no_grad;
  torch::Tensor codes = tokenizer_->codes(ids).flatten(1);
  return torch::addmm(bias_, codes, weight_).view({ids.size(0), -1, tokenizer_->options().code_channels});
}

}  // namespace scalelaw::trainer
