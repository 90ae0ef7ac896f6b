#include "analysis/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "absl/status/status.h"

namespace scalelaw::analysis {
namespace {

using Kind = Expression::Kind;

/// Deeper nesting is a mistake, or an attack on the stack.
constexpr int kMaxDepth = 100;
constexpr size_t kMaxLength = 4000;

struct Function {
  std::string_view name;
  Kind kind;
  int arguments;
};
constexpr Function kFunctions[] = {{"exp", Kind::kExp, 1},     {"log", Kind::kLog, 1},   {"ln", Kind::kLog, 1},
                                   {"log10", Kind::kLog10, 1}, {"sqrt", Kind::kSqrt, 1}, {"abs", Kind::kAbs, 1},
                                   {"min", Kind::kMin, 2},     {"max", Kind::kMax, 2}};

/// Binary operators: longer symbols before their beginnings. Higher levels bind tighter.
struct Operator {
  std::string_view symbol;
  Kind kind;
  int level;
};
constexpr int kOrLevel = 1, kAndLevel = 2, kCompareLevel = 3, kSumLevel = 4, kProductLevel = 5, kSignLevel = 6,
              kPowerLevel = 7, kAtomLevel = 8;
constexpr Operator kOperators[] = {{"||", Kind::kOr, kOrLevel},
                                   {"&&", Kind::kAnd, kAndLevel},
                                   {"<=", Kind::kLessEqual, kCompareLevel},
                                   {">=", Kind::kGreaterEqual, kCompareLevel},
                                   {"==", Kind::kEqual, kCompareLevel},
                                   {"!=", Kind::kNotEqual, kCompareLevel},
                                   {"<", Kind::kLess, kCompareLevel},
                                   {">", Kind::kGreater, kCompareLevel},
                                   {"+", Kind::kAdd, kSumLevel},
                                   {"-", Kind::kSubtract, kSumLevel},
                                   {"−", Kind::kSubtract, kSumLevel},
                                   {"*", Kind::kMultiply, kProductLevel},
                                   {"·", Kind::kMultiply, kProductLevel},
                                   {"×", Kind::kMultiply, kProductLevel},
                                   {"/", Kind::kDivide, kProductLevel},
                                   {"^", Kind::kPower, kPowerLevel}};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
/// Bytes of UTF-8 beyond ASCII are letters: α is a name.
bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

bool plain_name(std::string_view name) {
  if (name.empty() || !begins_name(name[0])) return false;
  for (const Operator& o : kOperators)
    if (name.find(o.symbol) != name.npos) return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return begins_name(c) || is_digit(c) || c == '.'; });
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  absl::StatusOr<Expression> parse() {
    if (text_.size() > kMaxLength)
      return absl::InvalidArgumentError(fmt::format("an expression has at most {} characters", kMaxLength));
    std::optional<Expression> whole = binary(kOrLevel);
    if (whole && peek() != '\0') fail("an operator");
    if (!error_.empty()) return absl::InvalidArgumentError(error_);
    return *std::move(whole);
  }

 private:
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(std::string_view symbol) {
    peek();
    if (!text_.substr(at_).starts_with(symbol)) return false;
    at_ += symbol.size();
    return true;
  }
  std::nullopt_t fail(std::string_view expected) {
    peek();
    return fail_at(fmt::format("expected {}", expected), at_);
  }
  std::nullopt_t fail_at(std::string_view message, size_t position) {
    if (error_.empty()) error_ = with_caret(message, text_, position);
    return std::nullopt;
  }

  const Operator* take_operator(int level) {
    for (const Operator& o : kOperators)
      if (o.level == level && take(o.symbol)) return &o;
    return nullptr;
  }

  std::optional<Expression> binary(int level) {
    if (level == kSignLevel) return sign();
    std::optional<Expression> left = binary(level + 1);
    while (left) {
      const size_t position = (peek(), at_);
      const Operator* o = take_operator(level);
      if (o == nullptr) break;
      std::optional<Expression> right = binary(level + 1);
      if (!right) return std::nullopt;
      left = Expression{o->kind, 0, "", {*std::move(left), *std::move(right)}, position};
      if (level == kCompareLevel && take_operator(level) != nullptr)
        return fail_at("comparisons do not chain: write a < b && b < c", position);
    }
    return left;
  }

  std::optional<Expression> sign() {
    const size_t position = (peek(), at_);
    if (++depth_ > kMaxDepth) return fail_at("nested too deeply", position);
    std::optional<Expression> result;
    if (take("-") || take("−"))
      result = with_operand(Kind::kNegate, position);
    else if (!text_.substr(at_).starts_with("!=") && take("!"))
      result = with_operand(Kind::kNot, position);
    else if (take("+"))
      result = sign();
    else
      result = power();
    --depth_;
    return result;
  }
  std::optional<Expression> with_operand(Kind kind, size_t position) {
    std::optional<Expression> operand = sign();
    if (!operand) return std::nullopt;
    return Expression{kind, 0, "", {*std::move(operand)}, position};
  }

