// What programs write that know nothing of us: read in pieces it gives the records that the whole gives, and whatever
// they hold becomes events or an error.
#include <cmath>
#include <fstream>

#include <unistd.h>

#include "adapter/records.h"
#include "adapter/reporter.h"
#include "tests/fuzz/check.h"

using namespace scalelaw::adapter;

namespace {

constexpr const char* kNames[] = {"log.jsonl", "metrics.csv", "events.out.tfevents.1", "trainer_state.json"};

std::unique_ptr<Reports> reports_of(int kind) {
  switch (kind) {
    case 0:
      return jsonl_reports(kNames[0]);
    case 1:
      return csv_reports(kNames[1]);
    case 2:
      return tensorboard_reports(".");
    default:
      return trainer_state_reports(kNames[3]);
  }
}

/// Into an own folder, where the sources look.
void enter_folder() {
  char folder[] = "/tmp/fuzz_reports.XXXXXX";
  CHECK_THAT(mkdtemp(folder) != nullptr && chdir(folder) == 0);
}

void report(const std::vector<Record>& records) {
  auto reporter = Reporter::make({}, {});
  CHECK_THAT(reporter.ok());
  for (const Record& record : records) (void)reporter->events(record);
}

std::vector<Record> of_output(std::string_view bytes, size_t piece) {
  auto output = OutputReports::make({"step (?P<step>\\d+).*?loss[ =:]*(?P<loss>\\S+)", "(?P<ep>\\d+)/\\d+"});
  CHECK_THAT(output.ok());
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) (*output)->append(bytes.substr(0, piece));
  return *(*output)->poll(true);
}

bool same(const std::vector<Record>& a, const std::vector<Record>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Record& one, const Record& other) {
    return std::equal(one.begin(), one.end(), other.begin(), other.end(), [](const auto& x, const auto& y) {
      return x.first == y.first && (x.second == y.second || (std::isnan(x.second) && std::isnan(y.second)));
    });
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool entered = (enter_folder(), true);
  if (!entered || size < 2) return 0;
  const int kind = data[0] % 5;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  if (kind == 4) {
    const std::vector<Record> whole = of_output(bytes, bytes.size() + 1);
    CHECK_THAT(same(whole, of_output(bytes, data[1] + 1)));
    report(whole);
    return 0;
  }
  for (const char* name : kNames) unlink(name);
  std::ofstream file(kNames[kind], std::ios::binary);
  const auto source = reports_of(kind);
  const size_t middle = bytes.size() * data[1] / 255;
  for (const std::string_view part : {bytes.substr(0, middle), bytes.substr(middle)}) {
    file.write(part.data(), static_cast<std::streamsize>(part.size())).flush();
    const auto records = source->poll(part.data() != bytes.data());
    if (!records.ok()) return 0;
    report(*records);
  }
  return 0;
}
