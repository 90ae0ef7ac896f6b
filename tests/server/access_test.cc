#include "server/access/access.h"

#include <sys/stat.h>

#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "scalelaw/v1/laws.pb.h"
#include "scalelaw/v1/runs.pb.h"
#include "scalelaw/v1/sweeps.pb.h"
#include "scalelaw/v1/workers.pb.h"
#include "server/access/audit.h"
#include "tests/server/temporary_directory.h"

namespace scalelaw::server {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kSubmit = "/scalelaw.v1.Sweeps/Submit";
constexpr const char* kList = "/scalelaw.v1.Sweeps/List";
constexpr const char* kSession = "/scalelaw.v1.Workers/Session";

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

class AccessTest : public ::testing::Test {
 protected:
  std::string make(Role role, const std::string& owner = "ada") { return *file_.create(role, owner); }
  std::unique_ptr<Access> open() { return *Access::open(directory_.path()); }
  static std::string bearer(const std::string& token) { return "Bearer " + token; }

  TemporaryDirectory directory_;
  TokenFile file_{token_file(directory_.path())};
};

TEST(Roles, EveryMethodHasANeed) {
  for (const auto* file : {v1::Sweep::descriptor()->file(), v1::Run::descriptor()->file(),
                           v1::Law::descriptor()->file(), v1::Worker::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        const std::string method = "/" + file->service(s)->full_name() + "/" + file->service(s)->method(m)->name();
        EXPECT_TRUE(decided_need_of(method).has_value()) << method << " is missing in server/access/roles.cc";
      }
    }
  }
}

TEST(Roles, AllowWhatTheirNamesSay) {
  EXPECT_TRUE(satisfies(Role::kViewer, need_of(kList)));
  EXPECT_FALSE(satisfies(Role::kViewer, need_of(kSubmit)));
  EXPECT_TRUE(satisfies(Role::kSubmitter, need_of(kSubmit)));
  EXPECT_FALSE(satisfies(Role::kSubmitter, need_of(kSession)));
  EXPECT_TRUE(satisfies(Role::kWorker, need_of(kSession)));
  EXPECT_FALSE(satisfies(Role::kWorker, need_of(kSubmit)));
  EXPECT_FALSE(satisfies(Role::kWorker, need_of(kList)));
  EXPECT_FALSE(satisfies(Role::kSubmitter, need_of("/scalelaw.v1.Sweeps/Unheard")));
  for (const char* method : {kSubmit, kList, kSession, "/scalelaw.v1.Sweeps/Unheard"}) {
    EXPECT_TRUE(satisfies(Role::kAdmin, need_of(method))) << method;
  }
}

TEST_F(AccessTest, WithoutTokensEverybodyIsAnAdmin) {
  const auto access = open();
  EXPECT_FALSE(access->asks_for_tokens());
  EXPECT_EQ(access->check(kSubmit, "")->role, Role::kAdmin);
}

TEST_F(AccessTest, ATokenIsItsOwnersRole) {
  const std::string token = make(Role::kSubmitter, "grace");
  const auto access = open();
  const auto caller = access->check(kSubmit, bearer(token));
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_EQ(caller->owner, "grace");
  const auto refused = access->check(kSession, bearer(token));
  EXPECT_EQ(refused.status().code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("needs a worker's"));
}

