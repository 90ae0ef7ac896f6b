// What a browser sends and gets, byte for byte, over a socket of its own.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace scalelaw::server {

class HttpConnection {
 public:
  /// `address`: 127.0.0.1:PORT.
  explicit HttpConnection(const std::string& address) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval limit{20, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    EXPECT_EQ(connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  }
  ~HttpConnection() { close(socket_); }
  HttpConnection(const HttpConnection&) = delete;

  void send(const std::string& text) {
    EXPECT_EQ(::send(socket_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  /// Up to and with `end`, or all until the server closes.
  std::string read_until(const std::string& end) {
    for (;;) {
      if (const size_t at = end.empty() ? std::string::npos : pending_.find(end); at != std::string::npos) {
        std::string text = pending_.substr(0, at + end.size());
        pending_.erase(0, text.size());
        return text;
      }
      char buffer[65536];
      const ssize_t got = recv(socket_, buffer, sizeof buffer, 0);
      if (got <= 0) return std::exchange(pending_, "");
      pending_.append(buffer, static_cast<size_t>(got));
    }
  }

 private:
  int socket_ = -1;
  std::string pending_;
};

struct HttpReply {
  int status = 0;
  std::string head;
  std::string body;
  nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
};

inline HttpReply request(const std::string& address, const std::string& method, const std::string& target,
                         const std::string& headers = "Host: localhost\r\nAccept-Encoding: gzip\r\n") {
  HttpConnection connection(address);
  connection.send(method + " " + target + " HTTP/1.1\r\nConnection: close\r\n" + headers + "\r\n");
  HttpReply reply;
  reply.head = connection.read_until("\r\n\r\n");
  reply.body = connection.read_until("");
  if (reply.head.size() > 12) reply.status = std::stoi(reply.head.substr(9, 3));
  return reply;
}
inline HttpReply get(const std::string& address, const std::string& target) {
  return request(address, "GET", target);
}

}  // namespace scalelaw::server
