// A libnvidia-ml.so.1 for machines without a GPU. $FAKE_GPUS of them (default 2), each of 80 GB, at 300 W and 75 %
// load; $FAKE_NVML_ERROR makes it fail to start.
#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {
unsigned int gpu_count() {
  const char* count = std::getenv("FAKE_GPUS");
  return count != nullptr ? static_cast<unsigned int>(std::atoi(count)) : 2;
}
unsigned long long number(void* device) {
  return reinterpret_cast<unsigned long long>(device) - 1;
}
}  // namespace

extern "C" {
struct nvmlMemory_t {
  unsigned long long total, free, used;
};
struct nvmlUtilization_t {
  unsigned int gpu, memory;
};

int nvmlInit_v2() {
  return std::getenv("FAKE_NVML_ERROR") != nullptr ? 9 : 0;
}
int nvmlShutdown() {
  return 0;
}
const char* nvmlErrorString(int) {
  return "Driver Not Loaded";
}
int nvmlDeviceGetCount_v2(unsigned int* count) {
  *count = gpu_count();
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void** device) {
  *device = reinterpret_cast<void*>(static_cast<unsigned long long>(index) + 1);
  return 0;
}
int nvmlDeviceGetName(void*, char* name, unsigned int length) {
  std::snprintf(name, length, "NVIDIA Fake 80GB");
  return 0;
}
int nvmlDeviceGetUUID(void* device, char* uuid, unsigned int length) {
  std::snprintf(uuid, length, "GPU-%llu0000000-fake", number(device));
  return 0;
}
int nvmlDeviceGetMemoryInfo(void* device, nvmlMemory_t* memory) {
  const unsigned long long total = 80ULL << 30;
  const unsigned long long used = (number(device) + 1) << 30;
  *memory = {total, total - used, used};
  return 0;
}
int nvmlDeviceGetUtilizationRates(void*, nvmlUtilization_t* rates) {
  *rates = {75, 40};
  return 0;
}
int nvmlDeviceGetPowerUsage(void*, unsigned int* milliwatts) {
  *milliwatts = 300'000;
  return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* millijoules) {
  const auto since_boot = std::chrono::steady_clock::now().time_since_epoch();
  *millijoules = 300ULL * static_cast<unsigned long long>(
                              std::chrono::duration_cast<std::chrono::milliseconds>(since_boot).count());
  return 0;
}
}
