// The patch numbers of a VAR: a square token map per scale, from one token to the whole latent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace scalelaw::trainer {

/// Sides of the token maps, coarse to fine; scale k has side(k)² tokens, and all tokens of an image lie in one row,
/// scale after scale, each map by rows.
class Scales {
 public:
  /// `sides` must start at 1 or more and grow. Throws std::invalid_argument otherwise.
  explicit Scales(std::vector<int64_t> sides);
  /// From a parameter's text, as "1,2,3,4". Throws std::invalid_argument.
  static Scales parse(std::string_view text);

  int64_t count() const { return static_cast<int64_t>(sides_.size()); }
  int64_t side(int64_t k) const { return sides_[static_cast<size_t>(k)]; }
  /// Side of the finest map, which is the latent's.
  int64_t latent_side() const { return sides_.back(); }

  /// Tokens of scale k, of all scales, and the half-open range of scale k in the row.
  int64_t tokens(int64_t k) const { return side(k) * side(k); }
  int64_t total() const { return begins_.back(); }
  int64_t begin(int64_t k) const { return begins_[static_cast<size_t>(k)]; }
  int64_t end(int64_t k) const { return begins_[static_cast<size_t>(k) + 1]; }

  /// For each token the number of leading tokens that it may see: all up to the end of its own scale.
  std::vector<int64_t> visible() const;
  /// For each token its scale.
  std::vector<int64_t> levels() const;

 private:
  std::vector<int64_t> sides_;
  std::vector<int64_t> begins_;  // count + 1 entries
};

}  // namespace scalelaw::trainer
