// An expression with its first and second derivatives, exact, by propagating them forward through every operation
// (Griewank & Walther 2008, ch. 13).
#pragma once

#include <Eigen/Dense>

#include <array>
#include <string>
#include <vector>

#include "analysis/expression.h"

namespace scalelaw::analysis {

/// Most variables that derivatives are taken by.
inline constexpr int kMaxVariables = 6;

/// A value with gradient and Hessian by some variables; of a number, or of all rows at once. Entries of variables that
/// it does not depend on are not set.
template <class Value>
struct Derivatives {
  Value value{};
  std::array<Value, kMaxVariables> first;
  std::array<Value, kMaxVariables*(kMaxVariables + 1) / 2> second;

  static int place(int i, int j) { return i < j ? j * (j + 1) / 2 + i : i * (i + 1) / 2 + j; }
};

/// Where an expression is evaluated. `Value` is double for one point, Eigen::ArrayXd for all rows.
template <class Value>
struct Place {
  /// Columns and their logarithms; only those that the expression uses need to be set.
  std::vector<Value> x, log_x;
  /// Of the variables.
  const double* variables = nullptr;
};

/// An expression ready for evaluation: a variable or a column in the place of each name.
class Differentiable {
 public:
  /// Requires every name to be a variable or a column (at most kMaxVariables variables), and no condition or text.
  /// By a variable in `logarithmic`, derivatives are by its logarithm.
  Differentiable(const Expression& expression, const std::vector<std::string>& variables,
                 const std::vector<bool>& logarithmic, const std::vector<std::string>& columns);

  /// Bit i: the expression depends on variable i.
  unsigned mask() const { return root_.mask; }
  /// Whether the column itself is needed; powers of a column need its logarithm only.
  bool needs_column(size_t column) const { return needs_column_[column]; }

  /// `derivatives` false: the value alone. Defined for double and Eigen::ArrayXd.
  template <class Value>
  Derivatives<Value> at(const Place<Value>& place, bool derivatives = true) const;

 private:
  enum class Op { kNumber, kVariable, kColumn, kLogColumn, kConstantPower, kOther };
  struct Node {
    Op op = Op::kOther;
    Expression::Kind kind = Expression::Kind::kNumber;
    /// Of a number, or the exponent of a power.
    double number = 0;
    int index = 0;
    bool logarithmic = false;
    unsigned mask = 0;
    std::vector<Node> arguments;
  };
  template <class Value>
  class Evaluation;

  Node build(const Expression& expression, const std::vector<std::string>& variables,
             const std::vector<bool>& logarithmic, const std::vector<std::string>& columns);
  Node build_power(Node base, Node exponent);
  static Node other(Expression::Kind kind, std::vector<Node> arguments);

  std::vector<bool> needs_column_;
  Node root_;
};

}  // namespace scalelaw::analysis
