// fill_study ADDRESS ladders | many RUNS POINTS: fills a running server with finished runs, as a worker would that
// trains in no time.
//
//   ladders  studies `base` and `better`, an isoFLOP ladder each of a known law (val_loss, alignment), one run held out
//   many     one sweep `many` of RUNS runs with POINTS points each of `loss`
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <google/protobuf/text_format.h>
#include <grpcpp/grpcpp.h>

#include "scalelaw/v1/sweeps.grpc.pb.h"
#include "scalelaw/v1/workers.grpc.pb.h"

namespace {
using namespace scalelaw;

[[noreturn]] void fail(const std::string& what) {
  fmt::print(stderr, "fill_study: {}\n", what);
  std::exit(1);
}

/// Events in batches, each acknowledged before the next: memory stays small however many points there are.
class Worker {
 public:
  explicit Worker(const std::shared_ptr<grpc::Channel>& channel) : stub_(v1::Workers::NewStub(channel)) {
    session_ = stub_->Session(&session_context_);
    delivery_ = stub_->Deliver(&delivery_context_);
    v1::WorkerMessage message;
    message.mutable_hello()->set_worker_uid("filler");
    message.mutable_hello()->set_name("filler");
    message.mutable_hello()->set_host("localhost");
    message.mutable_hello()->set_slots(8);
    session_->Write(message);
  }
  ~Worker() {
    session_context_.TryCancel();
    delivery_context_.TryCancel();
  }

  v1::Assignment next() {
    v1::CoordinatorMessage message;
    while (session_->Read(&message))
      if (message.has_assign()) return message.assign();
    fail("the session ended");
  }
  void begin(const v1::Assignment& assignment, double params, double flops_per_sample) {
    attempt_ = assignment.attempt_id();
    offset_ = 0;
    update(v1::ATTEMPT_STATE_RUNNING);
    v1::TrainerStart& start = *batch_.add_records()->mutable_start();
    start.set_params(static_cast<int64_t>(params));
    start.set_params_total(static_cast<int64_t>(1.1 * params));
    start.set_flops_per_sample(flops_per_sample);
  }
  void metrics(int64_t step, double samples, double flops, const std::map<std::string, double>& values) {
    v1::TrainerMetrics& metrics = *batch_.add_records()->mutable_metrics();
    metrics.set_step(step);
    metrics.set_samples(static_cast<int64_t>(samples));
    metrics.set_flops(flops);
    metrics.mutable_values()->insert(values.begin(), values.end());
    if (batch_.records_size() >= 4000) deliver();
  }
  void end() {
    deliver();
    update(v1::ATTEMPT_STATE_SUCCEEDED);
  }

 private:
  void update(v1::AttemptState state) {
    v1::WorkerMessage message;
    message.mutable_update()->set_attempt_id(attempt_);
    message.mutable_update()->set_state(state);
    message.mutable_update()->set_events_end(offset_);
    session_->Write(message);
  }
  void deliver() {
    batch_.set_attempt_id(attempt_);
    batch_.set_source(v1::RECORD_SOURCE_EVENTS);
    batch_.set_begin(offset_);
    batch_.set_end(++offset_);
    delivery_->Write(batch_);
    v1::RecordAck ack;
    if (!delivery_->Read(&ack) || ack.offset() != offset_) fail("a batch was not taken");
    batch_.Clear();
  }

