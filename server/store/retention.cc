#include "server/store/retention.h"

#include <vector>

namespace scalelaw::server {

int thin_curves(Connection& connection, int64_t ended_before_ms, int points, int runs) {
  std::vector<int32_t> old;
  {
    Query row = connection.query(
        "SELECT id FROM runs WHERE curve_points IS NULL AND finished_ms < ?1 ORDER BY finished_ms LIMIT ?2",
        ended_before_ms, runs);
    while (row.next()) old.push_back(row.integer(0));
  }
  for (const int32_t run : old) {
    // A point is kept where the place, scaled to 0 … points-1, reaches its next whole number.
    connection.run(
        "DELETE FROM points WHERE run_id = ?1 AND (metric_id, step) IN (SELECT metric_id, step FROM ("
        "  SELECT metric_id, step, row_number() OVER (PARTITION BY metric_id ORDER BY step) AS place, "
        "         count(*) OVER (PARTITION BY metric_id) AS n FROM points WHERE run_id = ?1) "
        "WHERE n > ?2 AND place > 1 AND (place - 1) * (?2 - 1) / (n - 1) = (place - 2) * (?2 - 1) / (n - 1))",
        run, points);
    connection.run("UPDATE runs SET curve_points = ?2 WHERE id = ?1", run, points);
  }
  return static_cast<int>(old.size());
}

}  // namespace scalelaw::server
