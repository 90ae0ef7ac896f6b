#include "trainer/data/source.h"

#include <algorithm>

#include <fmt/format.h>

#include "trainer/data/image_folder.h"
#include "trainer/data/random.h"

namespace scalelaw::trainer {
namespace {

constexpr uint64_t kHoldOutOneIn = 20;

// A name's own number, so that adding images to a folder moves none from one split to the other.
uint64_t number_of(const std::string& name) {
  uint64_t number = 0;
  for (unsigned char c : name) number = mix(number, c);
  return number;
}

bool held_out_by_name(const std::string& name) {
  return mix(number_of(name)) % kHoldOutOneIn == 0;
}

}  // namespace

DataSource::DataSource(Params& params)
    : folder_(params.choice("data", "fashion-scenes", {"fashion-scenes", "folder"}) == "folder") {
  if (folder_) {
    read_folder(params);
  } else {
    scenes_ = SceneParams::read(params);
    captions_ = scenes_.captions();
  }
}

void DataSource::read_folder(Params& params) {
  const std::string path = params.text("data_path", "");
  if (path.empty()) throw BadRun("data_path: missing; data=folder needs the folder of the images");
  scenes_.resolution = params.integer("resolution", scenes_.resolution, 8, 1024);
  const int64_t unique = params.integer("unique_images", 0, 0);
  const int64_t words = params.integer("caption_words", 4096, 3, 1 << 20);
  captions_.length = params.integer("caption_length", 32, 1, 1024);
  captions_.free = true;
  cache_bytes_ = params.integer("cache_mb", 1024, 0) << 20;

  ImageIndex index = index_images(path);
  skipped_ = index.without_caption + index.without_image;
  for (CaptionedFile& file : index.files) {
    (held_out_by_name(file.name) ? held_out_ : train_).push_back(std::move(file));
  }
  if (train_.empty() || held_out_.empty()) {
    throw BadRun(
        fmt::format("data_path: {} holds {} captioned images; one in {} is held out, so a few dozen are needed", path,
                    train_.size() + held_out_.size(), kHoldOutOneIn));
  }
  if (unique > 0 && unique < static_cast<int64_t>(train_.size())) {
    // Any of them, not those whose names come first; names decide which.
    std::stable_sort(train_.begin(), train_.end(),
                     [](const auto& a, const auto& b) { return number_of(a.name) < number_of(b.name); });
    train_.resize(static_cast<size_t>(unique));
  }
  std::vector<std::string_view> captions;
  for (const CaptionedFile& file : train_) captions.push_back(file.caption);
  vocabulary_ = std::make_shared<Vocabulary>(Vocabulary::of_captions(captions, words));
  captions_.words = vocabulary_->size();
}

std::unique_ptr<Dataset> DataSource::open(const std::vector<CaptionedFile>& files) const {
  return std::make_unique<ImageFolder>(files, vocabulary_, captions_.length,
                                       FolderOptions{scenes_.resolution, cache_bytes_});
}

std::unique_ptr<Dataset> DataSource::train(int64_t count) const {
  if (folder_) return open(train_);
  return std::make_unique<Scenes>(Scenes::train(scenes_, count));
}

std::unique_ptr<Dataset> DataSource::held_out(int64_t count) const {
  if (folder_) return open(held_out_);
  return std::make_unique<Scenes>(Scenes::held_out(scenes_, count));
}

std::map<std::string, double> DataSource::notes() const {
  if (!folder_) return {};
  return {{"images", static_cast<double>(train_.size() + held_out_.size())},
          {"images_skipped", static_cast<double>(skipped_)}};
}

}  // namespace scalelaw::trainer
