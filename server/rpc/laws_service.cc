#include "server/rpc/laws_service.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/util/time_util.h>

#include "proto/law_messages.h"
#include "server/rpc/status.h"

namespace scalelaw::server {

namespace {
/// Parsed laws kept in memory; a document is some 100 kB.
constexpr size_t kMaxKnownLaws = 256;
constexpr int kDefaultBootstrap = 1000;

template <class Message>
grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context, absl::StatusOr<Message> result,
                                 Message* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (result.ok()) *response = *std::move(result);
  reactor->Finish(to_grpc(result.status()));
  return reactor;
}

/// Without held-out runs, which no fit may see.
absl::StatusOr<std::vector<v1::Observation>> fit_observations(const Store& store, const std::string& study,
                                                              const std::string& metric) {
  absl::StatusOr<std::vector<v1::Observation>> observations = store.observations(study, metric);
  if (observations.ok()) std::erase_if(*observations, [](const v1::Observation& o) { return o.holdout(); });
  return observations;
}

/// The mean that the study's runs report for a bound; unset if none does.
absl::StatusOr<std::optional<double>> reported_bound(const Store& store, const std::string& study,
                                                     const std::string& metric) {
  const auto observations = fit_observations(store, study, metric);
  if (!observations.ok()) return observations.status();
  if (observations->empty()) return std::nullopt;
  double sum = 0;
  for (const v1::Observation& o : *observations) sum += o.value();
  return std::optional(sum / static_cast<double>(observations->size()));
}

absl::StatusOr<analysis::FitOptions> fit_options(const Store& store, const v1::FitRequest& request) {
  analysis::FitOptions options;
  options.metric = request.metric();
  options.x.assign(request.x().begin(), request.x().end());
  options.form = request.form();
  options.residual = request.residual();
  options.objective = request.objective();
  if (request.has_huber_delta()) options.huber_delta = request.huber_delta();
  options.points = request.points();
  if (request.has_min_flops()) options.min_flops = request.min_flops();
  if (request.has_max_flops()) options.max_flops = request.max_flops();
  options.bootstrap = request.bootstrap() == 0 ? kDefaultBootstrap : request.bootstrap();
  options.seed = request.seed();
  options.code_version = SCALELAW_VERSION;
  const auto chance = reported_bound(store, request.study(), request.metric() + "_chance");
  if (!chance.ok()) return chance.status();
  const auto ceiling = reported_bound(store, request.study(), request.metric() + "_ceiling");
  if (!ceiling.ok()) return ceiling.status();
  options.chance = request.has_chance() ? std::optional(request.chance()) : *chance;
  options.ceiling = request.has_ceiling() ? std::optional(request.ceiling()) : *ceiling;
  // A single bound that a run happens to report is no reason to refuse a law that needs none.
  if (!request.has_chance() && !request.has_ceiling() && options.chance.has_value() != options.ceiling.has_value())
    options.chance = options.ceiling = std::nullopt;
  return options;
}

double column_value(const v1::Observation& o, const std::string& column) {
  return column == "flops" ? o.flops() : column == "params" ? o.params() : o.samples();
}
}  // namespace

LawsService::LawsService(Store& store) : store_(store), worker_([this](const std::stop_token& stop) { work(stop); }) {}

LawsService::~LawsService() {
  worker_.request_stop();
  worker_.join();
  for (Job& job : jobs_) job.cancel();
}

void LawsService::work(const std::stop_token& stop) {
  std::unique_lock lock(jobs_mutex_);
  while (jobs_waiting_.wait(lock, stop, [this] { return !jobs_.empty(); }) && !stop.stop_requested()) {
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job.run();
    lock.lock();
  }
}

grpc::ServerUnaryReactor* LawsService::Fit(grpc::CallbackServerContext* context, const v1::FitRequest* request,
                                           v1::Law* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  {
    const std::lock_guard lock(jobs_mutex_);
    jobs_.push_back({[this, reactor, request, response] {
                       absl::StatusOr<v1::Law> law = fit(*request);
                       if (law.ok()) *response = *std::move(law);
                       reactor->Finish(to_grpc(law.status()));
                     },
                     [reactor] {
                       reactor->Finish({grpc::StatusCode::UNAVAILABLE, "the server is stopping"});
                     }});
  }
  jobs_waiting_.notify_one();
  return reactor;
}

