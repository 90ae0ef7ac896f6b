#include "worker/work_dir.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/scratch.h"

namespace scalelaw::worker {
namespace {

using ::testing::HasSubstr;

v1::Assignment assignment(int run, int attempt_number, std::int64_t attempt) {
  v1::Assignment assignment;
  assignment.set_attempt_id(attempt);
  assignment.set_run_id(run);
  assignment.set_attempt_number(attempt_number);
  assignment.add_command("true");
  return assignment;
}

Launch launch_for(const WorkDir& work_dir, const v1::Assignment& assignment) {
  Launch launch;
  launch.attempt = AttemptId{assignment.attempt_id()};
  launch.run = RunId{assignment.run_id()};
  launch.attempt_number = assignment.attempt_number();
  launch.run_fingerprint = run_fingerprint(assignment);
  launch.argv = {"true"};
  launch.run_directory = work_dir.run_directory(launch.run);
  return launch;
}

absl::Status prepare(const WorkDir& work_dir, const v1::Assignment& assignment) {
  return work_dir.prepare(assignment, launch_for(work_dir, assignment));
}

TEST(WorkDir, IsOneWorkersAndKeepsItsIdentity) {
  Scratch scratch;
  std::string uid;
  {
    const auto first = WorkDir::open(scratch.path() / "w");
    ASSERT_TRUE(first.ok()) << first.status();
    uid = first->worker_uid();
    EXPECT_EQ(uid.size(), 32u);
    const auto second = WorkDir::open(scratch.path() / "w");
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(second.status().message()), HasSubstr("--work-dir"));
  }
  const auto later = WorkDir::open(scratch.path() / "w");
  ASSERT_TRUE(later.ok()) << "the lock dies with its holder";
  EXPECT_EQ(later->worker_uid(), uid);
}

TEST(WorkDir, LaterAttemptsFindTheCheckpointsOfTheirRun) {
  Scratch scratch;
  const auto work_dir = WorkDir::open(scratch.path());
  ASSERT_TRUE(prepare(*work_dir, assignment(5, 1, 1)).ok());
  append(work_dir->run_directory(RunId{5}) / "checkpoints/c.pt", "weights");
  ASSERT_TRUE(prepare(*work_dir, assignment(5, 2, 2)).ok());
  EXPECT_EQ(content(work_dir->run_directory(RunId{5}) / "checkpoints/c.pt"), "weights");
  EXPECT_EQ(work_dir->attempts().size(), 2u);
}

TEST(WorkDir, AfterAnAttemptElsewhereARunBeginsAgain) {
  Scratch scratch;
  const auto work_dir = WorkDir::open(scratch.path());
  ASSERT_TRUE(prepare(*work_dir, assignment(5, 1, 1)).ok());
  append(work_dir->run_directory(RunId{5}) / "checkpoints/c.pt", "weights");
  ASSERT_TRUE(prepare(*work_dir, assignment(5, 3, 3)).ok());
  EXPECT_FALSE(std::filesystem::exists(work_dir->run_directory(RunId{5}) / "checkpoints/c.pt"));
}

TEST(WorkDir, CheckpointsOfAnotherCoordinatorsRunAreNotResumedFrom) {
  Scratch scratch;
  const auto work_dir = WorkDir::open(scratch.path());
  ASSERT_TRUE(prepare(*work_dir, assignment(5, 1, 1)).ok());
  append(work_dir->run_directory(RunId{5}) / "checkpoints/c.pt", "weights");
  // A new database counts from 1 again.
  ASSERT_TRUE(prepare(*work_dir, assignment(5, 1, 9)).ok());
  EXPECT_FALSE(std::filesystem::exists(work_dir->run_directory(RunId{5}) / "checkpoints/c.pt"));

  append(work_dir->run_directory(RunId{5}) / "checkpoints/c.pt", "weights");
  auto different = assignment(5, 2, 10);
  different.set_seed(99);
  ASSERT_TRUE(prepare(*work_dir, different).ok());
  EXPECT_FALSE(std::filesystem::exists(work_dir->run_directory(RunId{5}) / "checkpoints/c.pt"));
  EXPECT_FALSE(std::filesystem::is_empty(scratch.path() / "stale")) << "moved aside, never deleted";
}

TEST(WorkDir, DoneAttemptsAreNoLongerHeld) {
  Scratch scratch;
  const auto work_dir = WorkDir::open(scratch.path());
  ASSERT_TRUE(prepare(*work_dir, assignment(5, 1, 1)).ok());
  work_dir->done(work_dir->attempt(AttemptId{1}));
  EXPECT_TRUE(work_dir->attempts().empty());
  EXPECT_TRUE(std::filesystem::exists(scratch.path() / "done/1/launch.json"));
  work_dir->remove_done(std::chrono::hours(1));
  EXPECT_TRUE(std::filesystem::exists(scratch.path() / "done/1"));
  work_dir->remove_done(std::chrono::seconds(0));
  EXPECT_FALSE(std::filesystem::exists(scratch.path() / "done/1"));
}

TEST(WorkDir, WhatWasBeingPreparedWhenTheWorkerDiedIsCleanedUp) {
  Scratch scratch;
  const auto work_dir = WorkDir::open(scratch.path());
  std::filesystem::create_directories(scratch.path() / "attempts/4.new");
  EXPECT_TRUE(work_dir->attempts().empty());
  EXPECT_FALSE(std::filesystem::exists(scratch.path() / "attempts/4.new"));
}

// In a child with a mount namespace of its own: a real, full file system. Exit code 0: as expected; 77: not allowed
// here.
int prepare_on_a_full_disk(const std::filesystem::path& mount_point) {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 77;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
  if (::mount("tmpfs", mount_point.c_str(), "tmpfs", 0, "size=1m") != 0) return 77;
  const auto work_dir = WorkDir::open(mount_point);
  if (!work_dir.ok()) return 1;
  append(mount_point / "ballast", std::string(2 << 20, 'x'));
  const absl::Status status = prepare(*work_dir, assignment(5, 1, 1));
  if (status.code() != absl::StatusCode::kResourceExhausted) return 2;
  if (std::string(status.message()).find("full") == std::string::npos) return 3;
  return work_dir->attempts().empty() ? 0 : 4;
}

TEST(WorkDir, AFullDiskIsSaidAndNothingIsLeftBehind) {
  Scratch scratch;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(prepare_on_a_full_disk(scratch.path()));
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mount namespaces here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(WorkDir, AnUnusableDirectoryIsNamed) {
  Scratch scratch;
  const auto work_dir = WorkDir::open(scratch.path());
  std::filesystem::remove_all(scratch.path() / "attempts");
  append(scratch.path() / "attempts", "a file in the way");
  const absl::Status status = prepare(*work_dir, assignment(5, 1, 1));
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr((scratch.path() / "attempts").string()));
}

}  // namespace
}  // namespace scalelaw::worker