  std::optional<Expression> power() {
    std::optional<Expression> base = atom();
    const size_t position = (peek(), at_);
    if (!base || !take("^")) return base;
    std::optional<Expression> exponent = sign();
    if (!exponent) return std::nullopt;
    return Expression{Kind::kPower, 0, "", {*std::move(base), *std::move(exponent)}, position};
  }

  std::optional<Expression> atom() {
    const char c = peek();
    const size_t position = at_;
    if (c == '(') {
      ++at_;
      std::optional<Expression> inner = binary(kOrLevel);
      if (inner && !take(")")) return fail("')'");
      return inner;
    }
    if (is_digit(c) || c == '.') return number();
    if (c == '"' || c == '\'') return quoted(c);
    if (!begins_name(c)) return fail("a number, a name or '('");
    const std::string_view name = take_name();
    if (name.empty()) return fail("a number, a name or '('");
    if (peek() == '(') return call(name, position);
    return Expression{Kind::kName, 0, std::string(name), {}, position};
  }

  std::string_view take_name() {
    const size_t begin = at_;
    while (at_ < text_.size() && (begins_name(text_[at_]) || is_digit(text_[at_]) || text_[at_] == '.')) {
      const bool symbol = std::any_of(std::begin(kOperators), std::end(kOperators),
                                      [&](const Operator& o) { return text_.substr(at_).starts_with(o.symbol); });
      if (symbol) break;
      ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }

  std::optional<Expression> number() {
    Expression result{Kind::kNumber, 0, "", {}, at_};
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), result.number);
    if (error != std::errc() || !std::isfinite(result.number)) return fail("a number");
    at_ = static_cast<size_t>(end - text_.data());
    if (at_ < text_.size() && begins_name(text_[at_]) && take_operator_ahead() == nullptr)
      return fail_at("expected an operator after the number", at_);
    return result;
  }
  const Operator* take_operator_ahead() const {
    for (const Operator& o : kOperators)
      if (text_.substr(at_).starts_with(o.symbol)) return &o;
    return nullptr;
  }

  std::optional<Expression> quoted(char quote) {
    Expression result{quote == '"' ? Kind::kName : Kind::kText, 0, "", {}, at_};
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == quote) {
        // Two of them stand for one.
        if (at_ + 1 == text_.size() || text_[at_ + 1] != quote) {
          ++at_;
          return result;
        }
        ++at_;
      }
      result.text += text_[at_];
    }
    return fail_at(fmt::format("expected a closing {}", quote), result.position);
  }

  std::optional<Expression> call(std::string_view name, size_t position) {
    const auto* function =
        std::find_if(std::begin(kFunctions), std::end(kFunctions), [&](const Function& f) { return f.name == name; });
    if (function == std::end(kFunctions)) {
      std::string known;
      for (const Function& f : kFunctions) known += fmt::format(" {}", f.name);
      return fail_at(fmt::format("no function '{}'; functions:{}", name, known), position);
    }
    Expression result{function->kind, 0, "", {}, position};
    take("(");
    for (int i = 0; i < function->arguments; ++i) {
      if (i > 0 && !take(",")) return fail(fmt::format("',': {} takes {} arguments", name, function->arguments));
      std::optional<Expression> argument = binary(kOrLevel);
      if (!argument) return std::nullopt;
      result.arguments.push_back(*std::move(argument));
    }
    if (!take(")")) return fail(fmt::format("')': {} takes {} argument(s)", name, function->arguments));
    return result;
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  std::string error_;
};

int level_of(const Expression& e) {
  if (e.kind == Kind::kNegate || e.kind == Kind::kNot) return kSignLevel;
  if (e.kind == Kind::kNumber && std::signbit(e.number)) return kSignLevel;
  for (const Operator& o : kOperators)
    if (o.kind == e.kind) return o.level;
  return kAtomLevel;
}

std::string quoted(const std::string& text, char quote) {
  std::string result(1, quote);
  for (char c : text) result.append(c == quote ? 2 : 1, c);
  result += quote;
  return result;
}

/// In parentheses where it binds weaker than its place asks for.
std::string text_at(const Expression& e, int level) {
  return level_of(e) < level ? fmt::format("({})", to_text(e)) : to_text(e);
}

void collect_names(const Expression& e, std::vector<std::string>& found) {
  if (e.kind == Kind::kName && std::find(found.begin(), found.end(), e.text) == found.end()) found.push_back(e.text);
  for (const Expression& argument : e.arguments) collect_names(argument, found);
}

