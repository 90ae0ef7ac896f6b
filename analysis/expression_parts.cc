#include "analysis/expression_parts.h"

#include <algorithm>
#include <map>

namespace scalelaw::analysis {
namespace {

using Kind = Expression::Kind;
using Names = std::vector<std::string>;

Expression number(double value) {
  return {Kind::kNumber, value, "", {}, 0};
}
bool is_number(const Expression& e, double value) {
  return e.kind == Kind::kNumber && e.number == value;
}
Expression made(Kind kind, std::vector<Expression> arguments) {
  return {kind, 0, "", std::move(arguments), 0};
}
Expression product(const Expression& a, const Expression& b) {
  if (is_number(a, 1)) return b;
  return is_number(b, 1) ? a : made(Kind::kMultiply, {a, b});
}
Expression quotient(const Expression& a, const Expression& b) {
  return is_number(b, 1) ? a : made(Kind::kDivide, {a, b});
}

bool mentions(const Expression& e, const Names& names) {
  if (e.kind == Kind::kName) return std::find(names.begin(), names.end(), e.text) != names.end();
  return std::any_of(e.arguments.begin(), e.arguments.end(), [&](const Expression& a) { return mentions(a, names); });
}

/// Factors by linear parameter; the offset under the empty name.
using Parts = std::map<std::string, Expression>;

void add(Parts& to, const std::string& name, Expression term) {
  const auto [at, added] = to.emplace(name, term);
  if (!added) at->second = made(Kind::kAdd, {at->second, std::move(term)});
}

bool constant(const Parts& parts) {
  return parts.size() == 1 && parts.begin()->first.empty();
}

/// Nothing where the expression is not linear in these names.
std::optional<Parts> decompose(const Expression& e, const Names& linear) {
  if (!mentions(e, linear)) return Parts{{"", e}};
  if (e.kind == Kind::kName) return Parts{{e.text, number(1)}};
  const bool handled = e.kind == Kind::kNegate || e.kind == Kind::kAdd || e.kind == Kind::kSubtract ||
                       e.kind == Kind::kMultiply || e.kind == Kind::kDivide;
  if (!handled) return std::nullopt;
  const std::optional<Parts> first = decompose(e.arguments[0], linear);
  if (!first) return std::nullopt;
  Parts result;
  if (e.kind == Kind::kNegate) {
    for (const auto& [name, factor] : *first) add(result, name, made(Kind::kNegate, {factor}));
    return result;
  }
  const std::optional<Parts> second = decompose(e.arguments[1], linear);
  if (!second) return std::nullopt;
  if (e.kind == Kind::kAdd || e.kind == Kind::kSubtract) {
    result = *first;
    for (const auto& [name, factor] : *second)
      add(result, name, e.kind == Kind::kAdd ? factor : made(Kind::kNegate, {factor}));
    return result;
  }
  if (!constant(*second) && (e.kind == Kind::kDivide || !constant(*first))) return std::nullopt;
  for (const auto& [name, factor] : *first)
    for (const auto& [other, by] : *second)
      add(result, name.empty() ? other : name, e.kind == Kind::kDivide ? quotient(factor, by) : product(factor, by));
  return result;
}

using Path = std::vector<const Expression*>;

/// Every way from the root to the name.
void find_paths(const Expression& e, const std::string& name, Path& path, std::vector<Path>& found) {
  path.push_back(&e);
  if (e.kind == Kind::kName && e.text == name) found.push_back(path);
  for (const Expression& argument : e.arguments) find_paths(argument, name, path, found);
  path.pop_back();
}

/// What joins things of one size.
bool is_sum(const Expression& e) {
  return e.kind == Kind::kAdd || e.kind == Kind::kSubtract || e.kind == Kind::kMin || e.kind == Kind::kMax;
}

/// The terms of a sum, without the one that is `except` or holds it.
void collect_addends(const Expression& e, const Path& except, std::vector<Expression>& addends) {
  for (const Expression& argument : e.arguments) {
    const bool on_path = std::find(except.begin(), except.end(), &argument) != except.end();
    if (is_sum(argument))
      collect_addends(argument, except, addends);
    else if (!on_path)
      addends.push_back(argument);
  }
}

/// Whether what stands at path[i] is an exponent, and then whether its power stands in a denominator.
struct Exponent {
  bool is = false;
  bool in_denominator = false;
};
Exponent exponent_at(const Path& path, size_t i) {
  for (; i > 0; --i) {
    const Expression& parent = *path[i - 1];
    if (parent.kind == Kind::kPower && &parent.arguments[1] == path[i]) break;
    if (parent.kind != Kind::kNegate && parent.kind != Kind::kMultiply && parent.kind != Kind::kDivide) return {};
  }
  if (i == 0) return {};
  Exponent result{true, false};
  for (--i; i > 0; --i) {
    const Expression& parent = *path[i - 1];
    if (parent.kind == Kind::kDivide && &parent.arguments[1] == path[i])
      result.in_denominator = !result.in_denominator;
    else if (parent.kind != Kind::kMultiply && parent.kind != Kind::kDivide)
      break;
  }
  return result;
}

Role role_on(const Path& path, const Names& columns) {
  Role role;
  role.rest = number(1);
  size_t i = path.size() - 1;
  for (; i > 0; --i) {
    const Expression& parent = *path[i - 1];
    const bool first = &parent.arguments[0] == path[i];
    if (parent.kind == Kind::kNegate) {
      role.negated = !role.negated;
    } else if (parent.kind == Kind::kMultiply) {
      role.rest = product(role.rest, parent.arguments[first ? 1 : 0]);
    } else if (parent.kind == Kind::kDivide && first) {
      role.rest = quotient(role.rest, parent.arguments[1]);
    } else if (parent.kind == Kind::kDivide) {
      role.rest = quotient(parent.arguments[0], role.rest);
      role.power = -role.power;
    } else {
      break;
    }
  }
  if (i == 0) return role;
  const Expression& parent = *path[i - 1];
  const bool of_columns = mentions(role.rest, columns);
  if (is_sum(parent)) {
    if (parent.kind == Kind::kSubtract && &parent.arguments[1] == path[i]) role.negated = !role.negated;
    size_t top = i - 1;
    while (top > 0 && is_sum(*path[top - 1])) --top;
    if (const Exponent exponent = exponent_at(path, top); exponent.is && !of_columns) {
      role.kind = Role::Kind::kExponent;
      // In a sum, either sign makes sense.
      role.negated = false;
      return role;
    }
    role.kind = Role::Kind::kAddend;
    collect_addends(*path[top], path, role.addends);
    return role;
  }
  if (const Exponent exponent = exponent_at(path, path.size() - 1); exponent.is && !of_columns) {
    role.kind = Role::Kind::kExponent;
    role.negated = role.negated != exponent.in_denominator;
    return role;
  }
  role.kind = of_columns ? Role::Kind::kFactor : Role::Kind::kUnknown;
  return role;
}

}  // namespace

LinearSplit split_linear(const Expression& expression, const std::vector<std::string>& parameters) {
  LinearSplit split;
  for (const std::string& name : parameters) {
    Names wider = split.linear;
    wider.push_back(name);
    if (decompose(expression, wider))
      split.linear = std::move(wider);
    else
      split.others.push_back(name);
  }
  const Parts parts = *decompose(expression, split.linear);
  for (const std::string& name : split.linear) split.factors.push_back(parts.at(name));
  split.offset = parts.contains("") ? parts.at("") : number(0);
  return split;
}

int constant_sign(const Expression& e) {
  const auto of = [&](size_t i) { return constant_sign(e.arguments[i]); };
  switch (e.kind) {
    case Kind::kNumber:
      return (e.number > 0) - (e.number < 0);
    case Kind::kName:
    case Kind::kExp:
    case Kind::kAbs:
      return 1;
    case Kind::kSqrt:
    case Kind::kPower:
      return of(0) == 1;
    case Kind::kNegate:
      return -of(0);
    case Kind::kAdd:
    case Kind::kMin:
    case Kind::kMax:
      return of(0) == of(1) ? of(0) : 0;
    case Kind::kSubtract:
      return of(0) == -of(1) ? of(0) : 0;
    case Kind::kMultiply:
    case Kind::kDivide:
      return of(0) * of(1);
    default:
      return 0;
  }
}

Role role_of(const Expression& expression, const std::string& parameter, const std::vector<std::string>& columns) {
  std::vector<Path> paths;
  Path path;
  find_paths(expression, parameter, path, paths);
  std::vector<Role> roles;
  for (const Path& one : paths) roles.push_back(role_on(one, columns));
  // Kinds stand in the order of how much they say.
  std::stable_sort(roles.begin(), roles.end(), [](const Role& a, const Role& b) { return a.kind < b.kind; });
  Role role = roles.front();
  if (role.kind == Role::Kind::kExponent)
    role.negated = std::any_of(roles.begin(), roles.end(),
                               [](const Role& r) { return r.kind == Role::Kind::kExponent && r.negated; });
  return role;
}

}  // namespace scalelaw::analysis
