#include "cli/progress.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/format.h"
#include "proto/message_json.h"

namespace scalelaw::cli {
namespace {

constexpr int kWidthWhenUnknown = 100;

std::string state_name(v1::RunState state) {
  return short_name(*v1::RunState_descriptor()->FindValueByNumber(state));
}
std::string state_name(v1::SweepState state) {
  return short_name(*v1::SweepState_descriptor()->FindValueByNumber(state));
}

std::string counts(const v1::RunCounts& runs) {
  std::vector<std::string> parts = {fmt::format("{} of {} runs done", runs.succeeded(), runs.total())};
  auto add = [&](int count, const char* what) {
    if (count > 0) parts.push_back(fmt::format("{} {}", count, what));
  };
  add(runs.running(), "running");
  add(runs.queued(), "queued");
  add(runs.waiting(), "waiting");
  add(runs.failed(), "failed");
  add(runs.skipped(), "skipped");
  add(runs.cancelled(), "cancelled");
  return fmt::format("{}", fmt::join(parts, " · "));
}

/// Slot-hours matter where they are limited.
std::string slot_hours(const v1::Sweep& sweep) {
  const double limit = sweep.limits().slot_hours();
  return limit > 0 ? fmt::format("{:.3g} of {:.3g} slot-hours", sweep.slot_hours(), limit) : "";
}

std::string spent(const v1::Sweep& sweep) {
  if (sweep.flops_planned() <= 0) return format_flops(sweep.flops_spent());
  return fmt::format("{} of {}", format_scientific(sweep.flops_spent()), format_flops(sweep.flops_planned()));
}

double elapsed(const v1::Sweep& sweep, double now) {
  double end = sweep.has_finished() ? seconds(sweep.finished()) : now;
  return sweep.has_submitted() ? std::max(0.0, end - seconds(sweep.submitted())) : 0;
}

std::string time_left(const v1::Sweep& sweep) {
  if (is_over(sweep.state()) || sweep.state() == v1::SWEEP_STATE_PAUSED) return "";
  if (!sweep.has_seconds_left()) return "time left not known yet";
  return "about " + format_duration(sweep.seconds_left()) + " left";
}

// Parts that fit beside each other, whole or not at all.
std::string joined_within(const std::vector<std::string>& parts, int width) {
  std::string line;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    std::string longer = line.empty() ? part : line + "   " + part;
    if (width > 0 && display_width(longer) > width) continue;
    line = longer;
  }
  return line;
}

struct RunLine {
  std::string id, name, percent, metric, left;
  double progress = 0;
};

RunLine run_line(const v1::Run& run) {
  RunLine line{fmt::format("{}", run.id()),
               fmt::format("{}  {}", run.stage(), run.name()),
               format_percent(run.progress()),
               "",
               "",
               run.progress()};
  if (std::string metric = leading_metric(run); !metric.empty())
    line.metric = fmt::format("{} {}", metric, format_value(run.latest().at(metric)));
  if (run.seconds_left() > 0) line.left = format_duration(run.seconds_left()) + " left";
  return line;
}

// The columns line up over all lines; the name gives way first, then the bar.
std::vector<std::string> run_lines(const std::vector<RunLine>& runs, const Terminal& terminal, int width) {
  auto widest = [&](auto member) {
    int w = 0;
    for (const RunLine& run : runs) w = std::max(w, display_width(run.*member));
    return w;
  };
  int id = widest(&RunLine::id), name = widest(&RunLine::name), metric = widest(&RunLine::metric),
      left = widest(&RunLine::left);
  constexpr int kPercent = 5;
  int bar_width = 16;
  int fixed = 1 + id + 2 + 2 + 1 + kPercent + (metric > 0 ? 2 + metric : 0) + (left > 0 ? 2 + left : 0);
  if (fixed + bar_width + name > width) name = std::max(12, width - fixed - bar_width);
  if (fixed + bar_width + name > width) bar_width = std::max(4, width - fixed - name);
  std::vector<std::string> lines;
  for (const RunLine& run : runs) {
    std::string head = fmt::format(" {}  {}  ", padded(run.id, id, true), padded(shortened(run.name, name), name));
    std::string tail = fmt::format(" {}", padded(run.percent, kPercent, true));
    if (metric > 0) tail += fmt::format("  {}", padded(run.metric, metric));
    if (left > 0) tail += fmt::format("  {}", padded(run.left, left, true));
    int room = width - display_width(head) - bar_width;
    lines.push_back(
        shortened(head, width) +
        (room < 0 ? "" : terminal.paint(Color::kBlue, bar(run.progress, bar_width)) + shortened(tail, room)));
  }
  return lines;
}

std::string failed_line(const v1::Run& run) {
  return fmt::format(" run {} ({} {}): {}", run.id(), run.stage(), run.name(),
                     run.reason().empty() ? "failed" : one_line(run.reason()));
}

}  // namespace

