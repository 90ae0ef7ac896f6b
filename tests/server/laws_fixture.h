// A Laws service over a store with a study in it.
#pragma once

#include <cmath>
#include <memory>
#include <string>

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <google/protobuf/text_format.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/rpc/laws_service.h"
#include "tests/server/temporary_directory.h"

namespace scalelaw::server {

/// A server with a real store, whose runs are put into the database directly: how they got there is not at issue.
class LawsFixture : public testing::Test {
 protected:
  LawsFixture()
      : store_(*Store::open(directory_.path())), answers_(*store_), service_(std::make_unique<LawsService>(answers_)) {
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::Laws::NewStub(server_->InProcessChannel({}));
    execute("INSERT INTO studies VALUES (1, 'diffusion'), (2, 'var')");
    execute(
        fmt::format("INSERT INTO sweeps (id, name, study_id, state, spec, max_parallel, submitted_ms) "
                    "VALUES (1, 'first', 1, 'running', x'{}', 0, 0)",
                    hex(submitted().SerializeAsString())));
    execute("INSERT INTO stages (sweep_id, position, name) VALUES (1, 0, 'scorer'), (1, 1, 'ladder')");
    execute(
        "INSERT INTO workers (id, uid, name, host, version, state, slots, labels, last_seen_ms) "
        "VALUES (1, 'w', 'w', 'h', '1', 'ready', 1, '{}', 0)");
    execute(
        "INSERT INTO metrics VALUES (1, 'loss'), (2, 'alignment'), (3, 'alignment_chance'), (4, 'alignment_ceiling')");
  }
  ~LawsFixture() override { server_->Shutdown(); }

  /// What the runs came from: a ladder that needs a scorer.
  static v1::SweepSpec submitted() {
    v1::SweepSpec spec;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        "name: 'first' study: 'diffusion' "
        "stages { name: 'scorer' family: 'scorer' budget { samples: 1000 } } "
        "stages { name: 'ladder' family: 'diffusion-dit' needs { key: 'scorer' value: 'scorer' } "
        "grid { key: 'width' values { number_value: 64 } } budget { flops: 1e11 } }",
        &spec));
    return spec;
  }
  static std::string hex(const std::string& bytes) {
    std::string text;
    for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
    return text;
  }
  void execute(const std::string& sql) {
    SQLite::Database database((directory_.path() / "scalelaw.db").string(), SQLite::OPEN_READWRITE, 5000);
    database.exec(sql);
  }
  void add_run(double flops, double params, double loss, double alignment, bool holdout = false,
               int64_t started_ms = 1) {
    const int id = ++runs_;
    execute(fmt::format(
        "INSERT INTO runs (id, study_id, content_key, sweep_id, stage_position, name, command, params, "
        "budget_kind, budget, seed, holdout, slots, labels, max_retries, backoff_ms, state, "
        "model_params) VALUES ({0}, 1, 'k{0}', 1, 1, 'run {0}', '[]', '{{\"width\": {3}}}', 'flops', {1:e}, 1, {2}, "
        "1, '{{}}', 0, 0, 'succeeded', {3})",
        id, flops, holdout ? 1 : 0, static_cast<int64_t>(params)));
    execute(fmt::format(
        "INSERT INTO attempts (run_id, number, rank, worker_id, sweep_id, slots, state, assigned_ms) VALUES "
        "({}, 1, 0, 1, 1, 1, 'succeeded', {})",
        id, started_ms));
    const auto point = [&](int metric, double value) {
      execute(fmt::format("INSERT INTO latest_points VALUES ({}, {}, 10, {}, {:e}, {:.17g})", id, metric,
                          static_cast<int64_t>(flops / (6 * params)), flops, value));
    };
    point(1, loss);
    point(2, alignment);
    point(3, 0.37);
    point(4, 0.96);
  }
  /// Four sizes at six budgets, with a little scatter.
  void add_ladder() {
    for (int b = 0; b < 6; ++b)
      for (int s = 0; s < 4; ++s) {
        const double flops = 1e11 * std::pow(2.2, b), params = 1e5 * std::pow(2, s);
        add_run(flops, params, loss(params, flops) * (1 + 0.003 * std::sin(7.0 * runs_)),
                alignment(flops) - 0.02 * std::abs(s - 2) + 0.005 * std::sin(5.0 * runs_));
      }
  }
  static double loss(double params, double flops) {
    return 0.25 + 22 * std::pow(params, -0.38) + 19 * std::pow(flops / (6 * params), -0.38);
  }
  static double alignment(double flops) { return 0.96 - 0.59 / (1 + std::pow(flops / 4e11, 0.9)); }

  v1::FitRequest fit_request(const std::string& metric) const {
    v1::FitRequest request;
    request.set_study("diffusion");
    request.set_metric(metric);
    request.set_bootstrap(200);
    return request;
  }
  v1::Law fit(const std::string& metric) {
    grpc::ClientContext context;
    v1::Law law;
    const grpc::Status status = stub_->Fit(&context, fit_request(metric), &law);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return law;
  }
  template <class Request, class Response>
  grpc::Status call(grpc::Status (v1::Laws::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response& response) {
    grpc::ClientContext context;
    return (stub_.get()->*method)(&context, request, &response);
  }
  v1::PredictRequest predict_request(const std::string& metric, double flops) const {
    v1::PredictRequest request;
    request.set_study("diffusion");
    request.set_metric(metric);
    (*request.mutable_at())["flops"] = flops;
    return request;
  }

  const TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
  LawAnswers answers_;
  std::unique_ptr<LawsService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Laws::Stub> stub_;
  int runs_ = 0;
};

}  // namespace scalelaw::server
