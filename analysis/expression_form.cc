#include "analysis/expression_form.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/status/status.h"
#include "analysis/law.h"
#include "analysis/sum_of_powers.h"

namespace scalelaw::analysis {
namespace {

using Kind = Expression::Kind;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Most parameters that are eliminated (search.h).
constexpr size_t kMaxLinear = 6;
/// Grid values of each searched parameter, by how many of them there are: some thousand points at most.
constexpr int kGridSizes[kMaxVariables + 1] = {1, 48, 20, 12, 8, 5, 4};
/// What p·rest may be where it is of the order of one.
constexpr double kOrderOne = 100;
/// How far beyond the grid of a scale the polished optimum may lie, as a factor.
constexpr double kBeyondGrid = 1e4;
/// What stands for an exponent where only a magnitude is asked for.
constexpr double kTypicalExponent = 0.5;

/// Columns' own names in the place of symbols.
void resolve_names(Expression& e, const std::vector<std::string>& columns) {
  if (e.kind == Kind::kName && std::find(columns.begin(), columns.end(), e.text) == columns.end())
    if (const std::string column = column_name(e.text);
        std::find(columns.begin(), columns.end(), column) != columns.end())
      e.text = column;
  for (Expression& argument : e.arguments) resolve_names(argument, columns);
}

/// A condition or text somewhere in it.
const Expression* find_condition(const Expression& e) {
  if (e.condition() || e.kind == Kind::kText) return &e;
  for (const Expression& argument : e.arguments)
    if (const Expression* found = find_condition(argument)) return found;
  return nullptr;
}

Eigen::ArrayXd size_of_product(Kind kind, const Eigen::ArrayXd& a, const Eigen::ArrayXd& b) {
  return kind == Kind::kMultiply ? Eigen::ArrayXd(a * b) : Eigen::ArrayXd(a / b);
}

/// How large expressions are at the points, as far as that is known: in a sum, the terms of unknown size are passed
/// over.
class Magnitude {
 public:
  Magnitude(const Eigen::MatrixXd& logx, const std::vector<double>& log_scale, const std::vector<std::string>& columns,
            const std::vector<std::string>& exponents)
      : logx_(logx), log_scale_(log_scale), columns_(columns), exponents_(exponents) {}

  std::optional<Eigen::ArrayXd> of(const Expression& e) const {
    if (e.kind == Kind::kNumber) return constant(std::abs(e.number));
    if (e.kind == Kind::kName) return of_name(e.text);
    const std::optional<Eigen::ArrayXd> a = of(e.arguments[0]);
    if (e.arguments.size() == 1) return a ? std::optional(of_function(e.kind, *a)) : std::nullopt;
    const std::optional<Eigen::ArrayXd> b = of(e.arguments[1]);
    const bool sum = e.kind == Kind::kAdd || e.kind == Kind::kSubtract || e.kind == Kind::kMin || e.kind == Kind::kMax;
    if (sum && (!a || !b)) return a ? a : b;
    if (!a || !b) return std::nullopt;
    if (sum) return Eigen::ArrayXd(a->max(*b));
    if (e.kind == Kind::kPower) return power(*a, *b, e.arguments[1].kind == Kind::kNegate);
    return size_of_product(e.kind, *a, *b);
  }

 private:
  Eigen::ArrayXd constant(double value) const { return Eigen::ArrayXd::Constant(logx_.rows(), value); }
  std::optional<Eigen::ArrayXd> of_name(const std::string& name) const {
    const auto column = std::find(columns_.begin(), columns_.end(), name);
    if (column != columns_.end()) {
      const auto c = column - columns_.begin();
      return Eigen::ArrayXd((logx_.col(c).array() + log_scale_[static_cast<size_t>(c)]).exp());
    }
    if (std::find(exponents_.begin(), exponents_.end(), name) != exponents_.end()) return constant(kTypicalExponent);
    return std::nullopt;
  }
  static Eigen::ArrayXd of_function(Kind kind, const Eigen::ArrayXd& a) {
    if (kind == Kind::kExp) return a.exp();
    if (kind == Kind::kLog) return a.log().abs();
    if (kind == Kind::kLog10) return a.log10().abs();
    if (kind == Kind::kSqrt) return a.sqrt();
    return a;
  }
  static Eigen::ArrayXd power(const Eigen::ArrayXd& a, const Eigen::ArrayXd& b, bool negated) {
    const Eigen::ArrayXd exponent = negated ? Eigen::ArrayXd(-b) : b;
    return (exponent * a.log()).exp();
  }

