#include "trainer/nn/cost.h"

namespace scalelaw::trainer {

void ModelCost::linear(double rows, int64_t in, int64_t out, bool bias) {
  learned(in * out + (bias ? out : 0));
  weight_macs += rows * static_cast<double>(in * out);
}

void ModelCost::convolution(int64_t side, int64_t in, int64_t out, int64_t kernel) {
  learned(kernel * kernel * in * out + out);
  weight_macs += static_cast<double>(side * side) * static_cast<double>(kernel * kernel * in * out);
}

void ModelCost::learned(int64_t count) {
  params += count;
  params_total += count;
}

void ModelCost::attention(double queries, double keys, int64_t width) {
  attention_macs += 2 * queries * keys * static_cast<double>(width);
}

void ModelCost::beside(const ModelCost& part) {
  params_total += part.params_total;
  weight_macs += part.weight_macs;
  attention_macs += part.attention_macs;
}

}  // namespace scalelaw::trainer
