// The one place that decides who may do what. Read in this order: roles.h, tokens.h, this.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "server/access/tokens.h"

namespace scalelaw::server {

struct Caller {
  /// Of the token; empty where none is needed.
  std::string owner = {};
  Role role = Role::kAdmin;
  std::string token_id = {};
};

/// Whose a sweep is that the caller submits for `owner` (empty: for himself). PERMISSION_DENIED for others than
/// himself, unless he is an admin.
absl::StatusOr<std::string> owner_for(const Caller& caller, const std::string& owner);
/// Whether the caller may change what belongs to `owner`: admins may, and everybody what is his own or nobody's.
absl::Status may_change(const Caller& caller, const std::string& owner);

/// Thread-safe.
class Access {
 public:
  /// Tokens are asked for if `DATA/tokens.json` has any at this moment, be they revoked, and then for good: taking the
  /// last one away closes the door instead of opening it. DATA_LOSS if the file is damaged.
  static absl::StatusOr<std::unique_ptr<Access>> open(const std::filesystem::path& data);

  bool asks_for_tokens() const { return tokens_ != nullptr; }
  /// `authorization`: the header's value, `Bearer scalelaw_…`, or empty. UNAUTHENTICATED without a valid token,
  /// PERMISSION_DENIED where its role does not suffice; both say what to do.
  absl::StatusOr<Caller> check(std::string_view method, std::string_view authorization);

 private:
  explicit Access(std::unique_ptr<LiveTokens> tokens) : tokens_(std::move(tokens)) {}
  const std::unique_ptr<LiveTokens> tokens_;
};

std::filesystem::path token_file(const std::filesystem::path& data);

}  // namespace scalelaw::server
