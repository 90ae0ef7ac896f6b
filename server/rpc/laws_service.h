// The Laws service; see laws.proto. What computes for long (fits, and all that fits again) runs one after another on a
// thread of its own; everything else answers at once from memory and the database.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include <absl/status/statusor.h>

#include "scalelaw/v1/laws.grpc.pb.h"
#include "server/answers/law_answers.h"

namespace scalelaw::server {

class LawsService final : public v1::Laws::CallbackService {
 public:
  /// `answers` must outlive it.
  explicit LawsService(LawAnswers& answers);
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
  struct Job {
    std::function<void()> run;
    std::function<void()> cancel;
  };

  /// Answers on the thread of the fits.
  template <class Message>
  grpc::ServerUnaryReactor* later(grpc::CallbackServerContext* context, Message* response,
                                  std::function<absl::StatusOr<Message>()> question);
  void work(const std::stop_token& stop);

  LawAnswers& answers_;
  std::mutex jobs_mutex_;
  std::condition_variable_any jobs_waiting_;
  std::deque<Job> jobs_;
  std::jthread worker_;
};

}  // namespace scalelaw::server
