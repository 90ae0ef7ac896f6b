// Each process of these tests has a folder of its own as testing::TempDir(), so that several may run at once.
#include <stdlib.h>

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace {

class TemporaryFolder : public testing::Environment {
 public:
  void SetUp() override {
    std::string folder = testing::TempDir() + "/scalelaw-cli-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    setenv("TEST_TMPDIR", folder.c_str(), 1);
    folder_ = folder;
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

 private:
  std::filesystem::path folder_;
};

const auto* const kTemporaryFolder = testing::AddGlobalTestEnvironment(new TemporaryFolder);

}  // namespace
