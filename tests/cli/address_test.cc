#include "cli/address.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scalelaw::cli {
namespace {

TEST(Address, IsHostAndPort) {
  EXPECT_EQ(parse_address("127.0.0.1:7070")->port, "7070");
  EXPECT_EQ(parse_address("[::1]:80")->host, "::1");
  for (const char* bad : {"", "7070", ":7070", "host:", "host:x", "host:0", "host:65536", "host:-1"})
    EXPECT_FALSE(parse_address(bad).ok()) << bad;
}

TEST(Address, AClientOnThisMachineReachesAWildcardByLoopback) {
  EXPECT_EQ(local_target({"0.0.0.0", "7070"}), "127.0.0.1:7070");
  EXPECT_EQ(local_target({"::", "7070"}), "[::1]:7070");
  EXPECT_EQ(local_target({"gpu7", "7070"}), "gpu7:7070");
}

TEST(Address, APortInUseIsAnError) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  Address here{"127.0.0.1", std::to_string(ntohs(address.sin_port))};
  EXPECT_FALSE(answers(here)) << "nobody listens yet";
  ASSERT_EQ(listen(fd, 1), 0);
  EXPECT_TRUE(answers(here));
  absl::Status status = can_listen(here);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("is in use on 127.0.0.1"));
  close(fd);
  EXPECT_TRUE(can_listen(here).ok());
}

TEST(Address, AnotherMachinesAddressCannotBeListenedOn) {
  EXPECT_EQ(can_listen({"192.0.2.1", "7070"}).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace scalelaw::cli
