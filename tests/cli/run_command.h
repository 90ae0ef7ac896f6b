// The program as its caller sees it: words in; exit code, output and errors out.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cli/commands/commands.h"

namespace scalelaw::cli {

struct Outcome {
  int exit = 0;
  std::string out, err;
};

inline Outcome scalelaw(std::vector<std::string> words) {
  words.insert(words.begin(), "scalelaw");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  int exit = run(static_cast<int>(argv.size()), argv.data());
  std::fflush(stdout);
  return {exit, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

}  // namespace scalelaw::cli
