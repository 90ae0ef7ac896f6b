#include "trainer/nn/recompute.h"

#include <ATen/Context.h>

#include "trainer/nn/autocast.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the second pass needs besides the tensors; carried through the graph as a custom object.
struct Replay : torch::CustomClassHolder {
  Part part;
  torch::Device device = torch::kCPU;
  Tensor random_state;
  bool autocast = false;
};

at::Generator generator_of(torch::Device device) {
  return at::globalContext().defaultGenerator(device);
}

struct Recomputed : torch::autograd::Function<Recomputed> {
  static Tensor forward(AutogradContext* context, const c10::intrusive_ptr<Replay>& replay, at::TensorList list) {
    const variable_list inputs = list.vec();
    context->saved_data["replay"] = torch::IValue::make_capsule(replay);
    context->save_for_backward(inputs);
    return replay->part(inputs);  // gradients are off inside a function's forward
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto replay = c10::static_intrusive_pointer_cast<Replay>(context->saved_data["replay"].toCapsule());
    variable_list inputs;
    for (const Tensor& saved : context->get_saved_variables()) {
      inputs.push_back(saved.defined() ? saved.detach().requires_grad_(saved.requires_grad()) : saved);
    }
    at::Generator generator = generator_of(replay->device);
    const Tensor now = generator.get_state();
    generator.set_state(replay->random_state);
    Tensor output;
    {
      torch::AutoGradMode gradients(true);
      Autocast autocast(replay->autocast);
      output = replay->part(inputs);
    }
    generator.set_state(now);
    // Parameters collect their gradients here; inputs', in the detached copies, are handed on.
    torch::autograd::backward({output}, {grads[0]});
    variable_list result = {Tensor()};
    for (const Tensor& input : inputs) result.push_back(input.grad());
    return result;
  }
};

}  // namespace

Tensor recomputed(const Part& part, const std::vector<Tensor>& inputs) {
  if (!torch::GradMode::is_enabled()) return part(inputs);
  auto replay = c10::make_intrusive<Replay>();
  replay->part = part;
  replay->device = inputs.front().device();
  replay->random_state = generator_of(replay->device).get_state();
  replay->autocast = autocast_is_on();
  return Recomputed::apply(replay, at::TensorList(inputs));
}

}  // namespace scalelaw::trainer
