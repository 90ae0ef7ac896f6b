// TensorBoard's event files: records with checksums, of which scalars count here.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>

#include "adapter/event_file.pb.h"

namespace scalelaw::adapter {

/// Takes the next event off the bytes of a file. False at the end, which a record that is not whole is too: it is still
/// being written, or its writer was killed.
/// Errors: INVALID_ARGUMENT naming the file where a checksum is wrong or a record is no event.
absl::StatusOr<bool> next_event(std::string_view& rest, tensorboard::Event& event, const std::string& file);

/// The number that a summary's value holds, if it holds one.
std::optional<double> scalar(const tensorboard::Summary::Value& value);

/// Whether a file is called as TensorBoard's writers call theirs.
bool is_event_file(const std::string& name);

}  // namespace scalelaw::adapter
