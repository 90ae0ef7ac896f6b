// Images of the user's own: what is found, what is read, what is said about what cannot be.
#include <filesystem>
#include <fstream>

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "trainer/data/image_folder.h"
#include "trainer/data/image_index.h"
#include "trainer/data/picture.h"
#include "trainer/data/source.h"
#include "trainer/loop/batches.h"
#include "trainer/params.h"
#include "trainer_process.h"

namespace scalelaw::trainer {
namespace {

namespace fs = std::filesystem;

class Folder : public ::testing::Test {
 protected:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "scalelaw-folder-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~Folder() override { fs::remove_all(root_); }

  // A PNG of one shade.
  static std::string image(uint8_t shade, int64_t side = 12) {
    return encode_png({side, side, std::vector<uint8_t>(static_cast<size_t>(3 * side * side), shade)});
  }
  void write(const std::string& name, const std::string& bytes) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << bytes;
  }
  void write_tar(const std::string& name, const std::vector<std::pair<std::string, std::string>>& files) const {
    archive* tar = archive_write_new();
    archive_write_set_format_pax_restricted(tar);
    ASSERT_EQ(archive_write_open_filename(tar, (root_ / name).c_str()), ARCHIVE_OK);
    for (const auto& [path, bytes] : files) {
      archive_entry* entry = archive_entry_new();
      archive_entry_set_pathname(entry, path.c_str());
      archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
      archive_entry_set_filetype(entry, AE_IFREG);
      archive_entry_set_perm(entry, 0644);
      archive_write_header(tar, entry);
      archive_write_data(tar, bytes.data(), bytes.size());
      archive_entry_free(entry);
    }
    archive_write_free(tar);
  }
  std::string error_of_index() const {
    try {
      index_images(root_.string());
    } catch (const BadRun& error) {
      return error.what();
    }
    return "";
  }
  ImageFolder open(int64_t resolution = 8) const {
    ImageIndex index = index_images(root_.string());
    auto words = std::make_shared<Vocabulary>(Vocabulary::of_captions({"a dog", "a cat"}, 100));
    return {index.files, words, 6, {.resolution = resolution}};
  }

  fs::path root_;
};

TEST_F(Folder, PairsImagesWithTheTextBesideThem) {
  write("b.PNG", image(1));
  write("b.txt", " a dog \n");
  write("deeper/a.png", image(2));
  write("deeper/a.txt", "a cat");
  write("lonely.jpg", image(3));
  write("empty.png", image(4));
  write("empty.txt", "\n");
  ImageIndex index = index_images(root_.string());
  ASSERT_EQ(index.files.size(), 2U);
  EXPECT_EQ(index.files[0].name, "b.PNG");
  EXPECT_EQ(index.files[0].caption, "a dog");
  EXPECT_EQ(index.files[1].name, "deeper/a.png");
  EXPECT_EQ(index.files[1].caption, "a cat");
  EXPECT_EQ(index.without_caption, 2);
}

TEST_F(Folder, CaptionsJsonlNamesImagesAndABadLineIsNamedByItsNumber) {
  write("x/1.png", image(1));
  write("captions.jsonl", "{\"file_name\": \"x/1.png\", \"caption\": \"a dog\"}\n\n");
  EXPECT_EQ(index_images(root_.string()).files.at(0).caption, "a dog");
  write("captions.jsonl", "{\"file_name\": \"x/1.png\", \"caption\": \"a dog\"}\n{\"file_name\": 3}\n");
  EXPECT_NE(error_of_index().find("captions.jsonl:2: must be an object"), std::string::npos) << error_of_index();
}

TEST_F(Folder, ShardsHoldImagesAndCaptionsByKey) {
  const std::string long_name(150, 'n');  // needs an extended header
  write_tar("1.tar", {{"000.txt", "a dog"},
                      {"000.png", image(40)},
                      {"001.json", R"({"caption": "a cat"})"},
                      {"001.png", image(80)},
                      {"002.png", image(90)},
                      {"003.txt", "no image"}});
  write_tar("2.tar", {{"dir.x/" + long_name + ".png", image(120)}, {"dir.x/" + long_name + ".txt", "a cat"}});
  ImageIndex index = index_images(root_.string());
  EXPECT_EQ(index.files.size(), 3U);
  EXPECT_EQ(index.without_caption, 1);
  EXPECT_EQ(index.without_image, 1);
  Batch batch = open().range(0, 3);
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(batch.images[i].mean().item<double>(), (40 + 40 * static_cast<double>(i)) / 127.5 - 1, 1e-4);
  }
  EXPECT_TRUE(torch::equal(batch.tokens[1], batch.tokens[2]));
}

TEST_F(Folder, DamagedAndCompressedShardsAreNamed) {
  // A header and its file fill a block of 512 bytes each: the cuts are in the second header, in the second file.
  for (int64_t cut : {1224, 1540}) {
    write_tar("1.tar", {{"000.txt", "a dog"}, {"000.png", std::string(400, 'x')}});
    fs::resize_file(root_ / "1.tar", cut);
    EXPECT_NE(error_of_index().find("1.tar: "), std::string::npos) << cut << error_of_index();
  }
  write("1.tar", "\x1f\x8b compressed, it seems");
  EXPECT_NE(error_of_index().find("shards are uncompressed tar files"), std::string::npos) << error_of_index();
}

