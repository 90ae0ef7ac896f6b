// The one small language in which users write: conditions on rows, derived columns, and laws of their own.
//
//   numbers        6   1e-3   .5
//   names          N   val_loss   "Seen Examples" (double quotes where a name has spaces)
//   text           'C4'   (only beside == and !=)
//   arithmetic     + − * / ^   unary −   ( )   ^ binds tightest and to the right, and takes a sign: N^-alpha
//   functions      exp log ln log10 sqrt abs min max   (log is ln)
//   conditions     < <= > >= == !=   && || !   (1 where true, 0 where false)
//
// Comparisons bind weaker than sums, && weaker than these, || weakest. −, · and × as printed in papers are operators.
#pragma once

#include <Eigen/Dense>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace scalelaw::analysis {

struct Expression {
  enum class Kind {
    kNumber,
    kName,
    kText,
    // One argument.
    kNegate,
    kNot,
    kExp,
    kLog,
    kLog10,
    kSqrt,
    kAbs,
    // Two.
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kPower,
    kMin,
    kMax,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kEqual,
    kNotEqual,
    kAnd,
    kOr,
  };
  Kind kind = Kind::kNumber;
  double number = 0;
  /// Of a name or a text.
  std::string text;
  std::vector<Expression> arguments;
  /// Where in the source it stands, in bytes.
  size_t position = 0;

  /// A comparison, or && || !.
  bool condition() const;
};

/// Errors: INVALID_ARGUMENT saying what was expected, with the text and a caret under the place.
absl::StatusOr<Expression> parse_expression(std::string_view text);

/// The expression as text that parses into it again; names that need quotes have them.
std::string to_text(const Expression& expression);

/// `message`, then the text with a caret under the place.
std::string with_caret(std::string_view message, std::string_view text, size_t position);

/// Its names, by first appearance, each once.
std::vector<std::string> names(const Expression& expression);

/// Columns of a table, all of the same length.
class Columns {
 public:
  virtual ~Columns() = default;
  virtual Eigen::Index rows() const = 0;
  /// NaN where a cell is empty. Errors: INVALID_ARGUMENT for a column that is not there (with those that are) and for
  /// a cell that is no number.
  virtual absl::StatusOr<Eigen::ArrayXd> numbers(const std::string& column) const = 0;
  /// 1 where the cell holds exactly this text, else 0. Errors: INVALID_ARGUMENT for a column that is not there.
  virtual absl::StatusOr<Eigen::ArrayXd> equals(const std::string& column, std::string_view text) const = 0;
};

/// The expression's value in every row; 1 and 0 for a condition, which is false where it compares with NaN (!= is
/// true). Errors: those of the columns; INVALID_ARGUMENT for a text that is not compared with a column.
absl::StatusOr<Eigen::ArrayXd> evaluate(const Expression& expression, const Columns& columns);

}  // namespace scalelaw::analysis
