// Captioned scenes: one photographed object (Fashion-MNIST), tinted, on a dark or light ground.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "trainer/params.h"

namespace scalelaw::trainer {

inline constexpr int64_t kObjects = 10;
inline constexpr int64_t kColours = 6;
inline constexpr int64_t kBackgrounds = 2;
extern const std::array<std::string, kObjects> kObjectNames;
extern const std::array<std::string, kColours> kColourNames;
extern const std::array<std::string, kBackgrounds> kBackgroundNames;

/// The questions a scene can be asked, in the order of `Batch::answers`.
enum Question { kObject = 0, kColour = 1, kBackground = 2 };
inline constexpr int64_t kQuestions = 3;
extern const std::array<std::string, kQuestions> kQuestionNames;
/// Number of possible answers per question: 10, 6, 2.
inline constexpr std::array<int64_t, kQuestions> kAnswers = {kObjects, kColours, kBackgrounds};

/// Scenes as the models see them.
struct Batch {
  /// [B, 3, resolution, resolution] float in [−1, 1].
  torch::Tensor images;
  /// [B, kCaptionLength] int64.
  torch::Tensor tokens;
  /// [B, kQuestions] int64: the true object, colour, background, whether or not the caption names them.
  torch::Tensor answers;
  /// [B, kQuestions] bool: what the caption names.
  torch::Tensor named;

  int64_t size() const { return images.size(0); }
  Batch to(torch::Device device) const;
};

/// What the training data is; every family reads these from its run's parameters.
struct SceneParams {
  /// Pixels per side.
  int64_t resolution = 16;
  /// Distinct training images; up to 60,000 photographs × 12 tints.
  int64_t unique_images = 60000;
  /// Chance that a training caption names each of colour and background (the object is always named). Held-out
  /// captions name everything.
  double caption_density = 1.0;

  static SceneParams read(Params& params);
};

/// A pool of scenes in memory, composed ahead of time. Scene i depends only on the split and i: it is the same in every
/// run and process, whatever the pool's size. Train scenes show training photographs only, held-out scenes show test
/// photographs only. Immutable; may be shared between threads.
class Scenes {
 public:
  /// The first `count` (default: all `unique_images`) training scenes. `directory` holds Debian's four
  /// `*-ubyte.gz` files. Throws BadRun naming the file and the package to install when they are missing.
  static Scenes train(const SceneParams& params, int64_t count = -1, const std::string& directory = kDirectory);
  /// `count` scenes from the 10,000 test photographs.
  static Scenes held_out(const SceneParams& params, int64_t count, const std::string& directory = kDirectory);

  static constexpr const char* kDirectory = "/usr/share/datasets/fashion-mnist";

  int64_t size() const { return count_; }
  int64_t resolution() const { return resolution_; }

  /// The scenes of these indices, in this order, on the CPU.
  Batch batch(std::span<const int64_t> indices) const;
  /// The scenes [begin, begin + count).
  Batch range(int64_t begin, int64_t count) const;

  /// Which photograph of its split scene `index` shows.
  int64_t photograph(int64_t index) const { return photographs_[static_cast<size_t>(index)]; }
  std::string caption(int64_t index) const;

 private:
  Scenes() = default;
  static Scenes compose(const SceneParams& params, int64_t count, const std::string& directory, bool held_out);

  int64_t count_ = 0;
  int64_t resolution_ = 0;
  std::vector<uint8_t> pixels_;       // [count, 3, resolution, resolution]
  std::vector<uint8_t> answers_;      // [count, kQuestions]
  std::vector<uint8_t> named_;        // [count, kQuestions]
  std::vector<uint8_t> tokens_;       // [count, kCaptionLength]
  std::vector<int32_t> photographs_;  // [count]
};

}  // namespace scalelaw::trainer
