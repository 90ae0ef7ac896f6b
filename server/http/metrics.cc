#include "server/http/metrics.h"

#include <map>
#include <string>
#include <system_error>
#include <vector>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace scalelaw::server {

namespace {
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<prometheus::ClientMetric::Label>;

class Families {
 public:
  void add(MetricType type, const std::string& name, const std::string& help) {
    MetricFamily& family = families_.emplace_back();
    family.type = type;
    family.name = name;
    family.help = help;
  }
  /// Of the family that was added last.
  void value(double value, Labels labels = {}) {
    prometheus::ClientMetric& metric = families_.back().metric.emplace_back();
    metric.label = std::move(labels);
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
  }
  void gauge(const std::string& name, const std::string& help, double at) {
    add(MetricType::Gauge, name, help);
    value(at);
  }
  void counter(const std::string& name, const std::string& help, double at) {
    add(MetricType::Counter, name, help);
    value(at);
  }
  std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  std::vector<MetricFamily> families_;
};

void add_workers(Families& families, const std::vector<v1::Worker>& workers) {
  std::map<std::string, int> counts = {{"ready", 0}, {"draining", 0}, {"away", 0}, {"lost", 0}, {"gone", 0}};
  double slots = 0, used = 0;
  for (const v1::Worker& worker : workers) {
    ++counts[worker.state()];
    if (worker.state() != "ready" && worker.state() != "draining") continue;
    slots += worker.slots();
    used += worker.slots_used();
  }
  families.add(MetricType::Gauge, "scalelaw_workers", "Workers by state.");
  for (const auto& [state, count] : counts) families.value(count, {{"state", state}});
  families.gauge("scalelaw_slots", "Slots of the workers that are connected.", slots);
  families.gauge("scalelaw_slots_used", "Slots among them that are in use.", used);
}

void add_totals(Families& families, const Totals& totals) {
  families.add(MetricType::Gauge, "scalelaw_runs", "Runs by state.");
  for (const char* state : {"waiting", "queued", "running", "succeeded", "failed", "cancelled", "skipped"}) {
    const auto found = totals.runs_by_state.find(state);
    families.value(found == totals.runs_by_state.end() ? 0 : static_cast<double>(found->second), {{"state", state}});
  }
  families.add(MetricType::Counter, "scalelaw_attempts_ended_total", "Attempts that have ended, by how.");
  for (const char* state : {"succeeded", "failed", "interrupted", "cancelled", "lost"}) {
    const auto found = totals.attempts_by_state.find(state);
    families.value(found == totals.attempts_by_state.end() ? 0 : static_cast<double>(found->second),
                   {{"state", state}});
  }
  families.gauge("scalelaw_training_flops", "Training FLOPs of all runs.", totals.flops);
}

void add_storage(Families& families, const Store& store, const std::filesystem::path& data) {
  const Backlog backlog = store.backlog();
  families.counter("scalelaw_commits_total", "Commits of the database since the server started.",
                   static_cast<double>(store.commits()));
  families.gauge("scalelaw_ingest_waiting", "Transactions that are not committed yet.",
                 static_cast<double>(backlog.transactions));
  families.gauge("scalelaw_ingest_oldest_seconds", "How long the oldest of them has been waiting.",
                 backlog.oldest_seconds);
  families.gauge("scalelaw_store_healthy", "1 where the database accepts writes, 0 where it does not.",
                 store.health().ok() ? 1 : 0);
  std::error_code error;
  if (const auto space = std::filesystem::space(data, error); !error) {
    families.gauge("scalelaw_disk_free_bytes", "Free space of the database's disk.",
                   static_cast<double>(space.available));
    families.gauge("scalelaw_disk_size_bytes", "Size of the database's disk.", static_cast<double>(space.capacity));
  }
  if (const auto size = std::filesystem::file_size(data / "scalelaw.db", error); !error)
    families.gauge("scalelaw_database_bytes", "Size of the database.", static_cast<double>(size));
}
}  // namespace

HttpAnswer Metrics::answer() const {
  const auto totals = store_.totals();
  if (!totals.ok()) return error_answer(totals.status());
  Families families;
  families.add(MetricType::Gauge, "scalelaw_build_info", "Always 1; the label tells the version.");
  families.value(1, {{"version", SCALELAW_VERSION}});
  add_workers(families, presentation_.workers());
  add_totals(families, *totals);
  add_storage(families, store_, data_);
  HttpAnswer answer;
  answer.type = "text/plain; version=0.0.4; charset=utf-8";
  answer.body = families.text();
  return answer;
}

}  // namespace scalelaw::server
