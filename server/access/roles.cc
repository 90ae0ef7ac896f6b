#include "server/access/roles.h"

#include <array>
#include <utility>

namespace scalelaw::server {
namespace {

constexpr std::array<std::pair<Role, std::string_view>, 4> kNames = {
    {{Role::kViewer, "viewer"}, {Role::kSubmitter, "submitter"}, {Role::kWorker, "worker"}, {Role::kAdmin, "admin"}}};

// Every method of our services; tests/server/access_test.cc fails when one is missing.
constexpr std::array<std::pair<std::string_view, Need>, 30> kMethods = {{
    {"/scalelaw.v1.Sweeps/Submit", Need::kSubmitter}, {"/scalelaw.v1.Sweeps/Get", Need::kViewer},
    {"/scalelaw.v1.Sweeps/List", Need::kViewer},      {"/scalelaw.v1.Sweeps/Watch", Need::kViewer},
    {"/scalelaw.v1.Sweeps/Cancel", Need::kSubmitter}, {"/scalelaw.v1.Runs/Get", Need::kViewer},
    {"/scalelaw.v1.Runs/List", Need::kViewer},        {"/scalelaw.v1.Runs/Metrics", Need::kViewer},
    {"/scalelaw.v1.Runs/Logs", Need::kViewer},        {"/scalelaw.v1.Runs/Retry", Need::kSubmitter},
    {"/scalelaw.v1.Workers/Session", Need::kWorker},  {"/scalelaw.v1.Workers/Deliver", Need::kWorker},
    {"/scalelaw.v1.Workers/List", Need::kViewer},     {"/scalelaw.v1.Laws/Fit", Need::kSubmitter},
    {"/scalelaw.v1.Laws/List", Need::kViewer},        {"/scalelaw.v1.Laws/Get", Need::kViewer},
    {"/scalelaw.v1.Laws/Predict", Need::kViewer},     {"/scalelaw.v1.Laws/Observations", Need::kViewer},
    {"/scalelaw.v1.Laws/Verify", Need::kViewer},      {"/scalelaw.v1.Laws/Optimal", Need::kViewer},
    {"/scalelaw.v1.Laws/Compare", Need::kViewer},     {"/scalelaw.v1.Laws/Plan", Need::kViewer},
    {"/scalelaw.v1.Laws/Rank", Need::kViewer},        {"/scalelaw.v1.Laws/Approaches", Need::kViewer},
    {"/scalelaw.v1.Laws/Diagnose", Need::kViewer},    {"/scalelaw.v1.Sweeps/Pause", Need::kSubmitter},
    {"/scalelaw.v1.Sweeps/Resume", Need::kSubmitter}, {"/scalelaw.v1.Workers/Drain", Need::kAdmin},
    {"/scalelaw.v1.Workers/Undrain", Need::kAdmin},   {"/scalelaw.v1.Runs/Import", Need::kSubmitter},
}};

}  // namespace

std::string_view name(Role role) {
  for (const auto& [known, text] : kNames) {
    if (known == role) return text;
  }
  return "unknown";
}

std::optional<Role> parse_role(std::string_view text) {
  for (const auto& [role, known] : kNames) {
    if (known == text) return role;
  }
  return std::nullopt;
}

std::optional<Need> decided_need_of(std::string_view method) {
  for (const auto& [known, need] : kMethods) {
    if (known == method) return need;
  }
  return std::nullopt;
}

Need need_of(std::string_view method) {
  if (const std::optional<Need> decided = decided_need_of(method)) return *decided;
  // A load balancer has no token; the API's shape is public anyway.
  if (method.starts_with("/grpc.health.v1.Health/")) return Need::kNothing;
  if (method.starts_with("/grpc.reflection.")) return Need::kViewer;
  return Need::kAdmin;
}

bool satisfies(Role role, Need need) {
  switch (need) {
    case Need::kNothing:
      return true;
    case Need::kViewer:
      return role != Role::kWorker;
    case Need::kSubmitter:
      return role == Role::kSubmitter || role == Role::kAdmin;
    case Need::kWorker:
      return role == Role::kWorker || role == Role::kAdmin;
    case Need::kAdmin:
      return role == Role::kAdmin;
  }
  return false;
}

Role role_for(Need need) {
  switch (need) {
    case Need::kNothing:
    case Need::kViewer:
      return Role::kViewer;
    case Need::kSubmitter:
      return Role::kSubmitter;
    case Need::kWorker:
      return Role::kWorker;
    case Need::kAdmin:
      return Role::kAdmin;
  }
  return Role::kAdmin;
}

bool is_audited(std::string_view method) {
  const Need need = need_of(method);
  // Deliveries are the bulk of all calls, and the session that they belong to is in the log.
  return need != Need::kNothing && need != Need::kViewer && method != "/scalelaw.v1.Workers/Deliver";
}

}  // namespace scalelaw::server
