#include "server/rpc/laws_service.h"

#include <utility>

#include "server/rpc/status.h"

namespace scalelaw::server {

namespace {
template <class Message>
grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context, absl::StatusOr<Message> result,
                                 Message* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (result.ok()) *response = *std::move(result);
  reactor->Finish(to_grpc(result.status()));
  return reactor;
}

}  // namespace

LawsService::LawsService(LawAnswers& answers)
    : answers_(answers), worker_([this](const std::stop_token& stop) { work(stop); }) {}

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

template <class Message>
grpc::ServerUnaryReactor* LawsService::later(grpc::CallbackServerContext* context, Message* response,
                                             std::function<absl::StatusOr<Message>()> question) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  {
    const std::lock_guard lock(jobs_mutex_);
    jobs_.push_back({[reactor, response, question = std::move(question)] {
                       absl::StatusOr<Message> result = question();
                       if (result.ok()) *response = *std::move(result);
                       reactor->Finish(to_grpc(result.status()));
                     },
                     [reactor] {
                       reactor->Finish({grpc::StatusCode::UNAVAILABLE, "the server is stopping"});
                     }});
  }
  jobs_waiting_.notify_one();
  return reactor;
}

grpc::ServerUnaryReactor* LawsService::Fit(grpc::CallbackServerContext* context, const v1::FitRequest* request,
                                           v1::Law* response) {
  return later<v1::Law>(context, response, [this, request] { return answers_.fit(*request); });
}

grpc::ServerUnaryReactor* LawsService::Optimal(grpc::CallbackServerContext* context, const v1::OptimalRequest* request,
                                               v1::Optimum* response) {
  return later<v1::Optimum>(context, response, [this, request] { return answers_.optimal(*request); });
}

grpc::ServerUnaryReactor* LawsService::Compare(grpc::CallbackServerContext* context, const v1::CompareRequest* request,
                                               v1::Comparison* response) {
  return later<v1::Comparison>(context, response, [this, request] { return answers_.compare(*request); });
}

grpc::ServerUnaryReactor* LawsService::Plan(grpc::CallbackServerContext* context, const v1::PlanRequest* request,
                                            v1::RunPlan* response) {
  return later<v1::RunPlan>(context, response, [this, request] { return answers_.plan(*request); });
}

grpc::ServerUnaryReactor* LawsService::Rank(grpc::CallbackServerContext* context, const v1::RankRequest* request,
                                            v1::Ranking* response) {
  return later<v1::Ranking>(context, response, [this, request] { return answers_.rank(*request); });
}

grpc::ServerUnaryReactor* LawsService::Approaches(grpc::CallbackServerContext* context,
                                                  const v1::ApproachesRequest* request,
                                                  v1::ApproachesResponse* response) {
  return later<v1::ApproachesResponse>(context, response, [this, request] { return answers_.approaches(*request); });
}

grpc::ServerUnaryReactor* LawsService::Diagnose(grpc::CallbackServerContext* context,
                                                const v1::DiagnoseRequest* request, v1::Diagnosis* response) {
  return later<v1::Diagnosis>(context, response, [this, request] { return answers_.diagnose(*request); });
}

grpc::ServerUnaryReactor* LawsService::List(grpc::CallbackServerContext* context, const v1::ListLawsRequest* request,
                                            v1::ListLawsResponse* response) {
  return answer(context, answers_.list(*request), response);
}

grpc::ServerUnaryReactor* LawsService::Get(grpc::CallbackServerContext* context, const v1::GetLawRequest* request,
                                           v1::Law* response) {
  return answer(context, answers_.get(*request), response);
}

grpc::ServerUnaryReactor* LawsService::Predict(grpc::CallbackServerContext* context, const v1::PredictRequest* request,
                                               v1::Prediction* response) {
  return answer(context, answers_.predict(*request), response);
}

grpc::ServerUnaryReactor* LawsService::Observations(grpc::CallbackServerContext* context,
                                                    const v1::ObservationsRequest* request,
                                                    v1::ObservationsResponse* response) {
  return answer(context, answers_.observations(*request), response);
}

grpc::ServerUnaryReactor* LawsService::Verify(grpc::CallbackServerContext* context, const v1::VerifyRequest* request,
                                              v1::VerifyResponse* response) {
  return answer(context, answers_.verify(*request), response);
}

}  // namespace scalelaw::server
