#include "server/http/server.h"

#include <chrono>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace scalelaw::server {

namespace {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::seconds kIdle{60};
constexpr std::chrono::milliseconds kLookForChanges{500};
// Now and then even an idle stream must notice that its reader is gone.
constexpr std::chrono::seconds kSignOfLife{10};
constexpr size_t kQuickThreads = 3;
constexpr size_t kMostHeaderBytes = 16 << 10;

bool names_loopback(std::string_view host) {
  error_code error;
  const auto address = asio::ip::make_address(std::string(host), error);
  return host == "localhost" || host == "[::1]" || (!error && address.is_loopback());
}

/// The host of a `Host` header, without its port.
std::string_view host_of(std::string_view header) {
  const size_t colon = header.rfind(':');
  const bool port = colon != std::string_view::npos && header.find(']', colon) == std::string_view::npos;
  return port ? header.substr(0, colon) : header;
}

std::string joined(const ListenAddress& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", address.host, v6 ? "]" : "", address.port);
}

struct Shared {
  HttpHandlers handlers;
  std::string host;
  asio::io_context io{1};
  // After `io`: what they compute is handed back to it.
  asio::thread_pool quick{kQuickThreads};
  asio::thread_pool slow{1};
};

/// One connection; lives as long as it is waited on.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, Shared& shared) : stream_(std::move(socket)), timer_(shared.io), shared_(shared) {}

  void read() {
    parser_.emplace();
    parser_->header_limit(kMostHeaderBytes);
    stream_.expires_after(kIdle);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, size_t) {
      if (!error) self->handle();
    });
  }

 private:
  void handle() {
    const http::request<http::empty_body>& request = parser_->get();
    head_ = request.method() == http::verb::head;
    keep_alive_ = request.keep_alive();
    const auto host = request[http::field::host];
    const std::string_view name = host_of({host.data(), host.size()});
    if (!names_loopback(name) && name != shared_.host) {
      HttpAnswer refusal = error_answer(absl::InvalidArgumentError(
          fmt::format("Host: \"{}\" is not a name of this server; open it as http://localhost", name)));
      refusal.status = 403;
      return write(std::move(refusal));
    }
    if (request.method() != http::verb::get && !head_) {
      HttpAnswer refusal = error_answer(absl::InvalidArgumentError("only GET and HEAD: nothing can be changed here"));
      refusal.status = 405;
      return write(std::move(refusal));
    }
    const auto text = request.target();
    absl::StatusOr<Target> target = parse_target({text.data(), text.size()});
    if (!target.ok()) return write(error_answer(target.status()));
    if (target->path == std::vector<std::string>{"api", "events"}) return begin_events();
    const auto accepted = request[http::field::accept_encoding];
    accepts_gzip_ = std::string_view(accepted.data(), accepted.size()).find("gzip") != std::string_view::npos;
    compute(*std::move(target));
  }

  void compute(Target target) {
    // A long answer is no idle connection.
    stream_.expires_never();
    asio::thread_pool& pool = shared_.handlers.slow(target) ? shared_.slow : shared_.quick;
    asio::post(pool, [self = shared_from_this(), target = std::move(target)] {
      HttpAnswer answer = self->shared_.handlers.answer(target);
      asio::post(self->shared_.io, [self, answer = std::move(answer)]() mutable { self->write(std::move(answer)); });
    });
  }

  void write(HttpAnswer answer) {
    if (answer.encoding == "gzip" && !accepts_gzip_) {
      answer = error_answer(absl::InvalidArgumentError("the page is compressed: send Accept-Encoding: gzip"));
      answer.status = 406;
    }
    http::response<http::string_body>& response = response_.emplace();
    response.result(static_cast<unsigned>(answer.status));
    response.version(11);
    response.keep_alive(keep_alive_);
    response.set(http::field::content_type, answer.type);
    if (!answer.encoding.empty()) response.set(http::field::content_encoding, answer.encoding);
    if (answer.status == 405) response.set(http::field::allow, "GET, HEAD");
    response.set(http::field::cache_control, answer.immutable ? "public, max-age=31536000, immutable" : "no-cache");
    response.set("X-Content-Type-Options", "nosniff");
    response.set("Referrer-Policy", "no-referrer");
    // Plots set the style of what they draw.
    response.set("Content-Security-Policy",
                 "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
                 "frame-ancestors 'none'");
    response.content_length(answer.body.size());
    if (!head_) response.body() = std::move(answer.body);
    stream_.expires_after(kIdle);
    http::async_write(stream_, response, [self = shared_from_this()](error_code error, size_t) {
      if (error) return;
      if (self->keep_alive_) return self->read();
      error_code ignored;
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    });
  }

  void begin_events() {
    send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        "retry: 1000\n\n");
  }
  void send(std::string text) {
    message_ = std::move(text);
    sent_at_ = std::chrono::steady_clock::now();
    stream_.expires_after(kIdle);
    asio::async_write(stream_, asio::buffer(message_), [self = shared_from_this()](error_code error, size_t) {
      if (!error) self->wait_for_change();
    });
  }
  void wait_for_change() {
    stream_.expires_never();
    timer_.expires_after(seen_ ? kLookForChanges : std::chrono::milliseconds{0});
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error) self->look_for_change();
    });
  }
  void look_for_change() {
    const uint64_t changes = shared_.handlers.changes();
    if (seen_ != changes) {
      seen_ = changes;
      send(fmt::format("event: changed\ndata: {}\n\n", changes));
    } else if (std::chrono::steady_clock::now() - sent_at_ > kSignOfLife) {
      send(": still here\n\n");
    } else {
      wait_for_change();
    }
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::empty_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  bool head_ = false;
  bool keep_alive_ = true;
  bool accepts_gzip_ = false;
  asio::steady_timer timer_;
  std::string message_;
  std::optional<uint64_t> seen_;
  std::chrono::steady_clock::time_point sent_at_;
  Shared& shared_;
};

