#include "trainer/data/scenes.h"

#include <algorithm>
#include <cmath>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "trainer/data/fashion_mnist.h"
#include "trainer/data/random.h"

namespace scalelaw::trainer {

const std::array<std::string, kObjects> kObjectNames = {"t-shirt", "trouser", "pullover", "dress", "coat",
                                                        "sandal",  "shirt",   "sneaker",  "bag",   "boot"};
const std::array<std::string, kColours> kColourNames = {"red", "green", "blue", "yellow", "purple", "orange"};
const std::array<std::string, kBackgrounds> kBackgroundNames = {"dark", "light"};
const std::array<std::string, kRelations> kRelationNames = {"left of", "right of", "above", "below"};

const std::vector<Question>& scene_questions(int64_t objects) {
  static const std::vector<Question> one = {{"object", kObjects}, {"colour", kColours}, {"background", kBackgrounds}};
  static const std::vector<Question> two = {{"object", kObjects}, {"colour", kColours}, {"background", kBackgrounds},
                                            {"object", kObjects}, {"colour", kColours}, {"relation", kRelations}};
  return objects == 1 ? one : two;
}

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

std::string caption_of(int64_t objects, const uint8_t* answers, const uint8_t* named) {
  auto described = [&](SceneQuestion object, SceneQuestion colour) {
    const std::string& name = kObjectNames[answers[object]];
    return named[colour] ? fmt::format("a {} {}", kColourNames[answers[colour]], name) : fmt::format("a {}", name);
  };
  std::string caption = described(kObject, kColour);
  if (objects == 2) {
    const std::string_view relation = named[kRelation] ? std::string_view(kRelationNames[answers[kRelation]]) : "and";
    caption += fmt::format(" {} {}", relation, described(kSecondObject, kSecondColour));
  }
  if (named[kBackground]) caption += fmt::format(" on a {} background", kBackgroundNames[answers[kBackground]]);
  return caption;
}

// One scene's image [3, side, side], painted object by object.
class Canvas {
 public:
  Canvas(int64_t side, uint8_t background, uint8_t* pixels)
      : side_(static_cast<size_t>(side)), ground_(kGrounds[background]), pixels_(pixels) {
    std::fill_n(pixels_, 3 * side_ * side_, to_byte(ground_));
  }

  // shape [size, size]: a photograph, with its upper left corner at (x, y).
  void paint(const std::vector<float>& shape, size_t size, size_t x, size_t y, uint8_t colour) {
    const Rgb& tint = kTints[colour];
    for (size_t channel = 0; channel < 3; ++channel) {
      for (size_t row = 0; row < size; ++row) {
        uint8_t* to = pixels_ + (channel * side_ + y + row) * side_ + x;
        for (size_t column = 0; column < size; ++column) {
          // The photograph is on black: where it is dark the ground shows, where bright the tint.
          const float bright = shape[row * size + column];
          const float opacity = std::min(1.0F, 2.5F * bright);
          to[column] = to_byte(opacity * (tint[channel] * (0.35F + 0.65F * bright)) + (1 - opacity) * ground_);
        }
      }
    }
  }

 private:
  static uint8_t to_byte(float value) { return static_cast<uint8_t>(std::lround(255 * value)); }

  size_t side_;
  float ground_;
  uint8_t* pixels_;
};

// `count` photographs of the first `classes` classes in a fixed shuffled order, each once per round.
std::vector<int32_t> photograph_order(const Photographs& photographs, int64_t classes, uint64_t split_seed,
                                      int64_t count) {
  std::vector<int32_t> chosen;
  for (int32_t i = 0; i < photographs.count; ++i) {
    if (photographs.labels[static_cast<size_t>(i)] < classes) chosen.push_back(i);
  }
  const auto size = static_cast<int64_t>(chosen.size());
  std::vector<int32_t> order(static_cast<size_t>(count)), round;
  for (int64_t begin = 0; begin < count; begin += size) {
    round = chosen;
    for (size_t i = round.size() - 1; i > 0; --i) {
      uint64_t random = mix(split_seed, static_cast<uint64_t>(begin) + i);
      std::swap(round[i], round[static_cast<size_t>(below(random, static_cast<int64_t>(i) + 1))]);
    }
    std::copy_n(round.begin(), std::min(size, count - begin), order.begin() + begin);
  }
  return order;
}

}  // namespace

SceneParams SceneParams::read(Params& params) {
  SceneParams scenes;
  scenes.resolution = params.integer("resolution", scenes.resolution, 8, 64);
  scenes.objects = params.integer("objects", scenes.objects, 1, 2);
  scenes.unique_images = params.integer("unique_images", scenes.unique_images, 1, 720000);
  scenes.caption_density = params.number("caption_density", scenes.caption_density, 0, 1);
  scenes.classes = params.integer("classes", scenes.classes, 1, kObjects);
  scenes.colours = params.integer("colours", scenes.colours, 1, kColours);
  if (scenes.objects == 2 && scenes.resolution % 4 != 0) {
    throw BadRun(fmt::format("resolution: must be a multiple of 4 for two objects, not {}", scenes.resolution));
  }
  return scenes;
}

Scenes Scenes::train(const SceneParams& params, int64_t count, const std::string& directory) {
  int64_t wanted = count < 0 ? params.unique_images : std::min(count, params.unique_images);
  return compose(params, wanted, directory, false);
}

