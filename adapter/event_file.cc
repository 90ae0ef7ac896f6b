#include "adapter/event_file.h"

#include <cstring>

#include <fmt/format.h>
#include <boost/crc.hpp>

namespace scalelaw::adapter {
namespace {

template <class Number>
Number number_at(std::string_view bytes, size_t offset) {
  Number number;
  std::memcpy(&number, bytes.data() + offset, sizeof(number));
  return number;
}

/// The checksum of TFRecord files: CRC-32C, rotated by 15 bits, plus a constant.
uint32_t checksum(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  const uint32_t sum = crc.checksum();
  return ((sum >> 15) | (sum << 17)) + 0xa282ead8u;
}

}  // namespace

// A record: length (8 bytes), its checksum (4), data, the data's checksum (4).
absl::StatusOr<bool> next_event(std::string_view& rest, tensorboard::Event& event, const std::string& file) {
  constexpr size_t kHeader = 12, kFooter = 4;
  if (rest.size() < kHeader) return false;
  const auto length = number_at<uint64_t>(rest, 0);
  if (number_at<uint32_t>(rest, 8) != checksum(rest.substr(0, 8)))
    return absl::InvalidArgumentError(fmt::format("{}: is no TensorBoard event file, or damaged", file));
  if (length > rest.size() - kHeader || rest.size() - kHeader - length < kFooter) return false;
  const std::string_view record = rest.substr(kHeader, length);
  if (number_at<uint32_t>(rest, kHeader + length) != checksum(record))
    return absl::InvalidArgumentError(fmt::format("{}: is damaged: a record's checksum is wrong", file));
  if (!event.ParseFromArray(record.data(), static_cast<int>(record.size())))
    return absl::InvalidArgumentError(fmt::format("{}: a record is no TensorBoard event", file));
  rest.remove_prefix(kHeader + length + kFooter);
  return true;
}

std::optional<double> scalar(const tensorboard::Summary::Value& value) {
  if (!value.has_tensor()) return value.simple_value();
  const tensorboard::Tensor& tensor = value.tensor();
  int64_t elements = 1;
  for (const auto& dimension : tensor.shape().dim()) elements *= dimension.size();
  if (elements != 1) return std::nullopt;
  if (tensor.float_values_size() == 1) return tensor.float_values(0);
  if (tensor.double_values_size() == 1) return tensor.double_values(0);
  if (tensor.dtype() == tensorboard::Tensor::DT_FLOAT && tensor.content().size() == sizeof(float))
    return number_at<float>(tensor.content(), 0);
  if (tensor.dtype() == tensorboard::Tensor::DT_DOUBLE && tensor.content().size() == sizeof(double))
    return number_at<double>(tensor.content(), 0);
  return std::nullopt;
}

bool is_event_file(const std::string& name) {
  return name.find("tfevents") != std::string::npos;
}

}  // namespace scalelaw::adapter
