#include "worker/attempt/permission.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scalelaw::worker {
namespace {

using ::testing::HasSubstr;

AllowedCommands commands(const std::vector<std::string>& texts) {
  AllowedCommands allowed;
  for (const std::string& text : texts) allowed.push_back(*parse_allowed_command(text));
  return allowed;
}

TEST(AllowedCommands, AreWordsThatACommandBeginsWith) {
  const AllowedCommands allowed = commands({"python3 /opt/train.py", "torchrun"});
  EXPECT_TRUE(allows(allowed, {"python3", "/opt/train.py"}));
  EXPECT_TRUE(allows(allowed, {"python3", "/opt/train.py", "--fast"}));
  EXPECT_TRUE(allows(allowed, {"torchrun"}));
  EXPECT_FALSE(allows(allowed, {"python3"}));
  EXPECT_FALSE(allows(allowed, {"python3", "-c", "/opt/train.py"}));
  EXPECT_FALSE(allows(allowed, {"/tmp/torchrun"}));
  EXPECT_FALSE(allows({}, {"torchrun"}));
  EXPECT_FALSE(parse_allowed_command("  ").ok());
}

TEST(AllowedCommands, StarsDoNotLeadOutOfTheirDirectory) {
  const AllowedCommands allowed = commands({"python3 /opt/*/train*.py"});
  EXPECT_TRUE(allows(allowed, {"python3", "/opt/a/train_vit.py"}));
  for (const char* path :
       {"/opt/a/b/train.py", "/opt/../train.py", "/opt/a/train/../../tmp/x.py", "/opt/.a/train.py"}) {
    EXPECT_FALSE(allows(allowed, {"python3", path})) << path;
  }
  EXPECT_TRUE(allows(commands({"* --safe"}), {"/any/thing", "--safe"}));
}

TEST(ResourceLimits, AreReadWithUnits) {
  EXPECT_EQ(*parse_limit("nofile=4096"), std::pair(std::string("nofile"), std::uint64_t{4096}));
  EXPECT_EQ(parse_limit("fsize=10G")->second, 10ULL << 30);
  for (const char* bad :
       {"", "nofile", "nofile=", "nofile=x", "nofile=4k", "fsize=99999999999T", "fsize=-1", "speed=3"}) {
    EXPECT_EQ(parse_limit(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_THAT(std::string(parse_limit("speed=3").status().message()), HasSubstr("nofile"));
}

TEST(ResourceLimits, HoldInTheProcessThatAppliesThem) {
  const pid_t child = ::fork();
  if (child == 0) {
    rlimit seen{};
    const bool applied = apply({{"nofile", 64}, {"core", 0}});
    ::getrlimit(RLIMIT_NOFILE, &seen);
    ::_exit(applied && seen.rlim_cur == 64 && seen.rlim_max == 64 ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace scalelaw::worker
