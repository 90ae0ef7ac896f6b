// Captioned scenes composed from photographs (Fashion-MNIST): one or two tinted objects on a dark or light ground.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "trainer/data/dataset.h"
#include "trainer/params.h"
#include "trainer/text.h"

namespace scalelaw::trainer {

inline constexpr int64_t kObjects = 10;
inline constexpr int64_t kColours = 6;
inline constexpr int64_t kBackgrounds = 2;
inline constexpr int64_t kRelations = 4;
extern const std::array<std::string, kObjects> kObjectNames;
extern const std::array<std::string, kColours> kColourNames;
extern const std::array<std::string, kBackgrounds> kBackgroundNames;
/// Where the object that the caption names first is, seen from the second: an even one means that it comes first in
/// the image too, from the left or from above.
extern const std::array<std::string, kRelations> kRelationNames;

/// The questions a scene can be asked, in the order of `Batch::answers`. "First" and "second" are the caption's order.
/// Scenes of one object have the first three.
enum SceneQuestion { kObject = 0, kColour = 1, kBackground = 2, kSecondObject = 3, kSecondColour = 4, kRelation = 5 };
const std::vector<Question>& scene_questions(int64_t objects);

/// What the training data is; every family reads these from its run's parameters.
struct SceneParams {
  /// Pixels per side.
  int64_t resolution = 16;
  /// Objects in a scene, 1 or 2; two stand beside or above each other, each half as large.
  int64_t objects = 1;
  /// Distinct training images; up to 60,000 photographs × 12 tints.
  int64_t unique_images = 60000;
  /// Chance that a training caption names each of colours, background and relation (objects are always named).
  /// Held-out captions name everything.
  double caption_density = 1.0;
  /// Diversity: how many classes of objects and how many colours the training scenes show. Held-out scenes show all.
  int64_t classes = kObjects, colours = kColours;

  static SceneParams read(Params& params);

  CaptionShape captions() const { return {objects == 1 ? kCaptionLength : 12, Vocabulary::of_scenes(objects).size()}; }
};

/// A pool of scenes in memory, composed ahead of time. Scene i depends only on the split and i: it is the same in every
/// run and process, whatever the pool's size. Train scenes show training photographs only, held-out scenes show test
/// photographs only. Immutable; may be shared between threads.
class Scenes : public Dataset {
 public:
  /// The first `count` (default: all `unique_images`) training scenes. `directory` holds Debian's four
  /// `*-ubyte.gz` files. Throws BadRun naming the file and the package to install when they are missing.
  static Scenes train(const SceneParams& params, int64_t count = -1, const std::string& directory = kDirectory);
  /// `count` scenes from the 10,000 test photographs.
  static Scenes held_out(const SceneParams& params, int64_t count, const std::string& directory = kDirectory);

  static constexpr const char* kDirectory = "/usr/share/datasets/fashion-mnist";

  int64_t size() const override { return count_; }
  int64_t resolution() const override { return params_.resolution; }
  const std::vector<Question>& questions() const override { return scene_questions(params_.objects); }

  Batch batch(std::span<const int64_t> indices) const override;
  std::string caption(int64_t index) const override;

  /// Which photograph of its split scene `index` shows as its (first) object.
  int64_t photograph(int64_t index) const { return photographs_[static_cast<size_t>(index * params_.objects)]; }

 private:
  Scenes() = default;
  static Scenes compose(const SceneParams& params, int64_t count, const std::string& directory, bool held_out);

  int64_t count_ = 0;
  SceneParams params_;
  std::vector<uint8_t> pixels_;       // [count, 3, resolution, resolution]
  std::vector<uint8_t> answers_;      // [count, questions]
  std::vector<uint8_t> named_;        // [count, questions]
  std::vector<uint8_t> tokens_;       // [count, words of a caption]
  std::vector<int32_t> photographs_;  // [count, objects]
};

}  // namespace scalelaw::trainer
