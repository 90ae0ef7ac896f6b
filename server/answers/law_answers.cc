#include "server/answers/law_answers.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include "proto/choice_answers.h"
#include "proto/law_messages.h"
#include "server/answers/fit_inputs.h"

namespace scalelaw::server {

namespace {
/// Parsed laws kept in memory; a document is some 100 kB.
constexpr size_t kMaxKnownLaws = 256;

/// In order.
std::vector<std::string> columns_of(const v1::PredictRequest& request) {
  std::vector<std::string> columns;
  for (const auto& [column, value] : request.at()) columns.push_back(column);
  std::sort(columns.begin(), columns.end());
  return columns;
}
}  // namespace

absl::StatusOr<v1::ListLawsResponse> LawAnswers::list(const v1::ListLawsRequest& request) {
  if (!request.study().empty())
    if (absl::Status status = check_study(store_, request.study()); !status.ok()) return status;
  absl::StatusOr<std::vector<StoredLaw>> laws = store_.laws(request.study());
  if (!laws.ok()) return laws.status();
  v1::ListLawsResponse response;
  for (StoredLaw& stored : *laws) {
    // One law that this version cannot read does not hide the others.
    if (const auto known = remember(std::move(stored)); known.ok()) *response.add_laws() = message_of(**known);
  }
  return response;
}

absl::StatusOr<v1::Law> LawAnswers::get(const v1::GetLawRequest& request) {
  const auto known = law(request.law_id());
  if (!known.ok()) return known.status();
  v1::Law message = message_of(**known);
  message.set_document((*known)->stored.document);
  return message;
}

absl::StatusOr<v1::ObservationsResponse> LawAnswers::observations(const v1::ObservationsRequest& request) const {
  if (absl::Status status = check_study(store_, request.study()); !status.ok()) return status;
  if (request.metric().empty()) return absl::InvalidArgumentError("metric: is missing");
  const auto observations = store_.observations(request.study(), request.metric());
  if (!observations.ok()) return observations.status();
  v1::ObservationsResponse response;
  response.mutable_observations()->Assign(observations->begin(), observations->end());
  return response;
}

v1::Law LawAnswers::message_of(const KnownLaw& known) {
  v1::Law message = to_message(known.law);
  message.set_id(known.stored.id);
  message.set_study(known.stored.study);
  *message.mutable_fitted() = google::protobuf::util::TimeUtil::MillisecondsToTimestamp(known.stored.fitted_ms);
  return message;
}

v1::Prediction LawAnswers::message_of(const analysis::Prediction& prediction, const KnownLaw& known,
                                      const std::map<std::string, double>& at) {
  v1::Prediction message = to_message(prediction, known.stored.metric, at);
  message.set_law_warnings(static_cast<int32_t>(known.law.warnings.size()));
  message.set_law_id(known.stored.id);
  return message;
}

absl::StatusOr<v1::Law> LawAnswers::fit(const v1::FitRequest& request) {
  absl::StatusOr<FitInputs> inputs = fit_inputs(store_, request);
  if (!inputs.ok()) return inputs.status();
  absl::StatusOr<analysis::Law> law = fit_law(inputs->runs, inputs->losses, inputs->options);
  if (!law.ok()) return law.status();

  StoredLaw stored;
  stored.study = request.study();
  stored.metric = law->metric;
  stored.form = law->form;
  stored.formula = law->formula;
  stored.observations_hash = law->observations_hash;
  stored.document = analysis::to_json(*law);
  const absl::StatusOr<int32_t> id = store_.insert_law(std::move(stored));
  if (!id.ok()) return id.status();
  {
    const std::lock_guard lock(mutex_);
    ++laws_fitted_;
    newest_.clear();
  }
  const absl::StatusOr<KnownLawPtr> known = this->law(*id);
  if (!known.ok()) return known.status();
  v1::Law message = message_of(**known);
  message.set_document((*known)->stored.document);
  return message;
}

absl::StatusOr<v1::Prediction> LawAnswers::predict(const v1::PredictRequest& request) {
  if (request.law_id() == 0 && (request.study().empty() || request.metric().empty()))
    return absl::InvalidArgumentError("law_id: give a law, or a study and a metric");
  const absl::StatusOr<KnownLawPtr> known = request.law_id() != 0
                                                ? law(request.law_id())
                                                : newest_law(request.study(), request.metric(), columns_of(request));
  if (!known.ok()) return known.status();
  const std::map<std::string, double> at(request.at().begin(), request.at().end());
  const auto prediction = (*known)->predictor.predict(at);
  if (!prediction.ok()) return prediction.status();
  return message_of(*prediction, **known, at);
}

absl::StatusOr<v1::VerifyResponse> LawAnswers::verify(const v1::VerifyRequest& request) {
  if (absl::Status status = check_study(store_, request.study()); !status.ok()) return status;
  absl::StatusOr<std::vector<StoredLaw>> laws = store_.laws(request.study(), request.metric());
  if (!laws.ok()) return laws.status();
  std::set<std::string> metrics;
  for (const StoredLaw& stored : *laws) metrics.insert(stored.metric);
  v1::VerifyResponse response;
  for (const std::string& metric : metrics) {
    const auto observations = store_.observations(request.study(), metric);
    if (!observations.ok()) return observations.status();
    for (const v1::Observation& measured : *observations) {
      if (!measured.holdout()) continue;
      const auto started = store_.first_started_ms(measured.run_id());
      if (!started.ok()) return started.status();
      // Newest first: the newest that was there before the run, else the newest of all.
      const StoredLaw* chosen = nullptr;
      bool before = false;
      for (const StoredLaw& stored : *laws) {
        if (stored.metric != metric) continue;
        if (chosen == nullptr) chosen = &stored;
        if (started->has_value() && stored.fitted_ms <= **started) {
          chosen = &stored;
          before = true;
          break;
        }
      }
      const auto known = remember(*chosen);
      if (!known.ok()) return known.status();
      std::map<std::string, double> at;
      for (const std::string& column : (*known)->law.x)
        at[column] = analysis::column_value(to_analysis(measured), column);
      const auto prediction = (*known)->predictor.predict(at);
      if (!prediction.ok()) return prediction.status();
      v1::Verification& row = *response.add_verifications();
      *row.mutable_prediction() = message_of(*prediction, **known, at);
      *row.mutable_measured() = measured;
      row.set_inside50(prediction->low50 <= measured.value() && measured.value() <= prediction->high50);
      row.set_inside95(prediction->low95 <= measured.value() && measured.value() <= prediction->high95);
      row.set_relative_error(measured.value() == 0 ? 0 : prediction->value / measured.value() - 1);
      row.set_predicted_before(before);
    }
  }
  return response;
}

absl::StatusOr<KnownLawPtr> LawAnswers::law(int32_t id) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = laws_.find(id); found != laws_.end()) return found->second;
  }
  absl::StatusOr<StoredLaw> stored = store_.law(id);
  if (!stored.ok()) return stored.status();
  return remember(*std::move(stored));
}

