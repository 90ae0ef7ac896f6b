#include "server/access/access.h"

#include <fmt/format.h>

namespace scalelaw::server {

std::filesystem::path token_file(const std::filesystem::path& data) {
  return data / "tokens.json";
}

absl::StatusOr<std::unique_ptr<Access>> Access::open(const std::filesystem::path& data) {
  const auto tokens = TokenFile(token_file(data)).read();
  if (!tokens.ok()) return tokens.status();
  auto live = tokens->empty() ? nullptr : std::make_unique<LiveTokens>(token_file(data));
  return std::unique_ptr<Access>(new Access(std::move(live)));
}

absl::StatusOr<Caller> Access::check(std::string_view method, std::string_view authorization) {
  if (tokens_ == nullptr) return Caller{};
  const Need need = need_of(method);
  if (need == Need::kNothing) return Caller{.owner = "", .role = Role::kViewer, .token_id = ""};
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) {
    return absl::UnauthenticatedError(
        "this server asks for a token: name a file that holds one with --token-file or $SCALELAW_TOKEN_FILE "
        "(an admin makes them with `scalelaw-server token create`)");
  }
  const absl::StatusOr<Token> token = tokens_->find(authorization.substr(kScheme.size()));
  if (!token.ok()) return token.status();
  if (!satisfies(token->role, need)) {
    return absl::PermissionDeniedError(fmt::format("token {} of {} is a {}'s; {} needs a {}'s", token->id, token->owner,
                                                   name(token->role), method, name(role_for(need))));
  }
  return Caller{token->owner, token->role, token->id};
}

absl::StatusOr<std::string> owner_for(const Caller& caller, const std::string& owner) {
  if (owner.empty()) return caller.owner;
  if (caller.role == Role::kAdmin || owner == caller.owner) return owner;
  return absl::PermissionDeniedError(
      fmt::format("owner: token {} is {}'s; only an admin submits for {}", caller.token_id, caller.owner, owner));
}

absl::Status may_change(const Caller& caller, const std::string& owner) {
  if (owner.empty() || caller.role == Role::kAdmin || owner == caller.owner) return absl::OkStatus();
  return absl::PermissionDeniedError(
      fmt::format("this is {}'s, and token {} is {}'s; an admin may do it too", owner, caller.token_id, caller.owner));
}

}  // namespace scalelaw::server
