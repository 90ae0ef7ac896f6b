// Where a run's images and captions come from, as its parameters say.
#pragma once

#include <memory>

#include "trainer/data/image_index.h"
#include "trainer/data/scenes.h"

namespace scalelaw::trainer {

/// `data` = `fashion-scenes`: composed from photographs, with questions and exact answers (SceneParams).
/// `data` = `folder`: the captioned images below `data_path` (ImageIndex), one in twenty held out by its name.
class DataSource {
 public:
  /// Reads the parameters and, of a folder, all captions. Throws BadRun.
  explicit DataSource(Params& params);

  bool is_folder() const { return folder_; }
  /// Parameters of scenes; of a folder only `resolution` means something.
  const SceneParams& scenes() const { return scenes_; }
  CaptionShape captions() const { return captions_; }

  /// Up to `count` training images.
  std::unique_ptr<Dataset> train(int64_t count) const;
  /// `count` held-out images; a folder gives all that it holds out.
  std::unique_ptr<Dataset> held_out(int64_t count) const;

  /// What was found, as metrics of the run: `images`, `images_skipped` (without caption, captions without image).
  std::map<std::string, double> notes() const;

 private:
  void read_folder(Params& params);
  std::unique_ptr<Dataset> open(const std::vector<CaptionedFile>& files) const;

  bool folder_;
  SceneParams scenes_;
  CaptionShape captions_;
  // Of a folder:
  std::vector<CaptionedFile> train_, held_out_;
  int64_t skipped_ = 0;
  std::shared_ptr<const Vocabulary> vocabulary_;
  int64_t cache_bytes_ = 0;
};

}  // namespace scalelaw::trainer
