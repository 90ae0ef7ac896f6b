// One source for every instruction set: included by kernels_<set>.cc, which names the set. Nothing here may be shared
// between those files (all is in an anonymous namespace), for each compiles it to other instructions.
#include <type_traits>

#include "analysis/kernels.h"

namespace scalelaw::analysis {
namespace {

using std::int32_t;
using std::int64_t;

#define SCALELAW_INLINE inline __attribute__((always_inline))

#if defined(__AVX512F__)
constexpr int kWidth = 8;
#elif defined(__AVX2__)
constexpr int kWidth = 4;
#else
constexpr int kWidth = 2;
#endif
constexpr int kParts = kLanes / kWidth;

using Native = double __attribute__((vector_size(kWidth * sizeof(double))));
using NativeBits = int64_t __attribute__((vector_size(kWidth * sizeof(int64_t))));
using NativeWords = std::uint64_t __attribute__((vector_size(kWidth * sizeof(std::uint64_t))));
using NativeLoose = double __attribute__((vector_size(kWidth * sizeof(double)), aligned(alignof(double)), may_alias));

/// Eight lanes in as many registers as that takes. (Vectors wider than the machine's are taken apart badly.)
template <class Part>
struct Eight {
  Part part[kParts];
};
using Lanes = Eight<Native>;
/// Integers, or what a comparison gives: all bits of a lane set where it holds.
using Bits = Eight<NativeBits>;

template <class Operation, class... Parts>
SCALELAW_INLINE auto by_part(Operation operation, const Eight<Parts>&... v) {
  Eight<decltype(operation(v.part[0]...))> out;
  for (int p = 0; p < kParts; ++p) out.part[p] = operation(v.part[p]...);
  return out;
}
SCALELAW_INLINE Lanes all(double value) {
  Lanes out;
  for (Native& part : out.part) part = Native{} + value;
  return out;
}
SCALELAW_INLINE Bits all_bits(int64_t value) {
  Bits out;
  for (NativeBits& part : out.part) part = NativeBits{} + value;
  return out;
}

#define SCALELAW_LANEWISE(op, Argument, Result)                                                \
  SCALELAW_INLINE Eight<Result> operator op(const Argument& a, const Argument& b) {            \
    return by_part(                                                                            \
        [](auto x, auto y) __attribute__((always_inline)) { return (Result)(x op y); }, a, b); \
  }
SCALELAW_LANEWISE(+, Lanes, Native)
SCALELAW_LANEWISE(-, Lanes, Native)
SCALELAW_LANEWISE(*, Lanes, Native)
SCALELAW_LANEWISE(/, Lanes, Native)
SCALELAW_LANEWISE(<, Lanes, NativeBits)
SCALELAW_LANEWISE(>, Lanes, NativeBits)
SCALELAW_LANEWISE(>=, Lanes, NativeBits)
SCALELAW_LANEWISE(+, Bits, NativeBits)
SCALELAW_LANEWISE(-, Bits, NativeBits)
SCALELAW_LANEWISE(&, Bits, NativeBits)
SCALELAW_LANEWISE(|, Bits, NativeBits)
#undef SCALELAW_LANEWISE

#define SCALELAW_SCALAR(op)                                    \
  SCALELAW_INLINE auto operator op(const Lanes& a, double b) { \
    return a op all(b);                                        \
  }                                                            \
  SCALELAW_INLINE auto operator op(double a, const Lanes& b) { \
    return all(a) op b;                                        \
  }
SCALELAW_SCALAR(+)
SCALELAW_SCALAR(-)
SCALELAW_SCALAR(*)
SCALELAW_SCALAR(/)
SCALELAW_SCALAR(<)
SCALELAW_SCALAR(>)
SCALELAW_SCALAR(>=)
#undef SCALELAW_SCALAR

SCALELAW_INLINE Lanes& operator+=(Lanes& a, const Lanes& b) {
  return a = a + b;
}
SCALELAW_INLINE Lanes& operator-=(Lanes& a, const Lanes& b) {
  return a = a - b;
}
SCALELAW_INLINE Bits& operator&=(Bits& a, const Bits& b) {
  return a = a & b;
}
SCALELAW_INLINE Lanes select(const Bits& where, const Lanes& a, const Lanes& b) {
  return by_part(
      [](NativeBits w, Native x, Native y) __attribute__((always_inline)) { return w ? x : y; }, where, a, b);
}
SCALELAW_INLINE Bits bits_of(const Lanes& v) {
  return by_part(
      [](Native x) __attribute__((always_inline)) { return (NativeBits)x; }, v);
}
SCALELAW_INLINE Lanes lanes_of(const Bits& v) {
  return by_part(
      [](NativeBits x) __attribute__((always_inline)) { return (Native)x; }, v);
}
template <int kBy>
SCALELAW_INLINE Bits shift_left(const Bits& v) {
  return by_part(
      [](NativeBits x) __attribute__((always_inline)) { return x << kBy; }, v);
}
/// Zeros come in: few machines shift a signed 64-bit lane.
template <int kBy>
SCALELAW_INLINE Bits shift_right(const Bits& v) {
  return by_part(
      [](NativeBits x) __attribute__((always_inline)) { return (NativeBits)((NativeWords)x >> kBy); }, v);
}
SCALELAW_INLINE Lanes absolute(const Lanes& v) {
  return lanes_of(bits_of(v) & all_bits(INT64_MAX));
}

SCALELAW_INLINE Lanes load_lanes(const double* from) {
  Lanes out;
  for (int p = 0; p < kParts; ++p) out.part[p] = *reinterpret_cast<const NativeLoose*>(from + p * kWidth);
  return out;
}
SCALELAW_INLINE void store_lanes(double* to, const Lanes& v) {
  for (int p = 0; p < kParts; ++p) *reinterpret_cast<NativeLoose*>(to + p * kWidth) = v.part[p];
}
SCALELAW_INLINE double sum(const Lanes& lanes) {
  double v[kLanes];
  store_lanes(v, lanes);
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}
SCALELAW_INLINE bool every(const Bits& mask) {
  int64_t both = -1;
  for (const NativeBits& part : mask.part)
    for (int i = 0; i < kWidth; ++i) both &= part[i];
  return both != 0;
}

/// Eight rows, or the last few: lanes beyond them read as `fill` and are not written.
struct Full {
  SCALELAW_INLINE Lanes load(const double* from, double = 0) const { return load_lanes(from); }
  SCALELAW_INLINE void store(double* to, Lanes value) const { store_lanes(to, value); }
};
struct Part {
  int64_t count;
  SCALELAW_INLINE Lanes load(const double* from, double fill = 0) const {
    double v[kLanes];
    for (int i = 0; i < kLanes; ++i) v[i] = i < count ? from[i] : fill;
    return load_lanes(v);
  }
  SCALELAW_INLINE void store(double* to, const Lanes& value) const {
    double v[kLanes];
    store_lanes(v, value);
    for (int64_t i = 0; i < count; ++i) to[i] = v[i];
  }
};

template <class Body>
SCALELAW_INLINE void for_rows(int64_t rows, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= rows; i += kLanes) body(i, Full{});
  if (i < rows) body(i, Part{rows - i});
}

/// e^x = 2^n·e^r with |r| ≤ ln 2/2, and the Taylor series of e^r: the first term left out is below 5e-18.
SCALELAW_INLINE Lanes exp_lanes(Lanes x) {
  constexpr double kLow = -708, kHigh = 709;
  // Adding 1.5·2^52 rounds to an integer, which is then in the low bits. ln 2 = high + low; n·high is exact.
  constexpr double kRound = 0x1.8p52, kPerLn2 = 1.4426950408889634074;
  constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  x = select(x < kLow, all(kLow), x);
  x = select(x > kHigh, all(kHigh), x);
  const Lanes shifted = x * kPerLn2 + kRound;
  const Lanes n = shifted - kRound;
  const Lanes r = (x - n * kLn2High) - n * kLn2Low;
  Lanes p = all(1.0 / 6227020800);
  p = p * r + 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 1.0 / 2;
  p = p * r + 1.0;
  p = p * r + 1.0;
  return lanes_of(bits_of(p) + shift_left<52>(bits_of(shifted)));
}

/// ln x of positive normal x = 2^n·m with √½ ≤ m < √2: ln m = 2·artanh((m − 1)/(m + 1)) by its series.
SCALELAW_INLINE Lanes log_lanes(Lanes x) {
  constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr int64_t kHalfRoot = 0x3fe6a09e667f3bcd;  // √½
  constexpr int64_t kBias = 1023;
  // Biased, so that no lane is negative. Integers below 2^51 sit in the low bits of 1.5·2^52 + n.
  const Bits biased = shift_right<52>(bits_of(x) + all_bits((kBias << 52) - kHalfRoot));
  const Lanes m = lanes_of(bits_of(x) - shift_left<52>(biased - all_bits(kBias)));
  const Lanes n = lanes_of(biased + bits_of(all(0x1.8p52))) - (0x1.8p52 + kBias);
  const Lanes s = (m - 1.0) / (m + 1.0);
  const Lanes z = s * s;
  Lanes p = all(1.0 / 23);
  p = p * z + 1.0 / 21;
  p = p * z + 1.0 / 19;
  p = p * z + 1.0 / 17;
  p = p * z + 1.0 / 15;
  p = p * z + 1.0 / 13;
  p = p * z + 1.0 / 11;
  p = p * z + 1.0 / 9;
  p = p * z + 1.0 / 7;
  p = p * z + 1.0 / 5;
  p = p * z + 1.0 / 3;
  return n * kLn2High + (2.0 * s + (2.0 * s * (z * p) + n * kLn2Low));
}

void power(int64_t rows, double exponent, const double* slope, double* out) {
  for_rows(rows, [&](int64_t i, auto part) { part.store(out + i, exp_lanes(exponent * part.load(slope + i))); });
}

/// The residual and ρ of eight rows.
struct Penalised {
  Lanes curve, r, size, rho;
  Bits outer;
};

template <bool kLog, class Rows>
SCALELAW_INLINE Penalised penalise(const Shape& shape, int64_t i, Rows part, const double* curve, const double* y,
                                   const double* inverse_y) {
  Penalised p;
  p.curve = part.load(curve + i, 1);
  if constexpr (kLog)
    p.r = log_lanes(p.curve * part.load(inverse_y + i, 1));
  else
    p.r = p.curve - part.load(y + i, 1);
  p.size = absolute(p.r);
  p.outer = p.size > shape.threshold;
  p.rho = select(p.outer, shape.slope * p.size - shape.offset, p.r * p.r * 0.5);
  return p;
}

/// Sums ρ over rows and gives each eight of them to `use`.
template <bool kLog, class Use>
SCALELAW_INLINE double penalised_sum(const Shape& shape, int64_t rows, const double* curve, const double* y,
                                     const double* inverse_y, const double* weight, const Use& use) {
  Lanes total = all(0);
  Bits good = all_bits(-1);
  for_rows(rows, [&](int64_t i, auto part) {
    const Penalised p = penalise<kLog>(shape, i, part, curve, y, inverse_y);
    const Bits in_domain = kLog ? (p.curve > 0) & (p.curve < __builtin_inf()) : p.size < __builtin_inf();
    good &= in_domain;
    const Lanes w = part.load(weight + i);
    total += w * p.rho;
    use(i, part, p, w, in_domain);
  });
  return every(good) ? sum(total) : __builtin_inf();
}

double penalty_slopes(const Shape& shape, int64_t rows, const double* curve, const double* y, const double* inverse_y,
                      const double* weight, double* first, double* second) {
  // r = ln f − ln y has ∇r = ∇f/f and ∇²r = ∇²f/f − ∇f∇fᵀ/f².
  const auto write = [&](auto log, int64_t i, auto part, const Penalised& p, Lanes w) {
    const Lanes sloping = lanes_of(bits_of(all(shape.slope)) | (bits_of(p.r) & all_bits(INT64_MIN)));
    const Lanes slope = select(p.outer, sloping, p.r);
    const Lanes bend = select(p.outer, all(0), all(1));
    if constexpr (log) {
      const Lanes inverse = 1.0 / p.curve;
      const Lanes scaled = w * inverse;
      part.store(first + i, scaled * slope);
      part.store(second + i, scaled * inverse * (bend - slope));
    } else {
      part.store(first + i, w * slope);
      part.store(second + i, w * bend);
    }
  };
  if (shape.log)
    return penalised_sum<true>(
        shape, rows, curve, y, inverse_y, weight,
        [&](int64_t i, auto part, const Penalised& p, Lanes w, Bits) { write(std::true_type{}, i, part, p, w); });
  return penalised_sum<false>(
      shape, rows, curve, y, inverse_y, weight,
      [&](int64_t i, auto part, const Penalised& p, Lanes w, Bits) { write(std::false_type{}, i, part, p, w); });
}

double penalty_weights(const Shape& shape, int64_t rows, const double* curve, const double* y, const double* inverse_y,
                       const double* weight, double* robust) {
  constexpr double kTiny = 1e-12;
  const auto write = [&](int64_t i, auto part, const Penalised& p, Lanes w, Bits in_domain) {
    const Lanes size = select(p.size > kTiny, p.size, all(kTiny));
    const Lanes factor = select(p.outer, shape.slope / size, all(1));
    part.store(robust + i, select(in_domain, w * factor, all(0)));
  };
  return shape.log ? penalised_sum<true>(shape, rows, curve, y, inverse_y, weight, write)
                   : penalised_sum<false>(shape, rows, curve, y, inverse_y, weight, write);
}

/// Σ second·column·others[b] for b < kCount.
template <int kCount>
SCALELAW_INLINE void row_of_gram(int64_t rows, const double* second, const double* column, const double* const* others,
                                 double* out) {
  Lanes total[kCount];
  for (Lanes& t : total) t = all(0);
  for_rows(rows, [&](int64_t i, auto part) {
    const Lanes scaled = part.load(second + i) * part.load(column + i);
    for (int b = 0; b < kCount; ++b) total[b] += scaled * part.load(others[b] + i);
  });
  for (int b = 0; b < kCount; ++b) out[b] = sum(total[b]);
}

/// In one pass: all sums fit into the registers.
template <int K>
void small_gram(int64_t rows, const double* const* columns, const double* second, const double* first, double* g,
                double* moment) {
  Lanes products[K * (K + 1) / 2], moments[K];
  for (Lanes& total : products) total = all(0);
  for (Lanes& total : moments) total = all(0);
  for_rows(rows, [&](int64_t i, auto part) {
    const Lanes bend = part.load(second + i), slope = part.load(first + i);
    Lanes column[K];
    for (int a = 0; a < K; ++a) column[a] = part.load(columns[a] + i);
    for (int a = 0, at = 0; a < K; ++a) {
      moments[a] += slope * column[a];
      const Lanes scaled = bend * column[a];
      for (int b = 0; b <= a; ++b) products[at++] += scaled * column[b];
    }
  });
  for (int a = 0, at = 0; a < K; ++a) {
    moment[a] = sum(moments[a]);
    for (int b = 0; b <= a; ++b) g[a * K + b] = g[b * K + a] = sum(products[at++]);
  }
}

void gram(int64_t rows, int count, const double* const* columns, const double* second, const double* first, double* g,
          double* moment) {
  switch (count) {
    case 1:
      return small_gram<1>(rows, columns, second, first, g, moment);
    case 2:
      return small_gram<2>(rows, columns, second, first, g, moment);
    case 3:
      return small_gram<3>(rows, columns, second, first, g, moment);
    case 4:
      return small_gram<4>(rows, columns, second, first, g, moment);
    case 5:
      return small_gram<5>(rows, columns, second, first, g, moment);
  }
  for (int a = 0; a < count; ++a) {
    Lanes total = all(0);
    for_rows(rows, [&](int64_t i, auto part) { total += part.load(first + i) * part.load(columns[a] + i); });
    moment[a] = sum(total);
    for (int b = a; b < count; b += 4) {
      double* out = g + a * count + b;
      switch (count - b) {
        case 1:
          row_of_gram<1>(rows, second, columns[a], columns + b, out);
          break;
        case 2:
          row_of_gram<2>(rows, second, columns[a], columns + b, out);
          break;
        case 3:
          row_of_gram<3>(rows, second, columns[a], columns + b, out);
          break;
        default:
          row_of_gram<4>(rows, second, columns[a], columns + b, out);
      }
    }
  }
  for (int a = 0; a < count; ++a)
    for (int b = 0; b < a; ++b) g[a * count + b] = g[b * count + a];
}

void add_power(int64_t rows, double exponent, double amplitude, const double* slope, double* out, double* curve) {
  for_rows(rows, [&](int64_t i, auto part) {
    const Lanes power = exp_lanes(exponent * part.load(slope + i));
    part.store(out + i, power);
    part.store(curve + i, part.load(curve + i) + amplitude * power);
  });
}

Moments bend(int64_t rows, double amplitude, const double* power, const double* slope, const double* first,
             double* by_exponent) {
  Lanes once = all(0), twice = all(0);
  for_rows(rows, [&](int64_t i, auto part) {
    const Lanes s = part.load(slope + i), bent = part.load(power + i) * s;
    part.store(by_exponent + i, part.load(by_exponent + i) + amplitude * bent);
    const Lanes weighted = part.load(first + i) * bent;
    once += weighted;
    twice += weighted * s;
  });
  return {sum(once), sum(twice)};
}

/// A tile of kFeatures × (kVectors·kLanes) sums stays in registers.
template <int kFeatures, int kVectors>
SCALELAW_INLINE void tile(int64_t rows, int64_t draws, const double* features, const double* weights, double* sums) {
  Lanes total[kFeatures][kVectors];
  for (int f = 0; f < kFeatures; ++f)
    for (int v = 0; v < kVectors; ++v) total[f][v] = load_lanes(sums + f * draws + v * kLanes);
  for (int64_t r = 0; r < rows; ++r) {
    Lanes w[kVectors];
    for (int v = 0; v < kVectors; ++v) w[v] = load_lanes(weights + r * draws + v * kLanes);
    for (int f = 0; f < kFeatures; ++f)
      for (int v = 0; v < kVectors; ++v) total[f][v] += features[f * rows + r] * w[v];
  }
  for (int f = 0; f < kFeatures; ++f)
    for (int v = 0; v < kVectors; ++v) store_lanes(sums + f * draws + v * kLanes, total[f][v]);
}

void weighted_sums(int64_t rows, int64_t features, int64_t draws, const double* by_feature, const double* weights,
                   double* sums) {
  const auto columns = [&](auto count, int64_t f) {
    int64_t d = 0;
    for (; d + 2 * kLanes <= draws; d += 2 * kLanes)
      tile<count, 2>(rows, draws, by_feature + f * rows, weights + d, sums + f * draws + d);
    if (d < draws) tile<count, 1>(rows, draws, by_feature + f * rows, weights + d, sums + f * draws + d);
  };
  int64_t f = 0;
  for (; f + 4 <= features; f += 4) columns(std::integral_constant<int, 4>{}, f);
  for (; f < features; ++f) columns(std::integral_constant<int, 1>{}, f);
}

/// The gain hᵀc − cᵀGc/2 with all coordinates free of those in `set`, where that is feasible; else 0. Coordinates
/// outside the set get a row of the identity, so that one unrolled LDLᵀ does for every set.
template <int K>
SCALELAW_INLINE Lanes gain_of_set(unsigned set, const Lanes (&g)[K][K], const Lanes (&h)[K], Bits& feasible) {
  constexpr double kSmallest = 1e-14;
  Lanes l[K][K], inverse[K], c[K];
  feasible = all_bits(-1);
  for (int a = 0; a < K; ++a) {
    const bool in = set >> a & 1;
    Lanes rest = in ? h[a] : all(0);
    Lanes pivot = in ? g[a][a] : all(1);
    const Lanes smallest = kSmallest * pivot;
    for (int b = 0; b < a; ++b) {
      // l[a][b] holds L·D until its pivot divides it.
      Lanes entry = in && (set >> b & 1) ? g[a][b] : all(0);
      for (int k = 0; k < b; ++k) entry -= l[a][k] * l[b][k] * inverse[k];
      l[a][b] = entry;
      const Lanes scaled = entry * inverse[b];
      pivot -= entry * scaled;
      rest -= scaled * c[b];
    }
    feasible &= pivot > smallest;
    inverse[a] = 1.0 / pivot;
    c[a] = rest;
  }
  Lanes gain = all(0);
  for (int a = 0; a < K; ++a) gain += c[a] * c[a] * inverse[a];
  for (int a = K - 1; a >= 0; --a) {
    Lanes rest = c[a];
    for (int b = a + 1; b < K; ++b) rest -= l[b][a] * c[b];
    c[a] = rest * inverse[a];
    feasible &= c[a] >= 0;
  }
  return select(feasible, 0.5 * gain, all(0));
}

template <int K>
void profile_of(int64_t points, const int32_t* place, const double* sums, int64_t stride, double* value) {
  for (int64_t point = 0; point < points; ++point) {
    Lanes g[K][K], h[K];
    for (int a = 0; a < K; ++a)
      for (int b = 0; b <= a; ++b) g[a][b] = load_lanes(sums + *place++ * stride);
    for (int a = 0; a < K; ++a) h[a] = load_lanes(sums + *place++ * stride);
    const Lanes constant = load_lanes(sums + *place++ * stride);
    constexpr unsigned kAll = (1u << K) - 1;
    Bits feasible;
    Lanes gain = gain_of_set<K>(kAll, g, h, feasible);
    // Where the unconstrained minimum is feasible, no other set is better.
    if (!every(feasible)) {
      for (unsigned set = kAll - 1; set > 0; --set) {
        Bits ignored;
        const Lanes other = gain_of_set<K>(set, g, h, ignored);
        gain = select(other > gain, other, gain);
      }
    }
    store_lanes(value + point * kLanes, 0.5 * constant - gain);
  }
}

void profile_of_constants(int64_t points, const int32_t* place, const double* sums, int64_t stride, double* value) {
  for (int64_t point = 0; point < points; ++point)
    store_lanes(value + point * kLanes, 0.5 * load_lanes(sums + place[point] * stride));
}

void profile(int linear, int64_t points, const int32_t* place, const double* sums, int64_t stride, double* value) {
  switch (linear) {
    case 0:
      return profile_of_constants(points, place, sums, stride, value);
    case 1:
      return profile_of<1>(points, place, sums, stride, value);
    case 2:
      return profile_of<2>(points, place, sums, stride, value);
    case 3:
      return profile_of<3>(points, place, sums, stride, value);
    case 4:
      return profile_of<4>(points, place, sums, stride, value);
    case 5:
      return profile_of<5>(points, place, sums, stride, value);
    default:
      return profile_of<6>(points, place, sums, stride, value);
  }
}

}  // namespace

extern const Kernels SCALELAW_KERNELS;
const Kernels SCALELAW_KERNELS = {SCALELAW_KERNELS_NAME, power,  penalty_slopes, penalty_weights, gram, add_power, bend,
                                  weighted_sums,         profile};

}  // namespace scalelaw::analysis
