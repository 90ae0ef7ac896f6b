#pragma once

namespace scalelaw::trainer {

/// While it lives and is on, matrix products and convolutions on a GPU compute in bfloat16; weights, norms, losses and
/// sums stay in float32 (torch's autocast). Not for the backward pass, which follows the types of the forward one.
class Autocast {
 public:
  explicit Autocast(bool on);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool on_;
};

/// Whether an `Autocast` that is on is alive in this thread.
bool autocast_is_on();

}  // namespace scalelaw::trainer
