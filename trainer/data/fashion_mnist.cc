#include "trainer/data/fashion_mnist.h"

#include <memory>

#include <fmt/format.h>
#include <zlib.h>

#include "trainer/params.h"

namespace scalelaw::trainer {
namespace {

class GzipFile {
 public:
  explicit GzipFile(const std::string& path) : path_(path), file_(gzopen(path.c_str(), "rb"), gzclose) {
    if (!file_) {
      throw BadRun(fmt::format("cannot read {}: install the Debian package dataset-fashion-mnist", path));
    }
    gzbuffer(file_.get(), 1 << 18);
  }

  uint32_t big_endian() {
    uint8_t bytes[4];
    read(bytes, 4);
    return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 |
           static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
  }

  void read(uint8_t* to, size_t size) {
    if (gzread(file_.get(), to, static_cast<unsigned>(size)) != static_cast<int>(size)) {
      throw BadRun(
          fmt::format("{} is damaged or cut short: reinstall the Debian package dataset-fashion-mnist", path_));
    }
  }

  void expect(uint32_t value) {
    if (big_endian() != value) throw BadRun(fmt::format("{} is not a Fashion-MNIST file", path_));
  }

 private:
  std::string path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

}  // namespace

Photographs read_photographs(const std::string& directory, const std::string& prefix) {
  Photographs photographs;
  GzipFile images(directory + "/" + prefix + "-images-idx3-ubyte.gz");
  images.expect(0x803);
  photographs.count = images.big_endian();
  images.expect(kPhotographSide);
  images.expect(kPhotographSide);
  photographs.pixels.resize(static_cast<size_t>(photographs.count * kPhotographSide * kPhotographSide));
  images.read(photographs.pixels.data(), photographs.pixels.size());

  GzipFile labels(directory + "/" + prefix + "-labels-idx1-ubyte.gz");
  labels.expect(0x801);
  labels.expect(static_cast<uint32_t>(photographs.count));
  photographs.labels.resize(static_cast<size_t>(photographs.count));
  labels.read(photographs.labels.data(), photographs.labels.size());
  return photographs;
}

}  // namespace scalelaw::trainer
