// A number with its first and second derivatives by K coordinates, carried through every operation by the chain rule:
// a formula written once gives its value, gradient and Hessian exactly (no differences, no second formula to keep
// right).
#pragma once

#include <Eigen/Dense>

#include <cmath>

namespace scalelaw::analysis {

template <int K>
struct Jet {
  double value = 0;
  Eigen::Matrix<double, K, 1> gradient = Eigen::Matrix<double, K, 1>::Zero();
  Eigen::Matrix<double, K, K> hessian = Eigen::Matrix<double, K, K>::Zero();

  Jet() = default;
  Jet(double constant) : value(constant) {}  // NOLINT(google-explicit-constructor): constants mix with jets
  static Jet coordinate(double at, int index) {
    Jet jet(at);
    jet.gradient[index] = 1;
    return jet;
  }
  /// f(jet) from f, f' and f'' at its value.
  Jet chain(double f, double slope, double bend) const {
    Jet result(f);
    result.gradient = slope * gradient;
    result.hessian.noalias() = slope * hessian + bend * gradient * gradient.transpose();
    return result;
  }

  friend Jet operator-(const Jet& a) { return a.chain(-a.value, -1, 0); }
  friend Jet operator+(const Jet& a, const Jet& b) {
    Jet sum(a.value + b.value);
    sum.gradient = a.gradient + b.gradient;
    sum.hessian = a.hessian + b.hessian;
    return sum;
  }
  friend Jet operator-(const Jet& a, const Jet& b) {
    Jet difference(a.value - b.value);
    difference.gradient = a.gradient - b.gradient;
    difference.hessian = a.hessian - b.hessian;
    return difference;
  }
  friend Jet operator*(const Jet& a, const Jet& b) {
    Jet product(a.value * b.value);
    product.gradient = a.value * b.gradient + b.value * a.gradient;
    product.hessian.noalias() = a.value * b.hessian + b.value * a.hessian + a.gradient * b.gradient.transpose() +
                                b.gradient * a.gradient.transpose();
    return product;
  }
  friend Jet operator/(const Jet& a, const Jet& b) {
    const double inverse = 1 / b.value;
    return a * b.chain(inverse, -inverse * inverse, 2 * inverse * inverse * inverse);
  }
  friend Jet operator+(const Jet& a, double b) { return a.chain(a.value + b, 1, 0); }
  friend Jet operator+(double a, const Jet& b) { return b + a; }
  friend Jet operator-(const Jet& a, double b) { return a + -b; }
  friend Jet operator-(double a, const Jet& b) { return b.chain(a - b.value, -1, 0); }
  friend Jet operator*(const Jet& a, double b) { return a.chain(a.value * b, b, 0); }
  friend Jet operator*(double a, const Jet& b) { return b * a; }
  friend Jet operator/(const Jet& a, double b) { return a * (1 / b); }
  friend Jet operator/(double a, const Jet& b) {
    const double inverse = 1 / b.value;
    return b.chain(a * inverse, -a * inverse * inverse, 2 * a * inverse * inverse * inverse);
  }

  friend Jet exp(const Jet& a) {
    const double e = std::exp(a.value);
    return a.chain(e, e, e);
  }
  friend Jet log(const Jet& a) { return a.chain(std::log(a.value), 1 / a.value, -1 / (a.value * a.value)); }
};

/// The number alone.
inline double plain(double a) {
  return a;
}
template <int K>
double plain(const Jet<K>& a) {
  return a.value;
}

/// ln(1 + e^z) without overflow.
inline double softplus(double z) {
  return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z));
}
template <int K>
Jet<K> softplus(const Jet<K>& z) {
  const double sigmoid = 1 / (1 + std::exp(-z.value));
  return z.chain(softplus(z.value), sigmoid, sigmoid * (1 - sigmoid));
}

/// e^z − 1 and ln(1 + z), exact for small z.
inline double expm1_of(double z) {
  return std::expm1(z);
}
template <int K>
Jet<K> expm1_of(const Jet<K>& z) {
  const double e = std::exp(z.value);
  return z.chain(std::expm1(z.value), e, e);
}
inline double log1p_of(double z) {
  return std::log1p(z);
}
template <int K>
Jet<K> log1p_of(const Jet<K>& z) {
  const double inverse = 1 / (1 + z.value);
  return z.chain(std::log1p(z.value), inverse, -inverse * inverse);
}

}  // namespace scalelaw::analysis
