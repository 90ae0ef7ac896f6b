#include "trainer/data/scenes.h"

#include <algorithm>
#include <cmath>

#include <ATen/Parallel.h>

#include "trainer/data/fashion_mnist.h"
#include "trainer/data/random.h"
#include "trainer/text.h"

namespace scalelaw::trainer {

const std::array<std::string, kObjects> kObjectNames = {"t-shirt", "trouser", "pullover", "dress", "coat",
                                                        "sandal",  "shirt",   "sneaker",  "bag",   "boot"};
const std::array<std::string, kColours> kColourNames = {"red", "green", "blue", "yellow", "purple", "orange"};
const std::array<std::string, kBackgrounds> kBackgroundNames = {"dark", "light"};
const std::array<std::string, kQuestions> kQuestionNames = {"object", "colour", "background"};

namespace {

using Rgb = std::array<float, 3>;
constexpr std::array<Rgb, kColours> kTints = {{{0.90F, 0.10F, 0.10F},
                                               {0.10F, 0.75F, 0.15F},
                                               {0.15F, 0.25F, 0.95F},
                                               {0.95F, 0.90F, 0.10F},
                                               {0.65F, 0.15F, 0.80F},
                                               {0.98F, 0.55F, 0.05F}}};
constexpr std::array<float, kBackgrounds> kGrounds = {0.08F, 0.88F};

// Weights of each source row (or column) in one output row when 28 pixels are averaged down (or up) to `side`.
std::vector<std::vector<std::pair<int64_t, float>>> area_weights(int64_t side) {
  std::vector<std::vector<std::pair<int64_t, float>>> weights(static_cast<size_t>(side));
  double step = static_cast<double>(kPhotographSide) / static_cast<double>(side);
  for (int64_t i = 0; i < side; ++i) {
    double low = static_cast<double>(i) * step, high = low + step;
    for (int64_t source = static_cast<int64_t>(low); source < kPhotographSide; ++source) {
      double overlap = std::min(high, static_cast<double>(source + 1)) - std::max(low, static_cast<double>(source));
      if (overlap <= 1e-9) break;
      weights[static_cast<size_t>(i)].emplace_back(source, static_cast<float>(overlap / step));
    }
  }
  return weights;
}

// Grey photographs resized to [count, side, side], values in [0, 1].
class Resized {
 public:
  Resized(const Photographs& photographs, int64_t side) : photographs_(photographs), weights_(area_weights(side)) {}

  void operator()(int64_t photograph, std::vector<float>& out) const {
    const uint8_t* from = photographs_.pixels.data() + photograph * kPhotographSide * kPhotographSide;
    float narrow[kPhotographSide * 64];
    size_t side = weights_.size();
    for (int64_t row = 0; row < kPhotographSide; ++row) {
      for (size_t column = 0; column < side; ++column) {
        float sum = 0;
        for (auto [source, weight] : weights_[column]) sum += weight * from[row * kPhotographSide + source];
        narrow[static_cast<size_t>(row) * side + column] = sum * (1 / 255.0F);
      }
    }
    for (size_t row = 0; row < side; ++row) {
      for (size_t column = 0; column < side; ++column) {
        float sum = 0;
        for (auto [source, weight] : weights_[row]) sum += weight * narrow[static_cast<size_t>(source) * side + column];
        out[row * side + column] = sum;
      }
    }
  }

 private:
  const Photographs& photographs_;
  std::vector<std::vector<std::pair<int64_t, float>>> weights_;
};

std::string caption_of(const uint8_t* answers, const uint8_t* named) {
  std::string caption = "a ";
  if (named[kColour]) caption += kColourNames[answers[kColour]] + " ";
  caption += kObjectNames[answers[kObject]];
  if (named[kBackground]) caption += " on a " + kBackgroundNames[answers[kBackground]] + " background";
  return caption;
}

// The photograph of scene `index`: the photographs in a fixed shuffled order, each once per round.
class PhotographOrder {
 public:
  PhotographOrder(int64_t photographs, uint64_t split_seed, int64_t scenes) : order_(static_cast<size_t>(scenes)) {
    std::vector<int32_t> round(static_cast<size_t>(photographs));
    for (int64_t begin = 0; begin < scenes; begin += photographs) {
      for (size_t i = 0; i < round.size(); ++i) round[i] = static_cast<int32_t>(i);
      for (size_t i = round.size() - 1; i > 0; --i) {
        uint64_t random = mix(split_seed, static_cast<uint64_t>(begin) + i);
        std::swap(round[i], round[static_cast<size_t>(below(random, static_cast<int64_t>(i) + 1))]);
      }
      int64_t count = std::min(photographs, scenes - begin);
      std::copy_n(round.begin(), count, order_.begin() + begin);
    }
  }
  std::vector<int32_t> take() { return std::move(order_); }

