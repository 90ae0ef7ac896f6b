#include <cmath>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/server/laws_fixture.h"

namespace scalelaw::server {
namespace {

using testing::HasSubstr;

class LawsServiceTest : public LawsFixture {};

TEST_F(LawsServiceTest, FitsTheFrontierWithTheFormThatTheMetricAsksFor) {
  add_ladder();
  const v1::Law loss = fit("loss");
  EXPECT_EQ(loss.form(), "power-floor");
  EXPECT_EQ(loss.n(), 6);
  EXPECT_EQ(loss.x(0), "flops");
  EXPECT_EQ(loss.observations_hash().size(), 64u);
  EXPECT_GT(loss.fitted().seconds(), 0);
  EXPECT_TRUE(nlohmann::json::accept(loss.document()));
  const v1::Law alignment = fit("alignment");
  EXPECT_EQ(alignment.form(), "bounded");
  EXPECT_NE(alignment.observations_hash(), loss.observations_hash());
}

TEST_F(LawsServiceTest, AChainGoesByWayOfTheRunsLoss) {
  add_ladder();
  v1::FitRequest request = fit_request("alignment");
  request.set_form("chinchilla>exponential");
  v1::Law law;
  grpc::Status status = call(&v1::Laws::Stub::Fit, request, law);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("goes by way of the runs' loss"));
  request.set_loss("los");
  status = call(&v1::Laws::Stub::Fit, request, law);
  EXPECT_THAT(status.error_message(), HasSubstr("loss: no finished run of study diffusion reports 'los'"));
  request.set_loss("loss");
  status = call(&v1::Laws::Stub::Fit, request, law);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(law.parameters_size(), 8);
  EXPECT_EQ(law.metric(), "alignment");
  v1::PredictRequest predict;
  predict.set_law_id(law.id());
  (*predict.mutable_at())["params"] = 4e5;
  (*predict.mutable_at())["samples"] = 1e12 / (6 * 4e5);
  v1::Prediction prediction;
  ASSERT_TRUE(call(&v1::Laws::Stub::Predict, predict, prediction).ok());
  EXPECT_NEAR(prediction.value(), alignment(1e12), 0.03);
}

TEST_F(LawsServiceTest, AnExpressionsParametersAreSoughtWhereTheRequestSays) {
  add_ladder();
  v1::FitRequest request = fit_request("loss");
  request.set_form("E + a*flops^-b");
  v1::SearchRange& range = (*request.mutable_search())["b"];
  range.set_low(0.5);
  range.set_high(0.6);
  v1::Law law;
  const grpc::Status status = call(&v1::Laws::Stub::Fit, request, law);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(law.parameters(2).name(), "b");
  EXPECT_GE(law.parameters(2).value(), 0.5);
  EXPECT_LE(law.parameters(2).value(), 0.6);
}

TEST_F(LawsServiceTest, NeverFitsHeldOutRuns) {
  add_ladder();
  const v1::Law without = fit("loss");
  add_run(1e14, 1e6, 99, 0.4, true);
  const v1::Law with = fit("loss");
  EXPECT_EQ(with.observations_hash(), without.observations_hash());
  EXPECT_EQ(with.formula(), without.formula());
  EXPECT_GT(with.id(), without.id());
}

TEST_F(LawsServiceTest, PredictsByTheNewestLawAndAfterARestart) {
  add_ladder();
  fit("loss");
  v1::Prediction first, second;
  ASSERT_TRUE(call(&v1::Laws::Stub::Predict, predict_request("loss", 2e13), first).ok());
  const int32_t newest = fit("loss").id();
  ASSERT_TRUE(call(&v1::Laws::Stub::Predict, predict_request("loss", 2e13), second).ok());
  EXPECT_EQ(first.law_id() + 1, second.law_id());
  EXPECT_EQ(second.law_id(), newest);
  EXPECT_EQ(first.value(), second.value());
  EXPECT_NEAR(second.extrapolation().at("flops"), 2e13 / (1e11 * std::pow(2.2, 5)), 1e-9);

  LawAnswers forgetful(*store_);
  LawsService again(forgetful);
  grpc::ServerBuilder builder;
  builder.RegisterService(&again);
  const auto server = builder.BuildAndStart();
  grpc::ClientContext context;
  v1::Prediction after;
  ASSERT_TRUE(
      v1::Laws::NewStub(server->InProcessChannel({}))->Predict(&context, predict_request("loss", 2e13), &after).ok());
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(after, second));
  server->Shutdown();
}

