// The file to read first: all that the server does over HTTP, on one address.
//
//   server.h ──▶ api.h      the dashboard's JSON
//            ──▶ page.h     the dashboard's files
//            ──▶ metrics.h  /metrics for Prometheus
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <absl/status/statusor.h>

#include "server/answers/law_answers.h"
#include "server/coordinator/coordinator.h"
#include "server/http/api.h"
#include "server/http/metrics.h"
#include "server/http/server.h"
#include "server/store/store.h"

namespace scalelaw::server {

class Http {
 public:
  /// All must outlive it. `data`: the directory of the database. Errors: as HttpServer::start.
  static absl::StatusOr<std::unique_ptr<Http>> start(const ListenAddress& address, const Store& store,
                                                     const Coordinator& coordinator, LawAnswers& laws,
                                                     const std::filesystem::path& data);

  const std::string& address() const { return server_->address(); }
  void stop() { server_->stop(); }

 private:
  Http(const Store& store, const Coordinator& coordinator, LawAnswers& laws, const std::filesystem::path& data)
      : presentation_(store, coordinator), api_(store, presentation_, laws), metrics_(store, presentation_, data) {}
  HttpAnswer answer(const Target& target);
  HttpAnswer answer_of(const Target& target);

  const Presentation presentation_;
  Api api_;
  Metrics metrics_;
  // Last: nothing is asked of the others once it has stopped.
  std::unique_ptr<HttpServer> server_;
};

}  // namespace scalelaw::server
