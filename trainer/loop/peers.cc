#include "trainer/loop/peers.h"

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string_view>

#include <fmt/format.h>

#include "trainer/params.h"

// Without NCCL's own header (a separate package) its processes talk through gloo.
#if defined(USE_C10D_GLOO) && __has_include(<gloo/algorithm.h>)
#define SCALELAW_GLOO 1
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#if defined(USE_C10D_NCCL) && __has_include(<nccl.h>)
#define SCALELAW_NCCL 1
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#endif

namespace scalelaw::trainer {
namespace {

constexpr std::chrono::minutes kMeeting{5};
// The leader writes checkpoints and draws samples while the others wait for it.
constexpr std::chrono::hours kPatience{2};

int64_t variable(const char* name, int64_t low, int64_t high) {
  const char* text = std::getenv(name);
  if (text == nullptr) throw BadRun(fmt::format("{}: missing; WORLD_SIZE is set, as torchrun does", name));
  const std::string_view digits(text);
  int64_t value = 0;
  auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
  if (error != std::errc() || end != digits.end() || value < low || value > high) {
    throw BadRun(fmt::format("{}: must be a whole number from {} to {}, not \"{}\"", name, low, high, text));
  }
  return value;
}

}  // namespace

Placement Placement::from_environment() {
  Placement placement;
  if (std::getenv("WORLD_SIZE") == nullptr) return placement;
  placement.count = variable("WORLD_SIZE", 1, 65536);
  if (placement.alone()) return placement;
  placement.rank = variable("RANK", 0, placement.count - 1);
  placement.local_rank = variable("LOCAL_RANK", 0, 1023);
  placement.port = static_cast<uint16_t>(variable("MASTER_PORT", 1, 65535));
  const char* address = std::getenv("MASTER_ADDR");
  if (address == nullptr) throw BadRun("MASTER_ADDR: missing; WORLD_SIZE is set, as torchrun does");
  placement.address = address;
  return placement;
}

struct Peers::Group {
  torch::Device carrier = torch::kCPU;  // where tensors must lie to travel
  std::function<void(std::vector<torch::Tensor>&)> sum, follow_leader;

  template <typename Backend>
  void use(c10::intrusive_ptr<Backend> backend) {
    sum = [backend](std::vector<torch::Tensor>& tensors) { backend->allreduce(tensors)->wait(); };
    follow_leader = [backend](std::vector<torch::Tensor>& tensors) { backend->broadcast(tensors)->wait(); };
  }

  void exchange(const std::function<void(std::vector<torch::Tensor>&)>& operation, torch::Tensor& values) const {
    torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> carried = {values.to(carrier).contiguous()};
    try {
      operation(carried);
    } catch (const std::exception& error) {
      // Only the first line: what follows is a trace.
      const std::string cause(error.what());
      throw std::runtime_error("another process of this run is gone: " + cause.substr(0, cause.find('\n')));
    }
    if (!carried.front().is_same(values)) values.copy_(carried.front());
  }
};

#ifdef SCALELAW_GLOO

Peers::Peers(const Placement& placement, [[maybe_unused]] torch::Device device) {
  if (placement.alone()) return;
  group_ = std::make_unique<Group>();
  const int rank = static_cast<int>(placement.rank), count = static_cast<int>(placement.count);
  try {
    c10d::TCPStoreOptions meeting;
    meeting.port = placement.port;
    meeting.isServer = placement.leads();
    meeting.numWorkers = static_cast<size_t>(count);
    meeting.timeout = kMeeting;
    auto store = c10::make_intrusive<c10d::TCPStore>(placement.address, meeting);
#ifdef SCALELAW_NCCL
    if (device.is_cuda()) {
      group_->carrier = device;
      auto options = c10d::ProcessGroupNCCL::Options::create();
      options->timeout = kPatience;
      group_->use(c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, count, options));
      return;
    }
#endif
    auto options = c10d::ProcessGroupGloo::Options::create(kPatience);
    const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
    options->devices.push_back(interface ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                         : c10d::ProcessGroupGloo::createDefaultDevice());
    group_->use(c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, count, options));
  } catch (const std::exception& error) {
    const std::string cause(error.what());
    throw std::runtime_error(fmt::format("process {} of {} did not meet the others at {}:{}: {}", rank, count,
                                         placement.address, placement.port, cause.substr(0, cause.find('\n'))));
  }
}

#else

Peers::Peers(const Placement& placement, torch::Device) {
  if (placement.alone()) return;
  throw BadRun(
      "WORLD_SIZE: this build has no gloo, so a run is one process; build with gloo's headers (libgloo-dev) and a "
      "libtorch with USE_C10D_GLOO");
}

#endif

Peers::~Peers() = default;

void Peers::sum(torch::Tensor values) const {
  if (group_) group_->exchange(group_->sum, values);
}

void Peers::follow_leader(torch::Tensor values) const {
  if (group_) group_->exchange(group_->follow_leader, values);
}

}  // namespace scalelaw::trainer
