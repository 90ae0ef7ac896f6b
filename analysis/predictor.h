// A law made ready to predict again and again.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/form.h"
#include "analysis/law.h"

namespace scalelaw::analysis {

/// Works out once what does not depend on x: a server that holds one answers in well under a millisecond
/// (bench/server/predict_latency.cc). Safe from several threads.
class Predictor {
 public:
  /// `law` must outlive it.
  explicit Predictor(const Law& law);

  /// As the function of this name in law.h.
  absl::StatusOr<Prediction> predict(const std::map<std::string, double>& at) const;

 private:
  absl::StatusOr<std::vector<double>> place(const std::map<std::string, double>& at) const;
  std::vector<double> measurements(const double* x) const;

  /// A form with draws of its parameters: the law's own, or a rival's.
  struct Component {
    std::unique_ptr<const Form> form;
    const Draw* draws = nullptr;
    size_t count = 0;
    /// What the noise of a measurement multiplies the curve by (log residuals) or adds to it (raw ones), some per draw.
    std::vector<double> noise;
  };

  const Law& law_;
  const std::unique_ptr<const Form> form_;
  std::vector<Component> components_;
};

}  // namespace scalelaw::analysis
