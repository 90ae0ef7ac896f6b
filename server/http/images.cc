#include "server/http/images.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
constexpr uintmax_t kLargest = 16 << 20;

std::string_view type_of(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return "image/png";
  if (bytes.starts_with("\xff\xd8\xff")) return "image/jpeg";
  if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) return "image/gif";
  if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) return "image/webp";
  return "";
}
}  // namespace

absl::StatusOr<HttpAnswer> image_answer(const StoredArtifact& artifact) {
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(artifact.path, error);
  if (error)
    return absl::NotFoundError(fmt::format("artifact {}: {} is not on this machine; it was written on worker {}",
                                           artifact.name, artifact.path, artifact.worker));
  if (size > kLargest)
    return absl::FailedPreconditionError(fmt::format("artifact {}: larger than {} MiB", artifact.name, kLargest >> 20));
  std::ifstream file(artifact.path, std::ios::binary);
  HttpAnswer answer;
  answer.body.assign(std::istreambuf_iterator<char>(file), {});
  answer.type = type_of(answer.body);
  if (answer.type.empty()) return absl::FailedPreconditionError(fmt::format("artifact {}: is no image", artifact.name));
  return answer;
}

}  // namespace scalelaw::server
