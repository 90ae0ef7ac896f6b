// scalelaw-server: the coordinator.
#include <csignal>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <CLI/CLI.hpp>

#include "server/access/access.h"
#include "server/access/audit.h"
#include "server/access/token_commands.h"
#include "server/coordinator/coordinator.h"
#include "server/http/http.h"
#include "server/rpc/laws_service.h"
#include "server/rpc/runs_service.h"
#include "server/rpc/server.h"
#include "server/rpc/sweeps_service.h"
#include "server/rpc/workers_service.h"
#include "server/store/database_commands.h"
#include "server/store/store.h"

namespace {
using namespace scalelaw::server;

struct Options {
  std::filesystem::path data;
  std::string listen = "127.0.0.1:7070";
  std::string http;
  double lease_seconds = 30;
  std::vector<std::string> shares;
  double thin_after_days = 0;
  int curve_points = 1000;
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_client_authorities;
  bool insecure = false;
};

// Exit codes, so that a script can tell a port in use from a database that needs a person.
enum Exit { kOk = 0, kUsage = 2, kDatabase = 3, kAddress = 4 };

int fail(Exit code, const absl::Status& status) {
  fmt::print(stderr, "scalelaw-server: {}\n", std::string(status.message()));
  return code;
}

/// Blocks the signals that end us, in this thread and all that it starts, so that `wait` receives them.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

/// For programs that started us on any free port: written whole or not at all.
void write_address(const std::filesystem::path& file, const std::string& address) {
  const std::filesystem::path part = file.string() + ".part";
  std::ofstream(part) << address << "\n";
  std::error_code error;
  std::filesystem::rename(part, file, error);
  if (error) spdlog::warn("{} cannot be written: {}", file.string(), error.message());
}

absl::StatusOr<Guard> make_guard(const Options& options, const ListenAddress& address, Access& access,
                                 AuditLog& audit) {
  Guard guard{&access, &audit, std::nullopt};
  if (!options.tls_certificate.empty()) {
    auto identity = read_tls_identity(options.tls_certificate, options.tls_key, options.tls_client_authorities);
    if (!identity.ok()) return identity.status();
    guard.tls = *std::move(identity);
  }
  if (const absl::Status exposed = check_exposure(address, guard, options.insecure); !exposed.ok()) return exposed;
  return guard;
}

int serve(const Options& options, const sigset_t& signals) {
  const auto address = parse_listen_address(options.listen);
  if (!address.ok()) return fail(kUsage, address.status());
  const auto access = Access::open(options.data);
  if (!access.ok()) return fail(kUsage, access.status());
  AuditLog audit(options.data / "audit.log");
  const auto guard = make_guard(options, *address, **access, audit);
  if (!guard.ok()) return fail(kUsage, guard.status());
  // The dashboard asks nobody for a token: where the API does, it must be wanted.
  const bool unwanted = options.http.empty() && (*access)->asks_for_tokens();
  const auto http_address = parse_http_address(unwanted ? "off" : options.http, *address);
  if (!http_address.ok()) return fail(kUsage, http_address.status());
  const auto store = Store::open(options.data);
  if (!store.ok()) return fail(kDatabase, store.status());
  CoordinatorSettings settings;
  settings.lease = std::chrono::milliseconds(static_cast<int64_t>(options.lease_seconds * 1000));
  settings.heartbeat = settings.lease / 6;
  for (const std::string& share : options.shares) {
    const size_t equals = share.find('=');
    settings.shares[share.substr(0, equals)] = std::stod(share.substr(equals + 1));
  }
  if (options.thin_after_days > 0) {
    settings.thin_after = std::chrono::hours(static_cast<int64_t>(std::ceil(options.thin_after_days * 24)));
  }
  settings.curve_points = options.curve_points;
  const auto coordinator = Coordinator::start(**store, settings);
  if (!coordinator.ok()) return fail(kDatabase, coordinator.status());

  SweepsService sweeps(**store, **coordinator);
  RunsService runs(**store, **coordinator);
  WorkersService workers(**coordinator);
  LawAnswers law_answers(**store);
  LawsService laws(law_answers);
  // First, so that a client that reaches the server finds both addresses written.
  std::unique_ptr<Http> http;
  if (http_address->has_value()) {
    auto started = Http::start(**http_address, **store, **coordinator, law_answers, options.data);
    if (!started.ok()) return fail(kAddress, started.status());
    http = *std::move(started);
    write_address(options.data / "http.addr", http->address());
  }
  const auto server = RpcServer::start(*address, {&sweeps, &runs, &workers, &laws}, *guard);
  if (!server.ok()) return fail(kAddress, server.status());

  write_address(options.data / "server.addr", (*server)->address());
  fmt::print("listening on {}\n", (*server)->address());
  if (http != nullptr) fmt::print("dashboard on http://{}\n", http->address());
  std::fflush(stdout);

  int received = 0;
  sigwait(&signals, &received);
  spdlog::info("{}: stopping", received == SIGTERM ? "SIGTERM" : "SIGINT");
  if (http != nullptr) http->stop();
  // What is not stored by now is refused rather than waited for: workers keep it and deliver it again.
  (*store)->close();
  (*coordinator)->end_sessions(absl::UnavailableError("the server is stopping: keep what you run and come back"));
  (*server)->stop();
  return kOk;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The coordinator of scalelaw: schedules runs, stores their metrics, fits their laws."};
  app.footer(
      "Example:\n  scalelaw-server --data ~/scalelaw --listen 127.0.0.1:7070\n"
      "  scalelaw-worker --server 127.0.0.1:7070 --work-dir ~/scalelaw/worker\n"
      "For other machines:\n"
      "  scalelaw-server token create --data ~/scalelaw --role worker --owner gpu-nodes > worker.token\n"
      "  scalelaw-server --data ~/scalelaw --listen 0.0.0.0:7070 --tls-cert server.pem --tls-key server.key");
  Options options;
  app.add_option("--data", options.data, "Directory of the database scalelaw.db; made if it is not there")
      ->check([](const std::string& text) { return text.empty() ? "names no directory" : ""; });
  app.add_option("--listen", options.listen, "HOST:PORT to serve on; port 0 takes any free one (see DATA/server.addr)")
      ->capture_default_str();
  app.add_option(
      "--http", options.http,
      "HOST:PORT of the dashboard and /metrics, or `off`; default: ten ports above --listen, on this machine "
      "only (see DATA/http.addr), and off where the server asks for tokens: the dashboard does not");
  app.add_option("--lease", options.lease_seconds, "Seconds of silence after which a worker is lost")
      ->check(CLI::Range(0.5, 86400.0))
      ->capture_default_str();
  app.add_option("--share", options.shares,
                 "OWNER=WEIGHT: this owner's part of the slots where several owners of one priority want them; "
                 "others weigh 1; repeatable")
      ->check([](const std::string& share) {
        const size_t equals = share.find('=');
        double weight = 0;
        const char* begin = share.data() + std::min(equals, share.size() - 1) + 1;
        const auto [end, error] = std::from_chars(begin, share.data() + share.size(), weight);
        const bool good = equals != std::string::npos && equals > 0 && error == std::errc() &&
                          end == share.data() + share.size() && weight > 0 && weight <= 1e6;
        return good ? "" : "a share is OWNER=WEIGHT with a weight above 0, such as vision=2";
      });
  app.add_option("--thin-after", options.thin_after_days,
                 "Days after its end when a run's curves are thinned to --curve-points; default: never. Observations "
                 "and laws do not change")
      ->check(CLI::Range(0.1, 36500.0));
  app.add_option("--curve-points", options.curve_points, "Points that are kept of each thinned curve")
      ->check(CLI::Range(2, 1'000'000))
      ->capture_default_str();
  CLI::Option* certificate =
      app.add_option("--tls-cert", options.tls_certificate, "PEM file of the server's certificate, and its chain");
  CLI::Option* key = app.add_option("--tls-key", options.tls_key, "PEM file of its key")->needs(certificate);
  certificate->needs(key);
  app.add_option("--tls-client-ca", options.tls_client_authorities,
                 "PEM file: clients must show a certificate that one of these authorities signed")
      ->needs(certificate);
  app.add_flag("--insecure", options.insecure,
               "Serve any address without TLS and tokens: only where whoever reaches the port may run programs on the "
               "workers");
  add_token_commands(app);
  add_database_commands(app);
  app.callback([&] {
    if (app.get_subcommands().empty() && options.data.empty()) throw CLI::RequiredError("--data");
  });
  app.set_version_flag("--version", SCALELAW_VERSION);
  CLI11_PARSE(app, argc, argv);
  if (!app.get_subcommands().empty()) return kOk;

  const sigset_t signals = block_signals();
  spdlog::set_default_logger(spdlog::stderr_color_mt("scalelaw-server"));
  return serve(options, signals);
}