TEST_F(LawsServiceTest, APredictionHasItsOwnWarningsAndCountsThoseOfItsLaw) {
  add_ladder();
  v1::FitRequest request = fit_request("loss");
  request.set_max_flops(6e11);
  v1::Law law;
  const grpc::Status status = call(&v1::Laws::Stub::Fit, request, law);
  ASSERT_TRUE(status.ok()) << status.error_message();
  v1::Prediction near, far;
  ASSERT_TRUE(call(&v1::Laws::Stub::Predict, predict_request("loss", 2e11), near).ok());
  ASSERT_TRUE(call(&v1::Laws::Stub::Predict, predict_request("loss", 2e14), far).ok());
  EXPECT_EQ(near.law_warnings(), law.warnings_size());
  EXPECT_THAT(near.warnings(), testing::IsEmpty());
  EXPECT_THAT(far.warnings(), testing::SizeIs(1));
}

TEST_F(LawsServiceTest, VerifiesHeldOutRunsAgainstTheLawThatWasThereBefore) {
  add_ladder();
  const v1::Law before = fit("loss");
  const int64_t now_ms = before.fitted().seconds() * 1000 + before.fitted().nanos() / 1'000'000;
  const double flops = 2e13;
  add_run(flops, 1.6e6, loss(1.6e6, flops), alignment(flops), true, now_ms + 10'000);
  // A law fitted after the run has been trained does not count as its prediction.
  execute(
      fmt::format("INSERT INTO laws SELECT 99, study_id, metric, form, formula, observations_hash, document, {} "
                  "FROM laws WHERE id = {}",
                  now_ms + 20'000, before.id()));
  add_run(flops, 1.6e6, 5 * loss(1.6e6, flops), alignment(flops), true, now_ms - 10'000);
  v1::VerifyRequest request;
  request.set_study("diffusion");
  v1::VerifyResponse response;
  ASSERT_TRUE(call(&v1::Laws::Stub::Verify, request, response).ok());
  ASSERT_EQ(response.verifications_size(), 2);
  EXPECT_EQ(response.verifications(0).prediction().law_id(), before.id());
  EXPECT_TRUE(response.verifications(0).predicted_before());
  EXPECT_TRUE(response.verifications(0).inside95());
  EXPECT_NEAR(response.verifications(0).relative_error(), 0, 0.05);
  EXPECT_EQ(response.verifications(1).prediction().law_id(), 99);
  EXPECT_FALSE(response.verifications(1).predicted_before());
  EXPECT_FALSE(response.verifications(1).inside95());
  EXPECT_LT(response.verifications(1).relative_error(), -0.7);
}

TEST_F(LawsServiceTest, ListsNewestFirstWithoutDocumentsAndGetsWithThem) {
  add_ladder();
  fit("loss");
  const int32_t newest = fit("alignment").id();
  v1::ListLawsResponse laws;
  v1::ListLawsRequest list;
  list.set_study("diffusion");
  ASSERT_TRUE(call(&v1::Laws::Stub::List, list, laws).ok());
  ASSERT_EQ(laws.laws_size(), 2);
  EXPECT_EQ(laws.laws(0).id(), newest);
  EXPECT_TRUE(laws.laws(0).document().empty());
  v1::GetLawRequest get;
  get.set_law_id(newest);
  v1::Law law;
  ASSERT_TRUE(call(&v1::Laws::Stub::Get, get, law).ok());
  EXPECT_FALSE(law.document().empty());
}

TEST_F(LawsServiceTest, ErrorsSayWhatThereIs) {
  add_ladder();
  v1::Law law;
  v1::FitRequest request = fit_request("loss");
  request.set_study("difusion");
  grpc::Status status = call(&v1::Laws::Stub::Fit, request, law);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("studies: diffusion, var"));

  status = call(&v1::Laws::Stub::Fit, fit_request("fid"), law);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("alignment, alignment_ceiling, alignment_chance, loss"));

  request = fit_request("loss");
  request.set_form("expo");
  status = call(&v1::Laws::Stub::Fit, request, law);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("chinchilla"));

  v1::Prediction prediction;
  status = call(&v1::Laws::Stub::Predict, predict_request("loss", 1e13), prediction);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("scalelaw fit diffusion --metric loss"));
}

}  // namespace
}  // namespace scalelaw::server
