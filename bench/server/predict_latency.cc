// How long one client waits for a prediction: a real scalelaw-server on loopback, a law of two columns with 4,000
// draws, every request at another place. Usage: predict_latency [REQUESTS [DRAWS]]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include "analysis/law.h"
#include "analysis/random.h"
#include "bench/server/server_process.h"
#include "scalelaw/v1/laws.grpc.pb.h"
#include "server/store/store.h"

namespace {

using namespace scalelaw;
using Clock = std::chrono::steady_clock;

/// 200 runs on the surface of Hoffmann et al. 2022 with 1 % of noise.
analysis::Law law_with(int draws) {
  analysis::Random random(1, 0);
  std::vector<analysis::Observation> runs;
  for (int i = 0; i < 200; ++i) {
    analysis::Observation& run = runs.emplace_back();
    run.run = std::to_string(i);
    run.params = 1e7 * std::pow(1e3, random.uniform());
    run.samples = 1e9 * std::pow(1e2, random.uniform());
    run.flops = 6 * run.params * run.samples;
    run.value = (1.69 + 406.4 * std::pow(run.params, -0.34) + 410.7 * std::pow(run.samples, -0.28)) *
                std::exp(0.01 * random.normal());
  }
  analysis::FitOptions options;
  options.form = "chinchilla";
  options.bootstrap = draws;
  return *analysis::fit(runs, options);
}

int32_t store(const analysis::Law& law, const std::filesystem::path& directory) {
  server::StoredLaw stored;
  stored.study = "bench";
  stored.metric = law.metric;
  stored.form = law.form;
  stored.formula = law.formula;
  stored.document = analysis::to_json(law);
  return *(*server::Store::open(directory))->insert_law(std::move(stored));
}

}  // namespace

int main(int argc, char** argv) {
  const int requests = argc > 1 ? std::atoi(argv[1]) : 10'000;
  const int draws = argc > 2 ? std::atoi(argv[2]) : 4'000;
  bench::ServerProcess server;
  const int32_t law_id = store(law_with(draws), server.directory);
  server.start();
  const auto stub = v1::Laws::NewStub(grpc::CreateChannel(server.address, grpc::InsecureChannelCredentials()));
  std::vector<double> milliseconds;
  double first = 0;
  for (int i = 0; i <= requests; ++i) {
    v1::PredictRequest request;
    request.set_law_id(law_id);
    (*request.mutable_at())["params"] = 1e9 * (1 + 0.001 * i);
    (*request.mutable_at())["samples"] = 2e10 * (1 + 0.002 * i);
    v1::Prediction prediction;
    grpc::ClientContext context;
    const auto start = Clock::now();
    const grpc::Status status = stub->Predict(&context, request, &prediction);
    const double taken = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    if (!status.ok() || !(prediction.low95() < prediction.high95())) {
      fmt::print("request {}: {}\n", i, status.error_message());
      return 1;
    }
    // The first one connects and reads the law from the database.
    i == 0 ? void(first = taken) : milliseconds.push_back(taken);
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  const auto quantile = [&](double q) { return milliseconds[static_cast<size_t>(q * (requests - 1))]; };
  fmt::print("{} requests one after another, {} draws; the first (connecting, reading the law) {:.1f} ms\n", requests,
             draws, first);
  fmt::print("p50 {:.3f} ms (wanted: under 1), p99 {:.3f} ms (under 3), p99.9 {:.3f} ms, worst {:.3f} ms\n",
             quantile(0.5), quantile(0.99), quantile(0.999), milliseconds.back());
  return quantile(0.5) < 1 && quantile(0.99) < 3 ? 0 : 1;
}
