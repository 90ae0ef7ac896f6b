// What the page shows of a law is the law's own, at the places that a plot needs.
#include "server/http/law_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/laws_fixture.h"

namespace scalelaw::server {
namespace {

class LawViewTest : public LawsFixture {
 protected:
  nlohmann::ordered_json view(int32_t id) {
    const auto known = answers_.law(id);
    EXPECT_TRUE(known.ok()) << known.status();
    const auto observations = store_->observations((*known)->stored.study, (*known)->stored.metric);
    EXPECT_TRUE(observations.ok()) << observations.status();
    return law_view(**known, *observations);
  }
};

TEST_F(LawViewTest, ACurveHasItsBandAndHeldOutRunsApart) {
  add_ladder();
  add_run(1e14, 8e5, 0.3, 0.95, true);
  const v1::Law law = fit("alignment");
  const nlohmann::ordered_json shown = view(law.id());
  EXPECT_EQ(shown["law"]["formula"], law.formula());
  EXPECT_EQ(shown["runs"].size(), 24);
  EXPECT_EQ(shown["held_out"].size(), 1);
  EXPECT_EQ(shown["score"], true);
  EXPECT_NEAR(shown["ceiling"].get<double>(), 0.96, 1e-9) << "the mean of what the runs report";
  EXPECT_FALSE(shown.contains("surface"));
  const auto& band = shown["band"];
  EXPECT_NEAR(band.front()[0].get<double>(), 1e11, 1e6);
  for (const auto& row : {band.front(), band.back()}) {
    v1::PredictRequest request = predict_request("alignment", row[0].get<double>());
    const auto prediction = answers_.predict(request);
    ASSERT_TRUE(prediction.ok()) << prediction.status();
    EXPECT_DOUBLE_EQ(row[1].get<double>(), prediction->value());
    EXPECT_DOUBLE_EQ(row[4].get<double>(), prediction->low95());
    EXPECT_DOUBLE_EQ(row[5].get<double>(), prediction->high95());
  }
  EXPECT_EQ(shown["residuals"].size(), law.n());
}

TEST_F(LawViewTest, ASurfaceHasTheBestSizesThatOptimalGives) {
  add_ladder();
  v1::FitRequest request = fit_request("loss");
  request.add_x("params");
  request.add_x("samples");
  request.set_form("chinchilla");
  const auto law = answers_.fit(request);
  ASSERT_TRUE(law.ok()) << law.status();
  const nlohmann::ordered_json shown = view(law->id());
  EXPECT_EQ(shown["isoflop"].size(), 6) << "one per budget";
  EXPECT_EQ(shown["surface"]["values"].size(), 61 * 61);
  const auto& point = shown["surface"]["path"][20];
  v1::OptimalRequest question;
  question.mutable_law()->set_law_id(law->id());
  question.set_flops(point["flops"].get<double>());
  const auto best = answers_.optimal(question);
  ASSERT_TRUE(best.ok()) << best.status();
  EXPECT_NEAR(point["params"][0].get<double>() / best->params().value(), 1, 1e-6);
  EXPECT_NEAR(point["value"][1].get<double>(), best->prediction().low95(), 1e-6);
}

}  // namespace
}  // namespace scalelaw::server
