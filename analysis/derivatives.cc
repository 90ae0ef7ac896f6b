#include "analysis/derivatives.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <type_traits>
#include <utility>

namespace scalelaw::analysis {
namespace {

using Kind = Expression::Kind;

double select(bool condition, double yes, double no) {
  return condition ? yes : no;
}
template <class Condition>
Eigen::ArrayXd select(const Condition& condition, const Eigen::ArrayXd& yes, const Eigen::ArrayXd& no) {
  return condition.select(yes, no);
}

}  // namespace

/// One pass over the tree.
template <class Value>
class Differentiable::Evaluation {
 public:
  Evaluation(const Place<Value>& place, bool derivatives)
      : place_(place), wanted_(derivatives ? ~0u : 0u), rows_(rows_of(place)) {}

  Derivatives<Value> at(const Node& node) const {
    Derivatives<Value> result;
    switch (node.op) {
      case Op::kNumber:
        result.value = filled(node.number);
        return result;
      case Op::kColumn:
        result.value = place_.x[static_cast<size_t>(node.index)];
        return result;
      case Op::kLogColumn:
        result.value = place_.log_x[static_cast<size_t>(node.index)];
        return result;
      case Op::kVariable:
        return variable(node);
      case Op::kConstantPower:
        return constant_power(node);
      case Op::kOther:
        break;
    }
    return node.arguments.size() == 1 ? unary(node) : binary(node);
  }

 private:
  static Eigen::Index rows_of(const Place<Value>& place) {
    if constexpr (std::is_same_v<Value, double>)
      return 1;
    else
      return place.log_x.front().size();
  }
  Value filled(double value) const {
    if constexpr (std::is_same_v<Value, double>)
      return value;
    else
      return Eigen::ArrayXd::Constant(rows_, value);
  }
  /// Calls body(i) for every variable of the mask.
  template <class Body>
  void for_each(unsigned mask, const Body& body) const {
    for (int i = 0; i < kMaxVariables; ++i)
      if ((mask & wanted_) >> i & 1) body(i);
  }
  /// Calls body(i, j, place) for every pair i ≤ j of the mask.
  template <class Body>
  void for_pairs(unsigned mask, const Body& body) const {
    for_each(mask, [&](int j) {
      for_each(mask, [&](int i) {
        if (i <= j) body(i, j, static_cast<size_t>(Derivatives<Value>::place(i, j)));
      });
    });
  }

  Derivatives<Value> variable(const Node& node) const {
    Derivatives<Value> result;
    const double value = place_.variables[node.index];
    result.value = filled(value);
    for_each(node.mask, [&](int i) {
      result.first[static_cast<size_t>(i)] = filled(node.logarithmic ? value : 1);
      result.second[static_cast<size_t>(Derivatives<Value>::place(i, i))] = filled(node.logarithmic ? value : 0);
    });
    return result;
  }

  /// f(u) from f, f' and f'' at u.
  Derivatives<Value> chain(unsigned mask, const Derivatives<Value>& u, Value f, const Value& f1,
                           const Value& f2) const {
    Derivatives<Value> result;
    result.value = std::move(f);
    for_each(mask, [&](int i) {
      const auto at = static_cast<size_t>(i);
      result.first[at] = f1 * u.first[at];
    });
    for_pairs(mask, [&](int i, int j, size_t at) {
      result.second[at] = f1 * u.second[at] + f2 * u.first[static_cast<size_t>(i)] * u.first[static_cast<size_t>(j)];
    });
    return result;
  }

  Derivatives<Value> constant_power(const Node& node) const {
    using std::pow;
    const Derivatives<Value> u = at(node.arguments[0]);
    const double k = node.number;
    Value f = pow(u.value, k);
    if ((node.mask & wanted_) == 0) return chain(0, u, std::move(f), f, f);
    const Value f1 = k * pow(u.value, k - 1), f2 = k * (k - 1) * pow(u.value, k - 2);
    return chain(node.mask, u, std::move(f), f1, f2);
  }

