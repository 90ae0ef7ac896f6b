#include "worker/sources/source.h"

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/scratch.h"
#include "worker/session/backoff.h"
#include "worker/sources/cursor.h"
#include "worker/sources/rate_limit.h"
#include "worker/sources/utf8.h"

namespace scalelaw::worker {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

const Source::Time kStart = Source::Time{} + 1h;
const std::string kEvent = "{\"event\":\"progress\",\"fraction\":0.5}\n";

TEST(Utf8, WhatIsNoUtf8IsReplaced) {
  EXPECT_EQ(sanitize_utf8("plain é 漢 🎉\n"), "plain é 漢 🎉\n");
  EXPECT_EQ(sanitize_utf8("a\xff"), "a\xEF\xBF\xBD");
  EXPECT_EQ(sanitize_utf8("\xc0\xaf"), "\xEF\xBF\xBD\xEF\xBF\xBD") << "overlong";
  EXPECT_EQ(sanitize_utf8("\xed\xa0\x80").substr(0, 3), "\xEF\xBF\xBD") << "a surrogate";
  EXPECT_EQ(sanitize_utf8(std::string_view("\0", 1)), "\xEF\xBF\xBD");
  EXPECT_EQ(sanitize_utf8("\xe6\xbc"), "\xEF\xBF\xBD") << "cut short";
}

TEST(Utf8, ACharacterThatIsStillBeingWrittenIsSeen) {
  EXPECT_EQ(unfinished_tail("abc"), 0u);
  EXPECT_EQ(unfinished_tail("a\xc3"), 1u);
  EXPECT_EQ(unfinished_tail("\xe6\xbc"), 2u);
  EXPECT_EQ(unfinished_tail("\xf0\x9f\x8e"), 3u);
  EXPECT_EQ(unfinished_tail("\xf0\x9f\x8e\x89"), 0u);
  EXPECT_EQ(unfinished_tail("\xff"), 0u) << "never becomes a character";
  EXPECT_EQ(unfinished_tail(""), 0u);
}

TEST(DeliveryCursor, GoesOnFromTheOffsetOfARefusedBatch) {
  DeliveryCursor cursor;
  cursor.restart(10);
  cursor.sent(20);
  cursor.sent(30);
  cursor.sent(40);
  cursor.acknowledged(20);
  EXPECT_EQ(cursor.committed(), 20);
  cursor.acknowledged(25);  // [20, 30) does not begin where the coordinator is.
  EXPECT_EQ(cursor.next(), 25);
  cursor.sent(40);
  cursor.acknowledged(25);  // The answer to the old [30, 40).
  EXPECT_EQ(cursor.next(), 40) << "an answer to an abandoned batch must not send it again";
  cursor.acknowledged(40);
  EXPECT_EQ(cursor.committed(), 40);
  EXPECT_EQ(cursor.in_flight(), 0u);
}

TEST(DeliveryCursor, ANewStreamForgetsWhatWasOnItsWay) {
  DeliveryCursor cursor;
  cursor.sent(20);
  cursor.restart(5);
  EXPECT_EQ(cursor.next(), 5);
  EXPECT_EQ(cursor.in_flight(), 0u);
}

TEST(RateLimit, RefillsWithTimeUpToItsBurst) {
  RateLimit limit(100, 200);
  EXPECT_EQ(limit.available(kStart), 200);
  limit.take(250);
  EXPECT_LE(limit.available(kStart), 0);
  EXPECT_EQ(limit.available(kStart + 1s), 50);
  EXPECT_EQ(limit.available(kStart + 1h), 200);
}

TEST(Backoff, GrowsToItsCapWithJitter) {
  Backoff backoff(100ms, 1000ms, 7);
  for (const auto step : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    const auto wait = backoff.next();
    EXPECT_GE(wait, step / 2);
    EXPECT_LE(wait, step);
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), 100ms);
}

TEST(Source, DeliversWholeLinesByByteOffset) {
  Scratch scratch;
  const auto file = scratch.path() / "events.jsonl";
  Source source = Source::events(AttemptId{3}, file, "/run");
  EXPECT_FALSE(source.next(kStart, false)) << "no file yet";

  append(file, kEvent + kEvent.substr(0, 7));
  const auto first = source.next(kStart, false);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->attempt_id(), 3);
  EXPECT_EQ(first->source(), v1::RECORD_SOURCE_EVENTS);
  EXPECT_EQ(first->begin(), 0);
  EXPECT_EQ(first->end(), static_cast<std::int64_t>(kEvent.size()));
  EXPECT_FALSE(source.next(kStart, false)) << "the second line is torn";

  append(file, kEvent.substr(7));
  const auto second = source.next(kStart, false);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->begin(), first->end());
  EXPECT_EQ(second->records_size(), 1);
  EXPECT_TRUE(second->records(0).has_progress());

  EXPECT_FALSE(source.delivered());
  source.acknowledged(first->end());
  source.acknowledged(second->end());
  EXPECT_TRUE(source.delivered());
}

