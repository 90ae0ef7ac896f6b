// /metrics: how the server fares, in Prometheus' text format. Alert rules over it are in deploy/prometheus.
#pragma once

#include <filesystem>
#include <utility>

#include "server/answers/presentation.h"
#include "server/http/answer.h"
#include "server/store/store.h"

namespace scalelaw::server {

/// Thread-safe; everything is looked up when it is asked for.
class Metrics {
 public:
  /// Both must outlive it.
  Metrics(const Store& store, const Presentation& presentation, std::filesystem::path data)
      : store_(store), presentation_(presentation), data_(std::move(data)) {}

  HttpAnswer answer() const;

 private:
  const Store& store_;
  const Presentation& presentation_;
  const std::filesystem::path data_;
};

}  // namespace scalelaw::server
