// Images with captions, as models see them: what every source of data is to the rest of the trainer.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <torch/torch.h>

namespace scalelaw::trainer {

/// Something that an image can be asked, and how many answers it has.
struct Question {
  /// `object`, `colour`, `background`, `relation`; two questions may share a name.
  std::string name;
  int64_t answers = 0;
};

struct Batch {
  /// [B, 3, resolution, resolution] float in [−1, 1].
  torch::Tensor images;
  /// [B, L] int64, L words of a caption (`CaptionShape`).
  torch::Tensor tokens;
  /// [B, Q] int64: the true answer to each of the data's questions, whether or not the caption names it.
  torch::Tensor answers;
  /// [B, Q] bool: what the caption names.
  torch::Tensor named;

  int64_t size() const { return images.size(0); }
  Batch to(torch::Device device) const {
    return {images.to(device), tokens.to(device), answers.to(device), named.to(device)};
  }
};

/// A pool of captioned images, numbered from 0. May be read from several threads at once.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual int64_t size() const = 0;
  /// Pixels per side.
  virtual int64_t resolution() const = 0;
  /// What is known of every image; nothing of images that only have captions.
  virtual const std::vector<Question>& questions() const = 0;

  /// The images of these indices, in this order, on the CPU. Throws BadRun when they cannot be read.
  virtual Batch batch(std::span<const int64_t> indices) const = 0;
  virtual std::string caption(int64_t index) const = 0;

  /// Whether `batch` takes long enough to be worth preparing on another thread.
  virtual bool is_slow() const { return false; }
  /// What happened while reading, as metrics of the run: `images_bad`.
  virtual std::map<std::string, double> notes() const { return {}; }

  /// The images [begin, begin + count); after the last one comes the first again.
  Batch range(int64_t begin, int64_t count) const;
};

}  // namespace scalelaw::trainer