  std::unique_ptr<v1::Workers::Stub> stub_;
  grpc::ClientContext session_context_, delivery_context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> session_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::RecordBatch, v1::RecordAck>> delivery_;
  v1::RecordBatch batch_;
  int64_t attempt_ = 0;
  int64_t offset_ = 0;
};

int submit(const std::shared_ptr<grpc::Channel>& channel, const std::string& sweep) {
  v1::SubmitSweepRequest request;
  if (!google::protobuf::TextFormat::ParseFromString(sweep, request.mutable_spec())) fail("bad sweep: " + sweep);
  grpc::ClientContext context;
  v1::SubmitSweepResponse response;
  const grpc::Status status = v1::Sweeps::NewStub(channel)->Submit(&context, request, &response);
  if (!status.ok()) fail(status.error_message());
  return response.runs_size();
}

/// Scatter of a run, from −1 to 1: the same every time, and no pattern.
double scatter(int64_t run) {
  return std::sin(static_cast<double>(run) * 12.9898) * std::sin(static_cast<double>(run) * 78.233);
}

/// A loss after Hoffmann et al. 2022 in N and D, and a score that rises with compute; `gain`: of compute.
void train_on_a_law(Worker& worker, const v1::Assignment& run, double gain) {
  const double params = run.params().fields().at("params").number_value();
  const double flops = run.budget_flops(), samples = flops / (6 * params);
  worker.begin(run, params, 6 * params);
  constexpr int kPoints = 40;
  for (int i = 1; i <= kPoints; ++i) {
    const double share = std::pow(static_cast<double>(i) / kPoints, 2), seen = samples * share;
    const double noise = 1 + 0.004 * scatter(run.run_id() + (i < kPoints ? 1000 * i : 0));
    const double loss = (0.25 + 22 * std::pow(params, -0.34) + 60 * std::pow(gain * seen, -0.36)) * noise;
    const double score = 0.96 - 0.59 / (1 + std::pow(gain * flops * share / 4e11, 0.9));
    worker.metrics(
        10 * i * i, seen, flops * share,
        {{"val_loss", loss},
         {"alignment", score + 0.01 * scatter(3 * run.run_id() + i) - 0.03 * std::abs(std::log10(params / 2e5))},
         {"alignment_chance", 0.37},
         {"alignment_ceiling", 0.96}});
  }
  worker.end();
}

void ladders(Worker& worker, const std::shared_ptr<grpc::Channel>& channel) {
  for (const auto& [study, gain] : {std::pair{"base", 1.0}, {"better", 1.7}}) {
    const std::string command = fmt::format("command: 'train' command: '{}'", study);
    const int runs = submit(
        channel,
        fmt::format("name: '{0}-ladder' study: '{0}' stages {{ name: 'ladder' {1} grid {{ key: 'params' values "
                    "{{ number_value: 50000 }} values {{ number_value: 100000 }} values {{ number_value: 200000 }} "
                    "values {{ number_value: 400000 }} values {{ number_value: 800000 }} values {{ number_value: "
                    "1600000 }} }} budget {{ flops: 3e10 flops: 1e11 flops: 3e11 flops: 1e12 flops: 3e12 flops: 1e13 "
                    "}} }} stages {{ name: 'target' {1} holdout: true params {{ fields {{ key: 'params' value {{ "
                    "number_value: 3200000 }} }} }} budget {{ flops: 1e14 }} }}",
                    study, command));
    for (int i = 0; i < runs; ++i) train_on_a_law(worker, worker.next(), gain);
  }
}

void many(Worker& worker, const std::shared_ptr<grpc::Channel>& channel, int runs, int points) {
  std::string seeds;
  for (int seed = 1; seed <= (runs + 9) / 10; ++seed) seeds += fmt::format("seeds: {} ", seed);
  std::string widths;
  for (int width = 1; width <= 10; ++width) widths += fmt::format("values {{ number_value: {} }} ", 32 * width);
  const int made =
      submit(channel, fmt::format("name: 'many' study: 'many' stages {{ name: 'train' command: 'train' grid "
                                  "{{ key: 'width' {}}} {}}}",
                                  widths, seeds));
  for (int i = 0; i < made; ++i) {
    const v1::Assignment run = worker.next();
    const double width = run.params().fields().at("width").number_value();
    worker.begin(run, 12 * width * width, 72 * width * width);
    for (int step = 1; step <= points; ++step)
      worker.metrics(
          step, 64.0 * step, 64.0 * 72 * width * width * step,
          {{"loss", (0.5 + 8 / width + 3 * std::pow(step, -0.4)) * (1 + 0.03 * scatter(run.run_id() + 31 * step))}});
    worker.end();
  }
}
}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) fail("usage: fill_study ADDRESS ladders | many RUNS POINTS");
  const auto channel = grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials());
  Worker worker(channel);
  if (std::string_view(argv[2]) == "ladders") {
    ladders(worker, channel);
  } else if (argc == 5) {
    many(worker, channel, std::atoi(argv[3]), std::atoi(argv[4]));
  } else {
    fail("many: give RUNS and POINTS");
  }
}
