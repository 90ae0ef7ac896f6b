// What a trainer prints becomes UTF-8 without NUL, and stays what it is from then on.
#include "tests/fuzz/check.h"
#include "worker/sources/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string clean = scalelaw::worker::sanitize_utf8(bytes);
  CHECK_THAT(clean.find('\0') == std::string::npos);
  CHECK_THAT(scalelaw::worker::sanitize_utf8(clean) == clean);
  const std::size_t tail = scalelaw::worker::unfinished_tail(bytes);
  CHECK_THAT(tail <= 3 && tail <= size);
  CHECK_THAT(scalelaw::worker::unfinished_tail(clean) == 0);
  return 0;
}
