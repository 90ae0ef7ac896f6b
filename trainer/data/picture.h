// Pictures as files: JPEG and PNG in, PNG out.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <torch/torch.h>

namespace scalelaw::trainer {

struct Picture {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3]
};

/// The bytes are no picture that can be read; the message says why.
class BadPicture : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A JPEG or PNG file's picture; transparency is laid on white. `smallest`: a JPEG may come back scaled down (by
/// libjpeg's own filter) as long as both sides keep this many pixels. Throws BadPicture.
Picture decode_picture(std::string_view file, int64_t smallest);

/// The middle square, resized to [3, side, side] bytes: antialiased cubic interpolation.
torch::Tensor square(const Picture& picture, int64_t side);

/// A PNG file.
std::string encode_png(const Picture& picture);

/// Images [B, 3, R, R] in [−1, 1] side by side, row by row, with a pixel between.
Picture grid_of(const torch::Tensor& images, int64_t columns);

}  // namespace scalelaw::trainer
