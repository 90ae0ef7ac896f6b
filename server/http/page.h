// The dashboard's files, compiled into the server: it works without any other file and without a network.
#pragma once

#include <string_view>
#include <vector>

#include "server/http/answer.h"
#include "server/http/target.h"

namespace scalelaw::server {

struct PageFile {
  /// `/assets/index-4f2a.js`
  std::string_view path;
  std::string_view type;
  /// Compressed by gzip.
  std::string_view content;
};
/// Made from dashboard/ at build time (cmake/dashboard.cmake).
const std::vector<PageFile>& page_files();

/// The file, or the page itself for any path that is one of its views. NOT_FOUND for a file that there is not.
HttpAnswer page_answer(const Target& target);

}  // namespace scalelaw::server
