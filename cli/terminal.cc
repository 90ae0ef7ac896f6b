#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace scalelaw::cli {
namespace {

constexpr int kMinElasticWidth = 8;

const char* escape(Color color) {
  switch (color) {
    case Color::kGreen:
      return "\033[32m";
    case Color::kRed:
      return "\033[31m";
    case Color::kYellow:
      return "\033[33m";
    case Color::kBlue:
      return "\033[36m";
    case Color::kDim:
      return "\033[2m";
    case Color::kBold:
      return "\033[1m";
    case Color::kNone:
      break;
  }
  return "";
}

bool starts_code_point(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

}  // namespace

std::string Terminal::paint(Color color, const std::string& text) const {
  if (!colors || color == Color::kNone || text.empty()) return text;
  return escape(color) + text + "\033[0m";
}

Terminal standard_output() {
  Terminal terminal;
  terminal.tty = isatty(STDOUT_FILENO) == 1;
  if (!terminal.tty) return terminal;
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  bool dumb = term == nullptr || std::string_view(term) == "dumb";
  terminal.colors = (no_color == nullptr || *no_color == '\0') && !dumb;
  winsize size{};
  bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  terminal.width = known ? size.ws_col : 80;
  terminal.height = known && size.ws_row > 0 ? size.ws_row : 24;
  return terminal;
}

int display_width(const std::string& text) {
  int width = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033') {
      while (i < text.size() && text[i] != 'm') ++i;
    } else if (starts_code_point(text[i])) {
      ++width;
    }
  }
  return width;
}

std::string shortened(const std::string& text, int width) {
  if (display_width(text) <= width) return text;
  if (width <= 0) return "";
  size_t end = 0;
  for (int taken = 0; end < text.size(); ++end)
    if (starts_code_point(text[end]) && taken++ == width - 1) break;
  return text.substr(0, end) + "…";
}

std::string padded(const std::string& text, int width, bool right) {
  std::string space(static_cast<size_t>(std::max(0, width - display_width(text))), ' ');
  return right ? space + text : text + space;
}

std::string table(const std::vector<Column>& columns, const std::vector<std::vector<Cell>>& rows,
                  const Terminal& terminal) {
  std::vector<int> widths(columns.size(), 0);
  for (size_t c = 0; c < columns.size(); ++c) {
    for (const auto& row : rows) widths[c] = std::max(widths[c], display_width(row[c].text));
    if (widths[c] > 0) widths[c] = std::max(widths[c], display_width(columns[c].title));
  }
  if (terminal.width > 0) {
    int total = -2;
    for (int width : widths) total += width > 0 ? width + 2 : 0;
    for (int excess = total - terminal.width; excess > 0; --excess) {
      // One character off the widest elastic column at a time keeps them even.
      int widest = -1;
      for (size_t c = 0; c < columns.size(); ++c)
        if (columns[c].elastic && widths[c] > kMinElasticWidth && (widest < 0 || widths[c] > widths[widest]))
          widest = static_cast<int>(c);
      if (widest < 0) break;
      --widths[widest];
    }
  }

  auto line = [&](auto cell) {
    std::string text;
    int used = 0;
    for (size_t c = 0; c < columns.size(); ++c) {
      if (widths[c] == 0) continue;
      int gap = used == 0 ? 0 : 2;
      int width = widths[c];
      if (terminal.width > 0) width = std::min(width, terminal.width - used - gap);
      if (width <= 0) break;
      auto [content, color] = cell(c);
      std::string filled = padded(shortened(content, width), width, columns[c].right);
      text += std::string(gap, ' ') + terminal.paint(color, filled);
      used += gap + width;
    }
    if (!terminal.colors) text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
  };
  std::string text = line([&](size_t c) { return Cell{columns[c].title, Color::kDim}; });
  for (const auto& row : rows) text += line([&](size_t c) { return row[c]; });
  return text;
}

}  // namespace scalelaw::cli
