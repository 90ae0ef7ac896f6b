// Between the analysis' types and the messages of laws.proto.
#pragma once

#include <string>
#include <vector>

#include "analysis/law.h"
#include "scalelaw/v1/laws.pb.h"
#include "server/store/store.h"

namespace scalelaw::server {

analysis::Observation to_analysis(const v1::Observation& observation);

/// SHA-256 in hexadecimal of the observations as text: one line each by run id, `run_id params samples flops
/// budget_flops seed value` separated by tabs, numbers with 17 significant digits, after a line with the metric.
std::string observations_hash(const std::string& metric, std::vector<v1::Observation> observations);

/// Everything but the document.
v1::Law to_message(const StoredLaw& stored, const analysis::Law& law);

v1::Prediction to_message(const analysis::Prediction& prediction, const StoredLaw& stored,
                          const std::map<std::string, double>& at);

}  // namespace scalelaw::server
