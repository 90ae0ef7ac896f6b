// Seconds that a family takes to draw an image, for bench/trainer/sampling.py. Untrained weights: time does not depend
// on them.
#include <algorithm>
#include <chrono>
#include <ctime>
#include <iostream>
#include <limits>

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include "trainer/loop/plan.h"

namespace scalelaw::trainer {
namespace {

// Seconds on the wall, and of processor time.
struct Taken {
  double wall = std::numeric_limits<double>::infinity(), cpu = std::numeric_limits<double>::infinity();
};

Taken best_of(int rounds, const std::function<void()>& work) {
  Taken best;
  for (int i = 0; i < rounds; ++i) {
    const auto wall = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    work();
    best.cpu = std::min(best.cpu, static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
    best.wall = std::min(best.wall, std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count());
  }
  return best;
}

int measure(const FamilyEntry& entry, const nlohmann::json& spec, int64_t images, int rounds) {
  at::globalContext().setFlushDenormal(true);
  Plan plan(entry, parse_spec(spec), Plan::Model::kBuilt);
  plan.family->module().eval();
  torch::NoGradGuard no_grad;
  const Batch prompts = plan.data.held_out(images)->range(0, images).to(plan.device);
  // The sum waits for a GPU.
  auto draw = [&] { plan.family->draw(prompts).sum().item<double>(); };
  draw();
  const Taken taken = best_of(rounds, draw);
  int64_t params = 0;
  for (const torch::Tensor& parameter : plan.family->module().parameters()) params += parameter.numel();
  const auto count = static_cast<double>(images);
  std::cout << nlohmann::json{{"wall", taken.wall / count}, {"cpu", taken.cpu / count}, {"params", params}} << '\n';
  return 0;
}

}  // namespace
}  // namespace scalelaw::trainer

int main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "usage: sampling FAMILY SPEC_AS_JSON IMAGES ROUNDS THREADS\n";
    return 2;
  }
  at::set_num_threads(std::stoi(argv[5]));
  return scalelaw::trainer::measure(scalelaw::trainer::family_named(argv[1]), nlohmann::json::parse(argv[2]),
                                    std::stoll(argv[3]), std::stoi(argv[4]));
}
