// Ids that cannot be confused with each other.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace scalelaw::server {

template <class Tag, class Rep>
struct Id {
  Rep value = 0;
  auto operator<=>(const Id&) const = default;
};

using SweepId = Id<struct SweepTag, int32_t>;
using RunId = Id<struct RunTag, int32_t>;
using WorkerId = Id<struct WorkerTag, int32_t>;
using AttemptId = Id<struct AttemptTag, int64_t>;

}  // namespace scalelaw::server

template <class Tag, class Rep>
struct std::hash<scalelaw::server::Id<Tag, Rep>> {
  size_t operator()(const scalelaw::server::Id<Tag, Rep>& id) const noexcept { return std::hash<Rep>{}(id.value); }
};
