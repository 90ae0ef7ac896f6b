#include "server/http/page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace scalelaw::server {

namespace {
HttpAnswer file_answer(const PageFile& file) {
  return {.type = std::string(file.type),
          .body = std::string(file.content),
          .encoding = "gzip",
          // Files there carry a hash of their content in their names.
          .immutable = file.path.starts_with("/assets/")};
}
}  // namespace

HttpAnswer page_answer(const Target& target) {
  const std::string path = fmt::format("/{}", fmt::join(target.path, "/"));
  const PageFile* index = nullptr;
  for (const PageFile& file : page_files()) {
    if (file.path == path) return file_answer(file);
    if (file.path == "/index.html") index = &file;
  }
  if (index == nullptr)
    return error_answer(absl::NotFoundError(
        "this server was built without its dashboard (SCALELAW_DASHBOARD=OFF); its JSON is under /api"));
  const bool view = target.path.empty() || target.path.back().find('.') == std::string::npos;
  return view ? file_answer(*index) : error_answer(absl::NotFoundError(fmt::format("there is no {}", path)));
}

}  // namespace scalelaw::server
