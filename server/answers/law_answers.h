// What is answered about laws, whatever the transport: stored laws and a study's runs are looked up, and the analysis
// is asked. See laws.proto for the requests, their defaults and errors.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <absl/status/statusor.h>

#include "analysis/law.h"
#include "analysis/predictor.h"
#include "scalelaw/v1/laws.pb.h"
#include "server/store/store.h"

namespace scalelaw::server {

/// A stored law with its document parsed.
struct KnownLaw {
  KnownLaw(StoredLaw stored_law, analysis::Law parsed)
      : stored(std::move(stored_law)), law(std::move(parsed)), predictor(law) {}
  StoredLaw stored;
  analysis::Law law;
  analysis::Predictor predictor;
};
using KnownLawPtr = std::shared_ptr<const KnownLaw>;

/// Thread-safe. Every answer blocks its caller: list, get, observations, predict and verify for milliseconds; the
/// others search or fit again, which may take seconds.
class LawAnswers {
 public:
  /// `store` must outlive it.
  explicit LawAnswers(Store& store) : store_(store) {}

  absl::StatusOr<v1::ListLawsResponse> list(const v1::ListLawsRequest& request);
  absl::StatusOr<v1::Law> get(const v1::GetLawRequest& request);
  absl::StatusOr<v1::ObservationsResponse> observations(const v1::ObservationsRequest& request) const;
  absl::StatusOr<v1::Prediction> predict(const v1::PredictRequest& request);
  absl::StatusOr<v1::VerifyResponse> verify(const v1::VerifyRequest& request);

  absl::StatusOr<v1::Law> fit(const v1::FitRequest& request);
  absl::StatusOr<v1::Optimum> optimal(const v1::OptimalRequest& request);
  absl::StatusOr<v1::Comparison> compare(const v1::CompareRequest& request);
  absl::StatusOr<v1::RunPlan> plan(const v1::PlanRequest& request);
  absl::StatusOr<v1::Ranking> rank(const v1::RankRequest& request);
  absl::StatusOr<v1::ApproachesResponse> approaches(const v1::ApproachesRequest& request);
  absl::StatusOr<v1::Diagnosis> diagnose(const v1::DiagnoseRequest& request);

  /// NOT_FOUND; DATA_LOSS for a document that this version cannot read.
  absl::StatusOr<KnownLawPtr> law(int32_t id);
  /// All but the document.
  static v1::Law message_of(const KnownLaw& known);

 private:
  static v1::Prediction message_of(const analysis::Prediction& prediction, const KnownLaw& known,
                                   const std::map<std::string, double>& at);
  absl::StatusOr<KnownLawPtr> remember(StoredLaw stored);
  /// The newest law of a study's metric in these columns (in order); if there is none in these, the newest in any.
  absl::StatusOr<KnownLawPtr> newest_law(const std::string& study, const std::string& metric,
                                         const std::vector<std::string>& columns);
  /// As above where the reference names no law. `field`: the request's, for errors.
  absl::StatusOr<KnownLawPtr> find(const v1::LawReference& reference, const std::string& field,
                                   const std::vector<std::string>& columns);
  /// What a fit of the law's study and metric sees now.
  absl::StatusOr<std::vector<analysis::Observation>> runs_of(const KnownLaw& known) const;

  Store& store_;
  std::mutex mutex_;
  std::map<int32_t, KnownLawPtr> laws_;
  /// (study, metric, columns) → law; forgotten whenever a law is fitted.
  std::map<std::vector<std::string>, KnownLawPtr> newest_;
  uint64_t laws_fitted_ = 0;
};

}  // namespace scalelaw::server
