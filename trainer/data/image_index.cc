#include "trainer/data/image_index.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "trainer/data/picture.h"
#include "trainer/data/tar_shard.h"
#include "trainer/params.h"

namespace scalelaw::trainer {
namespace {

namespace fs = std::filesystem;

std::string trimmed(const std::string& text) {
  const char* space = " \t\r\n";
  size_t begin = text.find_first_not_of(space);
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

bool is_image(const std::string& extension) {
  const std::string name = lower(extension);
  return name == ".jpg" || name == ".jpeg" || name == ".png";
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw BadPicture("cannot be read");
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

ImageIndex index_jsonl(const fs::path& folder, const fs::path& captions) {
  ImageIndex index;
  std::ifstream file(captions);
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (trimmed(line).empty()) continue;
    const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
    auto text = [&](const char* field) {
      if (!entry.is_object() || !entry.contains(field) || !entry[field].is_string()) {
        throw BadRun(fmt::format("{}:{}: must be an object with the texts file_name and caption, not {}",
                                 captions.string(), number, trimmed(line).substr(0, 80)));
      }
      return entry[field].get<std::string>();
    };
    const std::string name = text("file_name");
    index.files.push_back({name, (folder / name).string(), -1, trimmed(text("caption"))});
  }
  return index;
}

// A sample's key is its name up to the first dot of its last part; the rest says what the file is.
std::pair<std::string, std::string> split_at_first_dot(const std::string& name) {
  const size_t slash = name.find_last_of('/');
  const size_t dot = name.find('.', slash == std::string::npos ? 0 : slash + 1);
  if (dot == std::string::npos) return {name, ""};
  return {name.substr(0, dot), name.substr(dot)};
}

std::string caption_in(const std::string& shard, const TarEntry& entry, const std::string& content, bool json) {
  if (!json) return trimmed(content);
  const nlohmann::json document = nlohmann::json::parse(content, nullptr, false);
  if (!document.is_object()) throw BadRun(fmt::format("{}: {}: is not a JSON object", shard, entry.name));
  return trimmed(document.value("caption", ""));
}

void index_shard(const fs::path& shard, ImageIndex& index) {
  struct Sample {
    TarEntry image;
    std::string caption;
  };
  std::map<std::string, Sample> samples;
  visit_tar(shard.string(), [&](const TarEntry& entry, const std::function<std::string()>& read) {
    const auto [key, extension] = split_at_first_dot(entry.name);
    Sample& sample = samples[key];
    if (is_image(extension)) sample.image = entry;
    if (extension == ".txt" || (extension == ".json" && sample.caption.empty())) {
      sample.caption = caption_in(shard.string(), entry, read(), extension == ".json");
    }
  });
  for (auto& [key, sample] : samples) {
    if (sample.image.name.empty()) {
      ++index.without_image;
    } else if (sample.caption.empty()) {
      ++index.without_caption;
    } else {
      index.files.push_back({shard.filename().string() + ":" + sample.image.name, shard.string(), sample.image.position,
                             std::move(sample.caption)});
    }
  }
}

ImageIndex index_pairs(const fs::path& folder) {
  ImageIndex index;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    if (!is_image(entry.path().extension())) continue;
    const fs::path text = fs::path(entry.path()).replace_extension(".txt");
    const std::string caption = fs::exists(text) ? trimmed(read_file(text)) : "";
    if (caption.empty()) {
      ++index.without_caption;
    } else {
      const std::string name = entry.path().lexically_relative(folder).string();
      index.files.push_back({name, entry.path().string(), -1, caption});
    }
  }
  return index;
}

}  // namespace

std::string CaptionedFile::read() const {
  return position < 0 ? read_file(path) : read_tar_entry(path, position);
}

ImageIndex index_images(const std::string& folder) {
  if (!fs::is_directory(folder)) throw BadRun(fmt::format("data_path: no folder {}", folder));
  std::vector<fs::path> shards;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".tar") shards.push_back(entry.path());
  }

  ImageIndex index;
  const fs::path captions = fs::path(folder) / "captions.jsonl";
  if (fs::exists(captions)) {
    index = index_jsonl(folder, captions);
  } else if (!shards.empty()) {
    for (const fs::path& shard : shards) index_shard(shard, index);
  } else {
    index = index_pairs(folder);
  }
  if (index.files.empty()) {
    throw BadRun(
        fmt::format("data_path: {} holds no captioned image ({} images without caption); it needs "
                    "captions.jsonl, *.tar shards, or a .txt beside each .jpg or .png",
                    folder, index.without_caption));
  }
  std::sort(index.files.begin(), index.files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return index;
}

}  // namespace scalelaw::trainer
