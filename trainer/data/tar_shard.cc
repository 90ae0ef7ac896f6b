#include "trainer/data/tar_shard.h"

#include <filesystem>
#include <memory>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "trainer/params.h"

namespace scalelaw::trainer {
namespace {

class Reader {
 public:
  Reader(const std::string& shard, int64_t position)
      : shard_(shard),
        file_(::open(shard.c_str(), O_RDONLY | O_CLOEXEC)),
        archive_(archive_read_new(), archive_read_free) {
    // No filter: what is compressed has no place to jump to.
    archive_read_support_format_tar(archive_.get());
    if (file_ < 0 || ::lseek(file_, position, SEEK_SET) < 0) fail("cannot be read");
    if (archive_read_open_fd(archive_.get(), file_, 1 << 16) != ARCHIVE_OK) fail_with_cause();
  }
  ~Reader() {
    archive_.reset();
    if (file_ >= 0) ::close(file_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Nothing after the last file.
  archive_entry* next() {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(archive_.get(), &entry);
    if (code == ARCHIVE_EOF) return nullptr;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) fail_with_cause();
    return entry;
  }

  int64_t position() const { return archive_read_header_position(archive_.get()); }

  std::string content(archive_entry* entry) {
    std::string bytes(static_cast<size_t>(archive_entry_size(entry)), '\0');
    if (archive_read_data(archive_.get(), bytes.data(), bytes.size()) != static_cast<la_ssize_t>(bytes.size())) {
      fail_with_cause();
    }
    return bytes;
  }

  [[noreturn]] void fail(const std::string& cause) const {
    throw BadRun(fmt::format("{}: {}; shards are uncompressed tar files", shard_, cause));
  }

 private:
  [[noreturn]] void fail_with_cause() const {
    const char* cause = archive_error_string(archive_.get());
    fail(cause ? cause : "cut short");
  }

  std::string shard_;
  int file_;
  std::unique_ptr<archive, int (*)(archive*)> archive_;
};

}  // namespace

void visit_tar(const std::string& shard,
               const std::function<void(const TarEntry&, const std::function<std::string()>&)>& visit) {
  Reader reader(shard, 0);
  const auto size = static_cast<int64_t>(std::filesystem::file_size(shard));
  while (archive_entry* entry = reader.next()) {
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    // Skipping over what is not there goes unnoticed.
    if (reader.position() + archive_entry_size(entry) > size) reader.fail("cut short");
    visit({archive_entry_pathname(entry), reader.position()}, [&] { return reader.content(entry); });
  }
}

std::string read_tar_entry(const std::string& shard, int64_t position) {
  Reader reader(shard, position);
  archive_entry* entry = reader.next();
  if (entry == nullptr) throw BadRun(fmt::format("{}: changed while it was read", shard));
  return reader.content(entry);
}

}  // namespace scalelaw::trainer
