#include "analysis/resample.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <unordered_map>

#include "analysis/kernels.h"

namespace scalelaw::analysis {
namespace {

/// Grid minima that are polished in each draw, besides the optimum of the whole sample.
constexpr size_t kMaxStarts = 3;
/// Grids and samples up to these sizes get the full search for each draw: it is cheap there.
constexpr size_t kSmallGrid = 64;
constexpr Eigen::Index kFewRows = 1000;
/// Longer axes are thinned to every second value: the quadratics' basins are wider than that, and the whole sample's
/// minima were found on all values.
constexpr size_t kLongAxis = 12;
/// Rows, and coefficients of these, that are worked on together: what fits into a core's own cache.
constexpr Eigen::Index kBlockRows = 256;
constexpr Eigen::Index kBlockProducts = 64;

/// 128 bits that tell columns apart.
using Fingerprint = std::pair<std::uint64_t, std::uint64_t>;

Fingerprint fingerprint(const double* values, Eigen::Index count) {
  Fingerprint f{0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu};
  for (Eigen::Index i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<std::uint64_t>(values[i]);
    f.first = std::rotl((f.first ^ bits) * 0xbf58476d1ce4e5b9u, 29);
    f.second = std::rotl((f.second ^ bits) * 0x94d049bb133111ebu, 31);
  }
  return f;
}

Eigen::Index up_to_lanes(Eigen::Index count) {
  return (count + kLanes - 1) / kLanes * kLanes;
}

std::vector<Coordinate> thinned(std::vector<Coordinate> coordinates) {
  for (Coordinate& c : coordinates) {
    if (c.grid.size() <= kLongAxis) continue;
    std::vector<double> grid;
    for (size_t i = 0; i + 1 < c.grid.size(); i += 2) grid.push_back(c.grid[i]);
    grid.push_back(c.grid.back());
    c.grid = std::move(grid);
  }
  return coordinates;
}

}  // namespace

class Resampler::Columns {
 public:
  Columns(const Form& form, const Grid& grid) : form_(form), grid_(grid) {}

  const double* at(const Source& source, const Eigen::MatrixXd& logx, const Eigen::Ref<const Eigen::VectorXd>& y) {
    if (source.point != point_) {
      point_ = source.point;
      double theta[kMaxParameters];
      grid_.theta(point_, theta);
      form_.basis(theta, logx, phi_, rest_);
      rest_ = y - rest_;
    }
    return source.column < phi_.cols() ? phi_.col(source.column).data() : rest_.data();
  }

