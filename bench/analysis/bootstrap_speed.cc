// How long a fit of the Chinchilla law and its bootstrap take. Usage: bootstrap_speed CSV [DRAWS [THREADS]]
// CSV: C, N, D, loss with a header, as tests/analysis/data/chinchilla.csv.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "analysis/law.h"

namespace {

using namespace scalelaw::analysis;

std::vector<Observation> read(const char* path) {
  std::ifstream file(path);
  std::vector<Observation> result;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    Observation o;
    char comma;
    fields >> o.flops >> comma >> o.params >> comma >> o.samples >> comma >> o.value;
    o.run = std::to_string(result.size());
    result.push_back(std::move(o));
  }
  return result;
}

double seconds_of_fit(const std::vector<Observation>& runs, const FitOptions& options) {
  double best = 1e9;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    const auto law = fit(runs, options);
    if (!law.ok()) fmt::print("{}\n", std::string(law.status().message()));
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::vector<Observation> runs = read(argv[1]);
  FitOptions options;
  options.form = "chinchilla";
  options.threads = argc > 3 ? std::atoi(argv[3]) : 0;
  options.bootstrap = 0;
  fmt::print("{} runs, best of five\nsingle fit: {:.2f} ms\n", runs.size(), 1e3 * seconds_of_fit(runs, options));
  options.bootstrap = argc > 2 ? std::atoi(argv[2]) : 4000;
  fmt::print("fit and {} draws: {:.3f} s\n", options.bootstrap, seconds_of_fit(runs, options));
}
