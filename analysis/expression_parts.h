// What can be read off an expression before any number is known: which parameters enter linearly, what keeps its sign,
// and where the others are to be looked for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/expression.h"

namespace scalelaw::analysis {

/// f = offset + Σ_j linear_j·factor_j; neither offset nor factors contain a linear parameter.
struct LinearSplit {
  std::vector<std::string> linear;
  std::vector<Expression> factors;
  Expression offset;
  /// The parameters that are left.
  std::vector<std::string> others;
};

/// As many parameters as can be linear together, earlier ones first.
LinearSplit split_linear(const Expression& expression, const std::vector<std::string>& parameters);

/// 1 or −1 where the expression is positive or negative whatever the values of its names, as long as these are
/// positive; 0 where that cannot be said.
int constant_sign(const Expression& expression);

/// Where a parameter that does not enter linearly stands.
struct Role {
  enum class Kind {
    /// In an exponent of a column, dimensionless.
    kExponent,
    /// parameter^power·rest is of the order of one: the argument of a function, the base of a power.
    kFactor,
    /// parameter^power·rest is of the order of what it is added to.
    kAddend,
    /// Nothing says how large it is.
    kUnknown,
  };
  Kind kind = Kind::kUnknown;
  /// Of an exponent: it stands behind a minus sign or in a denominator, so that it is meant to be positive.
  bool negated = false;
  int power = 1;
  Expression rest;
  std::vector<Expression> addends;
};

/// `columns`: the names that are columns.
Role role_of(const Expression& expression, const std::string& parameter, const std::vector<std::string>& columns);

}  // namespace scalelaw::analysis