  Derivatives<Value> unary(const Node& node) const {
    using std::abs;
    using std::exp;
    using std::log;
    using std::sqrt;
    Derivatives<Value> u = at(node.arguments[0]);
    const Value& v = u.value;
    const unsigned mask = node.mask;
    switch (node.kind) {
      case Kind::kNegate:
        return chain(mask, u, -v, filled(-1), filled(0));
      case Kind::kExp: {
        const Value f = exp(v);
        return chain(mask, u, f, f, f);
      }
      case Kind::kLog: {
        const Value inverse = 1 / v;
        return chain(mask, u, log(v), inverse, -inverse * inverse);
      }
      case Kind::kLog10: {
        const Value inverse = 1 / v;
        constexpr double kScale = 1 / std::numbers::ln10;
        return chain(mask, u, kScale * log(v), kScale * inverse, -kScale * inverse * inverse);
      }
      case Kind::kSqrt: {
        const Value f = sqrt(v);
        const Value f1 = 0.5 / f;
        return chain(mask, u, f, f1, -0.5 * f1 / v);
      }
      default:
        return chain(mask, u, abs(v), select(v < 0, filled(-1), filled(1)), filled(0));
    }
  }

  Derivatives<Value> binary(const Node& node) const {
    const Node &left = node.arguments[0], &right = node.arguments[1];
    Derivatives<Value> a = at(left), b = at(right);
    switch (node.kind) {
      case Kind::kAdd:
        return sum(a, left.mask, b, right.mask, 1);
      case Kind::kSubtract:
        return sum(a, left.mask, b, right.mask, -1);
      case Kind::kMultiply:
        return product(a, left.mask, b, right.mask);
      case Kind::kDivide: {
        const Value inverse = 1 / b.value;
        const Value squared = inverse * inverse;
        return product(a, left.mask, chain(right.mask, b, inverse, -squared, 2 * squared * inverse), right.mask);
      }
      case Kind::kMin:
        return choose(a.value < b.value, a, left.mask, b, right.mask);
      default:
        return choose(a.value > b.value, a, left.mask, b, right.mask);
    }
  }

  static bool in(unsigned mask, int i) { return mask >> i & 1; }

  /// a + sign·b.
  Derivatives<Value> sum(Derivatives<Value>& a, unsigned in_a, const Derivatives<Value>& b, unsigned in_b,
                         double sign) const {
    a.value += sign * b.value;
    for_each(in_b,
             [&](int i) { add(a.first[static_cast<size_t>(i)], in(in_a, i), sign * b.first[static_cast<size_t>(i)]); });
    for_pairs(in_b,
              [&](int i, int j, size_t at) { add(a.second[at], in(in_a, i) && in(in_a, j), sign * b.second[at]); });
    // A pair of which each holds one variable has no second derivative.
    for_pairs(in_a | in_b, [&](int i, int j, size_t at) {
      if (!(in(in_a, i) && in(in_a, j)) && !(in(in_b, i) && in(in_b, j))) a.second[at] = filled(0);
    });
    return std::move(a);
  }
  template <class Term>
  static void add(Value& to, bool is_set, const Term& term) {
    if (is_set)
      to += term;
    else
      to = term;
  }

  Derivatives<Value> product(const Derivatives<Value>& a, unsigned in_a, const Derivatives<Value>& b,
                             unsigned in_b) const {
    Derivatives<Value> result;
    result.value = a.value * b.value;
    for_each(in_a | in_b, [&](int i) {
      const auto at = static_cast<size_t>(i);
      if (in(in_a, i)) result.first[at] = a.first[at] * b.value;
      if (in(in_b, i)) add(result.first[at], in(in_a, i), a.value * b.first[at]);
    });
    for_pairs(in_a | in_b, [&](int i, int j, size_t at) {
      const auto pi = static_cast<size_t>(i), pj = static_cast<size_t>(j);
      Value& h = result.second[at];
      h = filled(0);
      if (in(in_a, i) && in(in_a, j)) h += a.second[at] * b.value;
      if (in(in_b, i) && in(in_b, j)) h += a.value * b.second[at];
      if (in(in_a, i) && in(in_b, j)) h += a.first[pi] * b.first[pj];
      if (in(in_b, i) && in(in_a, j)) h += b.first[pi] * a.first[pj];
    });
    return result;
  }

