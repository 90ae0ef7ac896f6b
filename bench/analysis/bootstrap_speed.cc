// How long a fit of the Chinchilla law and its bootstrap take, and how that grows with the rows; and a fit of a broken
// power law with one break.
// Usage: bootstrap_speed [DRAWS [THREADS [MOST_ROWS]]]
//
// On tests/analysis/data/chinchilla.csv (234 runs), Huber's δ = 1e-3 on log residuals, the global search for each draw;
// then on made rows, 10² to 10⁶ of them (or MOST_ROWS; 0: none). Each figure is the best of several: wall is the time
// that passed, cpu what all threads used together, which other work on the machine disturbs less. One `name value` per
// line at first, for bench/analysis/compare_scipy.py to read.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <ctime>

#include "tests/analysis/fixtures.h"

namespace {

using namespace scalelaw::analysis;

struct Duration {
  double wall = 1e9;
  double cpu = 1e9;
};

/// The least of each over `repeats`.
Duration duration_of_fit(const std::vector<Observation>& runs, const FitOptions& options, int repeats) {
  Duration best;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    const auto law = fit(runs, options);
    if (!law.ok()) fmt::print(stderr, "{}\n", std::string(law.status().message()));
    best.cpu = std::min(best.cpu, static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
    best.wall = std::min(best.wall, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

/// Runs like those of the paper: N and D log-uniform, 1 % of noise with a tail.
std::vector<Observation> made_runs(int count) {
  Random random(3, 1);
  std::vector<Observation> runs(static_cast<size_t>(count));
  for (size_t i = 0; i < runs.size(); ++i) {
    Observation& o = runs[i];
    o.run = std::to_string(i);
    o.params = 1e7 * std::exp(6 * random.uniform());
    o.samples = 1e9 * std::exp(5 * random.uniform());
    o.flops = 6 * o.params * o.samples;
    const double noise = 0.01 * random.normal() / std::sqrt(random.uniform());
    o.value = (1.8 + 440 * std::pow(o.params, -0.34) + 1270 * std::pow(o.samples, -0.34)) * std::exp(noise);
  }
  return runs;
}

/// 64 points of a curve with a break at 1e12, 1 % of noise.
std::vector<Observation> broken_curve() {
  Random random(3, 2);
  std::vector<Observation> runs(64);
  for (size_t i = 0; i < runs.size(); ++i) {
    Observation& o = runs[i];
    o.run = std::to_string(i);
    o.flops = 1e10 * std::pow(1e5, static_cast<double>(i) / 63);
    const double bend = std::pow(1 + std::pow(o.flops / 1e12, 1 / 0.3), -0.25 * 0.3);
    o.value = (0.5 + 30 * std::pow(o.flops, -0.1) * bend) * std::exp(0.01 * random.normal());
  }
  return runs;
}

}  // namespace

int main(int argc, char** argv) {
  FitOptions options;
  options.form = "chinchilla";
  options.threads = argc > 2 ? std::atoi(argv[2]) : 0;
  const int draws = argc > 1 ? std::atoi(argv[1]) : 4000;

  const std::vector<Observation> runs = chinchilla_runs();
  options.bootstrap = 0;
  const Duration single = duration_of_fit(runs, options, 50);
  options.bootstrap = draws;
  const Duration bootstrap = duration_of_fit(runs, options, 7);
  FitOptions broken;
  broken.form = "broken-power";
  broken.points = "all";
  broken.bootstrap = 0;
  const Duration bent = duration_of_fit(broken_curve(), broken, 10);
  fmt::print("runs {}\ndraws {}\n", runs.size(), draws);
  fmt::print("single_fit_wall_ms {:.3f}\nsingle_fit_cpu_ms {:.3f}\n", 1e3 * single.wall, 1e3 * single.cpu);
  fmt::print("broken_power_wall_ms {:.3f}\nbroken_power_cpu_ms {:.3f}\n", 1e3 * bent.wall, 1e3 * bent.cpu);
  fmt::print("bootstrap_wall_s {:.4f}\nbootstrap_cpu_s {:.4f}\n", bootstrap.wall, bootstrap.cpu);

  const int most_rows = argc > 3 ? std::atoi(argv[3]) : 1'000'000;
  if (most_rows == 0) return 0;
  fmt::print("\n{:>9} {:>14} {:>12} {:>22} {:>12}\n", "rows", "fit, cpu s", "µs per row", "fit + 16 draws, cpu s",
             "µs per row");
  for (int rows = 100; rows <= most_rows; rows *= 10) {
    const std::vector<Observation> made = made_runs(rows);
    const int repeats = rows < 100'000 ? 5 : 1;
    options.bootstrap = 0;
    const double fitted = duration_of_fit(made, options, repeats).cpu;
    options.bootstrap = 16;
    const double resampled = duration_of_fit(made, options, repeats).cpu;
    fmt::print("{:>9} {:>14.4f} {:>12.2f} {:>22.4f} {:>12.2f}\n", rows, fitted, 1e6 * fitted / rows, resampled,
               1e6 * resampled / rows);
  }
}