bool is_over(v1::RunState state) {
  return state >= v1::RUN_STATE_SUCCEEDED;
}
bool is_over(v1::SweepState state) {
  return state == v1::SWEEP_STATE_SUCCEEDED || state == v1::SWEEP_STATE_FAILED || state == v1::SWEEP_STATE_CANCELLED;
}

Color color_of(v1::RunState state) {
  switch (state) {
    case v1::RUN_STATE_RUNNING:
      return Color::kBlue;
    case v1::RUN_STATE_SUCCEEDED:
      return Color::kGreen;
    case v1::RUN_STATE_FAILED:
      return Color::kRed;
    case v1::RUN_STATE_CANCELLED:
    case v1::RUN_STATE_SKIPPED:
      return Color::kYellow;
    default:
      return Color::kDim;
  }
}

Color color_of(v1::SweepState state) {
  switch (state) {
    case v1::SWEEP_STATE_SUCCEEDED:
      return Color::kGreen;
    case v1::SWEEP_STATE_FAILED:
      return Color::kRed;
    case v1::SWEEP_STATE_CANCELLED:
    case v1::SWEEP_STATE_PAUSED:
      return Color::kYellow;
    default:
      return Color::kBlue;
  }
}

std::string leading_metric(const v1::Run& run) {
  const auto& latest = run.latest();
  for (const char* name : {"loss", "val_loss", "alignment", "accuracy"})
    if (latest.contains(name)) return name;
  std::string first;
  for (const auto& [name, value] : latest)
    if (first.empty() || name < first) first = name;
  return first;
}

