#include "trainer/data/image_folder.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "trainer/data/picture.h"
#include "trainer/params.h"

namespace scalelaw::trainer {
namespace {

constexpr int64_t kFewBad = 10;
constexpr int64_t kNamedBad = 10;

}  // namespace

ImageFolder::ImageFolder(std::vector<CaptionedFile> files, std::shared_ptr<const Vocabulary> vocabulary,
                         int64_t caption_length, const FolderOptions& options)
    : files_(std::move(files)),
      vocabulary_(std::move(vocabulary)),
      caption_length_(caption_length),
      options_(options),
      cache_(files_.size()) {}

const std::vector<Question>& ImageFolder::questions() const {
  static const std::vector<Question> none;
  return none;
}

torch::Tensor ImageFolder::pixels(int64_t index) const {
  {
    std::lock_guard lock(mutex_);
    if (bad_.contains(index)) return {};
    if (cache_[static_cast<size_t>(index)].defined()) return cache_[static_cast<size_t>(index)];
  }
  torch::Tensor image;
  try {
    const std::string bytes = files_[static_cast<size_t>(index)].read();
    image = square(decode_picture(bytes, options_.resolution), options_.resolution);
  } catch (const BadPicture& error) {
    note_bad(index, error.what());
    return {};
  }
  std::lock_guard lock(mutex_);
  ++read_;
  if (cached_bytes_ + image.numel() <= options_.cache_bytes && !cache_[static_cast<size_t>(index)].defined()) {
    cache_[static_cast<size_t>(index)] = image;
    cached_bytes_ += image.numel();
  }
  return image;
}

void ImageFolder::note_bad(int64_t index, const std::string& cause) const {
  std::lock_guard lock(mutex_);
  if (!bad_.insert(index).second) return;
  const std::string& name = files_[static_cast<size_t>(index)].name;
  const auto bad = static_cast<int64_t>(bad_.size());
  if (bad <= kNamedBad) {
    fmt::print(stderr, "scalelaw-train: warning: {}: {}; the next image takes its place{}\n", name, cause,
               bad == kNamedBad ? " (no more of these are named)" : "");
  }
  if (bad > kFewBad && bad > (bad + read_) / 10) {
    throw BadRun(
        fmt::format("data_path: {} of {} images read are bad; the latest is {}: {}", bad, bad + read_, name, cause));
  }
}

Batch ImageFolder::batch(std::span<const int64_t> indices) const {
  torch::NoGradGuard no_grad;
  const auto count = static_cast<int64_t>(indices.size());
  const int64_t side = options_.resolution;
  Batch batch;
  torch::Tensor bytes = torch::empty({count, 3, side, side}, torch::kByte);
  batch.tokens = torch::zeros({count, caption_length_}, torch::kLong);
  batch.answers = torch::zeros({count, 0}, torch::kLong);
  batch.named = torch::zeros({count, 0}, torch::kBool);
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    torch::NoGradGuard no_grad_here;
    for (int64_t row = begin; row < end; ++row) {
      int64_t index = indices[static_cast<size_t>(row)] % size();
      torch::Tensor image = pixels(index);
      for (int64_t tried = 1; !image.defined(); ++tried) {
        if (tried == size()) throw BadRun("data_path: not one of its images can be read");
        index = (index + 1) % size();
        image = pixels(index);
      }
      bytes[row].copy_(image);
      const std::vector<int64_t> tokens = vocabulary_->encode(caption(index), caption_length_);
      std::copy(tokens.begin(), tokens.end(), batch.tokens.data_ptr<int64_t>() + row * caption_length_);
    }
  });
  batch.images = bytes.to(torch::kFloat).mul_(2 / 255.0).sub_(1);
  return batch;
}

std::map<std::string, double> ImageFolder::notes() const {
  std::lock_guard lock(mutex_);
  return {{"images_bad", static_cast<double>(bad_.size())}};
}

}  // namespace scalelaw::trainer
