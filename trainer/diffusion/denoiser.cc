#include "trainer/diffusion/denoiser.h"

#include <fmt/format.h>

#include "trainer/params.h"

namespace scalelaw::trainer {
namespace {

constexpr int64_t kImageChannels = 3;

}  // namespace

bool takes_data(int64_t image_channels, int64_t text_length, const CaptionShape& captions) {
  return image_channels == kImageChannels && text_length == captions.length;
}

void require_data(int64_t image_channels, int64_t text_length, const CaptionShape& captions) {
  if (takes_data(image_channels, text_length, captions)) return;
  throw BadRun(
      fmt::format("image_channels, text_length: this shape ({} channels, captions of {}) is of a published model on "
                  "latents and can be described only; to train it on these images set image_channels={} and "
                  "text_length={}",
                  image_channels, text_length, kImageChannels, captions.length));
}

}  // namespace scalelaw::trainer