std::string bar(double fraction, int width) {
  static const char* const kEighths[] = {"░", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  fraction = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  int eighths = static_cast<int>(fraction * width * 8);
  std::string text;
  for (int i = 0; i < width; ++i) {
    int filled = std::clamp(eighths - 8 * i, 0, 8);
    text += filled == 8 ? "█" : kEighths[filled];
  }
  return text;
}

double done_share(const v1::SweepSnapshot& snapshot) {
  double smallest = 0;
  for (const v1::Run& run : snapshot.runs())
    if (run.budget_flops() > 0 && (smallest == 0 || run.budget_flops() < smallest)) smallest = run.budget_flops();
  double done = 0, total = 0;
  bool all_over = true;
  for (const v1::Run& run : snapshot.runs()) {
    double weight = run.budget_flops() > 0 ? run.budget_flops() : smallest > 0 ? smallest : 1;
    total += weight;
    done += weight * (is_over(run.state()) ? 1.0 : std::clamp(run.progress(), 0.0, 1.0));
    all_over = all_over && is_over(run.state());
  }
  if (total <= 0) return is_over(snapshot.sweep().state()) ? 1 : 0;
  return all_over ? 1 : std::min(done / total, 0.999);
}

std::vector<std::string> render_progress(const v1::SweepSnapshot& snapshot, const Terminal& terminal, double now) {
  const v1::Sweep& sweep = snapshot.sweep();
  int width = terminal.width > 0 ? terminal.width : kWidthWhenUnknown;
  double share = done_share(snapshot);

  std::vector<std::string> lines;
  const std::string whose = sweep.owner().empty() ? "" : "  of " + sweep.owner();
  const std::string rank = sweep.priority() == 0 ? "" : fmt::format("  priority {}", sweep.priority());
  std::string title =
      shortened(fmt::format("{}  sweep {}{}{}", sweep.name(), sweep.id(), whose, rank), std::max(8, width - 14));
  lines.push_back(terminal.paint(Color::kBold, title) + "  " +
                  terminal.paint(color_of(sweep.state()), state_name(sweep.state())));
  int bar_width = std::clamp(width / 3, 10, 40);
  std::string beside =
      joined_within({format_percent(share), time_left(sweep), format_duration(elapsed(sweep, now)) + " so far"},
                    width - bar_width - 1);
  lines.push_back(terminal.paint(color_of(sweep.state()), bar(share, bar_width)) + " " + beside);
  lines.push_back(joined_within({counts(sweep.runs()), spent(sweep), slot_hours(sweep)}, width));
  if (lines.back().empty()) lines.back() = shortened(counts(sweep.runs()), width);

  if (sweep.state() == v1::SWEEP_STATE_PAUSED) {
    lines.push_back(
        shortened(fmt::format("paused: {}; go on with  scalelaw resume {}", sweep.reason(), sweep.id()), width));
  }

  std::vector<RunLine> running;
  std::vector<std::string> failed;
  for (const v1::Run& run : snapshot.runs()) {
    if (run.state() == v1::RUN_STATE_RUNNING) running.push_back(run_line(run));
    if (run.state() == v1::RUN_STATE_FAILED) failed.push_back(failed_line(run));
  }
  if (running.empty() && failed.empty() && sweep.state() == v1::SWEEP_STATE_RUNNING) {
    for (const v1::Run& run : snapshot.runs())
      if (!is_over(run.state()) && !run.reason().empty()) {
        lines.push_back(shortened("waiting: " + one_line(run.reason()), width));
        break;
      }
  }

  // Failures are news and few: they get up to a third of what is left, running runs the rest.
  int room = terminal.height > 0 ? std::max(0, terminal.height - 1 - static_cast<int>(lines.size())) : 1'000'000;
  auto add_some = [&](const std::vector<std::string>& some, int at_most, const char* rest, Color color) {
    int shown = static_cast<int>(some.size()) <= at_most ? static_cast<int>(some.size()) : at_most - 1;
    for (int i = 0; i < shown; ++i) lines.push_back(color == Color::kNone ? some[i] : terminal.paint(color, some[i]));
    int hidden = static_cast<int>(some.size()) - std::max(0, shown);
    if (hidden > 0 && at_most > 0)
      lines.push_back(terminal.paint(Color::kDim, shortened(fmt::format(" … and {} more {}", hidden, rest), width)));
  };
  for (std::string& line : failed) line = shortened(line, width);
  int share_of_failed = running.empty() ? room : (room + 2) / 3;
  int for_failed = std::min<int>(static_cast<int>(failed.size()), share_of_failed);
  add_some(run_lines(running, terminal, width), room - for_failed, "running", Color::kNone);
  add_some(failed, for_failed, "failed", Color::kRed);
  return lines;
}

std::string progress_line(const v1::SweepSnapshot& snapshot, double now) {
  const v1::Sweep& sweep = snapshot.sweep();
  return joined_within({fmt::format("{}: {}", sweep.name(), format_percent(done_share(snapshot))), counts(sweep.runs()),
                        spent(sweep), format_duration(elapsed(sweep, now)) + " so far", time_left(sweep),
                        sweep.state() == v1::SWEEP_STATE_PAUSED ? "paused: " + sweep.reason() : ""},
                       0);
}

std::vector<std::string> state_changes(const v1::SweepSnapshot& before, const v1::SweepSnapshot& now) {
  std::map<int, v1::RunState> known;
  for (const v1::Run& run : before.runs()) known[run.id()] = run.state();
  std::vector<std::string> lines;
  for (const v1::Run& run : now.runs()) {
    auto old = known.find(run.id());
    if (old != known.end() && old->second == run.state()) continue;
    // That a stage may start says nothing of its hundred runs; that one is queued again has a reason.
    if (run.state() == v1::RUN_STATE_QUEUED && run.reason().empty()) continue;
    if (old == known.end() && !is_over(run.state()) && run.state() != v1::RUN_STATE_RUNNING) continue;
    std::string line = fmt::format("run {} {} {}: {}", run.id(), run.stage(), run.name(), state_name(run.state()));
    if (run.state() == v1::RUN_STATE_SUCCEEDED) {
      if (std::string metric = leading_metric(run); !metric.empty())
        line += fmt::format("  {} {}", metric, format_value(run.latest().at(metric)));
      if (run.latest().contains("alignment") && leading_metric(run) != "alignment")
        line += fmt::format("  alignment {}", format_value(run.latest().at("alignment")));
      if (run.has_started() && run.has_finished())
        line += fmt::format("  in {}", format_duration(seconds(run.finished()) - seconds(run.started())));
    } else if (!run.reason().empty()) {
      line += fmt::format("  ({})", one_line(run.reason()));
    }
    lines.push_back(line);
  }
  return lines;
}

}  // namespace scalelaw::cli
