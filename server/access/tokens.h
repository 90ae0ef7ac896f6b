// Bearer tokens: who holds which role. They lie in a file of their own, apart from the database that others may read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "server/access/roles.h"

namespace scalelaw::server {

/// What is kept of a token: enough to know it again, not enough to make it.
struct Token {
  /// 8 hex digits, part of the token's text; names it in lists and logs.
  std::string id;
  std::string owner;
  Role role = Role::kViewer;
  /// SHA-256 of the secret part, hex. The secret has 256 random bits: there is nothing to guess, and so no need of a
  /// slow hash.
  std::string hash;
  int64_t created_ms = 0;
  /// 0: it is valid.
  int64_t revoked_ms = 0;
};

/// The text of a token, `scalelaw_ID_SECRET`, taken apart. Nothing for anything else.
struct TokenText {
  std::string id;
  std::string secret;
};
std::optional<TokenText> parse_token_text(std::string_view text);

std::string to_json(const std::vector<Token>& tokens);
/// DATA_LOSS naming what is wrong.
absl::StatusOr<std::vector<Token>> tokens_from_json(std::string_view text);

/// A file of tokens, readable by its owner only. Programs may change it while a server reads it.
class TokenFile {
 public:
  explicit TokenFile(std::filesystem::path file) : file_(std::move(file)) {}

  /// Empty if there is no file.
  absl::StatusOr<std::vector<Token>> read() const;
  /// Adds a token; its whole text, which nobody can tell again. INVALID_ARGUMENT for an owner that is no plain name.
  absl::StatusOr<std::string> create(Role role, const std::string& owner);
  /// NOT_FOUND if there is no valid token of this id.
  absl::Status revoke(const std::string& id);

 private:
  absl::Status change(const std::function<absl::Status(std::vector<Token>&)>& edit);

  std::filesystem::path file_;
};

/// The tokens of a file as they are now; looks at it again whenever it has changed. Thread-safe.
class LiveTokens {
 public:
  explicit LiveTokens(std::filesystem::path file) : file_(std::move(file)) {}

  /// The valid token with this text. UNAUTHENTICATED otherwise; a file that cannot be read lets nobody in.
  absl::StatusOr<Token> find(std::string_view text);

 private:
  absl::Status refresh();

  const std::filesystem::path file_;
  std::mutex mutex_;
  std::vector<Token> tokens_;
  // Of the file as it was read: inode, size and time of change.
  std::optional<std::tuple<uint64_t, uint64_t, int64_t, int64_t>> version_;
};

}  // namespace scalelaw::server