TEST(Source, AfterARestartGoesOnFromWhatIsCommitted) {
  Scratch scratch;
  const auto file = scratch.path() / "events.jsonl";
  append(file, kEvent + kEvent + kEvent);
  Source source = Source::events(AttemptId{3}, file, "/run");
  source.restart(static_cast<std::int64_t>(kEvent.size()));
  const auto batch = source.next(kStart, false);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->begin(), static_cast<std::int64_t>(kEvent.size()));
  EXPECT_EQ(batch->records_size(), 2);
}

TEST(Source, FewBatchesAreOnTheirWayAtOnce) {
  Scratch scratch;
  const auto file = scratch.path() / "events.jsonl";
  std::string lines;
  while (lines.size() < (8u << 20)) lines += kEvent;
  append(file, lines);
  Source source = Source::events(AttemptId{3}, file, "/run");
  std::int64_t end = 0;
  int batches = 0;
  while (const auto batch = source.next(kStart, false)) {
    ++batches;
    EXPECT_LE(batch->ByteSizeLong(), 4u << 20) << "gRPC's limit";
    end = batch->end();
  }
  EXPECT_LE(batches, 8);
  EXPECT_LE(end, 2 << 20);
}

TEST(Source, AnEndlessLineDoesNotStopDelivery) {
  Scratch scratch;
  const auto file = scratch.path() / "events.jsonl";
  append(file, std::string(3 << 20, 'x') + "\n" + kEvent);
  Source source = Source::events(AttemptId{3}, file, "/run");
  int malformed = 0;
  int progress = 0;
  for (int i = 0; i < 100 && !source.delivered(); ++i) {
    const auto batch = source.next(kStart, true);
    ASSERT_TRUE(batch);
    for (const v1::Record& record : batch->records()) ++(record.has_progress() ? progress : malformed);
    source.acknowledged(batch->end());
  }
  EXPECT_TRUE(source.delivered());
  EXPECT_EQ(malformed, 1);
  EXPECT_EQ(progress, 1);
}

TEST(Source, OutputIsTextInBoundedPieces) {
  Scratch scratch;
  const auto file = scratch.path() / "output.log";
  std::string text;
  while (text.size() < 100'000) text += "some words, é\n";
  append(file, text + "\xe6");  // The first byte of a character.
  Source source = Source::output(AttemptId{3}, file);
  const auto batch = source.next(kStart, false);
  ASSERT_TRUE(batch);
  std::string delivered;
  for (const v1::Record& record : batch->records()) {
    EXPECT_LE(record.output().size(), 40'000u);
    delivered += record.output();
  }
  EXPECT_EQ(delivered, text);
  EXPECT_EQ(batch->end(), static_cast<std::int64_t>(text.size()));
  const auto rest = source.next(kStart + 1s, true);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->records(0).output(), "\xEF\xBF\xBD");
}

TEST(Source, SmallWritesOfOutputTravelTogether) {
  Scratch scratch;
  const auto file = scratch.path() / "output.log";
  append(file, "a");
  Source source = Source::output(AttemptId{3}, file);
  ASSERT_TRUE(source.next(kStart, false));
  append(file, "b");
  EXPECT_FALSE(source.next(kStart + 10ms, false));
  EXPECT_TRUE(source.held_back());
  append(file, "c");
  const auto batch = source.next(kStart + 300ms, false);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->records(0).output(), "bc");
}

TEST(Source, ATrainerThatPrintsWithoutEndGetsItsShareAndTheMiddleIsLeftOut) {
  Scratch scratch;
  const auto file = scratch.path() / "output.log";
  append(file, std::string(100 << 20, 'y') + "the end\n");
  Source source = Source::output(AttemptId{3}, file);
  std::string delivered;
  for (auto now = kStart; !source.delivered(); now += 100ms) {
    const auto batch = source.next(now, true);
    if (!batch) continue;
    for (const v1::Record& record : batch->records()) delivered += record.output();
    source.acknowledged(batch->end());
  }
  EXPECT_LT(delivered.size(), 2u << 20);
  EXPECT_THAT(delivered.substr(0, 200), HasSubstr("left out"));
  EXPECT_EQ(delivered.substr(delivered.size() - 8), "the end\n");
  struct stat status {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 50 << 20) << "the space of what was delivered is given back";
  EXPECT_THAT(last_lines(file, 1, 100), HasSubstr("the end")) << "but not the end, which tells why it failed";
}

TEST(Source, LastLinesAreCutByLinesAndBytes) {
  Scratch scratch;
  const auto file = scratch.path() / "output.log";
  EXPECT_EQ(last_lines(file, 3, 100), "");
  append(file, "one\ntwo\nthree\n\n");
  EXPECT_EQ(last_lines(file, 2, 100), "two\nthree");
  EXPECT_EQ(last_lines(file, 9, 100), "one\ntwo\nthree");
  EXPECT_EQ(last_lines(file, 9, 8), "three");
  EXPECT_EQ(last_lines(file, 9, 6), "hree");
}

}  // namespace
}  // namespace scalelaw::worker