grpc::ServerUnaryReactor* LawsService::List(grpc::CallbackServerContext* context, const v1::ListLawsRequest* request,
                                            v1::ListLawsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::Status status = request->study().empty() ? absl::OkStatus() : check_study(request->study());
  if (status.ok()) {
    absl::StatusOr<std::vector<StoredLaw>> laws = store_.laws(request->study());
    status = laws.status();
    for (size_t i = 0; laws.ok() && i < laws->size(); ++i) {
      // One law that this version cannot read does not hide the others.
      if (const auto known = remember(std::move((*laws)[i])); known.ok()) *response->add_laws() = message_of(**known);
    }
  }
  reactor->Finish(to_grpc(status));
  return reactor;
}

grpc::ServerUnaryReactor* LawsService::Get(grpc::CallbackServerContext* context, const v1::GetLawRequest* request,
                                           v1::Law* response) {
  absl::StatusOr<v1::Law> message = absl::UnknownError("");
  if (const auto known = law(request->law_id()); known.ok()) {
    message = message_of(**known);
    message->set_document((*known)->stored.document);
  } else {
    message = known.status();
  }
  return answer(context, std::move(message), response);
}

grpc::ServerUnaryReactor* LawsService::Predict(grpc::CallbackServerContext* context, const v1::PredictRequest* request,
                                               v1::Prediction* response) {
  return answer(context, predict(*request), response);
}

grpc::ServerUnaryReactor* LawsService::Observations(grpc::CallbackServerContext* context,
                                                    const v1::ObservationsRequest* request,
                                                    v1::ObservationsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::Status status = check_study(request->study());
  if (status.ok() && request->metric().empty()) status = absl::InvalidArgumentError("metric: is missing");
  if (status.ok()) {
    auto observations = store_.observations(request->study(), request->metric());
    status = observations.status();
    if (observations.ok()) response->mutable_observations()->Assign(observations->begin(), observations->end());
  }
  reactor->Finish(to_grpc(status));
  return reactor;
}

grpc::ServerUnaryReactor* LawsService::Verify(grpc::CallbackServerContext* context, const v1::VerifyRequest* request,
                                              v1::VerifyResponse* response) {
  return answer(context, verify(*request), response);
}

v1::Law LawsService::message_of(const Known& known) {
  v1::Law message = to_message(known.law);
  message.set_id(known.stored.id);
  message.set_study(known.stored.study);
  *message.mutable_fitted() = google::protobuf::util::TimeUtil::MillisecondsToTimestamp(known.stored.fitted_ms);
  return message;
}

v1::Prediction LawsService::message_of(const analysis::Prediction& prediction, const Known& known,
                                       const std::map<std::string, double>& at) {
  v1::Prediction message = to_message(prediction, known.stored.metric, at);
  message.set_law_id(known.stored.id);
  return message;
}

absl::StatusOr<v1::Law> LawsService::fit(const v1::FitRequest& request) {
  if (absl::Status status = check_study(request.study()); !status.ok()) return status;
  if (request.metric().empty()) return absl::InvalidArgumentError("metric: is missing");
  absl::StatusOr<std::vector<v1::Observation>> observations =
      fit_observations(store_, request.study(), request.metric());
  if (!observations.ok()) return observations.status();
  if (observations->empty()) {
    const auto metrics = store_.metrics(request.study());
    return absl::FailedPreconditionError(fmt::format(
        "metric: no finished run of study {} reports '{}' (held-out runs apart){}", request.study(), request.metric(),
        metrics.ok() && !metrics->empty() ? fmt::format("; its runs report {}", fmt::join(*metrics, ", ")) : ""));
  }
  absl::StatusOr<analysis::FitOptions> options = fit_options(store_, request);
  if (!options.ok()) return options.status();
  std::erase_if(*observations, [&](const v1::Observation& o) { return !analysis::within_flops(*options, o.flops()); });
  std::vector<analysis::Observation> rows;
  for (const v1::Observation& o : *observations) rows.push_back(to_analysis(o));
  options->observations_hash = observations_hash(request.metric(), rows);
  absl::StatusOr<analysis::Law> law = analysis::fit(rows, *options);
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
    const std::lock_guard lock(laws_mutex_);
    ++laws_fitted_;
    newest_.clear();
  }
  const absl::StatusOr<KnownLaw> known = this->law(*id);
  if (!known.ok()) return known.status();
  v1::Law message = message_of(**known);
  message.set_document((*known)->stored.document);
  return message;
}