  template <class Condition>
  Derivatives<Value> choose(const Condition& first, const Derivatives<Value>& a, unsigned in_a,
                            const Derivatives<Value>& b, unsigned in_b) const {
    Derivatives<Value> result;
    result.value = select(first, a.value, b.value);
    for_each(in_a | in_b, [&](int i) {
      const auto at = static_cast<size_t>(i);
      result.first[at] = select(first, in(in_a, i) ? a.first[at] : filled(0), in(in_b, i) ? b.first[at] : filled(0));
    });
    for_pairs(in_a | in_b, [&](int i, int j, size_t at) {
      result.second[at] = select(first, in(in_a, i) && in(in_a, j) ? a.second[at] : filled(0),
                                 in(in_b, i) && in(in_b, j) ? b.second[at] : filled(0));
    });
    return result;
  }

  const Place<Value>& place_;
  const unsigned wanted_;
  const Eigen::Index rows_;
};

Differentiable::Differentiable(const Expression& expression, const std::vector<std::string>& variables,
                               const std::vector<bool>& logarithmic, const std::vector<std::string>& columns)
    : needs_column_(columns.size(), false), root_(build(expression, variables, logarithmic, columns)) {
  const auto mark = [this](const auto& self, const Node& node) -> void {
    if (node.op == Op::kColumn) needs_column_[static_cast<size_t>(node.index)] = true;
    for (const Node& argument : node.arguments) self(self, argument);
  };
  mark(mark, root_);
}

Differentiable::Node Differentiable::other(Kind kind, std::vector<Node> arguments) {
  Node node;
  node.kind = kind;
  for (const Node& argument : arguments) node.mask |= argument.mask;
  node.arguments = std::move(arguments);
  return node;
}

Differentiable::Node Differentiable::build(const Expression& e, const std::vector<std::string>& variables,
                                           const std::vector<bool>& logarithmic,
                                           const std::vector<std::string>& columns) {
  Node node;
  if (e.kind == Kind::kNumber) {
    node.op = Op::kNumber;
    node.number = e.number;
    return node;
  }
  if (e.kind == Kind::kName) {
    const auto column = std::find(columns.begin(), columns.end(), e.text);
    if (column != columns.end()) {
      node.op = Op::kColumn;
      node.index = static_cast<int>(column - columns.begin());
      return node;
    }
    node.op = Op::kVariable;
    node.index = static_cast<int>(std::find(variables.begin(), variables.end(), e.text) - variables.begin());
    node.logarithmic = logarithmic[static_cast<size_t>(node.index)];
    node.mask = 1u << node.index;
    return node;
  }
  std::vector<Node> arguments;
  for (const Expression& argument : e.arguments) arguments.push_back(build(argument, variables, logarithmic, columns));
  if (e.kind == Kind::kPower) return build_power(std::move(arguments[0]), std::move(arguments[1]));
  if (e.kind == Kind::kLog && arguments[0].op == Op::kColumn) {
    arguments[0].op = Op::kLogColumn;
    return std::move(arguments[0]);
  }
  return other(e.kind, std::move(arguments));
}

/// u^k as it is, else u^w = exp(w·ln u), where the logarithm of a column is at hand.
Differentiable::Node Differentiable::build_power(Node base, Node exponent) {
  const bool negative =
      exponent.op == Op::kOther && exponent.kind == Kind::kNegate && exponent.arguments[0].op == Op::kNumber;
  if (exponent.op == Op::kNumber || negative) {
    Node node = other(Kind::kPower, {std::move(base)});
    node.op = Op::kConstantPower;
    node.number = negative ? -exponent.arguments[0].number : exponent.number;
    return node;
  }
  Node logarithm;
  if (base.op == Op::kColumn) {
    logarithm = std::move(base);
    logarithm.op = Op::kLogColumn;
  } else {
    logarithm = other(Kind::kLog, {std::move(base)});
  }
  return other(Kind::kExp, {other(Kind::kMultiply, {std::move(exponent), std::move(logarithm)})});
}

template <class Value>
Derivatives<Value> Differentiable::at(const Place<Value>& place, bool derivatives) const {
  return Evaluation<Value>(place, derivatives).at(root_);
}

template Derivatives<double> Differentiable::at(const Place<double>&, bool) const;
template Derivatives<Eigen::ArrayXd> Differentiable::at(const Place<Eigen::ArrayXd>&, bool) const;

}  // namespace scalelaw::analysis