TEST_F(Folder, NothingFoundSaysWhatIsNeeded) {
  write("lonely.png", image(3));
  EXPECT_NE(error_of_index().find("(1 images without caption)"), std::string::npos) << error_of_index();
}

TEST_F(Folder, ABadImageIsReplacedByTheNextAndCountedOnce) {
  for (int i = 0; i < 4; ++i) {
    const std::string name = std::to_string(i);
    write(name + ".png", i == 1 ? "not a picture" : image(static_cast<uint8_t>(50 * i)));
    write(name + ".txt", i == 2 ? "a cat" : "a dog");
  }
  ImageFolder images = open();
  Batch batch = images.range(0, 8);
  EXPECT_TRUE(torch::equal(batch.images[1], batch.images[2]));
  EXPECT_TRUE(torch::equal(batch.tokens[1], batch.tokens[2]));
  EXPECT_TRUE(torch::equal(batch.images.narrow(0, 0, 4), batch.images.narrow(0, 4, 4)));
  EXPECT_EQ(images.notes()["images_bad"], 1);
}

TEST_F(Folder, ManyBadImagesAreAnErrorThatNamesOne) {
  for (int i = 0; i < 40; ++i) {
    write(std::to_string(i) + ".png", i % 2 ? "not a picture" : image(9));
    write(std::to_string(i) + ".txt", "a dog");
  }
  ImageFolder images = open();
  try {
    images.range(0, 40);
    FAIL();
  } catch (const BadRun& error) {
    EXPECT_NE(std::string(error.what()).find("neither JPEG nor PNG"), std::string::npos) << error.what();
  }
}

TEST_F(Folder, BatchesPreparedAheadAreThoseReadInPlace) {
  for (int i = 0; i < 10; ++i) {
    write(std::to_string(i) + ".png", image(static_cast<uint8_t>(20 * i)));
    write(std::to_string(i) + ".txt", "a dog");
  }
  ImageFolder images = open();
  Batches whole(images, 7, {.batch = 4, .first = 0, .parts = 1, .size = 4});
  Batches second_half(images, 7, {.batch = 4, .first = 2, .parts = 2, .size = 1});
  whole.start(3);
  second_half.start(3);
  for (int64_t step = 3; step < 20; ++step) {
    Batch batch = whole.next();
    Batch direct = images.batch(DataOrder(10, 7).samples(4 * step, 4));
    EXPECT_TRUE(torch::equal(batch.images, direct.images)) << step;
    for (int64_t part = 0; part < 2; ++part) {
      EXPECT_TRUE(torch::equal(second_half.next().images[0], batch.images[2 + part]));
    }
  }
}

TEST_F(Folder, ARunTrainsOnItAndReportsWhatItFound) {
  for (int i = 0; i < 120; ++i) {
    const bool dark = i % 2 == 0;
    write(std::to_string(i) + ".png", i == 7 ? "" : image(dark ? 30 : 220, 20 + i));
    write(std::to_string(i) + ".txt", dark ? "A dark square" : "A bright square, really");
  }
  write("uncaptioned.png", image(1));
  TrainerRun run(
      {{"params",
        {{"data", "folder"}, {"data_path", root_.string()}, {"width", 16}, {"depth", 1}, {"heads", 1}, {"batch", 8}}},
       {"budget", {{"steps", 40}}}});
  Ended ended = run.run("diffusion-dit");
  ASSERT_EQ(ended.exit_code, 0) << ended.errors;
  EXPECT_NE(ended.errors.find("7.png: an empty file"), std::string::npos) << ended.errors;
  nlohmann::json values = run.events("metrics").back()["values"];
  EXPECT_EQ(values["images"], 120);
  EXPECT_EQ(values["images_skipped"], 1);
  EXPECT_EQ(values["images_bad"], 1);
  EXPECT_GT(values["val_loss"], 0);

  nlohmann::json unet = {
      {"data", "folder"}, {"data_path", root_.string()}, {"caption_length", 5}, {"channels", 8}, {"head_width", 8},
      {"batch", 8},       {"sample_grids", 1},           {"sampler_steps", 2}};
  TrainerRun attending({{"params", unet}, {"budget", {{"steps", 4}}}});
  ended = attending.run("diffusion-unet");
  ASSERT_EQ(ended.exit_code, 0) << ended.errors;
  EXPECT_GT(attending.events("metrics").back()["values"]["val_loss"], 0);
}

TEST_F(Folder, WhatDoesNotFitItIsRefused) {
  write("1.png", image(1));
  write("1.txt", "a dog");
  using nlohmann::json;
  const std::vector<std::tuple<std::string, json, std::string>> cases = {
      {"diffusion-dit", {{"data", "folder"}}, "data_path: missing"},
      {"diffusion-dit", {{"data", "folder"}, {"data_path", "/nowhere"}}, "data_path: no folder /nowhere"},
      {"diffusion-dit", {{"data", "folder"}, {"data_path", root_.string()}}, "a few dozen are needed"},
  };
  for (const auto& [family, params, message] : cases) {
    Ended ended = TrainerRun(json::object({{"params", params}})).run(family);
    EXPECT_EQ(ended.exit_code, 65);
    EXPECT_NE(ended.errors.find(message), std::string::npos) << ended.errors;
  }
}

}  // namespace
}  // namespace scalelaw::trainer
