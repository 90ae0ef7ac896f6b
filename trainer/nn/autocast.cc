#include "trainer/nn/autocast.h"

#include <ATen/autocast_mode.h>
#include <torch/torch.h>
#include <torch/version.h>

namespace scalelaw::trainer {
namespace {

// torch 2.4 named the device in these calls and deprecated the older ones.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
void switch_autocast(bool on) {
  at::autocast::set_autocast_enabled(at::kCUDA, on);
  at::autocast::set_autocast_dtype(at::kCUDA, at::kBFloat16);
}
bool is_on() {
  return at::autocast::is_autocast_enabled(at::kCUDA);
}
#else
void switch_autocast(bool on) {
  at::autocast::set_enabled(on);
  at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
}
bool is_on() {
  return at::autocast::is_enabled();
}
#endif

}  // namespace

Autocast::Autocast(bool on) : on_(on) {
  if (on_) switch_autocast(true);
}

Autocast::~Autocast() {
  if (!on_) return;
  switch_autocast(false);
  // Weights are cast once and kept until here; the optimizer changes them next.
  at::autocast::clear_cache();
}

bool autocast_is_on() {
  return is_on();
}

}  // namespace scalelaw::trainer