 private:
  const Form& form_;
  const Grid& grid_;
  size_t point_ = ~size_t{0};
  Eigen::MatrixXd phi_;
  Eigen::VectorXd rest_;
};

Resampler::Resampler(const Form& form, const Sample& sample, const Criterion& criterion,
                     const std::vector<Optimum>& optima)
    : form_(form),
      sample_(sample),
      criterion_(criterion),
      optima_(optima),
      full_search_(form.has_starts() || either_sign(form.coordinates(sample.logx)) != 0),
      grid_(full_search_ ? std::vector<Coordinate>() : thinned(form.coordinates(sample.logx))),
      box_(form.coordinates(sample.logx)),
      linear_(optima.front().coordinates.size() - static_cast<Eigen::Index>(grid_.axes.size())),
      features_(linear_ * (linear_ + 1) / 2 + linear_ + 1),
      scale_(sample.y.size()) {
  full_search_ = full_search_ || (grid_.size <= kSmallGrid && sample.y.size() <= kFewRows);
  if (full_search_ || many_rows()) return;
  Workspace work;
  Eigen::VectorXd curve;
  form.values(optima.front().coordinates.data(), sample.logx, work, curve);
  for (Eigen::Index i = 0; i < scale_.size(); ++i) {
    const double unit = criterion.residual == Residual::kLog ? 1 / sample.y[i] : 1;
    scale_[i] = unit * unit * criterion.robust_weight(criterion.residual_of(curve[i], sample.y[i]));
  }
  find_distinct();
}

void Resampler::find_distinct() {
  std::map<Fingerprint, int> seen;
  std::unordered_map<std::uint64_t, std::int32_t> products;
  Columns columns(form_, grid_);
  place_.reserve(grid_.size * static_cast<size_t>(features_));
  for (size_t point = 0; point < grid_.size; ++point) {
    int id[kMaxParameters + 1];
    for (Eigen::Index a = 0; a <= linear_; ++a) {
      const double* values = columns.at({point, a}, sample_.logx, sample_.y);
      const auto [at, added] =
          seen.try_emplace(fingerprint(values, sample_.y.size()), static_cast<int>(columns_.size()));
      if (added) columns_.push_back({point, a});
      id[a] = at->second;
    }
    const auto put = [&](int a, int b) {
      const auto [low, high] = std::minmax(a, b);
      const auto key = static_cast<std::uint64_t>(low) << 32 | static_cast<std::uint64_t>(high);
      const auto [at, added] = products.try_emplace(key, static_cast<std::int32_t>(products_.size()));
      if (added) products_.emplace_back(low, high);
      place_.push_back(at->second);
    };
    for (Eigen::Index a = 0; a < linear_; ++a)
      for (Eigen::Index b = 0; b <= a; ++b) put(id[a], id[b]);
    for (Eigen::Index a = 0; a < linear_; ++a) put(id[a], id[linear_]);
    put(id[linear_], id[linear_]);
  }
}

std::vector<double> Resampler::coefficients(const Eigen::MatrixXd& weights, Eigen::Index from,
                                            Eigen::Index count) const {
  const Eigen::Index draws = up_to_lanes(count), rows = sample_.y.size();
  const auto products = static_cast<Eigen::Index>(products_.size());
  std::vector<double> sums(static_cast<size_t>(products * draws));
  const Eigen::Index height = std::min(kBlockRows, rows);
  Eigen::MatrixXd distinct(height, static_cast<Eigen::Index>(columns_.size()));
  Eigen::MatrixXd block_products(height, kBlockProducts);
  Eigen::MatrixXd block_weights(draws, height);
  for (Eigen::Index start = 0; start < rows; start += height) {
    const Eigen::Index here = std::min(height, rows - start);
    const Eigen::MatrixXd logx = sample_.logx.middleRows(start, here);
    const auto y = sample_.y.segment(start, here);
    Columns columns(form_, grid_);
    for (size_t c = 0; c < columns_.size(); ++c)
      std::copy_n(columns.at(columns_[c], logx, y), here, distinct.col(static_cast<Eigen::Index>(c)).data());
    block_weights.leftCols(here).setZero();
    block_weights.topLeftCorner(count, here) = weights.block(start, from, here, count).transpose();
    for (Eigen::Index p = 0; p < products; p += kBlockProducts) {
      const Eigen::Index some = std::min(kBlockProducts, products - p);
      // Packed: the kernel takes one product after another, `here` values each.
      Eigen::Map<Eigen::MatrixXd> packed(block_products.data(), here, some);
      for (Eigen::Index k = 0; k < some; ++k) {
        const auto [a, b] = products_[static_cast<size_t>(p + k)];
        packed.col(k) = distinct.col(a)
                            .head(here)
                            .cwiseProduct(distinct.col(b).head(here))
                            .cwiseProduct(scale_.segment(start, here));
      }
      kernels().weighted_sums(here, some, draws, packed.data(), block_weights.data(), sums.data() + p * draws);
    }
  }
  return sums;
}

std::vector<Optimum> Resampler::minimise(const Eigen::MatrixXd& weights) const {
  std::vector<Optimum> optima;
  if (many_rows()) {
    for (Eigen::Index d = 0; d < weights.cols(); ++d) optima.push_back(best_basin(drawn_rows(weights.col(d))));
    return optima;
  }
  if (full_search_) {
    for (Eigen::Index d = 0; d < weights.cols(); ++d)
      optima.push_back(minimise_replicate(form_, drawn_rows(weights.col(d)), criterion_, optima_));
    return optima;
  }
  const auto points = static_cast<Eigen::Index>(grid_.size);
  std::vector<double> value(grid_.size * kLanes), lowest;
  for (Eigen::Index from = 0; from < weights.cols(); from += kBatch) {
    const Eigen::Index count = std::min<Eigen::Index>(kBatch, weights.cols() - from);
    const std::vector<double> sums = coefficients(weights, from, count);
    const Eigen::Index stride = up_to_lanes(count);
    for (Eigen::Index d = 0; d < count; ++d) {
      const Eigen::Index lane = d % kLanes;
      if (lane == 0) {
        kernels().profile(static_cast<int>(linear_), points, place_.data(), sums.data() + d, stride, value.data());
        lowest = grid_.lowest_around(value, kLanes);
      }
      std::vector<size_t> starts;
      for (size_t point = 0, at = static_cast<size_t>(lane); point < grid_.size; ++point, at += kLanes)
        if (value[at] == lowest[at] && std::isfinite(value[at]) && grid_.minimum(value.data() + lane, point, kLanes))
          starts.push_back(point);
      std::stable_sort(starts.begin(), starts.end(), [&](size_t a, size_t b) {
        return value[a * kLanes + static_cast<size_t>(lane)] < value[b * kLanes + static_cast<size_t>(lane)];
      });
      if (starts.size() > kMaxStarts) starts.resize(kMaxStarts);
      optima.push_back(minimise_one(sums.data() + d, stride, starts, weights.col(from + d)));
    }
  }
  return optima;
}

Optimum Resampler::best_basin(const Sample& drawn) const {
  Optimum best = polish(form_, drawn, criterion_, box_, optima_.front().coordinates);
  for (size_t i = 1; i < optima_.size(); ++i) {
    Optimum candidate = polish(form_, drawn, criterion_, box_, optima_[i].coordinates);
    if (candidate.objective < best.objective) best = std::move(candidate);
  }
  return best;
}

Optimum Resampler::minimise_one(const double* coefficients, Eigen::Index stride, const std::vector<size_t>& starts,
                                const Eigen::VectorXd& weight) const {
  const Sample drawn = drawn_rows(weight);
  Optimum best = best_basin(drawn);
  SmallMatrix g(linear_, linear_);
  SmallVector h(linear_);
  for (size_t point : starts) {
    if (near(point, best.coordinates)) continue;
    const std::int32_t* place = place_.data() + static_cast<Eigen::Index>(point) * features_;
    for (Eigen::Index a = 0; a < linear_; ++a)
      for (Eigen::Index b = 0; b <= a; ++b) g(a, b) = g(b, a) = coefficients[*place++ * stride];
    for (Eigen::Index a = 0; a < linear_; ++a) h[a] = coefficients[*place++ * stride];
    double theta[kMaxParameters];
    SmallVector start(best.coordinates.size());
    grid_.theta(point, theta);
    start << nonnegative_minimum(g, h),
        Eigen::Map<const Eigen::VectorXd>(theta, static_cast<Eigen::Index>(grid_.axes.size()));
    Optimum candidate = polish(form_, drawn, criterion_, box_, start);
    if (candidate.objective < best.objective) best = std::move(candidate);
  }
  return best;
}

bool Resampler::near(size_t point, const SmallVector& coordinates) const {
  for (size_t d = 0; d < grid_.axes.size(); ++d) {
    const std::vector<double>& axis = grid_.axes[d];
    const size_t i = grid_.index(point, d);
    const double low = axis[i == 0 ? 0 : i - 1], high = axis[std::min(i + 1, axis.size() - 1)];
    const double at = coordinates[linear_ + static_cast<Eigen::Index>(d)];
    if (at < low || at > high) return false;
  }
  return true;
}

Sample Resampler::drawn_rows(const Eigen::VectorXd& weight) const {
  // Without a branch: no processor foresees which rows are drawn.
  std::vector<Eigen::Index> rows(static_cast<size_t>(weight.size()));
  size_t count = 0;
  for (Eigen::Index i = 0; i < weight.size(); ++i) {
    rows[count] = i;
    count += weight[i] > 0;
  }
  rows.resize(count);
  return {sample_.logx(rows, Eigen::all), sample_.y(rows), weight(rows)};
}

}  // namespace scalelaw::analysis
