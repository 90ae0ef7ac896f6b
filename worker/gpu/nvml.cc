#include "worker/gpu/nvml.h"

#include <dlfcn.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include <absl/strings/str_split.h>
#include <fmt/format.h>

namespace scalelaw::worker {
namespace {

// What is used of nvml.h, whose binary interface is stable: results are 0 for success, devices are pointers.
using Result = int;
struct Memory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
struct Utilization {
  unsigned int gpu;
  unsigned int memory;
};
constexpr unsigned int kTextLength = 96;

}  // namespace

struct Nvml::Library {
  void* handle = nullptr;
  Result (*init)() = nullptr;
  Result (*shutdown)() = nullptr;
  const char* (*error_string)(Result) = nullptr;
  Result (*count)(unsigned int*) = nullptr;
  Result (*by_index)(unsigned int, void**) = nullptr;
  Result (*name)(void*, char*, unsigned int) = nullptr;
  Result (*uuid)(void*, char*, unsigned int) = nullptr;
  Result (*memory)(void*, Memory*) = nullptr;
  Result (*utilization)(void*, Utilization*) = nullptr;
  Result (*power)(void*, unsigned int*) = nullptr;
  Result (*energy)(void*, unsigned long long*) = nullptr;
  bool initialised = false;

  ~Library() {
    if (initialised) shutdown();
    if (handle != nullptr) ::dlclose(handle);
  }
  template <class Function>
  bool find(Function& function, const char* symbol) {
    function = reinterpret_cast<Function>(::dlsym(handle, symbol));
    return function != nullptr;
  }
};

absl::StatusOr<std::unique_ptr<Nvml>> Nvml::load(const std::string& name) {
  auto library = std::make_unique<Library>();
  Library& l = *library;
  l.handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (l.handle == nullptr) return absl::NotFoundError(::dlerror());
  const bool complete = l.find(l.init, "nvmlInit_v2") && l.find(l.shutdown, "nvmlShutdown") &&
                        l.find(l.error_string, "nvmlErrorString") && l.find(l.count, "nvmlDeviceGetCount_v2") &&
                        l.find(l.by_index, "nvmlDeviceGetHandleByIndex_v2") && l.find(l.name, "nvmlDeviceGetName") &&
                        l.find(l.uuid, "nvmlDeviceGetUUID") && l.find(l.memory, "nvmlDeviceGetMemoryInfo") &&
                        l.find(l.utilization, "nvmlDeviceGetUtilizationRates") &&
                        l.find(l.power, "nvmlDeviceGetPowerUsage");
  if (!complete) return absl::NotFoundError(fmt::format("{} is no NVML that is known here", name));
  l.find(l.energy, "nvmlDeviceGetTotalEnergyConsumption");  // Not in the oldest ones.
  if (const Result result = l.init(); result != 0) return absl::UnavailableError(l.error_string(result));
  l.initialised = true;
  std::unique_ptr<Nvml> nvml(new Nvml(std::move(library)));
  if (absl::Status found = nvml->find_gpus(); !found.ok()) return found;
  return nvml;
}

Nvml::Nvml(std::unique_ptr<Library> library) : library_(std::move(library)) {}
Nvml::~Nvml() = default;

absl::Status Nvml::find_gpus() {
  unsigned int count = 0;
  if (const Result result = library_->count(&count); result != 0) {
    return absl::UnavailableError(library_->error_string(result));
  }
  for (unsigned int index = 0; index < count; ++index) {
    void* handle = nullptr;
    char name[kTextLength] = {};
    char uuid[kTextLength] = {};
    Memory memory{};
    // One that does not answer keeps its number, lest those behind it are taken for their neighbours.
    const bool answers = library_->by_index(index, &handle) == 0 && library_->name(handle, name, kTextLength) == 0 &&
                         library_->uuid(handle, uuid, kTextLength) == 0 && library_->memory(handle, &memory) == 0;
    gpus_.push_back({name, uuid, static_cast<std::int64_t>(memory.total)});
    handles_.push_back(answers ? handle : nullptr);
  }
  return absl::OkStatus();
}

GpuReading Nvml::read(int gpu) const {
  void* const handle = handles_.at(static_cast<std::size_t>(gpu));
  GpuReading reading;
  if (handle == nullptr) return reading;
  if (Utilization rates{}; library_->utilization(handle, &rates) == 0) reading.utilisation = rates.gpu / 100.0;
  if (Memory memory{}; library_->memory(handle, &memory) == 0) {
    reading.memory_used_bytes = static_cast<std::int64_t>(memory.used);
  }
  if (unsigned int milliwatts = 0; library_->power(handle, &milliwatts) == 0) reading.power_watts = milliwatts / 1000.0;
  if (unsigned long long millijoules = 0; library_->energy != nullptr && library_->energy(handle, &millijoules) == 0) {
    reading.energy_joules = static_cast<double>(millijoules) / 1000.0;
  }
  return reading;
}

std::vector<int> visible_gpus(const std::vector<Gpu>& gpus, const std::string& cuda_visible_devices) {
  std::vector<int> visible;
  const std::vector<std::string> words = absl::StrSplit(cuda_visible_devices, ',', absl::SkipWhitespace());
  for (const std::string& word : words) {
    int number = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size()) {
      const auto named = std::find_if(gpus.begin(), gpus.end(), [&](const Gpu& gpu) {
        return word.starts_with("GPU-") && gpu.uuid.starts_with(word);
      });
      number = named == gpus.end() ? -1 : static_cast<int>(named - gpus.begin());
    }
    if (number < 0 || number >= static_cast<int>(gpus.size())) break;
    visible.push_back(number);
  }
  return visible;
}

}  // namespace scalelaw::worker
