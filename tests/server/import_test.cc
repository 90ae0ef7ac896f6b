// Runs that were trained elsewhere, through the API into the store.
#include <gmock/gmock.h>

#include "tests/server/service_fixture.h"

namespace scalelaw::server {
namespace {

using testing::HasSubstr;

class Import : public ServiceFixture {
 protected:
  static v1::ImportRunsRequest request(const std::string& runs) {
    v1::ImportRunsRequest request;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString("study: 'old' sweep: 'import-csv' " + runs, &request));
    return request;
  }
  static std::string run_text(const std::string& key, double loss, int step = 10) {
    return "runs { key: '" + key +
           "' params { fields { key: 'width' value { number_value: 64 } } } seed: 3 model_params: 1000 curves { "
           "metric: "
           "'loss' points { step: " +
           std::to_string(step) + " samples: 20 flops: 120000 value: " + std::to_string(loss) + " } } } ";
  }
  grpc::Status import(const v1::ImportRunsRequest& request, v1::ImportRunsResponse* response = nullptr) {
    grpc::ClientContext context;
    v1::ImportRunsResponse ignored;
    return runs->Import(&context, request, response != nullptr ? response : &ignored);
  }
  v1::ImportRunsResponse imported(const std::string& text) {
    v1::ImportRunsResponse response;
    const grpc::Status status = import(request(text), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  std::vector<v1::Observation> losses() { return *store->observations("old", "loss"); }
};

TEST_F(Import, RunsAreObservationsOfTheirStudy) {
  const v1::ImportRunsResponse response = imported(run_text("a", 0.5) + run_text("b", 0.4));
  EXPECT_EQ(response.added(), 2);
  const auto observations = losses();
  ASSERT_EQ(observations.size(), 2u);
  EXPECT_EQ(observations[0].params(), 1000);
  EXPECT_EQ(observations[0].samples(), 20);
  EXPECT_EQ(observations[0].flops(), 120000);
  EXPECT_EQ(observations[0].value(), 0.5);
  EXPECT_EQ(observations[0].seed(), 3);
  const v1::Sweep sweep = this->sweep("import-csv");
  EXPECT_EQ(sweep.id(), response.sweep_id());
  EXPECT_EQ(sweep.state(), v1::SWEEP_STATE_SUCCEEDED);
  EXPECT_EQ(sweep.runs().succeeded(), 2);
}

TEST_F(Import, TheSameRunsAgainChangeNothing) {
  const v1::ImportRunsResponse first = imported(run_text("a", 0.5) + run_text("b", 0.4));
  const v1::ImportRunsResponse again = imported(run_text("a", 0.5) + run_text("b", 0.4));
  EXPECT_EQ(again.sweep_id(), first.sweep_id());
  EXPECT_EQ(again.added(), 0);
  EXPECT_EQ(losses().size(), 2u);
  EXPECT_EQ(sweep("import-csv").runs().total(), 2);
}

TEST_F(Import, EvenAfterARestart) {
  const v1::ImportRunsResponse first = imported(run_text("a", 0.5));
  restart();
  const v1::ImportRunsResponse again = imported(run_text("a", 0.5) + run_text("b", 0.4));
  EXPECT_EQ(again.sweep_id(), first.sweep_id());
  EXPECT_EQ(again.added(), 1);
  EXPECT_EQ(losses().size(), 2u);
}

TEST_F(Import, ARunThatWentOnGetsItsNewPoints) {
  imported(run_text("a", 0.5));
  imported(run_text("a", 0.3, 20));
  imported(run_text("a", 0.45));
  const auto observations = losses();
  ASSERT_EQ(observations.size(), 1u);
  EXPECT_EQ(observations[0].value(), 0.3) << "the last step's";
  EXPECT_EQ(store->curves(observations[0].run_id(), "loss")->at(0).points_size(), 2);
}

TEST_F(Import, AFailedRunIsShownAndNotObserved) {
  imported("runs { key: 'a' failed: true curves { metric: 'loss' points { step: 1 value: 9 } } }");
  EXPECT_TRUE(losses().empty());
  EXPECT_EQ(store->runs_of_study("old")->at(0).state(), v1::RUN_STATE_FAILED);
}

TEST_F(Import, ASweepOfTheSameServerGoesOnBesideIt) {
  imported(run_text("a", 0.5));
  auto ada = worker();
  const auto submitted = submit("s", "stages { name: 'train' command: 'x' }");
  ada->train(ada->next_assignment());
  EXPECT_TRUE(eventually([&] { return sweep("s").state() == v1::SWEEP_STATE_SUCCEEDED; }));
  EXPECT_NE(submitted.runs(0).id(), store->runs_of_study("old")->at(0).id());
}

TEST_F(Import, WhatIsWrongIsNamedAndNothingIsStored) {
  const auto refused = [&](const std::string& text, const std::string& message) {
    const grpc::Status status = import(request(text));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr(message));
  };
  refused("", "runs: is required");
  refused("runs { }", "runs[0].key: is required");
  refused(run_text("a", 1) + run_text("a", 2), "runs[1].key: \"a\" is the key of another run too");
  refused(run_text("a", 1) + "runs { key: 'b' curves { metric: 'm' points { step: -1 } } }",
          "runs[1].curves[m].points[0].step: must be at least 0");
  refused("runs { key: 'b' curves { metric: 'm' points { value: nan } } }", "points[0].value: must be a finite number");
  refused("runs { key: 'b' curves { } }", "runs[0].curves.metric: is required");
  v1::ImportRunsRequest nameless = request(run_text("a", 1));
  nameless.set_study("no study");
  EXPECT_THAT(import(nameless).error_message(), HasSubstr("study: \"no study\" is no name"));
  EXPECT_TRUE(store->studies()->empty());
}

}  // namespace
}  // namespace scalelaw::server
