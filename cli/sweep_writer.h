// Sweep files, written: what sweep_file.h reads.
#pragma once

#include <string>

#include "scalelaw/v1/sweeps.pb.h"

namespace scalelaw::cli {

/// `parse_sweep_file` gives the same message back. `comment`: lines at the top, without #.
std::string write_sweep_file(const v1::SweepSpec& sweep, const std::string& comment);

}  // namespace scalelaw::cli