absl::StatusOr<KnownLawPtr> LawAnswers::remember(StoredLaw stored) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = laws_.find(stored.id); found != laws_.end()) return found->second;
  }
  absl::StatusOr<analysis::Law> parsed = analysis::from_json(stored.document);
  if (!parsed.ok())
    return absl::DataLossError(fmt::format("law {}: {}", stored.id, std::string(parsed.status().message())));
  KnownLawPtr known = std::make_shared<const KnownLaw>(std::move(stored), *std::move(parsed));
  const std::lock_guard lock(mutex_);
  if (laws_.size() >= kMaxKnownLaws) laws_.erase(laws_.begin());
  return laws_.emplace(known->stored.id, known).first->second;
}

absl::StatusOr<KnownLawPtr> LawAnswers::newest_law(const std::string& study, const std::string& metric,
                                                   const std::vector<std::string>& columns) {
  std::vector<std::string> key = {study, metric};
  key.insert(key.end(), columns.begin(), columns.end());
  uint64_t fitted_before;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = newest_.find(key); found != newest_.end()) return found->second;
    fitted_before = laws_fitted_;
  }
  if (absl::Status status = check_study(store_, study); !status.ok()) return status;
  absl::StatusOr<std::vector<StoredLaw>> laws = store_.laws(study, metric);
  if (!laws.ok()) return laws.status();
  if (laws->empty())
    return absl::NotFoundError(fmt::format(
        "study {} has no law of '{}' yet: fit one with `scalelaw fit {} --metric {}`", study, metric, study, metric));
  KnownLawPtr newest;
  for (StoredLaw& stored : *laws) {
    absl::StatusOr<KnownLawPtr> known = remember(std::move(stored));
    if (!known.ok()) return known.status();
    if (newest == nullptr) newest = *known;
    const std::set<std::string> its_columns((*known)->law.x.begin(), (*known)->law.x.end());
    if (std::equal(its_columns.begin(), its_columns.end(), columns.begin(), columns.end())) {
      newest = *std::move(known);
      break;
    }
  }
  const std::lock_guard lock(mutex_);
  if (newest_.size() >= kMaxKnownLaws) newest_.clear();
  if (laws_fitted_ == fitted_before) newest_[key] = newest;
  return newest;
}

}  // namespace scalelaw::server
