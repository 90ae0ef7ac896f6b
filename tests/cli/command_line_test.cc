// What a caller sees of the program as a whole: exit codes, help, errors. No server is there.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/run_command.h"

namespace scalelaw::cli {
namespace {

using testing::HasSubstr;

// Port 1 of this machine: nobody listens there.
std::vector<std::string> without_server(std::vector<std::string> words) {
  words.insert(words.begin(), {"--server", "127.0.0.1:1"});
  return words;
}

std::string written(const std::string& text) {
  std::string path = testing::TempDir() + "/sweep.yaml";
  std::ofstream(path) << text;
  return path;
}

const std::vector<std::string> kCommands = {"submit",  "status", "watch",   "pause",   "resume", "cancel",    "runs",
                                            "logs",    "retry",  "fit",     "predict", "verify", "laws",      "plot",
                                            "workers", "drain",  "undrain", "db",      "up",     "completion"};

TEST(CommandLine, EveryCommandsHelpHasAnExampleAndTheExitCodes) {
  for (const std::string& command : kCommands) {
    Outcome outcome = scalelaw({command, "--help"});
    EXPECT_EQ(outcome.exit, kOk) << command;
    EXPECT_THAT(outcome.out, HasSubstr("Example: "));
    EXPECT_THAT(outcome.out, HasSubstr(command == "completion" ? "scalelaw completion" : "scalelaw " + command));
    EXPECT_THAT(outcome.out, HasSubstr("3 no server answered"));
  }
}

TEST(CommandLine, UsageErrorsExitWith2) {
  EXPECT_EQ(scalelaw({"frobnicate"}).exit, kBadInput);
  EXPECT_EQ(scalelaw({"submit"}).exit, kBadInput);
  EXPECT_EQ(scalelaw({"runs", "--state", "asleep"}).exit, kBadInput);
  EXPECT_EQ(scalelaw({"fit", "study"}).exit, kBadInput) << "--metric is required";
  EXPECT_EQ(scalelaw({"fit", "--where", "loss<4", "study", "--metric", "loss"}).exit, kBadInput) << "of a CSV only";
  EXPECT_EQ(scalelaw({"predict", "study", "--metric", "loss"}).exit, kBadInput) << "where?";
  EXPECT_EQ(scalelaw({"resume", "s", "--limit-flops", "-1"}).exit, kBadInput);
  EXPECT_EQ(scalelaw({"db", "backup", "copy.db"}).exit, kBadInput) << "--data is required";
}

TEST(CommandLine, AnUnreachableServerIsNamedWithTheWayToStartOne) {
  std::string sweep = written("name: s\nstudy: t\nstages: [{name: a, command: [x]}]\n");
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"status"},
                                             {"status", "s"},
                                             {"watch", "s"},
                                             {"submit", sweep},
                                             {"runs"},
                                             {"logs", "1"},
                                             {"pause", "s"},
                                             {"resume", "s"},
                                             {"cancel", "s"},
                                             {"drain", "w"},
                                             {"undrain", "w"},
                                             {"workers"},
                                             {"laws"},
                                             {"plot", "t"},
                                             {"fit", "t", "--metric", "loss"},
                                             {"verify", "t"},
                                             {"retry", "1"},
                                             {"predict", "t", "--metric", "loss", "--flops", "1e12"}}) {
    Outcome outcome = scalelaw(without_server(words));
    EXPECT_EQ(outcome.exit, kUnreachable) << words[0];
    EXPECT_THAT(outcome.err, HasSubstr("no server answers at 127.0.0.1:1"));
    EXPECT_THAT(outcome.err, HasSubstr("scalelaw up --data DIR"));
  }
}

TEST(CommandLine, TheServersAddressComesFromTheEnvironment) {
  setenv("SCALELAW_SERVER", "127.0.0.1:2", 1);
  EXPECT_THAT(scalelaw({"workers"}).err, HasSubstr("127.0.0.1:2"));
  unsetenv("SCALELAW_SERVER");
}

TEST(CommandLine, AWrongFileIsAnErrorBeforeAnyServerIsAsked) {
  Outcome outcome = scalelaw(without_server({"submit", written("nam: s\n")}));
  EXPECT_EQ(outcome.exit, kBadInput);
  EXPECT_THAT(outcome.err, HasSubstr("sweep.yaml:1:1: unknown key \"nam\", did you mean \"name\"?"));
}

TEST(CommandLine, CompletionKnowsEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    Outcome outcome = scalelaw({"completion", shell});
    EXPECT_EQ(outcome.exit, kOk);
    for (const std::string& command : kCommands) EXPECT_THAT(outcome.out, HasSubstr(command)) << shell;
    EXPECT_THAT(outcome.out, HasSubstr("metric")) << shell;
  }
}

TEST(Up, AnAddressThatIsNoneIsRefused) {
  Outcome outcome = scalelaw({"up", "--data", testing::TempDir() + "/up", "--listen", "7070"});
  EXPECT_EQ(outcome.exit, kBadInput);
  EXPECT_THAT(outcome.err, HasSubstr("write HOST:PORT"));
}

}  // namespace
}  // namespace scalelaw::cli