  const Eigen::MatrixXd& logx_;
  const std::vector<double>& log_scale_;
  const std::vector<std::string>& columns_;
  const std::vector<std::string>& exponents_;
};

std::vector<double> even_grid(double low, double high, int count) {
  std::vector<double> grid(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) grid[static_cast<size_t>(i)] = low + (high - low) * i / (count - 1);
  return grid;
}

Coordinate exponent_coordinate(const std::string& name, bool positive, size_t searched) {
  const double low = searched == 1 ? 0.005 : 0.02, high = searched == 1 ? 4 : 3;
  const int count = kGridSizes[searched];
  if (positive) return {name, low, high, geometric_grid(low, high, count)};
  const std::vector<double> half = geometric_grid(low, high, std::max(2, count * 2 / 3));
  std::vector<double> grid(half.rbegin(), half.rend());
  for (double& value : grid) value = -value;
  grid.insert(grid.end(), half.begin(), half.end());
  return {name, -high, high, std::move(grid)};
}

/// Between two positive values, in logarithms.
Coordinate scale_coordinate(const std::string& name, double low, double high, double beyond, size_t searched) {
  const double from = std::log(low), to = std::log(high), further = std::log(beyond);
  return {name, from - further, to + further, even_grid(from, to, kGridSizes[searched])};
}

struct Span {
  double low = kInfinity;
  double high = -kInfinity;
  void include(const Eigen::ArrayXd& values) {
    for (double value : values) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  bool empty() const { return !(low <= high); }
};

/// p from p^power between low and high.
Span solved(Span of_power, int power) {
  return power > 0 ? of_power : Span{1 / of_power.high, 1 / of_power.low};
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Form>> ExpressionForm::make(std::string_view text,
                                                                 const std::vector<std::string>& columns) {
  absl::StatusOr<Expression> parsed = parse_expression(text);
  if (!parsed.ok()) return parsed.status();
  if (const Expression* condition = find_condition(*parsed))
    return absl::InvalidArgumentError(
        with_caret("a law has no conditions and no text; found one", text, condition->position));
  std::unique_ptr<ExpressionForm> form(new ExpressionForm);
  form->expression_ = *std::move(parsed);
  form->columns_ = columns;
  resolve_names(form->expression_, columns);
  form->name_ = to_text(form->expression_);
  std::vector<std::string> parameters = names(form->expression_);
  for (const std::string& column : columns)
    if (std::erase(parameters, column) == 0)
      return absl::InvalidArgumentError(fmt::format("x: the expression {} does not use {}", form->name_, column));
  if (columns.empty())
    return absl::InvalidArgumentError(
        fmt::format("x: none of the names in {} is a column ({})", form->name_, fmt::join(parameters, ", ")));
  form->split_ = split_linear(form->expression_, parameters);
  if (parameters.empty())
    return absl::InvalidArgumentError(fmt::format("the expression {} has no parameters", form->name_));
  if (form->split_.linear.size() > kMaxLinear || form->split_.others.size() > kMaxVariables)
    return absl::InvalidArgumentError(fmt::format(
        "the expression has too many parameters: at most {} that enter linearly ({}), and {} that do not ({})",
        kMaxLinear, fmt::join(form->split_.linear, ", "), kMaxVariables, fmt::join(form->split_.others, ", ")));
  form->log_scale_.assign(columns.size(), 0);
  form->logarithmic_.assign(form->split_.others.size(), false);
  form->scaled_.assign(form->split_.linear.size(), 0);
  form->differentiate();
  return form;
}

void ExpressionForm::differentiate() {
  factors_.clear();
  offset_.clear();
  for (const Expression& factor : split_.factors) factors_.emplace_back(factor, split_.others, logarithmic_, columns_);
  offset_.emplace_back(split_.offset, split_.others, logarithmic_, columns_);
  needed_.assign(columns_.size(), false);
  for (const std::vector<Differentiable>* all : {&factors_, &offset_})
    for (const Differentiable& d : *all)
      for (size_t c = 0; c < columns_.size(); ++c) needed_[c] = needed_[c] || d.needs_column(c);
}

absl::StatusOr<std::unique_ptr<const Form>> ExpressionForm::ready_for(const Eigen::MatrixXd& logx,
                                                                      const std::vector<double>& log_scale,
                                                                      const FitOptions& options) const {
  const std::vector<std::string> parameters = parameter_names();
  for (const auto& [name, interval] : options.search)
    if (std::find(parameters.begin(), parameters.end(), name) == parameters.end())
      return absl::InvalidArgumentError(fmt::format("search: the expression has no parameter '{}'; its parameters: {}",
                                                    name, fmt::join(parameters, ", ")));
  std::unique_ptr<ExpressionForm> form(new ExpressionForm(*this));
  form->log_scale_ = log_scale;
  // Amplitudes of terms that keep their signs are positive. Where a term does not (a·ln x), none need be.
  const bool signs_vary = std::any_of(split_.factors.begin(), split_.factors.end(),
                                      [](const Expression& factor) { return constant_sign(factor) == 0; });
  form->coordinates_.clear();
  for (size_t j = 0; j < split_.linear.size(); ++j) {
    absl::StatusOr<Coordinate> coordinate = linear_coordinate(split_.linear[j], signs_vary, options);
    if (!coordinate.ok()) return coordinate.status();
    form->coordinates_.push_back(*std::move(coordinate));
    const bool held = options.fixed.contains(split_.linear[j]);
    form->scaled_[j] = held ? 0 : constant_sign(split_.factors[j]);
  }
  size_t searched = 0;
  for (const std::string& name : split_.others) searched += !options.fixed.contains(name);
  for (size_t i = 0; i < split_.others.size(); ++i) {
    absl::StatusOr<Coordinate> coordinate = form->searched_coordinate(i, logx, searched, options);
    if (!coordinate.ok()) return coordinate.status();
    form->coordinates_.push_back(*std::move(coordinate));
  }
  form->differentiate();
  return form;
}

absl::StatusOr<Coordinate> ExpressionForm::linear_coordinate(const std::string& name, bool signs_vary,
                                                             const FitOptions& options) const {
  const auto interval = options.search.find(name);
  if (interval == options.search.end()) return Coordinate{name, signs_vary ? -kInfinity : 0, kInfinity, {}};
  const auto [low, high] = interval->second;
  if (high != kInfinity || (low != 0 && low != -kInfinity))
    return absl::InvalidArgumentError(fmt::format(
        "search: {} enters linearly and is solved for exactly; its interval can be 0:inf or -inf:inf, or fix it",
        name));
  return Coordinate{name, low, high, {}};
}

absl::StatusOr<Coordinate> ExpressionForm::searched_coordinate(size_t i, const Eigen::MatrixXd& logx, size_t searched,
                                                               const FitOptions& options) {
  const std::string& name = split_.others[i];
  const Role role = role_of(expression_, name, columns_);
  const bool exponent = role.kind == Role::Kind::kExponent;
  if (const auto fixed = options.fixed.find(name); fixed != options.fixed.end())
    return Coordinate{name, -kInfinity, kInfinity, {fixed->second}};
  if (const auto interval = options.search.find(name); interval != options.search.end()) {
    const auto [low, high] = interval->second;
    if (!std::isfinite(low) || !std::isfinite(high) || !(low < high))
      return absl::InvalidArgumentError(
          fmt::format("search: {} does not enter linearly; its interval must be finite, from low to high", name));
    logarithmic_[i] = low > 0 && !exponent;
    if (logarithmic_[i]) return scale_coordinate(name, low, high, 1, searched);
    return Coordinate{
        name, low, high,
        low > 0 ? geometric_grid(low, high, kGridSizes[searched]) : even_grid(low, high, kGridSizes[searched])};
  }
  if (exponent) return exponent_coordinate(name, role.negated, searched);

  std::vector<std::string> exponents;
  for (const std::string& other : split_.others)
    if (role_of(expression_, other, columns_).kind == Role::Kind::kExponent) exponents.push_back(other);
  const Magnitude magnitude(logx, log_scale_, columns_, exponents);
  const std::optional<Eigen::ArrayXd> rest = magnitude.of(role.rest);
  Span beside;
  bool signed_addends = false;
  if (role.kind == Role::Kind::kAddend && rest)
    for (const Expression& addend : role.addends)
      if (const std::optional<Eigen::ArrayXd> size = magnitude.of(addend)) {
        beside.include(*size / *rest);
        signed_addends = signed_addends || constant_sign(addend) == 0;
      }
  if (!beside.empty() && signed_addends && role.power > 0) {
    const double span = std::max(beside.high - beside.low, 1e-3 * beside.high);
    const Coordinate grid{name, beside.low - 10 * span, beside.high + 10 * span,
                          even_grid(beside.low - span, beside.high + span, kGridSizes[searched])};
    return grid;
  }
  if (!beside.empty() && beside.low > 0) {
    logarithmic_[i] = true;
    const double margin = std::clamp(beside.high / beside.low, 3.0, kOrderOne);
    const Span scale = solved({beside.low / margin, beside.high * margin}, role.power);
    return scale_coordinate(name, scale.low, scale.high, kBeyondGrid, searched);
  }
  Span inverse;
  if (rest && role.kind != Role::Kind::kUnknown) inverse.include(1 / *rest);
  if (inverse.empty() || !(inverse.low > 0))
    return absl::InvalidArgumentError(
        fmt::format("search: nothing in the expression says how large {} is; give its interval, LOW:HIGH", name));
  logarithmic_[i] = true;
  const Span scale = solved({inverse.low / kOrderOne, inverse.high * kOrderOne}, role.power);
  return scale_coordinate(name, scale.low, scale.high, kBeyondGrid, searched);
}

void ExpressionForm::natural(const double* theta, double* parameters) const {
  for (size_t i = 0; i < split_.others.size(); ++i) parameters[i] = logarithmic_[i] ? std::exp(theta[i]) : theta[i];
}

Place<Eigen::ArrayXd> ExpressionForm::rows_place(const Eigen::MatrixXd& logx, const double* searched) const {
  Place<Eigen::ArrayXd> place;
  place.variables = searched;
  for (size_t c = 0; c < columns_.size(); ++c) {
    place.log_x.emplace_back(logx.col(static_cast<Eigen::Index>(c)).array() + log_scale_[c]);
    place.x.emplace_back(needed_[c] ? Eigen::ArrayXd(place.log_x[c].exp()) : Eigen::ArrayXd());
  }
  return place;
}

Place<double> ExpressionForm::point_place(const double* log_x, const double* searched) const {
  Place<double> place;
  place.variables = searched;
  for (size_t c = 0; c < columns_.size(); ++c) {
    place.log_x.push_back(log_x[c]);
    place.x.push_back(needed_[c] ? std::exp(log_x[c]) : 0);
  }
  return place;
}

template <class Value>
Derivatives<Value> ExpressionForm::scaled_factor(size_t j, const Place<Value>& place, const Place<double>& reference,
                                                 bool derivatives) const {
  const Differentiable& factor = factors_[j];
  Derivatives<Value> phi = factor.at(place, derivatives);
  if (scaled_[j] == 0) return phi;
  const Derivatives<double> unit = factor.at(reference, derivatives);
  const double s = scaled_[j] / unit.value;
  if (!derivatives) {
    phi.value *= s;
    return phi;
  }
  // Derivatives of 1/unit, then of the product.
  const auto on = [&](int i) { return factor.mask() >> i & 1; };
  std::array<double, kMaxVariables> first{};
  for (int i = 0; i < kMaxVariables; ++i)
    if (on(i)) first[static_cast<size_t>(i)] = -s / unit.value * unit.first[static_cast<size_t>(i)];
  for (int b = 0; b < kMaxVariables; ++b)
    for (int a = 0; a <= b; ++a) {
      if (!on(a) || !on(b)) continue;
      const auto i = static_cast<size_t>(a), k = static_cast<size_t>(b);
      const auto at = static_cast<size_t>(Derivatives<Value>::place(a, b));
      const double second = s / unit.value * (2 * unit.first[i] * unit.first[k] / unit.value - unit.second[at]);
      phi.second[at] =
          Value(phi.second[at] * s + phi.first[i] * first[k] + phi.first[k] * first[i] + phi.value * second);
    }
  for (int a = 0; a < kMaxVariables; ++a)
    if (const auto i = static_cast<size_t>(a); on(a)) phi.first[i] = Value(phi.first[i] * s + phi.value * first[i]);
  phi.value *= s;
  return phi;
}

void ExpressionForm::basis(const double* theta, const Eigen::MatrixXd& logx, Eigen::MatrixXd& phi,
                           Eigen::VectorXd& offset) const {
  double searched[kMaxVariables];
  natural(theta, searched);
  const Place<Eigen::ArrayXd> place = rows_place(logx, searched);
  const Place<double> reference = point_place(log_scale_.data(), searched);
  phi.resize(logx.rows(), static_cast<Eigen::Index>(factors_.size()));
  offset = offset_[0].at(place, false).value.matrix();
  for (size_t j = 0; j < factors_.size(); ++j)
    phi.col(static_cast<Eigen::Index>(j)) = scaled_factor(j, place, reference, false).value.matrix();
  if (phi.allFinite() && offset.allFinite()) return;
  // Where the expression has no value it fits nothing; NaN would spread.
  constexpr double kFitsNothing = 1e100;
  phi.setZero();
  offset.setConstant(kFitsNothing);
}

void ExpressionForm::second_order(const double* c, const double* logx, SecondOrder& out) const {
  const auto linear = static_cast<Eigen::Index>(factors_.size());
  const auto size = linear + static_cast<Eigen::Index>(split_.others.size());
  double searched[kMaxVariables], log_x[kMaxParameters];
  natural(c + linear, searched);
  for (size_t k = 0; k < columns_.size(); ++k) log_x[k] = logx[k] + log_scale_[k];
  const Place<double> place = point_place(log_x, searched);
  const Place<double> reference = point_place(log_scale_.data(), searched);
  out.value = 0;
  out.gradient.setZero(size);
  out.hessian.setZero(size, size);
  const auto add = [&](const Derivatives<double>& jet, unsigned mask, double amplitude) {
    out.value += amplitude * jet.value;
    for (int b = 0; b < kMaxVariables; ++b) {
      if (!(mask >> b & 1)) continue;
      out.gradient[linear + b] += amplitude * jet.first[static_cast<size_t>(b)];
      for (int a = 0; a <= b; ++a) {
        if (!(mask >> a & 1)) continue;
        const double second = amplitude * jet.second[static_cast<size_t>(Derivatives<double>::place(a, b))];
        out.hessian(linear + a, linear + b) += second;
        if (a != b) out.hessian(linear + b, linear + a) += second;
      }
    }
  };
  add(offset_[0].at(place), offset_[0].mask(), 1);
  for (Eigen::Index j = 0; j < linear; ++j) {
    const auto index = static_cast<size_t>(j);
    const Derivatives<double> phi = scaled_factor(index, place, reference, true);
    add(phi, factors_[index].mask(), c[j]);
    out.gradient[j] = phi.value;
    for (int i = 0; i < kMaxVariables; ++i)
      if (factors_[index].mask() >> i & 1)
        out.hessian(j, linear + i) = out.hessian(linear + i, j) = phi.first[static_cast<size_t>(i)];
  }
}

// work.gradients: ∇f by row. work.slopes: second derivatives by row, first those by a linear coordinate j and a
// searched one i at column j·(searched) + i, then those by pairs of searched ones.
void ExpressionForm::values(const double* c, const Eigen::MatrixXd& logx, Workspace& work,
                            Eigen::VectorXd& curve) const {
  const auto linear = static_cast<Eigen::Index>(factors_.size());
  const auto searched_count = static_cast<Eigen::Index>(split_.others.size());
  double searched[kMaxVariables];
  natural(c + linear, searched);
  const Place<Eigen::ArrayXd> place = rows_place(logx, searched);
  const Place<double> reference = point_place(log_scale_.data(), searched);
  const Eigen::Index pairs = linear * searched_count;
  work.gradients.setZero(logx.rows(), linear + searched_count);
  work.slopes.setZero(logx.rows(), pairs + searched_count * (searched_count + 1) / 2);
  curve.setZero(logx.rows());
  const auto add = [&](const Derivatives<Eigen::ArrayXd>& jet, unsigned mask, double amplitude) {
    curve.array() += amplitude * jet.value;
    for (int b = 0; b < kMaxVariables; ++b) {
      if (!(mask >> b & 1)) continue;
      work.gradients.col(linear + b).array() += amplitude * jet.first[static_cast<size_t>(b)];
      for (int a = 0; a <= b; ++a)
        if (const int at = Derivatives<double>::place(a, b); mask >> a & 1)
          work.slopes.col(pairs + at).array() += amplitude * jet.second[static_cast<size_t>(at)];
    }
  };
  add(offset_[0].at(place), offset_[0].mask(), 1);
  for (Eigen::Index j = 0; j < linear; ++j) {
    const auto index = static_cast<size_t>(j);
    const Derivatives<Eigen::ArrayXd> phi = scaled_factor(index, place, reference, true);
    add(phi, factors_[index].mask(), c[j]);
    work.gradients.col(j) = phi.value.matrix();
    for (int i = 0; i < kMaxVariables; ++i)
      if (factors_[index].mask() >> i & 1)
        work.slopes.col(j * searched_count + i) = phi.first[static_cast<size_t>(i)].matrix();
  }
}

void ExpressionForm::accumulate(const double*, const Eigen::MatrixXd&, Workspace& work, const Eigen::VectorXd& first,
                                const Eigen::VectorXd& second, SmallVector& gradient, SmallMatrix& hessian) const {
  const auto linear = static_cast<Eigen::Index>(factors_.size());
  const auto searched = static_cast<Eigen::Index>(split_.others.size());
  gradient = work.gradients.transpose() * first;
  hessian = work.gradients.transpose() * second.asDiagonal() * work.gradients;
  const Eigen::VectorXd bend = work.slopes.transpose() * first;
  const auto add = [&](Eigen::Index a, Eigen::Index b, double value) {
    hessian(a, b) += value;
    if (a != b) hessian(b, a) += value;
  };
  for (Eigen::Index j = 0; j < linear; ++j)
    for (Eigen::Index i = 0; i < searched; ++i) add(j, linear + i, bend[j * searched + i]);
  for (int b = 0; b < searched; ++b)
    for (int a = 0; a <= b; ++a)
      add(linear + a, linear + b, bend[linear * searched + Derivatives<double>::place(a, b)]);
}

std::vector<std::string> ExpressionForm::parameter_names() const {
  std::vector<std::string> all = split_.linear;
  all.insert(all.end(), split_.others.begin(), split_.others.end());
  return all;
}

std::vector<double> ExpressionForm::parameters(const double* c, const double*) const {
  const size_t linear = factors_.size();
  std::vector<double> result(c, c + linear + split_.others.size());
  natural(c + linear, result.data() + linear);
  const Place<double> reference = point_place(log_scale_.data(), result.data() + linear);
  for (size_t j = 0; j < linear; ++j)
    if (scaled_[j] != 0) result[j] *= scaled_[j] / factors_[j].at(reference, false).value;
  return result;
}

Hold ExpressionForm::hold(size_t, double value, const double*) const {
  return {value, -1, 0};
}

double ExpressionForm::value(const double* p, const double* x) const {
  double log_x[kMaxParameters];
  for (size_t c = 0; c < columns_.size(); ++c) log_x[c] = std::log(x[c]);
  const Place<double> place = point_place(log_x, p + factors_.size());
  double sum = offset_[0].at(place, false).value;
  for (size_t j = 0; j < factors_.size(); ++j) sum += p[j] * factors_[j].at(place, false).value;
  return sum;
}

std::string ExpressionForm::formula(const double* p, const std::vector<std::string>&) const {
  const std::vector<std::string> parameters = parameter_names();
  const auto filled = [&](const auto& self, Expression e) -> Expression {
    const auto found = std::find(parameters.begin(), parameters.end(), e.text);
    if (e.kind == Kind::kName && found != parameters.end()) {
      e.kind = Kind::kNumber;
      e.number = std::stod(fmt::format("{:.4g}", p[found - parameters.begin()]));
    }
    for (Expression& argument : e.arguments) argument = self(self, std::move(argument));
    return e;
  };
  return to_text(filled(filled, expression_));
}

}  // namespace scalelaw::analysis
