// Any captioned images: read, decoded and resized when they are asked for, and kept while memory allows.
#pragma once

#include <memory>
#include <mutex>
#include <set>

#include "trainer/data/dataset.h"
#include "trainer/data/image_index.h"
#include "trainer/text.h"

namespace scalelaw::trainer {

struct FolderOptions {
  /// Pixels per side: the middle square, resized.
  int64_t resolution = 16;
  /// Decoded images to keep, bytes.
  int64_t cache_bytes = int64_t{1} << 30;
};

/// A picture that cannot be read is replaced by the next one in the index that can, caption included, and counted, so
/// that a few bad files among many do not end a run and every attempt sees the same images.
class ImageFolder : public Dataset {
 public:
  /// `files` is not empty; the vocabulary encodes their captions.
  ImageFolder(std::vector<CaptionedFile> files, std::shared_ptr<const Vocabulary> vocabulary, int64_t caption_length,
              const FolderOptions& options);

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  int64_t resolution() const override { return options_.resolution; }
  const std::vector<Question>& questions() const override;
  /// Throws BadRun when more than a tenth of the images seen (and more than a few) cannot be read.
  Batch batch(std::span<const int64_t> indices) const override;
  std::string caption(int64_t index) const override { return files_[static_cast<size_t>(index)].caption; }
  bool is_slow() const override { return true; }
  /// `images_bad`: how many were met that cannot be read; each is named on standard error once.
  std::map<std::string, double> notes() const override;

 private:
  /// [3, R, R] bytes; undefined if it cannot be read.
  torch::Tensor pixels(int64_t index) const;
  void note_bad(int64_t index, const std::string& cause) const;

  std::vector<CaptionedFile> files_;
  std::shared_ptr<const Vocabulary> vocabulary_;
  int64_t caption_length_;
  FolderOptions options_;
  mutable std::mutex mutex_;
  mutable std::vector<torch::Tensor> cache_;  // [size()], undefined where not kept
  mutable int64_t cached_bytes_ = 0;
  mutable std::set<int64_t> bad_;
  mutable int64_t read_ = 0;
};

}  // namespace scalelaw::trainer
