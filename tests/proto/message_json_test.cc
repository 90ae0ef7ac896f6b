#include "proto/message_json.h"

#include <limits>

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "scalelaw/v1/laws.pb.h"
#include "scalelaw/v1/sweeps.pb.h"
#include "scalelaw/v1/workers.pb.h"

namespace scalelaw {
namespace {

template <class Message>
Message message(const std::string& text) {
  Message result;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &result));
  return result;
}

TEST(Json, EnumsAreShortTimestampsAreTextAndIntegersAreNumbers) {
  auto run = message<v1::Run>(R"(
    id: 7 state: RUN_STATE_RUNNING model_params: 9007199254740993 seed: 3
    started { seconds: 1712136600 nanos: 250000000 } budget_flops: 1e11)");
  nlohmann::ordered_json json = to_json(run);
  EXPECT_EQ(json["state"], "running");
  EXPECT_EQ(json["started"], "2024-04-03T09:30:00.250Z");
  EXPECT_EQ(json["model_params"].dump(), "9007199254740993");
  EXPECT_EQ(json["budget_flops"], 1e11);
}

TEST(Json, UnsetOptionalFieldsAndOneofsAreLeftOutAllElseIsThere) {
  nlohmann::ordered_json json = to_json(v1::Run());
  EXPECT_FALSE(json.contains("seconds_left"));
  EXPECT_FALSE(json.contains("budget_flops"));
  EXPECT_FALSE(json.contains("started"));
  EXPECT_EQ(json["progress"], 0.0);
  EXPECT_EQ(json["command"], nlohmann::ordered_json::array());
  EXPECT_EQ(json["latest"], nlohmann::ordered_json::object());
  EXPECT_EQ(json["state"], "unspecified");
}

TEST(Json, StructsAndMapsAreObjects) {
  auto run = message<v1::Run>(R"(
    params { fields { key: "width" value { number_value: 64 } } fields { key: "lr" value { number_value: 0.5 } }
             fields { key: "list" value { list_value { values { bool_value: true } values { null_value: 0 } } } } }
    latest { key: "loss" value: 0.5 })");
  nlohmann::ordered_json json = to_json(run);
  EXPECT_EQ(json["params"].dump(), R"({"list":[true,null],"lr":0.5,"width":64})");
  EXPECT_EQ(json["latest"].dump(), R"({"loss":0.5})");
}

TEST(Json, NotANumberIsNull) {
  v1::Law law;
  law.set_r2(std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(to_json(law)["r2"].is_null());
}

TEST(Json, NestedMessagesAndListsOfNumbers) {
  auto workers = message<v1::ListWorkersResponse>(R"(workers { id: 1 slots: 2 run_ids: 5 run_ids: 6 })");
  EXPECT_EQ(to_json(workers)["workers"][0]["run_ids"].dump(), "[5,6]");
  auto snapshot = message<v1::SweepSnapshot>("sweep { state: SWEEP_STATE_SUCCEEDED runs { total: 3 } }");
  EXPECT_EQ(to_json(snapshot)["sweep"]["state"], "succeeded");
  EXPECT_EQ(to_json(snapshot)["sweep"]["runs"]["total"], 3);
}

TEST(Json, AValueByItselfIsTheJsonThatItStandsFor) {
  google::protobuf::Value value;
  value.mutable_list_value()->add_values()->set_number_value(64);
  value.mutable_list_value()->add_values()->set_string_value("x");
  EXPECT_EQ(to_json(value).dump(), R"([64,"x"])");
  EXPECT_EQ(to_json(google::protobuf::Struct()).dump(), "{}");
}

}  // namespace
}  // namespace scalelaw
