// What is known about the place the output goes to, and tables that fit into it.
#pragma once

#include <string>
#include <vector>

namespace scalelaw::cli {

enum class Color { kNone, kGreen, kRed, kYellow, kBlue, kDim, kBold };

struct Terminal {
  bool tty = false;
  bool colors = false;
  /// In characters. Output that goes to a file is not cut: width is then 0, which means no limit.
  int width = 0;
  int height = 0;

  /// Text in a colour, or as it is where there are none.
  std::string paint(Color color, const std::string& text) const;
};

/// Looks at standard output and the environment: colours only on a terminal that is not `dumb`, without `NO_COLOR`.
Terminal standard_output();

/// Characters that a text takes on the screen; escape sequences take none. One per code point, which holds for all
/// that we print.
int display_width(const std::string& text);
/// At most `width` characters, the last one `…` where something was cut. For text without escape sequences.
std::string shortened(const std::string& text, int width);
/// Filled with spaces up to `width`.
std::string padded(const std::string& text, int width, bool right = false);

struct Column {
  std::string title;
  bool right = false;
  /// Gives way first when the table is too wide.
  bool elastic = false;
};

struct Cell {
  std::string text;
  Color color = Color::kNone;
};

/// Rows under a dim header, columns separated by two spaces. Too wide: elastic columns are cut down to 8 characters;
/// what is still too wide then is cut at the edge. Columns that are empty in every row are left out.
std::string table(const std::vector<Column>& columns, const std::vector<std::vector<Cell>>& rows,
                  const Terminal& terminal);

}  // namespace scalelaw::cli
