// A folder's images and their captions, found but not yet read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace scalelaw::trainer {

struct CaptionedFile {
  /// What people know it by, the same wherever the folder lies: `dogs/1.jpg`, `shards/000.tar:000017.jpg`.
  std::string name;
  /// Path of the image, or of its shard.
  std::string path;
  /// Where the image's entry begins in its shard; −1: a plain file.
  int64_t position = -1;
  std::string caption;

  /// The file's bytes. Throws BadRun (a damaged shard) or BadPicture (a file that is not there).
  std::string read() const;
};

struct ImageIndex {
  /// By name.
  std::vector<CaptionedFile> files;
  /// Images that no caption was found for, captions without an image.
  int64_t without_caption = 0, without_image = 0;
};

/// Finds, in this order: `captions.jsonl`, whose lines hold `file_name` (relative to the folder) and `caption`; or the
/// WebDataset shards `*.tar` (image and `.txt`, or `.json` with `caption`, of the same name); or every .jpg, .jpeg and
/// .png below the folder that has a .txt beside it.
///
/// Throws BadRun: no such folder, nothing found, a line of captions.jsonl that is wrong (with its number), a damaged
/// shard.
ImageIndex index_images(const std::string& folder);

}  // namespace scalelaw::trainer
