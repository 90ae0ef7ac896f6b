#include "server/http/answer.h"

namespace scalelaw::server {

namespace {
int http_status(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kFailedPrecondition:
      return 409;
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}
}  // namespace

HttpAnswer error_answer(const absl::Status& status) {
  HttpAnswer answer = json_answer({{"error", std::string(status.message())}});
  answer.status = http_status(status.code());
  return answer;
}

}  // namespace scalelaw::server
