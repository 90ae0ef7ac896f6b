#include "cli/sweep_writer.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "cli/sweep_file.h"

namespace scalelaw::cli {
namespace {

TEST(SweepWriter, WhatIsWrittenReadsBackAsItWas) {
  v1::SweepSpec spec;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"(
        name: "next" study: "diffusion" max_parallel: 3
        stages { name: "scorer" study: "shared" family: "scorer" budget { samples: 150000 } }
        stages {
          name: "next-1" study: "diffusion" command: "python3" command: "train it.py"
          needs { key: "scorer" value: "scorer" }
          params { fields { key: "width" value { number_value: 64 } }
                   fields { key: "looks like a number" value { string_value: "1e3" } }
                   fields { key: "flag" value { bool_value: true } }
                   fields { key: "small" value { number_value: 1.5e-7 } } }
          budget { flops: 1.6e9 flops: 3.3333333333333335e12 } seeds: 7 seeds: 8
          resources { slots: 2 labels { key: "gpu" value: "a100" } } retries { max: 0 backoff_seconds: 2.5 }
        }
        stages { name: "grid" family: "var" grid { key: "depth" values { number_value: 1 } values { number_value: 2 } }
                 budget { steps: 10 } holdout: true }
      )",
      &spec));
  const std::string text = write_sweep_file(spec, "two\nlines");
  const auto file = parse_sweep_file("next.yaml", text, "/here");
  ASSERT_TRUE(file.ok()) << file.status() << "\n" << text;
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(file->spec, spec)) << text;
  EXPECT_EQ(text.substr(0, 14), "# two\n# lines\n");
}

}  // namespace
}  // namespace scalelaw::cli
