// Laws, predictions and verifications in words.
#pragma once

#include <string>

#include "cli/terminal.h"
#include "scalelaw/v1/laws.pb.h"

namespace scalelaw::cli {

std::string law_text(const v1::Law& law, const Terminal& terminal);
std::string prediction_text(const v1::Prediction& prediction, const Terminal& terminal);
/// Prediction and measurement side by side, then how many measurements fell inside their intervals.
std::string verification_text(const v1::VerifyResponse& response, const Terminal& terminal);

/// A line each.
std::string warnings_text(const google::protobuf::RepeatedPtrField<std::string>& warnings, const Terminal& terminal);

/// `3e13 FLOPs`, `183k params`: a value of a law's x with its unit.
std::string with_unit(const std::string& column, double value);

}  // namespace scalelaw::cli
