#include "trainer/params.h"

#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace scalelaw::trainer {

Params::Params(nlohmann::json values) : values_(std::move(values)) {
  if (values_.is_null()) values_ = nlohmann::json::object();
  if (!values_.is_object()) throw BadRun("params: must be an object of names and values");
}

const nlohmann::json* Params::given(std::string_view name) const {
  auto found = values_.find(std::string(name));
  return found == values_.end() ? nullptr : &*found;
}

int64_t Params::integer(std::string_view name, int64_t fallback, int64_t low, int64_t high) {
  int64_t value = fallback;
  if (const nlohmann::json* json = given(name)) {
    // Numbers that came through a protobuf Struct are doubles: 64.0 is 64.
    double number = json->is_number() ? json->get<double>() : std::nan("");
    if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high)) || number != std::floor(number)) {
      throw BadRun(fmt::format("{}: must be a whole number from {} to {}, not {}", name, low, high, json->dump()));
    }
    value = static_cast<int64_t>(number);
  }
  resolved_[std::string(name)] = value;
  return value;
}

std::vector<int64_t> Params::integers(std::string_view name, const std::vector<int64_t>& fallback, int64_t low,
                                      int64_t high) {
  std::vector<int64_t> values = fallback;
  if (const nlohmann::json* json = given(name)) {
    const std::string text = json->is_string() ? fmt::format("[{}]", json->get<std::string>()) : json->dump();
    nlohmann::json list = nlohmann::json::parse(text, nullptr, false);
    if (list.is_number()) list = nlohmann::json::array({list});
    values.clear();
    bool good = list.is_array() && !list.empty();
    for (size_t i = 0; good && i < list.size(); ++i) {
      const double number = list[i].is_number() ? list[i].get<double>() : std::nan("");
      good = number >= static_cast<double>(low) && number <= static_cast<double>(high) && number == std::floor(number);
      if (good) values.push_back(static_cast<int64_t>(number));
    }
    if (!good) {
      throw BadRun(fmt::format("{}: must be whole numbers from {} to {} with commas between, as \"{}\", not {}", name,
                               low, high, fmt::join(fallback, ","), json->dump()));
    }
  }
  resolved_[std::string(name)] = fmt::format("{}", fmt::join(values, ","));
  return values;
}

double Params::number(std::string_view name, double fallback, double low, double high) {
  double value = fallback;
  if (const nlohmann::json* json = given(name)) {
    value = json->is_number() ? json->get<double>() : std::nan("");
    if (!(value >= low && value <= high)) {
      throw BadRun(fmt::format("{}: must be a number from {} to {}, not {}", name, low, high, json->dump()));
    }
  }
  resolved_[std::string(name)] = value;
  return value;
}

std::string Params::choice(std::string_view name, std::string_view fallback, const std::vector<std::string>& allowed) {
  std::string value(fallback);
  if (const nlohmann::json* json = given(name)) {
    value = json->is_string() ? json->get<std::string>() : "";
    if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
      throw BadRun(fmt::format("{}: must be one of {}, not {}", name, fmt::join(allowed, ", "), json->dump()));
    }
  }
  resolved_[std::string(name)] = value;
  return value;
}

std::string Params::text(std::string_view name, std::string_view fallback) {
  std::string value(fallback);
  if (const nlohmann::json* json = given(name)) {
    if (!json->is_string()) throw BadRun(fmt::format("{}: must be a text, not {}", name, json->dump()));
    value = json->get<std::string>();
  }
  resolved_[std::string(name)] = value;
  return value;
}

std::vector<std::string> Params::words(std::string_view name) {
  std::vector<std::string> values;
  if (const nlohmann::json* json = given(name)) {
    const bool good = json->is_array() && !json->empty() &&
                      std::all_of(json->begin(), json->end(), [](const auto& word) { return word.is_string(); });
    if (!good)
      throw BadRun(
          fmt::format(R"({}: must be a list of texts, as ["python3", "score.py"], not {})", name, json->dump()));
    values = json->get<std::vector<std::string>>();
  }
  resolved_[std::string(name)] = values;
  return values;
}

bool Params::flag(std::string_view name, bool fallback) {
  bool value = fallback;
  if (const nlohmann::json* json = given(name)) {
    if (!json->is_boolean()) throw BadRun(fmt::format("{}: must be true or false, not {}", name, json->dump()));
    value = json->get<bool>();
  }
  resolved_[std::string(name)] = value;
  return value;
}

void Params::finish() const {
  for (const auto& [name, value] : values_.items()) {
    if (resolved_.contains(name)) continue;
    std::vector<std::string> known;
    for (const auto& [known_name, unused] : resolved_.items()) known.push_back(known_name);
    throw BadRun(fmt::format("{}: no such parameter; this family has {}", name, fmt::join(known, ", ")));
  }
}

}  // namespace scalelaw::trainer
