// Between the analysis' types and the messages of laws.proto.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "analysis/law.h"
#include "scalelaw/v1/laws.pb.h"

namespace scalelaw {

analysis::Observation to_analysis(const v1::Observation& observation);

/// What a request says of the fit itself; not of whose runs these are, nor what only the runs can tell. Draws are 0
/// where the request has none.
analysis::FitOptions to_options(const v1::FitRequest& request);

/// SHA-256 in hexadecimal of the observations as text: a line with the metric, then one line each, in the order of
/// their bytes: `run params samples flops budget_flops seed value`, the weight where it is not 1, and `name=value` for
/// each further column, separated by tabs; numbers with 17 significant digits.
std::string observations_hash(const std::string& metric, const std::vector<analysis::Observation>& observations);

/// All that the analysis knows of a law: not its id, study, time and document, which belong to where it is stored.
v1::Law to_message(const analysis::Law& law);

/// Without the id of the law that predicted.
v1::Prediction to_message(const analysis::Prediction& prediction, const std::string& metric,
                          const std::map<std::string, double>& at);

}  // namespace scalelaw
