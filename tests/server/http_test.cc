// The HTTP server from the outside: its JSON, its page, its events, and what it refuses.
#include "server/http/http.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/http/page.h"
#include "tests/server/http_client.h"
#include "tests/server/service_fixture.h"

namespace scalelaw::server {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class HttpTest : public ServiceFixture {
 protected:
  void SetUp() override {
    ServiceFixture::SetUp();
    laws = std::make_unique<LawAnswers>(*store);
    auto started = Http::start({"127.0.0.1", 0}, *store, *coordinator, *laws, directory.path());
    ASSERT_TRUE(started.ok()) << started.status();
    http = *std::move(started);
  }
  void TearDown() override {
    http.reset();
    ServiceFixture::TearDown();
  }
  HttpReply get(const std::string& target) const { return server::get(http->address(), target); }
  nlohmann::json json(const std::string& target) const {
    const HttpReply reply = get(target);
    EXPECT_EQ(reply.status, 200) << target << ": " << reply.body;
    return reply.json();
  }

  std::unique_ptr<LawAnswers> laws;
  std::unique_ptr<Http> http;
};

const char* const kTwoSizes =
    "stages { name: 'main' command: 'train' grid { key: 'width' values { number_value: 64 } values { number_value: 128 "
    "} } }";

TEST_F(HttpTest, AnEmptyServerSaysSo) {
  EXPECT_THAT(json("/api/studies")["studies"], IsEmpty());
  EXPECT_THAT(json("/api/laws")["laws"], IsEmpty());
  EXPECT_THAT(json("/api/cluster")["workers"], IsEmpty());
}

TEST_F(HttpTest, StudiesTellWhatTheyUsedAndWhatFailed) {
  submit("sweep", "stages { name: 'main' command: 'train' retries { max: 0 } seeds: 1 seeds: 2 }");
  const auto trainer = worker("w1", 2);
  trainer->train(trainer->next_assignment());
  const v1::Assignment second = trainer->next_assignment();
  trainer->update(second.attempt_id(), v1::ATTEMPT_STATE_RUNNING);
  trainer->update(second.attempt_id(), v1::ATTEMPT_STATE_FAILED, 0, 1, true);
  ASSERT_TRUE(eventually([&] { return sweep("sweep").state() == v1::SWEEP_STATE_FAILED; }));

  const nlohmann::json study = json("/api/studies")["studies"][0];
  EXPECT_EQ(study["study"], "study");
  EXPECT_EQ(study["failed_attempts"], 1);
  EXPECT_EQ(study["sweeps"][0]["runs"]["succeeded"], 1);
  EXPECT_EQ(study["sweeps"][0]["flops_spent"], 20);
  EXPECT_FALSE(study.contains("energy_joules")) << "no run has measured it";
}

TEST_F(HttpTest, ASweepHasTheRunsThatTheCommandLineShows) {
  submit("sweep", kTwoSizes);
  const nlohmann::json snapshot = json("/api/sweeps/sweep");
  EXPECT_EQ(snapshot["sweep"]["id"], 1);
  EXPECT_EQ(snapshot["runs"].size(), 2);
  EXPECT_EQ(snapshot["runs"][1]["params"]["width"], 128);
  EXPECT_EQ(snapshot["runs"][0]["state"], "queued");
  EXPECT_THAT(snapshot["runs"][0]["reason"].get<std::string>(), HasSubstr("worker"));
}

TEST_F(HttpTest, CurvesAreOfTheMetricAndTheRunsThatWereAskedFor) {
  submit("sweep", kTwoSizes);
  const auto trainer = worker("w1", 2);
  for (int i = 0; i < 2; ++i) trainer->train(trainer->next_assignment(), 0.25 + i);
  ASSERT_TRUE(eventually([&] { return sweep("sweep").state() == v1::SWEEP_STATE_SUCCEEDED; }));

  EXPECT_EQ(json("/api/sweeps/1/curves?metric=loss")["curves"].size(), 2);
  const nlohmann::json one = json("/api/sweeps/1/curves?metric=loss&axis=flops&runs=2")["curves"];
  ASSERT_EQ(one.size(), 1);
  EXPECT_EQ(one[0]["run_id"], 2);
  EXPECT_EQ(one[0]["x"], nlohmann::json({20}));
  EXPECT_EQ(one[0]["y"].size(), 1);
  EXPECT_THAT(json("/api/sweeps/1/curves?metric=none")["curves"], IsEmpty());
  EXPECT_EQ(json("/api/sweeps/1/curves")["metric"], "loss") << "what most look for first";
}

TEST_F(HttpTest, ARunShowsItsOutputAndItsImages) {
  submit("sweep", "stages { name: 'main' command: 'train' }");
  const auto trainer = worker("w1");
  const v1::Assignment assignment = trainer->next_assignment();
  const auto image = directory.path() / "sample.png", text = directory.path() / "secret.txt";
  std::ofstream(image) << "\x89PNG\r\n\x1a\n and pixels";
  std::ofstream(text) << "nobody's business";
  trainer->update(assignment.attempt_id(), v1::ATTEMPT_STATE_RUNNING);
  trainer->deliver(assignment.attempt_id(), 0, 100,
                   "records { artifact { name: 'samples 1' path: '" + image.string() +
                       "' kind: 'image' } } records { artifact { name: 'gone' path: '/nowhere.png' kind: 'image' } } "
                       "records { artifact { name: 'secret' path: '" +
                       text.string() + "' kind: 'image' } } records { output: 'hello\\n' }");

  EXPECT_EQ(json("/api/runs/1")["artifacts"].size(), 3);
  EXPECT_EQ(json("/api/runs/1/log")["chunks"][0]["text"], "hello\n");
  const int64_t seen = json("/api/runs/1/log")["chunks"][0]["id"];
  EXPECT_THAT(json("/api/runs/1/log?after=" + std::to_string(seen))["chunks"], IsEmpty());
  const HttpReply shown = get("/api/runs/1/artifacts/samples%201");
  EXPECT_THAT(shown.head, HasSubstr("image/png"));
  EXPECT_THAT(shown.body, HasSubstr("and pixels"));
  EXPECT_EQ(get("/api/runs/1/artifacts/gone").status, 404);
  EXPECT_THAT(get("/api/runs/1/artifacts/gone").json()["error"].get<std::string>(), HasSubstr("w1"));
  EXPECT_EQ(get("/api/runs/1/artifacts/secret").status, 409) << "only images leave the machine";
}

TEST_F(HttpTest, TheClusterTellsWhoWorksAndWhatWaitsForWhat) {
  submit("one", "stages { name: 'main' command: 'train' resources { slots: 2 } seeds: 1 seeds: 2 }");
  submit("other", "stages { name: 'gpu' command: 'train-on-gpu' resources { labels { key: 'gpu' value: 'h100' } } }");
  const auto trainer = worker("w1", 2);
  trainer->next_assignment();
  const nlohmann::json cluster = json("/api/cluster");
  EXPECT_EQ(cluster["workers"][0]["slots_used"], 2);
  EXPECT_EQ(cluster["workers"][0]["run_ids"], nlohmann::json({1}));
  ASSERT_EQ(cluster["queue"].size(), 2);
  EXPECT_EQ(cluster["queue"][0]["runs"], 1);
  EXPECT_EQ(cluster["queue"][0]["reason"], "") << "a free slot is all that it waits for";
  EXPECT_THAT(cluster["queue"][1]["reason"].get<std::string>(), HasSubstr("gpu=h100"));
}

TEST_F(HttpTest, EventsTellOfEveryChange) {
  HttpConnection events(http->address());
  events.send("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(events.read_until("\r\n\r\n"), HasSubstr("text/event-stream"));
  EXPECT_THAT(events.read_until("\n\n"), HasSubstr("retry"));
  const std::string first = events.read_until("\n\n");
  EXPECT_THAT(first, HasSubstr("event: changed"));
  submit("sweep", kTwoSizes);
  const std::string second = events.read_until("\n\n");
  EXPECT_THAT(second, HasSubstr("event: changed"));
  EXPECT_NE(first, second);
}

TEST_F(HttpTest, ErrorsNameWhatWasAskedFor) {
  EXPECT_EQ(get("/api/sweeps/7").status, 404);
  EXPECT_THAT(get("/api/sweeps/7").json()["error"].get<std::string>(), HasSubstr("\"7\""));
  EXPECT_EQ(get("/api/runs/x").status, 404);
  EXPECT_EQ(get("/api/runs/9/log").status, 404);
  EXPECT_EQ(get("/api/nothing").status, 404);
  EXPECT_EQ(get("/api/compare?a=1").status, 404);
  submit("sweep", kTwoSizes);
  EXPECT_EQ(get("/api/sweeps/1/curves?metric=loss&axis=sideways").status, 400);
  EXPECT_THAT(get("/api/sweeps/1/curves?metric=loss&from=abc").json()["error"].get<std::string>(), HasSubstr("from"));
  EXPECT_EQ(get("/api/sweeps/%zz").status, 400);
  EXPECT_EQ(get("/../etc/passwd").status, 400);
}

TEST_F(HttpTest, NothingCanBeChangedAndNobodyElsesPageCanRead) {
  EXPECT_EQ(request(http->address(), "POST", "/api/studies").status, 405);
  EXPECT_EQ(request(http->address(), "DELETE", "/api/sweeps/1").status, 405);
  EXPECT_EQ(request(http->address(), "GET", "/api/studies", "Host: evil.example\r\n").status, 403);
  EXPECT_EQ(request(http->address(), "GET", "/api/studies", "Host: 127.evil.example\r\n").status, 403);
  EXPECT_EQ(request(http->address(), "GET", "/api/studies", "Host: [::1]:7080\r\n").status, 200);
  EXPECT_THAT(get("/api/studies").head, Not(HasSubstr("Access-Control")));
}

TEST_F(HttpTest, HeadHasTheLengthAndNoBody) {
  const HttpReply whole = get("/api/studies"), head = request(http->address(), "HEAD", "/api/studies");
  EXPECT_EQ(head.status, 200);
  EXPECT_THAT(head.body, IsEmpty());
  EXPECT_THAT(head.head, HasSubstr("Content-Length: " + std::to_string(whole.body.size())));
}

TEST_F(HttpTest, AConnectionServesManyRequests) {
  HttpConnection connection(http->address());
  for (int i = 0; i < 3; ++i) {
    connection.send("GET /api/laws HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_THAT(connection.read_until("\r\n\r\n"), HasSubstr("200 OK"));
    EXPECT_EQ(connection.read_until("}"), "{\"laws\":[]}");
  }
}

TEST_F(HttpTest, ThePageIsServedUnderAllItsAddresses) {
  if (page_files().empty()) GTEST_SKIP() << "built without the dashboard";
  for (const char* target : {"/", "/sweeps/3", "/laws/7?budget=1e12", "/compare"}) {
    const HttpReply page = get(target);
    EXPECT_EQ(page.status, 200) << target;
    EXPECT_THAT(page.head, HasSubstr("Content-Type: text/html"));
    EXPECT_THAT(page.head, HasSubstr("Content-Encoding: gzip"));
    EXPECT_THAT(page.head, HasSubstr("default-src 'self'")) << "nothing comes from elsewhere";
  }
  EXPECT_EQ(get("/assets/none.js").status, 404);
  EXPECT_EQ(request(http->address(), "GET", "/", "Host: localhost\r\n").status, 406) << "cannot read gzip";
}

TEST_F(HttpTest, APortInUseIsNamedWithTheOptionThatMendsIt) {
  const int port = std::stoi(http->address().substr(http->address().rfind(':') + 1));
  const auto second = Http::start({"127.0.0.1", port}, *store, *coordinator, *laws, directory.path());
  ASSERT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--http"));
}

TEST_F(HttpTest, MetricsCountWhatThereIs) {
  submit("sweep", kTwoSizes);
  const auto trainer = worker("w1", 1);
  trainer->next_assignment();
  const HttpReply metrics = get("/metrics");
  EXPECT_THAT(metrics.head, HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(metrics.body, HasSubstr("scalelaw_runs{state=\"queued\"} 1"));
  EXPECT_THAT(metrics.body, HasSubstr("scalelaw_workers{state=\"ready\"} 1"));
  EXPECT_THAT(metrics.body, HasSubstr("scalelaw_slots_used 1"));
  EXPECT_THAT(metrics.body, HasSubstr("scalelaw_store_healthy 1"));
  EXPECT_THAT(metrics.body, HasSubstr("scalelaw_disk_free_bytes "));
}

TEST(HttpAddress, IsOnThisMachineTenPortsAboveTheServer) {
  const auto address = [](const std::string& text, int port) {
    const auto parsed = parse_http_address(text, {"127.0.0.1", port});
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    return *parsed;
  };
  EXPECT_EQ(address("", 7070)->port, 7080);
  EXPECT_EQ(address("", 0)->port, 0);
  EXPECT_EQ(address("localhost:9000", 7070)->port, 9000);
  EXPECT_FALSE(address("off", 7070).has_value());
  for (const char* wrong : {"9000", "0.0.0.0:7080", "example.org:80", "127.0.0.1:x"})
    EXPECT_THAT(std::string(parse_http_address(wrong, {"127.0.0.1", 7070}).status().message()), HasSubstr("--http"));
}

}  // namespace
}  // namespace scalelaw::server
