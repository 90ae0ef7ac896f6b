// The other programs of scalelaw.
#pragma once

#include <string>

namespace scalelaw::cli {

/// Path of the program beside this one, else in PATH; empty if there is none.
std::string find_program(const std::string& name);

}  // namespace scalelaw::cli
