// Who may call what. Pure.
#pragma once

#include <optional>
#include <string_view>

namespace scalelaw::server {

/// Viewers read; submitters also submit sweeps, pause, resume, cancel and retry their own, and store laws; workers take
/// attempts and report on them, nothing else; admins do everything.
enum class Role { kViewer, kSubmitter, kWorker, kAdmin };

std::string_view name(Role role);
std::optional<Role> parse_role(std::string_view name);

enum class Need {
  /// Anybody, also without a token.
  kNothing,
  kViewer,
  kSubmitter,
  kWorker,
  kAdmin,
};
/// What a method of our services (`/scalelaw.v1.Sweeps/Submit`) needs, as somebody decided it.
std::optional<Need> decided_need_of(std::string_view method);
/// The same for any method; one that nobody has thought of needs an admin.
Need need_of(std::string_view method);
bool satisfies(Role role, Need need);
/// A role that would do, for messages.
Role role_for(Need need);
/// Whether a call of it belongs in the audit log: it changes something.
bool is_audited(std::string_view method);

}  // namespace scalelaw::server