Scenes Scenes::held_out(const SceneParams& params, int64_t count, const std::string& directory) {
  SceneParams complete = params;
  complete.caption_density = 1;
  complete.classes = kObjects;
  complete.colours = kColours;
  return compose(complete, count, directory, true);
}

Scenes Scenes::compose(const SceneParams& params, int64_t count, const std::string& directory, bool held_out) {
  const uint64_t split_seed = held_out ? 2 : 1;
  Photographs photographs = read_photographs(directory, held_out ? "t10k" : "train");

  Scenes scenes;
  scenes.count_ = count;
  scenes.params_ = params;
  const auto n = static_cast<size_t>(count), questions = scenes.questions().size();
  const auto side = static_cast<size_t>(params.resolution);
  const auto words = static_cast<size_t>(params.captions().length);
  scenes.pixels_.resize(n * 3 * side * side);
  scenes.answers_.resize(n * questions);
  scenes.named_.resize(n * questions);
  scenes.tokens_.resize(n * words);
  scenes.photographs_ = photograph_order(photographs, params.classes, split_seed, count * params.objects);

  const size_t size = params.objects == 1 ? side : side / 2;
  Resized resized(photographs, static_cast<int64_t>(size));
  const Vocabulary& vocabulary = Vocabulary::of_scenes(params.objects);
  at::parallel_for(0, count, 1024, [&](int64_t begin, int64_t end) {
    std::vector<float> shape(size * size);
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      const uint64_t random = mix(split_seed + 16, i);
      auto draw = [&](uint64_t place, int64_t bound) { return static_cast<uint8_t>(below(mix(random, place), bound)); };
      auto names = [&](uint64_t place) { return unit(mix(random, place)) < params.caption_density; };
      auto photograph = [&](size_t object) {
        return scenes.photographs_[i * static_cast<size_t>(params.objects) + object];
      };
      auto label = [&](size_t object) { return photographs.labels[static_cast<size_t>(photograph(object))]; };
      uint8_t* answers = scenes.answers_.data() + i * questions;
      uint8_t* named = scenes.named_.data() + i * questions;
      answers[kObject] = label(0);
      answers[kColour] = static_cast<uint8_t>(below(random, params.colours));
      answers[kBackground] = draw(1, kBackgrounds);
      named[kObject] = 1;
      named[kColour] = names(2);
      named[kBackground] = names(3);
      Canvas canvas(params.resolution, answers[kBackground], scenes.pixels_.data() + i * 3 * side * side);
      resized(photograph(0), shape);
      if (params.objects == 1) {
        canvas.paint(shape, size, 0, 0, answers[kColour]);
      } else {
        answers[kSecondObject] = label(1);
        answers[kSecondColour] = draw(4, params.colours);
        answers[kRelation] = draw(5, kRelations);
        named[kSecondObject] = 1;
        named[kSecondColour] = names(6);
        named[kRelation] = names(7);
        // Each in its half, at a place of its own across it: within a quarter of the side around the middle.
        const bool beside = answers[kRelation] < 2, first_in_front = answers[kRelation] % 2 == 0;
        auto paint = [&](bool front, uint64_t place, uint8_t colour) {
          const size_t along = front ? 0 : size, across = side / 8 + draw(place, params.resolution / 4 + 1);
          canvas.paint(shape, size, beside ? along : across, beside ? across : along, colour);
        };
        paint(first_in_front, 8, answers[kColour]);
        resized(photograph(1), shape);
        paint(!first_in_front, 9, answers[kSecondColour]);
      }
      const std::vector<int64_t> tokens =
          vocabulary.encode(caption_of(params.objects, answers, named), static_cast<int64_t>(words));
      std::copy(tokens.begin(), tokens.end(), scenes.tokens_.begin() + static_cast<std::ptrdiff_t>(i * words));
    }
  });
  return scenes;
}

Batch Scenes::batch(std::span<const int64_t> indices) const {
  const auto n = static_cast<int64_t>(indices.size()), words = params_.captions().length;
  const auto asked = static_cast<int64_t>(questions().size());
  Batch batch;
  batch.images = torch::empty({n, 3, params_.resolution, params_.resolution});
  batch.tokens = torch::empty({n, words}, torch::kLong);
  batch.answers = torch::empty({n, asked}, torch::kLong);
  batch.named = torch::empty({n, asked}, torch::kBool);
  int64_t size = 3 * params_.resolution * params_.resolution;
  for (int64_t row = 0; row < n; ++row) {
    int64_t i = indices[static_cast<size_t>(row)];
    const uint8_t* from = pixels_.data() + i * size;
    float* to = batch.images.data_ptr<float>() + row * size;
    for (int64_t p = 0; p < size; ++p) to[p] = static_cast<float>(from[p]) * (2 / 255.0F) - 1;
    std::copy_n(tokens_.data() + i * words, words, batch.tokens.data_ptr<int64_t>() + row * words);
    std::copy_n(answers_.data() + i * asked, asked, batch.answers.data_ptr<int64_t>() + row * asked);
    std::copy_n(named_.data() + i * asked, asked, batch.named.data_ptr<bool>() + row * asked);
  }
  return batch;
}

std::string Scenes::caption(int64_t index) const {
  const auto asked = static_cast<int64_t>(questions().size());
  return caption_of(params_.objects, answers_.data() + index * asked, named_.data() + index * asked);
}

}  // namespace scalelaw::trainer
