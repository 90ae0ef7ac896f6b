#include "trainer/nn/flops.h"

#include <ATen/record_function.h>
#include <torch/torch.h>

namespace scalelaw::trainer {
namespace {

thread_local double counted = 0;
thread_local int uncounted_depth = 1;  // nothing is counted outside count_flops

double matrix_product(const c10::IValue& a, const c10::IValue& b) {
  // [..., m, k] × [..., k, n]: 2·m·k·n per matrix.
  return 2.0 * static_cast<double>(a.toTensor().numel()) * static_cast<double>(b.toTensor().size(-1));
}

double convolution(c10::ArrayRef<const c10::IValue> inputs) {
  // aten::convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)
  const torch::Tensor input = inputs[0].toTensor(), weight = inputs[1].toTensor();
  double positions = static_cast<double>(input.size(0));
  if (inputs[6].toBool()) {
    for (int64_t i = 2; i < input.dim(); ++i) positions *= static_cast<double>(input.size(i));
  } else {
    auto stride = inputs[3].toIntVector(), padding = inputs[4].toIntVector(), dilation = inputs[5].toIntVector();
    for (size_t i = 0; i < static_cast<size_t>(input.dim()) - 2; ++i) {
      auto axis = static_cast<int64_t>(i) + 2;
      auto at = [i](const std::vector<int64_t>& values) { return values[values.size() == 1 ? 0 : i]; };
      int64_t reach = at(dilation) * (weight.size(axis) - 1) + 1;
      positions *= static_cast<double>((input.size(axis) + 2 * at(padding) - reach) / at(stride) + 1);
    }
  }
  // One output (or, transposed, input) position multiplies the whole kernel, of which each group sees its part.
  return 2.0 * positions * static_cast<double>(weight.numel());
}

std::unique_ptr<at::ObserverContext> observe(const at::RecordFunction& function) {
  if (uncounted_depth > 0) return nullptr;
  const std::string_view name = function.name();
  auto inputs = function.inputs();
  // The operations that all matrix products and convolutions end in; what they are wrapped in is not counted twice.
  if (name == "aten::mm" || name == "aten::bmm" || name == "aten::mv" || name == "aten::dot") {
    counted += name == "aten::mv" || name == "aten::dot" ? 2.0 * static_cast<double>(inputs[0].toTensor().numel())
                                                         : matrix_product(inputs[0], inputs[1]);
  } else if (name == "aten::addmm" || name == "aten::baddbmm" || name == "aten::addbmm") {
    counted += matrix_product(inputs[1], inputs[2]);
  } else if (name == "aten::convolution") {
    counted += convolution(inputs);
  }
  return nullptr;
}

}  // namespace

double count_flops(const std::function<void()>& work) {
  auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(observe).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  double outer = counted;
  int outer_depth = uncounted_depth;
  counted = 0;
  uncounted_depth = 0;
  try {
    work();
  } catch (...) {
    at::removeCallback(handle);
    uncounted_depth = outer_depth;
    counted = outer;
    throw;
  }
  at::removeCallback(handle);
  double flops = counted;
  uncounted_depth = outer_depth;
  counted = outer;
  return flops;
}

void report_flops(double flops) {
  if (uncounted_depth == 0) counted += flops;
}

UncountedFlops::UncountedFlops() {
  ++uncounted_depth;
}
UncountedFlops::~UncountedFlops() {
  --uncounted_depth;
}

}  // namespace scalelaw::trainer