absl::StatusOr<v1::Prediction> LawsService::predict(const v1::PredictRequest& request) {
  if (request.law_id() == 0 && (request.study().empty() || request.metric().empty()))
    return absl::InvalidArgumentError("law_id: give a law, or a study and a metric");
  const absl::StatusOr<KnownLaw> known = request.law_id() != 0 ? law(request.law_id()) : newest_law(request);
  if (!known.ok()) return known.status();
  const std::map<std::string, double> at(request.at().begin(), request.at().end());
  const auto prediction = (*known)->predictor.predict(at);
  if (!prediction.ok()) return prediction.status();
  return message_of(*prediction, **known, at);
}

absl::StatusOr<v1::VerifyResponse> LawsService::verify(const v1::VerifyRequest& request) {
  if (absl::Status status = check_study(request.study()); !status.ok()) return status;
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
      for (const std::string& column : (*known)->law.x) at[column] = column_value(measured, column);
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

absl::StatusOr<LawsService::KnownLaw> LawsService::law(int32_t id) {
  {
    const std::lock_guard lock(laws_mutex_);
    if (const auto found = laws_.find(id); found != laws_.end()) return found->second;
  }
  absl::StatusOr<StoredLaw> stored = store_.law(id);
  if (!stored.ok()) return stored.status();
  return remember(*std::move(stored));
}

absl::StatusOr<LawsService::KnownLaw> LawsService::remember(StoredLaw stored) {
  {
    const std::lock_guard lock(laws_mutex_);
    if (const auto found = laws_.find(stored.id); found != laws_.end()) return found->second;
  }
  absl::StatusOr<analysis::Law> parsed = analysis::from_json(stored.document);
  if (!parsed.ok())
    return absl::DataLossError(fmt::format("law {}: {}", stored.id, std::string(parsed.status().message())));
  KnownLaw known = std::make_shared<const Known>(std::move(stored), *std::move(parsed));
  const std::lock_guard lock(laws_mutex_);
  if (laws_.size() >= kMaxKnownLaws) laws_.erase(laws_.begin());
  return laws_.emplace(known->stored.id, known).first->second;
}

absl::StatusOr<LawsService::KnownLaw> LawsService::newest_law(const v1::PredictRequest& request) {
  const std::map<std::string, double> at(request.at().begin(), request.at().end());
  std::vector<std::string> key = {request.study(), request.metric()};
  for (const auto& [column, value] : at) key.push_back(column);
  uint64_t fitted_before;
  {
    const std::lock_guard lock(laws_mutex_);
    if (const auto found = newest_.find(key); found != newest_.end()) return found->second;
    fitted_before = laws_fitted_;
  }
  if (absl::Status status = check_study(request.study()); !status.ok()) return status;
  absl::StatusOr<std::vector<StoredLaw>> laws = store_.laws(request.study(), request.metric());
  if (!laws.ok()) return laws.status();
  if (laws->empty())
    return absl::NotFoundError(
        fmt::format("study {} has no law of '{}' yet: fit one with `scalelaw fit {} --metric {}`", request.study(),
                    request.metric(), request.study(), request.metric()));
  KnownLaw newest;
  for (StoredLaw& stored : *laws) {
    absl::StatusOr<KnownLaw> known = remember(std::move(stored));
    if (!known.ok()) return known.status();
    if (newest == nullptr) newest = *known;
    const std::set<std::string> columns((*known)->law.x.begin(), (*known)->law.x.end());
    if (std::equal(columns.begin(), columns.end(), key.begin() + 2, key.end())) {
      newest = *std::move(known);
      break;
    }
  }
  const std::lock_guard lock(laws_mutex_);
  if (newest_.size() >= kMaxKnownLaws) newest_.clear();
  if (laws_fitted_ == fitted_before) newest_[key] = newest;
  return newest;
}

absl::Status LawsService::check_study(const std::string& study) const {
  const absl::StatusOr<std::vector<std::string>> studies = store_.studies();
  if (!studies.ok()) return studies.status();
  if (std::find(studies->begin(), studies->end(), study) != studies->end()) return absl::OkStatus();
  return absl::NotFoundError(
      studies->empty() ? fmt::format("study: there is no study '{}'; nothing has been submitted yet", study)
                       : fmt::format("study: there is no study '{}'; studies: {}", study, fmt::join(*studies, ", ")));
}

}  // namespace scalelaw::server
