#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/gpu/meter.h"
#include "worker/gpu/nvml.h"

namespace scalelaw::worker {
namespace {

using namespace std::chrono_literals;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Nvml, GpusAreFoundAndRead) {
  const auto nvml = Nvml::load(SCALELAW_FAKE_NVML);
  ASSERT_TRUE(nvml.ok()) << nvml.status();
  ASSERT_EQ((*nvml)->gpus().size(), 2u);
  EXPECT_EQ((*nvml)->gpus()[1].name, "NVIDIA Fake 80GB");
  EXPECT_EQ((*nvml)->gpus()[1].memory_bytes, 80LL << 30);
  const GpuReading reading = (*nvml)->read(1);
  EXPECT_EQ(reading.utilisation, 0.75);
  EXPECT_EQ(reading.memory_used_bytes, 2LL << 30);
  EXPECT_EQ(reading.power_watts, 300.0);
  EXPECT_GT(reading.energy_joules.value_or(0), 0);
}

TEST(Nvml, WithoutLibraryOrDriverItSaysWhy) {
  EXPECT_EQ(Nvml::load("libno-such-thing.so.1").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Nvml::load("libc.so.6").status().code(), absl::StatusCode::kNotFound);
  ::setenv("FAKE_NVML_ERROR", "1", 1);
  const auto nvml = Nvml::load(SCALELAW_FAKE_NVML);
  ::unsetenv("FAKE_NVML_ERROR");
  EXPECT_EQ(nvml.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(nvml.status().message()), HasSubstr("Driver Not Loaded"));
}

TEST(Nvml, VisibleGpusAreNamedAsCudaNamesThem) {
  const std::vector<Gpu> gpus = {{"a", "GPU-111", 1}, {"a", "GPU-222", 1}, {"a", "GPU-333", 1}};
  EXPECT_THAT(visible_gpus(gpus, "2,0"), ElementsAre(2, 0));
  EXPECT_THAT(visible_gpus(gpus, "GPU-22,GPU-333"), ElementsAre(1, 2));
  EXPECT_THAT(visible_gpus(gpus, "0,7,1"), ElementsAre(0));
  EXPECT_THAT(visible_gpus(gpus, "-1"), IsEmpty());
  EXPECT_THAT(visible_gpus(gpus, ""), IsEmpty());
}

const GpuMeter::Time kBegin{1000s};

TEST(GpuMeter, EnergyIsTheDifferenceOfTheCounters) {
  GpuMeter meter;
  meter.add(kBegin, {{0.5, 10, 100.0, 7000.0}, {1.0, 30, 100.0, 100.0}});
  meter.add(kBegin + 10s, {{0.5, 50, 900.0, 8000.0}, {0.0, 20, 900.0, 600.0}});
  const GpuUsage usage = meter.usage();
  EXPECT_EQ(usage.gpus, 2);
  EXPECT_EQ(usage.seconds, 10);
  EXPECT_EQ(usage.utilisation, 0.5);
  EXPECT_EQ(usage.peak_memory_bytes, 50);
  EXPECT_EQ(usage.energy_joules, 1000 + 500);
  EXPECT_EQ(usage.mean_power_watts(), 150);
}

TEST(GpuMeter, WithoutCountersItIsPowerOverTime) {
  GpuMeter meter;
  meter.add(kBegin, {{.power_watts = 100.0}});
  meter.add(kBegin + 10s, {{.power_watts = 200.0}});
  meter.add(kBegin + 20s, {GpuReading{}});  // It did not answer: as before.
  EXPECT_THAT(meter.usage().energy_joules, DoubleNear(1500 + 2000, 1e-9));
}

TEST(GpuMeter, NothingSeenIsNothingUsed) {
  EXPECT_EQ(GpuMeter().usage().gpus, 0);
  EXPECT_EQ(GpuMeter().usage().mean_power_watts(), 0);
}

}  // namespace
}  // namespace scalelaw::worker
