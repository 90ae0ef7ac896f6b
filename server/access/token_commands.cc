#include "server/access/token_commands.h"

#include <cstdio>
#include <ctime>
#include <memory>
#include <string>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "server/access/access.h"

namespace scalelaw::server {
namespace {

struct TokenOptions {
  std::string data;
  std::string role;
  std::string owner;
  std::string id;
  bool json = false;
  TokenFile file() const { return TokenFile(token_file(data)); }
};

[[noreturn]] void fail(const absl::Status& status) {
  fmt::print(stderr, "scalelaw-server: {}\n", std::string(status.message()));
  throw CLI::RuntimeError(2);
}

std::string time_text(int64_t ms) {
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(static_cast<std::time_t>(ms / 1000)));
}

void create(const TokenOptions& options) {
  const auto token = options.file().create(*parse_role(options.role), options.owner);
  if (!token.ok()) fail(token.status());
  fmt::print("{}\n", *token);
  fmt::print(
      stderr,
      "Keep it: it is not stored and cannot be shown again. A server that runs without tokens asks for them after "
      "its next start.\n");
}

void list(const TokenOptions& options) {
  const auto tokens = options.file().read();
  if (!tokens.ok()) fail(tokens.status());
  if (options.json) {
    fmt::print("{}", to_json(*tokens));
    return;
  }
  fmt::print("{:<8}  {:<9}  {:<20}  {:<20}  {}\n", "ID", "ROLE", "OWNER", "CREATED", "STATE");
  for (const Token& token : *tokens) {
    fmt::print("{:<8}  {:<9}  {:<20}  {:<20}  {}\n", token.id, name(token.role), token.owner,
               time_text(token.created_ms), token.revoked_ms == 0 ? "valid" : "revoked " + time_text(token.revoked_ms));
  }
}

void revoke(const TokenOptions& options) {
  if (const absl::Status revoked = options.file().revoke(options.id); !revoked.ok()) fail(revoked);
  fmt::print("revoked {}: new calls with it are refused; sessions under way end with the server's restart\n",
             options.id);
}

}  // namespace

void add_token_commands(CLI::App& app) {
  const auto options = std::make_shared<TokenOptions>();
  CLI::App* tokens = app.add_subcommand("token", "Make, list and revoke the tokens that clients show");
  tokens->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, void (*run)(const TokenOptions&)) {
    CLI::App* command = tokens->add_subcommand(name, help);
    command->add_option("--data", options->data, "The server's directory")->required();
    command->callback([options, run] { run(*options); });
    return command;
  };
  CLI::App* make = add("create", "Make a token and print it", create);
  make->add_option("--role", options->role, "viewer, submitter, worker or admin")
      ->required()
      ->check(CLI::IsMember({"viewer", "submitter", "worker", "admin"}));
  make->add_option("--owner", options->owner, "Whose it is: a person, or a group of machines")->required();
  make->footer("Example:\n  scalelaw-server token create --data ~/scalelaw --role submitter --owner ada > ada.token");
  add("list", "Show who has which role", list)->add_flag("--json", options->json, "Print JSON for programs");
  add("revoke", "Refuse a token from now on", revoke)->add_option("id", options->id, "As listed")->required();
}

}  // namespace scalelaw::server