/// Bound and listening, or why not.
absl::StatusOr<tcp::acceptor> listen_on(asio::io_context& io, const ListenAddress& address) {
  const std::string name = joined(address);
  error_code error;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(address.host, std::to_string(address.port), tcp::resolver::passive, error);
  if (error) return absl::UnavailableError(fmt::format("cannot listen on {}: {}", name, error.message()));
  const tcp::endpoint endpoint = found.begin()->endpoint();
  tcp::acceptor acceptor(io);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error == boost::system::errc::address_in_use)
    return absl::AlreadyExistsError(
        fmt::format("cannot serve the dashboard on {}: the port is in use by another program; choose another with "
                    "--http HOST:PORT (port 0: any), or --http off",
                    name));
  if (error) return absl::UnavailableError(fmt::format("cannot listen on {}: {}", name, error.message()));
  return acceptor;
}
}  // namespace

absl::StatusOr<std::optional<ListenAddress>> parse_http_address(const std::string& text, const ListenAddress& listen) {
  if (text == "off") return std::optional<ListenAddress>();
  if (text.empty()) return ListenAddress{"127.0.0.1", listen.port == 0 ? 0 : listen.port + 10};
  absl::StatusOr<ListenAddress> address = parse_listen_address(text, "--http");
  if (!address.ok()) return address.status();
  if (!names_loopback(address->host) && address->host != "::1")
    return absl::InvalidArgumentError(
        fmt::format("--http: {} is not a loopback address, and whoever reaches the dashboard can read all metrics and "
                    "logs; serve it on 127.0.0.1 and reach it through `ssh -L`",
                    address->host));
  return *std::move(address);
}

class HttpServer::Impl {
 public:
  explicit Impl(HttpHandlers handlers) { shared_.handlers = std::move(handlers); }

  absl::Status start(ListenAddress address) {
    absl::StatusOr<tcp::acceptor> acceptor = listen_on(shared_.io, address);
    if (!acceptor.ok()) return acceptor.status();
    acceptor_.emplace(*std::move(acceptor));
    address.port = acceptor_->local_endpoint().port();
    shared_.host = address.host;
    address_ = joined(address);
    accept();
    thread_ = std::thread([this] { shared_.io.run(); });
    return absl::OkStatus();
  }
  void stop() {
    shared_.io.stop();
    if (thread_.joinable()) thread_.join();
    for (asio::thread_pool* pool : {&shared_.quick, &shared_.slow}) {
      pool->stop();
      pool->join();
    }
  }
  const std::string& address() const { return address_; }

 private:
  void accept() {
    acceptor_->async_accept([this](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error) {
        std::make_shared<Session>(std::move(socket), shared_)->read();
        return accept();
      }
      // Out of file descriptors, as a rule: they come back.
      spdlog::warn("the dashboard cannot take a connection: {}", error.message());
      retry_.expires_after(std::chrono::milliseconds{200});
      retry_.async_wait([this](error_code stopped) {
        if (!stopped) accept();
      });
    });
  }

  Shared shared_;
  std::optional<tcp::acceptor> acceptor_;
  asio::steady_timer retry_{shared_.io};
  std::string address_;
  std::thread thread_;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::start(const ListenAddress& address, HttpHandlers handlers) {
  auto impl = std::make_unique<Impl>(std::move(handlers));
  if (absl::Status status = impl->start(address); !status.ok()) return status;
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() {
  stop();
}
void HttpServer::stop() {
  impl_->stop();
}
const std::string& HttpServer::address() const {
  return impl_->address();
}

}  // namespace scalelaw::server