TEST_F(AccessTest, WithoutAValidTokenNobodyGetsIn) {
  std::string token = make(Role::kAdmin);
  const auto access = open();
  EXPECT_EQ(access->check(kList, "").status().code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(access->check(kList, token).status().code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(access->check(kList, "Bearer ").status().code(), StatusCode::kUnauthenticated);
  token.back() = token.back() == '0' ? '1' : '0';
  EXPECT_EQ(access->check(kList, bearer(token)).status().code(), StatusCode::kUnauthenticated);
  EXPECT_TRUE(access->check("/grpc.health.v1.Health/Check", "").ok());
}

TEST_F(AccessTest, ARunningServerSeesNewAndRevokedTokens) {
  const std::string first = make(Role::kViewer);
  const auto access = open();
  EXPECT_TRUE(access->check(kList, bearer(first)).ok());
  const std::string second = make(Role::kViewer);
  EXPECT_TRUE(access->check(kList, bearer(second)).ok());
  ASSERT_TRUE(file_.revoke(parse_token_text(first)->id).ok());
  const auto revoked = access->check(kList, bearer(first));
  EXPECT_EQ(revoked.status().code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(revoked.status().message()), HasSubstr("revoked"));
  EXPECT_EQ(file_.revoke(parse_token_text(first)->id).code(), StatusCode::kNotFound);
}

TEST_F(AccessTest, TakingTheLastTokenAwayClosesTheDoor) {
  ASSERT_TRUE(file_.revoke(parse_token_text(make(Role::kAdmin))->id).ok());
  const auto access = open();
  EXPECT_TRUE(access->asks_for_tokens());
  EXPECT_FALSE(access->check(kList, "").ok());
  std::filesystem::remove(token_file(directory_.path()));
  EXPECT_FALSE(access->check(kList, "").ok());
}

TEST_F(AccessTest, TheFileHoldsNoSecretAndIsTheOwnersOnly) {
  const std::string token = make(Role::kAdmin);
  const auto path = token_file(directory_.path());
  EXPECT_THAT(text_of(path), Not(HasSubstr(parse_token_text(token)->secret)));
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(AccessTest, ADamagedFileLetsNobodyIn) {
  const std::string token = make(Role::kAdmin);
  const auto access = open();
  std::ofstream(token_file(directory_.path())) << "{\"tokens\":[{\"id\":1}]}";
  EXPECT_FALSE(access->check(kList, bearer(token)).ok());
  EXPECT_EQ(Access::open(directory_.path()).status().code(), StatusCode::kDataLoss);
  EXPECT_FALSE(file_.create(Role::kAdmin, "ada").ok());
}

TEST_F(AccessTest, TokensMadeAtTheSameTimeAreAllKept) {
  std::vector<std::thread> makers;
  for (int i = 0; i < 8; ++i) {
    makers.emplace_back(
        [this] { EXPECT_TRUE(TokenFile(token_file(directory_.path())).create(Role::kViewer, "x").ok()); });
  }
  for (std::thread& maker : makers) maker.join();
  EXPECT_EQ(file_.read()->size(), 8u);
}

TEST(Ownership, OnlyAdminsActForOthers) {
  const Caller ada{"ada", Role::kSubmitter, "0123abcd"};
  const Caller admin{"grace", Role::kAdmin, "89ef0123"};
  EXPECT_EQ(*owner_for(ada, ""), "ada");
  EXPECT_EQ(*owner_for(ada, "ada"), "ada");
  EXPECT_EQ(owner_for(ada, "grace").status().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(*owner_for(admin, "ada"), "ada");
  EXPECT_EQ(*owner_for(Caller{}, "ada"), "ada") << "without tokens everybody is an admin";
  for (const char* owner : {"", "ada"}) EXPECT_TRUE(may_change(ada, owner).ok()) << owner;
  EXPECT_EQ(may_change(ada, "grace").code(), StatusCode::kPermissionDenied);
  EXPECT_TRUE(may_change(admin, "ada").ok());
}

TEST_F(AccessTest, OwnersArePlainNames) {
  for (const char* owner : {"", "a b", "ada\n", "<script>"}) {
    EXPECT_EQ(file_.create(Role::kViewer, owner).status().code(), StatusCode::kInvalidArgument) << owner;
  }
  EXPECT_FALSE(file_.create(Role::kViewer, std::string(65, 'a')).ok());
}

TEST(Audit, LinesSayWhoDidWhatAndWithWhichResult) {
  AuditEntry entry;
  entry.method = kSubmit;
  entry.caller = Caller{"ada", Role::kSubmitter, "0123abcd"};
  entry.peer = "ipv4:10.0.0.1:5";
  entry.request = R"({"sweep":"first\nlaw"})";
  entry.result = absl::InvalidArgumentError("no");
  EXPECT_EQ(to_json_line(entry, 1'700'000'000'123),
            R"({"time":"2023-11-14T22:13:20.123Z","method":"/scalelaw.v1.Sweeps/Submit","owner":"ada",)"
            R"("role":"submitter","token":"0123abcd","peer":"ipv4:10.0.0.1:5","request":{"sweep":"first\nlaw"},)"
            R"("result":"INVALID_ARGUMENT","message":"no"})"
            "\n");
}

}  // namespace
}  // namespace scalelaw::server
