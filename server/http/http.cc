#include "server/http/http.h"

#include <exception>
#include <utility>

#include <spdlog/spdlog.h>

#include "server/http/page.h"

namespace scalelaw::server {

absl::StatusOr<std::unique_ptr<Http>> Http::start(const ListenAddress& address, const Store& store,
                                                  const Coordinator& coordinator, LawAnswers& laws,
                                                  const std::filesystem::path& data) {
  std::unique_ptr<Http> http(new Http(store, coordinator, laws, data));
  HttpHandlers handlers;
  handlers.answer = [self = http.get()](const Target& target) { return self->answer(target); };
  handlers.slow = &Api::slow;
  handlers.changes = [&store] { return store.commits(); };
  absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::start(address, std::move(handlers));
  if (!server.ok()) return server.status();
  http->server_ = *std::move(server);
  return http;
}

HttpAnswer Http::answer(const Target& target) {
  // One bad answer must not end the coordinator.
  try {
    return answer_of(target);
  } catch (const std::exception& error) {
    spdlog::error("HTTP: {}", error.what());
    return error_answer(absl::InternalError(error.what()));
  }
}

HttpAnswer Http::answer_of(const Target& target) {
  if (target.path == std::vector<std::string>{"metrics"}) return metrics_.answer();
  if (!target.path.empty() && target.path.front() == "api") return api_.answer(target);
  return page_answer(target);
}

}  // namespace scalelaw::server
