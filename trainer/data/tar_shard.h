// WebDataset's shards: uncompressed tar files in which the files of one sample share a name up to the first dot.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace scalelaw::trainer {

struct TarEntry {
  /// `000017.jpg`, with its folders if it has any.
  std::string name;
  /// Where its header begins in the shard, for `read_tar_entry`.
  int64_t position = 0;
};

/// Calls `visit` for every regular file, in order; `read` gives the file's content and may be called once, before
/// `visit` returns. Throws BadRun naming the shard if it is damaged, cut short or compressed.
void visit_tar(const std::string& shard,
               const std::function<void(const TarEntry&, const std::function<std::string()>& read)>& visit);

/// The content of the file whose header begins at `position`. Throws BadRun.
std::string read_tar_entry(const std::string& shard, int64_t position);

}  // namespace scalelaw::trainer