 private:
  std::vector<int32_t> order_;
};

}  // namespace

Batch Batch::to(torch::Device device) const {
  return {images.to(device), tokens.to(device), answers.to(device), named.to(device)};
}

SceneParams SceneParams::read(Params& params) {
  SceneParams scenes;
  scenes.resolution = params.integer("resolution", scenes.resolution, 8, 64);
  scenes.unique_images = params.integer("unique_images", scenes.unique_images, 1, 720000);
  scenes.caption_density = params.number("caption_density", scenes.caption_density, 0, 1);
  return scenes;
}

Scenes Scenes::train(const SceneParams& params, int64_t count, const std::string& directory) {
  int64_t wanted = count < 0 ? params.unique_images : std::min(count, params.unique_images);
  return compose(params, wanted, directory, false);
}

Scenes Scenes::held_out(const SceneParams& params, int64_t count, const std::string& directory) {
  SceneParams complete = params;
  complete.caption_density = 1;
  return compose(complete, count, directory, true);
}

Scenes Scenes::compose(const SceneParams& params, int64_t count, const std::string& directory, bool held_out) {
  const uint64_t split_seed = held_out ? 2 : 1;
  Photographs photographs = read_photographs(directory, held_out ? "t10k" : "train");
  Resized resized(photographs, params.resolution);

  Scenes scenes;
  scenes.count_ = count;
  scenes.resolution_ = params.resolution;
  auto n = static_cast<size_t>(count);
  int64_t area = params.resolution * params.resolution;
  scenes.pixels_.resize(n * 3 * static_cast<size_t>(area));
  scenes.answers_.resize(n * kQuestions);
  scenes.named_.resize(n * kQuestions);
  scenes.tokens_.resize(n * kCaptionLength);
  scenes.photographs_ = PhotographOrder(photographs.count, split_seed, count).take();

  at::parallel_for(0, count, 1024, [&](int64_t begin, int64_t end) {
    std::vector<float> shape(static_cast<size_t>(area));
    for (int64_t i = begin; i < end; ++i) {
      uint64_t random = mix(split_seed + 16, static_cast<uint64_t>(i));
      int32_t photograph = scenes.photographs_[static_cast<size_t>(i)];
      uint8_t* answers = scenes.answers_.data() + i * kQuestions;
      answers[kObject] = photographs.labels[static_cast<size_t>(photograph)];
      answers[kColour] = static_cast<uint8_t>(below(random, kColours));
      answers[kBackground] = static_cast<uint8_t>(below(mix(random, 1), kBackgrounds));
      uint8_t* named = scenes.named_.data() + i * kQuestions;
      named[kObject] = 1;
      named[kColour] = unit(mix(random, 2)) < params.caption_density;
      named[kBackground] = unit(mix(random, 3)) < params.caption_density;

      resized(photograph, shape);
      const Rgb& tint = kTints[answers[kColour]];
      float ground = kGrounds[answers[kBackground]];
      uint8_t* pixels = scenes.pixels_.data() + i * 3 * area;
      for (size_t channel = 0; channel < 3; ++channel) {
        for (size_t p = 0; p < static_cast<size_t>(area); ++p) {
          // The photograph is on black: where it is dark the ground shows, where bright the tint.
          float opacity = std::min(1.0F, 2.5F * shape[p]);
          float colour = tint[channel] * (0.35F + 0.65F * shape[p]);
          float value = opacity * colour + (1 - opacity) * ground;
          *pixels++ = static_cast<uint8_t>(std::lround(255 * value));
        }
      }
      auto tokens = encode_caption(caption_of(answers, named));
      std::copy(tokens.begin(), tokens.end(), scenes.tokens_.begin() + i * kCaptionLength);
    }
  });
  return scenes;
}

Batch Scenes::batch(std::span<const int64_t> indices) const {
  auto n = static_cast<int64_t>(indices.size());
  Batch batch;
  batch.images = torch::empty({n, 3, resolution_, resolution_});
  batch.tokens = torch::empty({n, kCaptionLength}, torch::kLong);
  batch.answers = torch::empty({n, kQuestions}, torch::kLong);
  batch.named = torch::empty({n, kQuestions}, torch::kBool);
  int64_t size = 3 * resolution_ * resolution_;
  for (int64_t row = 0; row < n; ++row) {
    int64_t i = indices[static_cast<size_t>(row)];
    const uint8_t* from = pixels_.data() + i * size;
    float* to = batch.images.data_ptr<float>() + row * size;
    for (int64_t p = 0; p < size; ++p) to[p] = static_cast<float>(from[p]) * (2 / 255.0F) - 1;
    std::copy_n(tokens_.data() + i * kCaptionLength, kCaptionLength,
                batch.tokens.data_ptr<int64_t>() + row * kCaptionLength);
    std::copy_n(answers_.data() + i * kQuestions, kQuestions, batch.answers.data_ptr<int64_t>() + row * kQuestions);
    std::copy_n(named_.data() + i * kQuestions, kQuestions, batch.named.data_ptr<bool>() + row * kQuestions);
  }
  return batch;
}

Batch Scenes::range(int64_t begin, int64_t count) const {
  std::vector<int64_t> indices(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) indices[static_cast<size_t>(i)] = begin + i;
  return batch(indices);
}

std::string Scenes::caption(int64_t index) const {
  return caption_of(answers_.data() + index * kQuestions, named_.data() + index * kQuestions);
}

}  // namespace scalelaw::trainer
