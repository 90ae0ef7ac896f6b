// What is asked of laws and of a study's runs, over gRPC: that the answer is the analysis' own is tested there; here,
// that the right law and runs are asked, that nothing is lost on the way, and that errors name what to mend.
#include <cmath>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/expansion/expansion.h"
#include "tests/server/laws_fixture.h"

namespace scalelaw::server {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class LawQuestions : public LawsFixture {
 protected:
  /// The surface that the ladder obeys.
  v1::Law fit_surface() {
    v1::FitRequest request = fit_request("loss");
    request.add_x("params");
    request.add_x("samples");
    request.set_form("chinchilla");
    v1::Law law;
    const grpc::Status status = call(&v1::Laws::Stub::Fit, request, law);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return law;
  }
  static double parameter(const v1::Law& law, const std::string& name) {
    for (const v1::Parameter& p : law.parameters())
      if (p.name() == name) return p.value();
    ADD_FAILURE() << "no parameter " << name;
    return 0;
  }
  static void refer(v1::LawReference& reference) {
    reference.set_study("diffusion");
    reference.set_metric("loss");
  }
  v1::PlanRequest plan_request() const {
    v1::PlanRequest request;
    refer(*request.mutable_law());
    request.set_best_params_at_flops(1e14);
    request.set_flops(3e13);
    return request;
  }
};

TEST_F(LawQuestions, TheOptimumIsThatOfTheNewestSurface) {
  add_ladder();
  const v1::Law law = fit_surface();
  fit("loss");  // newer, but of compute alone
  v1::OptimalRequest request;
  refer(*request.mutable_law());
  request.set_flops(1e14);
  request.mutable_cost()->set_factor(6);
  request.mutable_cost()->set_exponent(1);
  request.set_batch(256);
  v1::Optimum best;
  const grpc::Status status = call(&v1::Laws::Stub::Optimal, request, best);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(best.law_id(), law.id());
  const double alpha = parameter(law, "alpha"), beta = parameter(law, "beta");
  const double g = std::pow(alpha * parameter(law, "A") / (beta * parameter(law, "B")), 1 / (alpha + beta));
  const double params = g * std::pow(1e14 / 6, beta / (alpha + beta));
  EXPECT_NEAR(best.params().value() / params, 1, 1e-6);
  EXPECT_NEAR(best.samples().value() * params / (1e14 / 6), 1, 1e-6);
  EXPECT_NEAR(best.steps().value(), best.samples().value() / 256, 1);
  EXPECT_LT(best.params().low95(), params);
  EXPECT_GT(best.params().high95(), params);
  EXPECT_NEAR(best.params_exponent().value(), beta / (alpha + beta), 1e-6);
  EXPECT_EQ(best.cost().source(), "given");
  EXPECT_THAT(best.off(), SizeIs(4));
  EXPECT_GT(best.prediction().high95(), best.value().high95());
}

TEST_F(LawQuestions, WithoutAGivenCostItIsTheOneThatTheRunsMeasured) {
  add_ladder();
  fit_surface();
  v1::OptimalRequest request;
  refer(*request.mutable_law());
  request.set_flops(1e14);
  v1::Optimum best;
  ASSERT_TRUE(call(&v1::Laws::Stub::Optimal, request, best).ok());
  EXPECT_EQ(best.cost().source(), "fitted");
  EXPECT_NEAR(best.cost().factor(), 6, 0.1);
  EXPECT_NEAR(best.cost().exponent(), 1, 0.01);
}

TEST_F(LawQuestions, ALawBesideItselfCostsTheSame) {
  add_ladder();
  const v1::Law law = fit("loss");
  v1::CompareRequest request;
  request.mutable_a()->set_law_id(law.id());
  refer(*request.mutable_b());
  request.add_at(1e12);
  v1::Comparison comparison;
  const grpc::Status status = call(&v1::Laws::Stub::Compare, request, comparison);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_THAT(comparison.at(), SizeIs(1));
  EXPECT_NEAR(comparison.at(0).multiplier().value(), 1, 1e-6);
  EXPECT_EQ(comparison.column(), "flops");
  EXPECT_FALSE(comparison.paired());
  EXPECT_FALSE(comparison.unpaired_because().empty());
  EXPECT_EQ(comparison.a(), "law 1 of diffusion");
}

TEST_F(LawQuestions, APlanIsASweepThatTheCoordinatorTakes) {
  add_ladder();
  fit_surface();
  v1::RunPlan plan;
  const grpc::Status status = call(&v1::Laws::Stub::Plan, plan_request(), plan);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_GT(plan.runs_size(), 0);
  EXPECT_LE(plan.flops(), 3e13);
  EXPECT_LT(plan.curve_after(), plan.curve_before());
  ASSERT_TRUE(plan.has_sweep());
  EXPECT_EQ(plan.sweep().name(), "diffusion-next");
  EXPECT_EQ(plan.sweep().stages(0).name(), "scorer");
  const absl::StatusOr<Expansion> expansion = expand(plan.sweep());
  ASSERT_TRUE(expansion.ok()) << expansion.status();
  int runs = 0;
  std::set<double> widths;
  for (const ExpandedStage& stage : expansion->stages)
    for (const ExpandedRun& run : stage.runs) {
      if (stage.name == "scorer") continue;
      ++runs;
      widths.insert(run.params.fields().at("width").number_value());
    }
  EXPECT_EQ(runs, plan.runs_size());
  std::set<double> sizes;
  for (const v1::PlannedRun& run : plan.runs()) sizes.insert(run.at().at("params"));
  EXPECT_EQ(widths, sizes) << "each size by the parameters of its own runs (here: width = params)";
}

TEST_F(LawQuestions, PlannedRunsOfUnknownSizesAreNotInTheSweepAndThatIsSaid) {
  add_ladder();
  fit_surface();
  v1::PlanRequest request = plan_request();
  request.add_sizes(3.3e6);
  request.add_budgets(1e13);
  v1::RunPlan plan;
  ASSERT_TRUE(call(&v1::Laws::Stub::Plan, request, plan).ok());
  EXPECT_GT(plan.runs_size(), 0);
  EXPECT_FALSE(plan.has_sweep());
  EXPECT_THAT(plan.warnings(), testing::Contains(HasSubstr("3300000")));
}

TEST_F(LawQuestions, FormsAreRankedByWhatTheyPredict) {
  add_ladder();
  v1::RankRequest request;
  request.mutable_runs()->set_study("diffusion");
  request.mutable_runs()->set_metric("loss");
  request.add_forms("power");
  request.add_forms("power-floor");
  request.add_factors(3);
  v1::Ranking ranking;
  const grpc::Status status = call(&v1::Laws::Stub::Rank, request, ranking);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_THAT(ranking.forms(), SizeIs(2));
  EXPECT_LE(ranking.forms(0).error(), ranking.forms(1).error());
  EXPECT_EQ(ranking.by(), "flops");
  EXPECT_THAT(ranking.splits(), SizeIs(1));
}

TEST_F(LawQuestions, AStackHasTheBestFormAndItsRivals) {
  add_ladder();
  v1::FitRequest request = fit_request("loss");
  request.set_form("stack");
  v1::Law law;
  const grpc::Status status = call(&v1::Laws::Stub::Fit, request, law);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_NE(law.form(), "stack") << "the law names the form that it is";
  EXPECT_GT(law.id(), 0);
}

TEST_F(LawQuestions, ApproachesGiveTheSurfacesExponent) {
  add_ladder();
  v1::ApproachesRequest request;
  request.mutable_runs()->set_study("diffusion");
  request.mutable_runs()->set_metric("loss");
  request.add_approaches("parametric");
  request.set_draws(60);
  v1::ApproachesResponse response;
  const grpc::Status status = call(&v1::Laws::Stub::Approaches, request, response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_THAT(response.approaches(), SizeIs(1));
  EXPECT_EQ(response.approaches(0).name(), "parametric");
  EXPECT_NEAR(response.approaches(0).params().exponent(), 0.5, 0.1) << "equal exponents of size and data";
  EXPECT_NEAR(response.flops_per_param_sample(), 6, 0.1);
}

TEST_F(LawQuestions, ADiagnosisFindsTheRunThatIsWrong) {
  add_ladder();
  add_run(5e11, 4e5, 3 * loss(4e5, 5e11), 0.5);
  v1::DiagnoseRequest request;
  *request.mutable_fit() = fit_request("loss");
  request.mutable_fit()->add_x("params");
  request.mutable_fit()->add_x("samples");
  v1::Diagnosis diagnosis;
  const grpc::Status status = call(&v1::Laws::Stub::Diagnose, request, diagnosis);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_GE(diagnosis.outliers_size(), 1);
  EXPECT_EQ(diagnosis.outliers(0).runs(0), "25");
  EXPECT_GT(diagnosis.outliers(0).z(), 3.5);
  EXPECT_EQ(diagnosis.runs(), 25);
  EXPECT_NEAR(diagnosis.flops().ratio(), 6, 0.1);
  EXPECT_TRUE(diagnosis.has_without_outliers());
}

TEST_F(LawQuestions, ErrorsNameTheField) {
  add_ladder();
  fit("loss");
  v1::Optimum best;
  v1::OptimalRequest request;
  grpc::Status status = call(&v1::Laws::Stub::Optimal, request, best);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("law: give a law_id"));
  refer(*request.mutable_law());
  request.set_flops(1e14);
  status = call(&v1::Laws::Stub::Optimal, request, best);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << "the only law is of compute alone";
  request.mutable_cost()->set_factor(-6);
  status = call(&v1::Laws::Stub::Optimal, request, best);
  EXPECT_THAT(status.error_message(), HasSubstr("cost.factor"));

  v1::ApproachesRequest approaches;
  approaches.mutable_runs()->set_study("diffusion");
  approaches.mutable_runs()->set_metric("loss");
  approaches.add_approaches("guess");
  v1::ApproachesResponse response;
  status = call(&v1::Laws::Stub::Approaches, approaches, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("parametric"));
}

}  // namespace
}  // namespace scalelaw::server
