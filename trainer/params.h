// Reads a run's parameters and remembers which names exist, so that a misspelt one is an error and never ignored.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace scalelaw::trainer {

/// The run cannot succeed as specified: bad parameters, a missing input, a diverged loss. The program ends with exit
/// code 65 and prints the message, which names the parameter and what is allowed.
class BadRun : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Typed access to the `params` object of a specification.
///
/// Every reader names each of its parameters once, with its default; `finish` then refuses whatever nobody asked for.
/// All errors are `BadRun`, as `width: must be a whole number from 8 to 4096, not "wide"`.
class Params {
 public:
  /// `values` must be a JSON object (or null: no parameters).
  explicit Params(nlohmann::json values);

  /// A whole number in [low, high]; 64.0 counts as whole.
  int64_t integer(std::string_view name, int64_t fallback, int64_t low = 1,
                  int64_t high = std::numeric_limits<int32_t>::max());
  /// Whole numbers in [low, high], as the text "1,2,4", a JSON array, or a single number.
  std::vector<int64_t> integers(std::string_view name, const std::vector<int64_t>& fallback, int64_t low, int64_t high);
  /// A finite number in [low, high].
  double number(std::string_view name, double fallback, double low, double high);
  /// One of `allowed`.
  std::string choice(std::string_view name, std::string_view fallback, const std::vector<std::string>& allowed);
  /// Any text.
  std::string text(std::string_view name, std::string_view fallback);
  /// A list of texts, empty unless given: an argv.
  std::vector<std::string> words(std::string_view name);
  /// true or false.
  bool flag(std::string_view name, bool fallback);

  /// Throws if a parameter was given that nobody read; the message lists the known names.
  void finish() const;

  /// Every parameter read so far with the value in force, defaults included: what an artifact records.
  const nlohmann::json& resolved() const { return resolved_; }

 private:
  const nlohmann::json* given(std::string_view name) const;

  nlohmann::json values_;
  nlohmann::json resolved_ = nlohmann::json::object();
};

}  // namespace scalelaw::trainer
