#include "server/store/curve_reads.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <unordered_set>

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
// Up to so many stored points are all looked at, which takes some tenths of a second; of more, only some are.
constexpr int64_t kAllLookedAt = 1'000'000;

struct Row {
  int64_t step = 0;
  double x = 0;
  double y = 0;
};

/// Reads one curve; rows are in the order of their steps, and x grows with the step on every axis.
class CurveReader {
 public:
  CurveReader(Connection& connection, int32_t run_id, int32_t metric_id, const CurveQuery& query)
      : connection_(connection), run_id_(run_id), metric_id_(metric_id), query_(query) {}

  /// The first row at or after a step.
  std::optional<Row> seek(int64_t step) {
    Query row = connection_.query(
        "SELECT step, samples, flops, value FROM points WHERE run_id = ?1 AND metric_id = ?2 AND step >= ?3 "
        "ORDER BY step LIMIT 1",
        run_id_, metric_id_, step);
    return row.next() ? std::optional(row_of(row)) : std::nullopt;
  }
  /// The last row before a step.
  std::optional<Row> before(int64_t step) {
    Query row = connection_.query(
        "SELECT step, samples, flops, value FROM points WHERE run_id = ?1 AND metric_id = ?2 AND step < ?3 "
        "ORDER BY step DESC LIMIT 1",
        run_id_, metric_id_, step);
    return row.next() ? std::optional(row_of(row)) : std::nullopt;
  }
  Query scan(int64_t first, int64_t last) {
    return connection_.query(
        "SELECT step, samples, flops, value FROM points WHERE run_id = ?1 AND metric_id = ?2 "
        "AND step BETWEEN ?3 AND ?4 ORDER BY step",
        run_id_, metric_id_, first, last);
  }
  Row row_of(const Query& row) const {
    const int64_t step = row.long_integer(0);
    double x = static_cast<double>(step);
    if (query_.axis == CurveAxis::kSamples) x = row.real(1);
    if (query_.axis == CurveAxis::kFlops) x = row.real(2);
    return {step, x, row.real(3)};
  }
  /// The smallest step whose row, or the next row after it, has at least this x.
  int64_t step_at(double x, int64_t low, int64_t high) {
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      const std::optional<Row> row = seek(middle);
      if (!row || row->x >= x) {
        high = middle;
      } else {
        low = row->step + 1;
      }
    }
    return low;
  }

 private:
  Connection& connection_;
  const int32_t run_id_;
  const int32_t metric_id_;
  const CurveQuery& query_;
};

/// The part of one curve that is asked for.
struct Part {
  int32_t run_id = 0;
  int32_t metric_id = 0;
  Row first;
  Row last;
  /// Stored rows in it, as the distance of the first two tells.
  int64_t rows = 0;
};

std::optional<Part> part_of(CurveReader& reader, int32_t run_id, int32_t metric_id, int64_t last_step,
                            const CurveQuery& query) {
  std::optional<Row> first = reader.seek(std::numeric_limits<int64_t>::min());
  if (!first) return std::nullopt;
  int64_t end = last_step;
  // One row beyond each end, so that lines run up to the edges of the plot.
  if (query.to) end = std::min(end, reader.step_at(*query.to, first->step, last_step));
  if (query.from) first = reader.before(reader.step_at(*query.from, first->step, last_step)).value_or(*first);
  const std::optional<Row> last = reader.seek(end);
  if (!last || last->step < first->step) return std::nullopt;
  const std::optional<Row> second = reader.seek(first->step + 1);
  const int64_t stride = second ? second->step - first->step : 1;
  return Part{run_id, metric_id, *first, *last, (last->step - first->step) / std::max<int64_t>(1, stride) + 1};
}

/// Where a value lies between two others, 0 to 1, on the plot's axis.
double position(double value, double low, double high, bool log) {
  if (log) {
    low = std::log(std::max(low, 1.0));
    high = std::log(std::max(high, 1.0));
    value = std::log(std::max(value, 1.0));
  }
  return high > low ? std::clamp((value - low) / (high - low), 0.0, 1.0) : 0.0;
}

void append(ThinnedCurve& curve, const Row& row) {
  curve.x.push_back(row.x);
  curve.y.push_back(row.y);
}

