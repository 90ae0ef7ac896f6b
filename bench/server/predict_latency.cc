// How long one client waits for a prediction: a real scalelaw-server on loopback, a law of two columns with 4,000
// draws, every request at another place. Usage: predict_latency [REQUESTS [DRAWS]]
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include "analysis/law.h"
#include "analysis/random.h"
#include "scalelaw/v1/laws.grpc.pb.h"
#include "server/store/store.h"

extern char** environ;

namespace {

namespace fs = std::filesystem;
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

/// A server's process with a database that holds one law.
class Server {
 public:
  explicit Server(const analysis::Law& law) {
    std::string name = (fs::temp_directory_path() / "predict-latency-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    server::StoredLaw stored;
    stored.study = "bench";
    stored.metric = law.metric;
    stored.form = law.form;
    stored.formula = law.formula;
    stored.document = analysis::to_json(law);
    law_id = *(*server::Store::open(directory_))->insert_law(std::move(stored));
    std::string program = SCALELAW_SERVER_PROGRAM, data = directory_.string();
    const char* argv[] = {program.c_str(), "--data", data.c_str(), "--listen", "127.0.0.1:0", nullptr};
    if (posix_spawn(&pid_, argv[0], nullptr, nullptr, const_cast<char**>(argv), environ) != 0) std::abort();
    while (!fs::exists(directory_ / "server.addr")) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::ifstream(directory_ / "server.addr") >> address;
  }
  ~Server() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    fs::remove_all(directory_);
  }
  std::string address;
  int32_t law_id = 0;

 private:
  fs::path directory_;
  pid_t pid_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const int requests = argc > 1 ? std::atoi(argv[1]) : 10'000;
  const int draws = argc > 2 ? std::atoi(argv[2]) : 4'000;
  const Server server(law_with(draws));
  const auto stub = v1::Laws::NewStub(grpc::CreateChannel(server.address, grpc::InsecureChannelCredentials()));
  std::vector<double> milliseconds;
  double first = 0;
  for (int i = 0; i <= requests; ++i) {
    v1::PredictRequest request;
    request.set_law_id(server.law_id);
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
