// Records arrive exactly once, whatever is sent twice, lost, or late.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/server/store_fixture.h"

namespace scalelaw::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Ingest : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    with_a_running_attempt();
  }
  std::string log() const {
    std::string text;
    const std::vector<LogText> chunks = store->logs(1, 0, INT64_MAX).value();
    for (const LogText& chunk : chunks) text += chunk.text;
    return text;
  }
};

TEST_F(Ingest, ABatchMovesTheOffsetToItsEnd) {
  EXPECT_EQ(ingest(1, 0, 100, {metrics(1, 0.5)}).offset(), 100);
  EXPECT_THAT(steps(), ElementsAre(1));
}

TEST_F(Ingest, ADuplicateIsAcknowledgedAndNotApplied) {
  ingest(1, 0, 100, {output("once\n")}, v1::RECORD_SOURCE_OUTPUT);
  const v1::RecordAck ack = ingest(1, 0, 100, {output("once\n")}, v1::RECORD_SOURCE_OUTPUT);
  EXPECT_EQ(ack.offset(), 100);
  EXPECT_FALSE(ack.fenced());
  EXPECT_EQ(log(), "once\n");
}

TEST_F(Ingest, AGapIsNotAppliedAndTheOffsetSaysWhereToGoOn) {
  ingest(1, 0, 100, {metrics(1, 0.5)});
  EXPECT_EQ(ingest(1, 150, 200, {metrics(3, 0.3)}).offset(), 100);
  EXPECT_THAT(steps(), ElementsAre(1));
}

TEST_F(Ingest, AnOverlapIsNotApplied) {
  ingest(1, 0, 100, {metrics(1, 0.5)});
  EXPECT_EQ(ingest(1, 50, 150, {metrics(2, 0.4)}).offset(), 100);
  EXPECT_THAT(steps(), ElementsAre(1));
}

TEST_F(Ingest, TheTwoSourcesOfAnAttemptAreIndependent) {
  ingest(1, 0, 100, {metrics(1, 0.5)});
  EXPECT_EQ(ingest(1, 0, 7, {output("hello\n")}, v1::RECORD_SOURCE_OUTPUT).offset(), 7);
}

TEST_F(Ingest, LateMetricsOfAFencedAttemptAreRefused) {
  ASSERT_TRUE(end(1, AttemptState::kLost).ok());
  EXPECT_TRUE(ingest(1, 0, 100, {metrics(1, 0.5)}).fenced());
  EXPECT_THAT(steps(), IsEmpty());
}

TEST_F(Ingest, AnUnknownAttemptIsFenced) {
  EXPECT_TRUE(ingest(99, 0, 100, {metrics(1, 0.5)}).fenced());
}

TEST_F(Ingest, ADuplicateAfterTheEndIsAcknowledgedSoThatTheWorkerCanForget) {
  ingest(1, 0, 100, {metrics(1, 0.5)});
  ASSERT_TRUE(end(1, AttemptState::kSucceeded).ok());
  const v1::RecordAck ack = ingest(1, 0, 100, {metrics(1, 0.5)});
  EXPECT_FALSE(ack.fenced());
  EXPECT_EQ(ack.offset(), 100);
  EXPECT_TRUE(ingest(1, 100, 200, {metrics(2, 0.4)}).fenced());
}

TEST_F(Ingest, OffsetsSurviveARestart) {
  ingest(1, 0, 100, {metrics(1, 0.5)});
  reopen();
  EXPECT_EQ(store->schedule()->offsets.at(0).events, 100);
  EXPECT_EQ(ingest(1, 0, 100, {metrics(1, 0.5)}).offset(), 100);
  EXPECT_EQ(ingest(1, 100, 200, {metrics(2, 0.4)}).offset(), 200);
  EXPECT_THAT(steps(), ElementsAre(1, 2));
}

TEST_F(Ingest, AResumedAttemptReplacesThePointsAfterItsCheckpoint) {
  ingest(1, 0, 100, {start(0), metrics(1, 0.9), metrics(2, 0.8), metrics(3, 0.7)});
  ASSERT_TRUE(end(1, AttemptState::kLost).ok());
  with_another_attempt(2, 2);
  ingest(2, 0, 50, {start(2), metrics(3, 0.75)});
  EXPECT_THAT(steps(), ElementsAre(1, 2, 3));
  const v1::Run run = store->run(1).value();
  EXPECT_EQ(run.latest().at("loss"), 0.75);
  EXPECT_EQ(run.step(), 3);
}

TEST_F(Ingest, AFreshStartDropsAllThatWasReportedBefore) {
  ingest(1, 0, 100, {start(0), metrics(5, 0.9), metrics(6, 0.5, "alignment")});
  with_another_attempt(2, 2);
  ingest(2, 0, 50, {start(0)});
  EXPECT_THAT(steps(), IsEmpty());
  EXPECT_THAT(store->run(1)->latest(), IsEmpty());
  EXPECT_EQ(store->run(1)->step(), 0);
}

TEST_F(Ingest, ValuesThatAreNoNumbersAreReportedAndNotStored) {
  ingest(1, 0, 100, {metrics(1, std::numeric_limits<double>::quiet_NaN()), metrics(2, 0.5)});
  EXPECT_THAT(steps(), ElementsAre(2));
  EXPECT_THAT(log(), HasSubstr("not finite"));
}

TEST_F(Ingest, ALineThatIsNoEventIsKeptForTheUser) {
  v1::Record record;
  record.set_malformed("{torn");
  ingest(1, 0, 100, {record});
  EXPECT_THAT(log(), HasSubstr("{torn"));
}

TEST_F(Ingest, OfALongLogTheNewestIsKept) {
  const std::string megabyte(1 << 20, 'x');
  for (int64_t i = 0; i < 6; ++i) {
    ingest(1, i, i + 1, {output(std::to_string(i) + megabyte)}, v1::RECORD_SOURCE_OUTPUT);
  }
  const std::string kept = log();
  EXPECT_LE(kept.size(), static_cast<size_t>(kMaxLogBytes));
  EXPECT_THAT(kept, HasSubstr("5xxx"));
  EXPECT_THAT(kept, testing::Not(HasSubstr("1xxx")));
}

TEST_F(Ingest, OnlySucceededRunsBecomeObservations) {
  ingest(1, 0, 100, {start(0), metrics(1, 0.9), metrics(2, 0.8)});
  EXPECT_THAT(*store->observations("study", "loss"), IsEmpty());
  Decisions decisions;
  decisions.runs.push_back({RunId{1}, RunState::kSucceeded, "", 0, {SweepId{1}, 0}});
  ASSERT_TRUE(apply(decisions).ok());
  const auto observations = store->observations("study", "loss").value();
  ASSERT_EQ(observations.size(), 1u);
  EXPECT_EQ(observations[0].value(), 0.8);
  EXPECT_EQ(observations[0].params(), 1000);
  EXPECT_EQ(observations[0].samples(), 20);
  EXPECT_EQ(observations[0].flops(), 2e6);
  EXPECT_EQ(observations[0].budget_flops(), 1e9);
  EXPECT_THAT(sql("SELECT value FROM v_observations WHERE metric = 'loss'"), ElementsAre("0.8"));
}

}  // namespace
}  // namespace scalelaw::server