/// The least and the greatest value of each of `points`/2 stretches of the axis.
ThinnedCurve extrema(CurveReader& reader, const Part& part, const CurveQuery& query) {
  ThinnedCurve curve{part.run_id, {}, {}};
  const bool all = part.rows <= query.points;
  const int buckets = std::max(1, query.points / 2);
  Row least, greatest;
  int bucket = -1;
  const auto flush = [&] {
    if (bucket < 0) return;
    append(curve, least.step <= greatest.step ? least : greatest);
    if (least.step != greatest.step) append(curve, least.step < greatest.step ? greatest : least);
  };
  Query rows = reader.scan(part.first.step, part.last.step);
  while (rows.next()) {
    const Row row = reader.row_of(rows);
    if (all) {
      append(curve, row);
      continue;
    }
    const int at =
        std::min(buckets - 1, static_cast<int>(buckets * position(row.x, part.first.x, part.last.x, query.log_axis)));
    if (at != bucket) {
      flush();
      bucket = at;
      least = greatest = row;
    } else {
      if (row.y < least.y) least = row;
      if (row.y > greatest.y) greatest = row;
    }
  }
  flush();
  return curve;
}

/// The first row of each of `points` stretches, and the last row: one look into the index each.
ThinnedCurve every_so_often(CurveReader& reader, const Part& part, const CurveQuery& query) {
  ThinnedCurve curve{part.run_id, {}, {}};
  const auto low = static_cast<double>(part.first.step), high = static_cast<double>(part.last.step);
  const double n = query.points;
  const auto step_of = [&](double stretch) {
    if (!query.log_axis) return low + (high - low) * stretch / n;
    return std::max(low, 1.0) * std::pow(std::max(high, 1.0) / std::max(low, 1.0), stretch / n);
  };
  std::optional<Row> row = part.first;
  while (row && row->step < part.last.step) {
    append(curve, *row);
    const double next = std::floor(n * position(static_cast<double>(row->step), low, high, query.log_axis)) + 1;
    row = reader.seek(std::max(row->step + 1, static_cast<int64_t>(std::ceil(step_of(next)))));
  }
  append(curve, part.last);
  return curve;
}
}  // namespace

std::vector<std::string> read_reported_metrics(Connection& connection, int32_t sweep_id) {
  std::vector<std::string> names;
  Query row = connection.query(
      "SELECT DISTINCT m.name FROM sweep_runs x JOIN latest_points l ON l.run_id = x.run_id "
      "JOIN metrics m ON m.id = l.metric_id WHERE x.sweep_id = ?1 ORDER BY m.name",
      sweep_id);
  while (row.next()) names.push_back(row.text(0));
  return names;
}

absl::StatusOr<ThinnedCurves> read_thinned_curves(Connection& connection, const CurveQuery& query) {
  {
    Query exists = connection.query("SELECT 1 FROM sweeps WHERE id = ?1", query.sweep_id);
    if (!exists.next()) return absl::NotFoundError(fmt::format("sweep: there is no sweep {}", query.sweep_id));
  }
  const std::unordered_set<int32_t> wanted(query.run_ids.begin(), query.run_ids.end());
  std::vector<Part> parts;
  int64_t rows = 0;
  Query latest = connection.query(
      "SELECT l.run_id, l.metric_id, l.step FROM sweep_runs x JOIN latest_points l ON l.run_id = x.run_id "
      "JOIN metrics m ON m.id = l.metric_id WHERE x.sweep_id = ?1 AND m.name = ?2 ORDER BY x.number",
      query.sweep_id, query.metric);
  while (latest.next()) {
    const int32_t run_id = latest.integer(0), metric_id = latest.integer(1);
    if (!wanted.empty() && !wanted.contains(run_id)) continue;
    CurveReader reader(connection, run_id, metric_id, query);
    const std::optional<Part> part = part_of(reader, run_id, metric_id, latest.long_integer(2), query);
    if (!part) continue;
    parts.push_back(*part);
    rows += part->rows;
  }
  ThinnedCurves result;
  result.extrema = rows <= kAllLookedAt;
  for (const Part& part : parts) {
    CurveReader reader(connection, part.run_id, part.metric_id, query);
    result.curves.push_back(result.extrema ? extrema(reader, part, query) : every_so_often(reader, part, query));
  }
  return result;
}

}  // namespace scalelaw::server
