#include "trainer/data/picture.h"

#include <gtest/gtest.h>
#include <turbojpeg.h>

namespace scalelaw::trainer {
namespace {

Picture checkered(int64_t height, int64_t width, int64_t cell) {
  Picture picture{height, width, {}};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const bool red = (x / cell + y / cell) % 2 == 0;
      picture.rgb.insert(picture.rgb.end(), {uint8_t(red ? 250 : 10), 20, uint8_t(red ? 10 : 250)});
    }
  }
  return picture;
}

std::string jpeg_of(const Picture& picture) {
  tjhandle encoder = tjInitCompress();
  uint8_t* bytes = nullptr;
  unsigned long size = 0;
  tjCompress2(encoder, picture.rgb.data(), static_cast<int>(picture.width), 0, static_cast<int>(picture.height),
              TJPF_RGB, &bytes, &size, TJSAMP_444, 95, 0);
  std::string file(reinterpret_cast<char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(encoder);
  return file;
}

TEST(Picture, APngComesBackAsItWas) {
  Picture picture = checkered(20, 30, 5), back = decode_picture(encode_png(picture), 8);
  EXPECT_EQ(back.height, 20);
  EXPECT_EQ(back.width, 30);
  EXPECT_EQ(back.rgb, picture.rgb);
}

TEST(Picture, AJpegComesBackScaledDownButNeverBelowWhatIsNeeded) {
  const std::string file = jpeg_of(checkered(320, 400, 80));
  EXPECT_EQ(decode_picture(file, 320).height, 320);
  EXPECT_EQ(decode_picture(file, 40).height, 40);
  EXPECT_GE(decode_picture(file, 33).height, 33);
}

TEST(Picture, TheMiddleSquareIsResizedWithoutAliasing) {
  // One-pixel cells average to their mean colour; sampling without a filter would keep one of the two.
  torch::Tensor small = square(checkered(64, 96, 1), 8).to(torch::kFloat);
  EXPECT_EQ(small.sizes(), (std::vector<int64_t>{3, 8, 8}));
  EXPECT_LT((small[0] - 130).abs().max().item<float>(), 3);
  EXPECT_LT((small[1] - 20).abs().max().item<float>(), 1);
}

TEST(Picture, BadFilesSayWhatIsWrong) {
  const std::string jpeg = jpeg_of(checkered(64, 64, 8)), png = encode_png(checkered(64, 64, 8));
  for (const std::string& file :
       {std::string(), std::string("GIF89a"), jpeg.substr(0, jpeg.size() / 2), png.substr(0, png.size() / 2)}) {
    EXPECT_THROW(decode_picture(file, 8), BadPicture) << file.size();
  }
  try {
    decode_picture("GIF89a", 8);
  } catch (const BadPicture& error) {
    EXPECT_STREQ(error.what(), "neither JPEG nor PNG");
  }
}

TEST(Picture, AGridHoldsTheImagesRowByRow) {
  torch::Tensor images = torch::full({3, 3, 4, 4}, -1.0);
  images[2].fill_(1);
  Picture grid = grid_of(images, 2);
  EXPECT_EQ(grid.width, 9);
  EXPECT_EQ(grid.height, 9);
  EXPECT_EQ(grid.rgb[0], 0);
  EXPECT_EQ(grid.rgb[static_cast<size_t>(3 * (5 * 9 + 0))], 255);
}

}  // namespace
}  // namespace scalelaw::trainer
