// Images that runs made, as far as their files can be read from here.
#pragma once

#include <string>

#include <absl/status/statusor.h>

#include "server/http/answer.h"
#include "server/store/store.h"

namespace scalelaw::server {

/// Only what begins as PNG, JPEG, WebP or GIF files do is sent: an artifact's path is whatever a trainer says.
/// NOT_FOUND where the file is not here (it lies on the disk of the worker, which is named); FAILED_PRECONDITION for
/// what is no image, or larger than 16 MiB.
absl::StatusOr<HttpAnswer> image_answer(const StoredArtifact& artifact);

}  // namespace scalelaw::server
