#include "trainer/data/picture.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <png.h>
#include <turbojpeg.h>

namespace scalelaw::trainer {
namespace {

// Larger ones are taken for damaged headers: nobody trains on a gigapixel.
constexpr int64_t kMostPixels = int64_t{1} << 28;

Picture blank(int64_t height, int64_t width) {
  if (height <= 0 || width <= 0 || height > kMostPixels / width) {
    throw BadPicture(fmt::format("{}×{} pixels", width, height));
  }
  return {height, width, std::vector<uint8_t>(static_cast<size_t>(3 * height * width))};
}

Picture decode_jpeg(std::string_view file, int64_t smallest) {
  std::unique_ptr<void, int (*)(tjhandle)> decoder(tjInitDecompress(), tjDestroy);
  const auto* bytes = reinterpret_cast<const uint8_t*>(file.data());
  int width = 0, height = 0, sampling = 0, space = 0;
  auto check = [&](int code) {
    // A warning (a file cut short, say) leaves part of the picture grey: as bad as an error here.
    if (code != 0) throw BadPicture(tjGetErrorStr2(decoder.get()));
  };
  check(tjDecompressHeader3(decoder.get(), bytes, file.size(), &width, &height, &sampling, &space));
  if (space == TJCS_CMYK || space == TJCS_YCCK) throw BadPicture("CMYK colours; convert it to RGB");
  int count = 0;
  const tjscalingfactor* factors = tjGetScalingFactors(&count);
  tjscalingfactor best = {1, 1};
  for (int i = 0; i < count; ++i) {
    const bool smaller = factors[i].num * best.denom < best.num * factors[i].denom;
    if (smaller && TJSCALED(std::min(width, height), factors[i]) >= smallest) best = factors[i];
  }
  Picture picture = blank(TJSCALED(height, best), TJSCALED(width, best));
  check(tjDecompress2(decoder.get(), bytes, file.size(), picture.rgb.data(), static_cast<int>(picture.width), 0,
                      static_cast<int>(picture.height), TJPF_RGB, 0));
  return picture;
}

// libpng's description of an image, freed in any case.
struct PngImage : png_image {
  PngImage() : png_image{} { version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(this); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
};

Picture decode_png(std::string_view file) {
  PngImage image;
  if (png_image_begin_read_from_memory(&image, file.data(), file.size()) == 0) throw BadPicture(image.message);
  image.format = PNG_FORMAT_RGB;
  Picture picture = blank(image.height, image.width);
  const png_color white = {255, 255, 255};
  if (png_image_finish_read(&image, &white, picture.rgb.data(), 0, nullptr) == 0) throw BadPicture(image.message);
  return picture;
}

}  // namespace

Picture decode_picture(std::string_view file, int64_t smallest) {
  if (file.starts_with("\xff\xd8\xff")) return decode_jpeg(file, smallest);
  if (file.starts_with("\x89PNG\r\n\x1a\n")) return decode_png(file);
  throw BadPicture(file.empty() ? "an empty file" : "neither JPEG nor PNG");
}

torch::Tensor square(const Picture& picture, int64_t side) {
  torch::NoGradGuard no_grad;
  const int64_t edge = std::min(picture.height, picture.width);
  torch::Tensor pixels =
      torch::from_blob(const_cast<uint8_t*>(picture.rgb.data()), {1, picture.height, picture.width, 3}, torch::kByte);
  torch::Tensor middle = pixels.narrow(1, (picture.height - edge) / 2, edge)
                             .narrow(2, (picture.width - edge) / 2, edge)
                             .permute({0, 3, 1, 2})
                             .to(torch::kFloat)
                             .contiguous();
  torch::Tensor resized = edge == side ? middle : at::_upsample_bicubic2d_aa(middle, {side, side}, false);
  return resized.round().clamp(0, 255).to(torch::kByte).squeeze(0).contiguous();
}

std::string encode_png(const Picture& picture) {
  PngImage image;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = PNG_FORMAT_RGB;
  std::string file(PNG_IMAGE_PNG_SIZE_MAX(image), '\0');
  png_alloc_size_t size = file.size();
  if (png_image_write_to_memory(&image, file.data(), &size, 0, picture.rgb.data(), 0, nullptr) == 0) {
    throw std::runtime_error(fmt::format("cannot encode a PNG: {}", image.message));
  }
  file.resize(size);
  return file;
}

Picture grid_of(const torch::Tensor& images, int64_t columns) {
  const int64_t count = images.size(0), side = images.size(2), rows = (count + columns - 1) / columns;
  torch::Tensor canvas = torch::full({rows * (side + 1) - 1, columns * (side + 1) - 1, 3}, 255, torch::kByte);
  torch::Tensor bytes = ((images.detach().cpu() + 1) * 127.5).round().clamp(0, 255).to(torch::kByte);
  for (int64_t i = 0; i < count; ++i) {
    canvas.narrow(0, i / columns * (side + 1), side)
        .narrow(1, i % columns * (side + 1), side)
        .copy_(bytes[i].permute({1, 2, 0}));
  }
  const uint8_t* data = canvas.data_ptr<uint8_t>();
  return {canvas.size(0), canvas.size(1), std::vector<uint8_t>(data, data + canvas.numel())};
}

}  // namespace scalelaw::trainer
