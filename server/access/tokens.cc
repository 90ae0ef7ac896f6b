#include "server/access/tokens.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>

#include <absl/strings/escaping.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <nlohmann/json.hpp>

#include "proto/sha256.h"
#include "server/expansion/name.h"

namespace scalelaw::server {
namespace {

constexpr std::string_view kPrefix = "scalelaw_";
constexpr size_t kIdBytes = 4;
constexpr size_t kSecretBytes = 32;

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string random_hex(size_t bytes) {
  std::string raw(bytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(bytes)) != 1) std::abort();
  return absl::BytesToHexString(raw);
}

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

absl::Status system_error(const std::filesystem::path& file) {
  return absl::UnavailableError(fmt::format("{}: {}", file.string(), std::strerror(errno)));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

std::optional<TokenText> parse_token_text(std::string_view text) {
  constexpr size_t kIdEnd = kPrefix.size() + 2 * kIdBytes;
  if (text.size() != kIdEnd + 1 + 2 * kSecretBytes || !text.starts_with(kPrefix) || text[kIdEnd] != '_') {
    return std::nullopt;
  }
  TokenText parts{std::string(text.substr(kPrefix.size(), 2 * kIdBytes)), std::string(text.substr(kIdEnd + 1))};
  if (!is_hex(parts.id) || !is_hex(parts.secret)) return std::nullopt;
  return parts;
}

std::string to_json(const std::vector<Token>& tokens) {
  nlohmann::json list = nlohmann::json::array();
  for (const Token& token : tokens) {
    list.push_back({{"id", token.id},
                    {"owner", token.owner},
                    {"role", name(token.role)},
                    {"sha256", token.hash},
                    {"created_ms", token.created_ms},
                    {"revoked_ms", token.revoked_ms}});
  }
  return nlohmann::json{{"tokens", list}}.dump(2) + "\n";
}

absl::StatusOr<std::vector<Token>> tokens_from_json(std::string_view text) {
  try {
    std::vector<Token> tokens;
    const nlohmann::json json = nlohmann::json::parse(text);
    for (const auto& entry : json.at("tokens")) {
      const auto role = parse_role(entry.at("role").get<std::string>());
      Token token{entry.at("id").get<std::string>(),     entry.at("owner").get<std::string>(),
                  role.value_or(Role::kViewer),          entry.at("sha256").get<std::string>(),
                  entry.at("created_ms").get<int64_t>(), entry.at("revoked_ms").get<int64_t>()};
      if (!role || token.id.size() != 2 * kIdBytes || !is_hex(token.id) || token.hash.size() != 64 ||
          !is_hex(token.hash) || !is_name(token.owner)) {
        return absl::DataLossError(fmt::format("token {} is damaged", tokens.size() + 1));
      }
      tokens.push_back(std::move(token));
    }
    return tokens;
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(error.what());
  }
}

absl::StatusOr<std::vector<Token>> TokenFile::read() const {
  std::ifstream in(file_, std::ios::binary);
  if (!in) {
    if (errno == ENOENT) return std::vector<Token>{};
    return system_error(file_);
  }
  std::ostringstream text;
  text << in.rdbuf();
  absl::StatusOr<std::vector<Token>> tokens = tokens_from_json(text.str());
  if (!tokens.ok()) {
    return absl::DataLossError(fmt::format("{}: {}", file_.string(), std::string(tokens.status().message())));
  }
  return tokens;
}

absl::Status TokenFile::change(const std::function<absl::Status(std::vector<Token>&)>& edit) {
  std::error_code ignored;
  std::filesystem::create_directories(file_.parent_path(), ignored);
  const std::filesystem::path lock_file = file_.string() + ".lock";
  const Descriptor lock(::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.get() < 0 || ::flock(lock.get(), LOCK_EX) != 0) return system_error(lock_file);

  auto tokens = read();
  if (!tokens.ok()) return tokens.status();
  if (absl::Status edited = edit(*tokens); !edited.ok()) return edited;

  const std::filesystem::path part = file_.string() + ".part";
  const std::string text = to_json(*tokens);
  ::unlink(part.c_str());
  const Descriptor out(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  const bool written = out.get() >= 0 &&
                       ::write(out.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(out.get()) == 0 && ::rename(part.c_str(), file_.c_str()) == 0;
  return written ? absl::OkStatus() : system_error(file_);
}

absl::StatusOr<std::string> TokenFile::create(Role role, const std::string& owner) {
  if (!is_name(owner)) {
    return absl::InvalidArgumentError(
        fmt::format("owner: \"{}\" is no name of 1 to {} letters, digits, '.', '_' and '-'", owner, kMaxNameLength));
  }
  const std::string secret = random_hex(kSecretBytes);
  std::string id;
  const absl::Status changed = change([&](std::vector<Token>& tokens) {
    const auto taken = [&] {
      return std::any_of(tokens.begin(), tokens.end(), [&](const Token& token) { return token.id == id; });
    };
    do {
      id = random_hex(kIdBytes);
    } while (taken());
    tokens.push_back({id, owner, role, sha256(secret), now_ms(), 0});
    return absl::OkStatus();
  });
  if (!changed.ok()) return changed;
  return fmt::format("{}{}_{}", kPrefix, id, secret);
}

absl::Status TokenFile::revoke(const std::string& id) {
  return change([&](std::vector<Token>& tokens) {
    for (Token& token : tokens) {
      if (token.id != id || token.revoked_ms != 0) continue;
      token.revoked_ms = now_ms();
      return absl::OkStatus();
    }
    return absl::NotFoundError(fmt::format("there is no valid token {}; `scalelaw-server token list` shows them", id));
  });
}

absl::Status LiveTokens::refresh() {
  struct stat now {};
  if (::stat(file_.c_str(), &now) != 0) return system_error(file_);
  const auto version = std::tuple(static_cast<uint64_t>(now.st_ino), static_cast<uint64_t>(now.st_size),
                                  static_cast<int64_t>(now.st_mtim.tv_sec), static_cast<int64_t>(now.st_mtim.tv_nsec));
  if (version_ == version) return absl::OkStatus();
  auto tokens = TokenFile(file_).read();
  if (!tokens.ok()) return tokens.status();
  tokens_ = *std::move(tokens);
  version_ = version;
  return absl::OkStatus();
}

absl::StatusOr<Token> LiveTokens::find(std::string_view text) {
  const std::optional<TokenText> parts = parse_token_text(text);
  if (!parts) return absl::UnauthenticatedError("this is no token of scalelaw's (scalelaw_…)");
  const std::string hash = sha256(parts->secret);
  const std::lock_guard lock(mutex_);
  if (const absl::Status fresh = refresh(); !fresh.ok()) {
    return absl::UnauthenticatedError(fmt::format("tokens cannot be checked: {}", std::string(fresh.message())));
  }
  for (const Token& token : tokens_) {
    if (token.id != parts->id || CRYPTO_memcmp(token.hash.data(), hash.data(), hash.size()) != 0) continue;
    if (token.revoked_ms != 0) return absl::UnauthenticatedError(fmt::format("token {} was revoked", token.id));
    return token;
  }
  return absl::UnauthenticatedError("unknown token");
}

}  // namespace scalelaw::server