Eigen::ArrayXd combine(Kind kind, const Eigen::ArrayXd& a, const Eigen::ArrayXd& b) {
  const auto truth = [](const auto& condition) -> Eigen::ArrayXd { return condition.template cast<double>(); };
  switch (kind) {
    case Kind::kAdd:
      return a + b;
    case Kind::kSubtract:
      return a - b;
    case Kind::kMultiply:
      return a * b;
    case Kind::kDivide:
      return a / b;
    case Kind::kPower:
      return a.binaryExpr(b, [](double x, double y) { return std::pow(x, y); });
    case Kind::kMin:
      return a.binaryExpr(b, [](double x, double y) { return std::isnan(x) || x < y ? x : y; });
    case Kind::kMax:
      return a.binaryExpr(b, [](double x, double y) { return std::isnan(x) || x > y ? x : y; });
    case Kind::kLess:
      return truth(a < b);
    case Kind::kLessEqual:
      return truth(a <= b);
    case Kind::kGreater:
      return truth(a > b);
    case Kind::kGreaterEqual:
      return truth(a >= b);
    case Kind::kEqual:
      return truth(a == b);
    case Kind::kNotEqual:
      return truth(a != b);
    case Kind::kAnd:
      return truth(a != 0 && b != 0);
    default:
      return truth(a != 0 || b != 0);
  }
}

Eigen::ArrayXd apply(Kind kind, const Eigen::ArrayXd& a) {
  switch (kind) {
    case Kind::kNegate:
      return -a;
    case Kind::kNot:
      return (a == 0).cast<double>();
    case Kind::kExp:
      return a.exp();
    case Kind::kLog:
      return a.log();
    case Kind::kLog10:
      return a.log10();
    case Kind::kSqrt:
      return a.sqrt();
    default:
      return a.abs();
  }
}

}  // namespace

bool Expression::condition() const {
  return kind == Kind::kNot || (kind >= Kind::kLess && kind <= Kind::kOr);
}

absl::StatusOr<Expression> parse_expression(std::string_view text) {
  return Parser(text).parse();
}

std::string to_text(const Expression& e) {
  const auto argument = [&](size_t i, int level) { return text_at(e.arguments[i], level); };
  switch (e.kind) {
    case Kind::kNumber:
      return fmt::format("{}", e.number);
    case Kind::kName:
      return plain_name(e.text) ? e.text : quoted(e.text, '"');
    case Kind::kText:
      return quoted(e.text, '\'');
    case Kind::kNegate:
      return fmt::format("-{}", argument(0, kSignLevel));
    case Kind::kNot:
      return fmt::format("!{}", argument(0, kSignLevel));
    case Kind::kPower:
      return fmt::format("{}^{}", argument(0, kAtomLevel), argument(1, kSignLevel));
    default:
      break;
  }
  for (const Function& f : kFunctions)
    if (f.kind == e.kind)
      return fmt::format("{}({}{})", f.name, to_text(e.arguments[0]),
                         f.arguments == 2 ? ", " + to_text(e.arguments[1]) : "");
  const Operator* o = std::find_if(std::begin(kOperators), std::end(kOperators),
                                   [&](const Operator& candidate) { return candidate.kind == e.kind; });
  const std::string_view space = o->level == kProductLevel ? "" : " ";
  // Comparisons do not chain; the others bind to the left.
  const int left = o->level == kCompareLevel ? o->level + 1 : o->level;
  return fmt::format("{}{}{}{}{}", argument(0, left), space, o->symbol, space, argument(1, o->level + 1));
}

std::string with_caret(std::string_view message, std::string_view text, size_t position) {
  position = std::min(position, text.size());
  // A caret stands under a character, of which UTF-8 may need several bytes.
  const auto before = std::count_if(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position),
                                    [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  return fmt::format("{} at position {}\n  {}\n  {}^", message, before + 1, text,
                     std::string(static_cast<size_t>(before), ' '));
}

std::vector<std::string> names(const Expression& expression) {
  std::vector<std::string> found;
  collect_names(expression, found);
  return found;
}

absl::StatusOr<Eigen::ArrayXd> evaluate(const Expression& e, const Columns& columns) {
  if (e.kind == Kind::kNumber) return Eigen::ArrayXd::Constant(columns.rows(), e.number);
  if (e.kind == Kind::kName) return columns.numbers(e.text);
  if (e.kind == Kind::kText)
    return absl::InvalidArgumentError(fmt::format(
        "'{}' is text: it can only be compared with a column by == or != (names have double quotes)", e.text));
  if (e.kind == Kind::kEqual || e.kind == Kind::kNotEqual) {
    const bool text_first = e.arguments[0].kind == Kind::kText;
    const Expression& text = e.arguments[text_first ? 0 : 1];
    const Expression& name = e.arguments[text_first ? 1 : 0];
    if (text.kind == Kind::kText && name.kind == Kind::kName) {
      absl::StatusOr<Eigen::ArrayXd> equal = columns.equals(name.text, text.text);
      if (!equal.ok() || e.kind == Kind::kEqual) return equal;
      return Eigen::ArrayXd(1 - *equal);
    }
  }
  const absl::StatusOr<Eigen::ArrayXd> first = evaluate(e.arguments[0], columns);
  if (!first.ok()) return first.status();
  if (e.arguments.size() == 1) return apply(e.kind, *first);
  const absl::StatusOr<Eigen::ArrayXd> second = evaluate(e.arguments[1], columns);
  if (!second.ok()) return second.status();
  return combine(e.kind, *first, *second);
}

}  // namespace scalelaw::analysis
