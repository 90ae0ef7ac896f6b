// The Laws service; see laws.proto. What computes for long (fits, and all that fits again) runs one after another on a
// thread of its own; everything else answers at once from memory and the database.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "analysis/law.h"
#include "analysis/predictor.h"
#include "scalelaw/v1/laws.grpc.pb.h"
#include "server/store/store.h"

namespace scalelaw::server {

class LawsService final : public v1::Laws::CallbackService {
 public:
  /// `store` must outlive it.
  explicit LawsService(Store& store);
  /// Finishes the fits under way; those that wait are cancelled.
  ~LawsService() override;

  grpc::ServerUnaryReactor* Fit(grpc::CallbackServerContext* context, const v1::FitRequest* request,
                                v1::Law* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const v1::ListLawsRequest* request,
                                 v1::ListLawsResponse* response) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const v1::GetLawRequest* request,
                                v1::Law* response) override;
  grpc::ServerUnaryReactor* Predict(grpc::CallbackServerContext* context, const v1::PredictRequest* request,
                                    v1::Prediction* response) override;
  grpc::ServerUnaryReactor* Observations(grpc::CallbackServerContext* context, const v1::ObservationsRequest* request,
                                         v1::ObservationsResponse* response) override;
  grpc::ServerUnaryReactor* Verify(grpc::CallbackServerContext* context, const v1::VerifyRequest* request,
                                   v1::VerifyResponse* response) override;

  grpc::ServerUnaryReactor* Optimal(grpc::CallbackServerContext* context, const v1::OptimalRequest* request,
                                    v1::Optimum* response) override;
  grpc::ServerUnaryReactor* Compare(grpc::CallbackServerContext* context, const v1::CompareRequest* request,
                                    v1::Comparison* response) override;
  grpc::ServerUnaryReactor* Plan(grpc::CallbackServerContext* context, const v1::PlanRequest* request,
                                 v1::RunPlan* response) override;
  grpc::ServerUnaryReactor* Rank(grpc::CallbackServerContext* context, const v1::RankRequest* request,
                                 v1::Ranking* response) override;
  grpc::ServerUnaryReactor* Approaches(grpc::CallbackServerContext* context, const v1::ApproachesRequest* request,
                                       v1::ApproachesResponse* response) override;
  grpc::ServerUnaryReactor* Diagnose(grpc::CallbackServerContext* context, const v1::DiagnoseRequest* request,
                                     v1::Diagnosis* response) override;

 private:
  /// A stored law with its document parsed.
  struct Known {
    Known(StoredLaw stored_law, analysis::Law parsed)
        : stored(std::move(stored_law)), law(std::move(parsed)), predictor(law) {}
    StoredLaw stored;
    analysis::Law law;
    analysis::Predictor predictor;
  };
  using KnownLaw = std::shared_ptr<const Known>;
  struct Job {
    std::function<void()> run;
    std::function<void()> cancel;
  };

  /// Everything but the document.
  static v1::Law message_of(const Known& known);
  static v1::Prediction message_of(const analysis::Prediction& prediction, const Known& known,
                                   const std::map<std::string, double>& at);

  absl::StatusOr<v1::Law> fit(const v1::FitRequest& request);
  absl::StatusOr<v1::Prediction> predict(const v1::PredictRequest& request);
  absl::StatusOr<v1::VerifyResponse> verify(const v1::VerifyRequest& request);
  absl::StatusOr<v1::Optimum> optimal(const v1::OptimalRequest& request);
  absl::StatusOr<v1::Comparison> compare(const v1::CompareRequest& request);
  absl::StatusOr<v1::RunPlan> plan(const v1::PlanRequest& request);
  absl::StatusOr<v1::Ranking> rank(const v1::RankRequest& request);
  absl::StatusOr<v1::ApproachesResponse> approaches(const v1::ApproachesRequest& request);
  absl::StatusOr<v1::Diagnosis> diagnose(const v1::DiagnoseRequest& request);

  /// Answers on the thread of the fits.
  template <class Message>
  grpc::ServerUnaryReactor* later(grpc::CallbackServerContext* context, Message* response,
                                  std::function<absl::StatusOr<Message>()> question);

  absl::StatusOr<KnownLaw> law(int32_t id);
  absl::StatusOr<KnownLaw> remember(StoredLaw stored);
  /// The newest law of a study's metric in these columns (in order); if there is none in these, the newest in any.
  absl::StatusOr<KnownLaw> newest_law(const std::string& study, const std::string& metric,
                                      const std::vector<std::string>& columns);
  /// As above where the reference names no law. `field`: the request's, for errors.
  absl::StatusOr<KnownLaw> find(const v1::LawReference& reference, const std::string& field,
                                const std::vector<std::string>& columns);
  /// What a fit of the law's study and metric sees now.
  absl::StatusOr<std::vector<analysis::Observation>> runs_of(const Known& known) const;
  void work(const std::stop_token& stop);

  Store& store_;
  std::mutex laws_mutex_;
  std::map<int32_t, KnownLaw> laws_;
  /// (study, metric, columns) → law; forgotten whenever a law is fitted.
  std::map<std::vector<std::string>, KnownLaw> newest_;
  uint64_t laws_fitted_ = 0;

  std::mutex jobs_mutex_;
  std::condition_variable_any jobs_waiting_;
  std::deque<Job> jobs_;
  std::jthread worker_;
};

}  // namespace scalelaw::server
