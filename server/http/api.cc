#include "server/http/api.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "proto/law_messages.h"
#include "proto/message_json.h"
#include "server/http/images.h"
#include "server/http/law_view.h"

namespace scalelaw::server {

namespace {
using nlohmann::ordered_json;

constexpr size_t kMostLawViews = 64;
constexpr double kMostDraws = 1000;
constexpr int64_t kLogBytes = 256 << 10;
// Of a curve; and over all curves of an answer, unless it is asked otherwise: as many as a screen can tell apart.
constexpr double kFewestPoints = 50, kMostPoints = 800, kPointsInAll = 60'000;

template <class Messages>
ordered_json list(const Messages& messages) {
  ordered_json array = ordered_json::array();
  for (const auto& message : messages) array.push_back(to_json(message));
  return array;
}

template <class Message>
absl::StatusOr<HttpAnswer> answer_of(const absl::StatusOr<Message>& message) {
  if (!message.ok()) return message.status();
  return json_answer(to_json(*message));
}

absl::StatusOr<CurveAxis> axis_of(const std::string& name) {
  if (name.empty() || name == "step") return CurveAxis::kStep;
  if (name == "samples") return CurveAxis::kSamples;
  if (name == "flops") return CurveAxis::kFlops;
  return absl::InvalidArgumentError(fmt::format("axis: \"{}\" is none of step, samples, flops", name));
}

/// Six digits are more than a screen shows, and half the bytes.
void append_numbers(std::string& text, const std::vector<double>& values) {
  text += '[';
  for (size_t i = 0; i < values.size(); ++i)
    fmt::format_to(std::back_inserter(text), "{}{:.6g}", i == 0 ? "" : ",", values[i]);
  text += ']';
}

/// Columns other than these parameters are given as numbers.
absl::StatusOr<std::map<std::string, double>> columns_of(const Target& target) {
  std::map<std::string, double> columns;
  for (const auto& [name, value] : target.query) {
    const absl::StatusOr<std::optional<double>> number = target.number(name);
    if (!number.ok()) return number.status();
    if (number->has_value()) columns[name] = **number;
  }
  return columns;
}
}  // namespace

const Api::Route* Api::route_of(const Target& target) {
  static const std::vector<Route> routes = {
      {{"api", "studies"}, &Api::studies},
      {{"api", "sweeps", "*"}, &Api::sweep},
      {{"api", "sweeps", "*", "curves"}, &Api::curves},
      {{"api", "runs", "*"}, &Api::run},
      {{"api", "runs", "*", "log"}, &Api::log},
      {{"api", "runs", "*", "artifacts", "*"}, &Api::artifact},
      {{"api", "laws"}, &Api::laws},
      {{"api", "laws", "*"}, &Api::law, true},
      {{"api", "laws", "*", "predict"}, &Api::predict},
      {{"api", "laws", "*", "optimal"}, &Api::optimal},
      {{"api", "laws", "*", "rank"}, &Api::rank, true},
      {{"api", "compare"}, &Api::compare, true},
      {{"api", "cluster"}, &Api::cluster},
  };
  const auto matches = [&](const Route& route) {
    return std::equal(
        route.path.begin(), route.path.end(), target.path.begin(), target.path.end(),
        [](const std::string& pattern, const std::string& part) { return pattern == "*" || pattern == part; });
  };
  const auto found = std::find_if(routes.begin(), routes.end(), matches);
  return found == routes.end() ? nullptr : &*found;
}

bool Api::slow(const Target& target) {
  const Route* route = route_of(target);
  return route != nullptr && route->slow;
}

HttpAnswer Api::answer(const Target& target) {
  const Route* route = route_of(target);
  if (route == nullptr)
    return error_answer(absl::NotFoundError(fmt::format("there is nothing under /{}", fmt::join(target.path, "/"))));
  Result result = (this->*route->handler)(target);
  return result.ok() ? *std::move(result) : error_answer(result.status());
}

Api::Result Api::studies(const Target&) {
  const auto usage = store_.usage();
  if (!usage.ok()) return usage.status();
  const auto sweeps = presentation_.sweeps("");
  if (!sweeps.ok()) return sweeps.status();
  ordered_json studies = ordered_json::array();
  for (const StudyUsage& study : *usage) {
    const auto metrics = store_.metrics(study.study);
    if (!metrics.ok()) return metrics.status();
    ordered_json one = {{"study", study.study},
                        {"slot_seconds", study.slot_seconds},
                        {"failed_attempts", study.failed_attempts},
                        {"lost_attempts", study.lost_attempts},
                        {"laws", study.laws},
                        {"metrics", *metrics},
                        {"sweeps", ordered_json::array()}};
    if (study.energy_joules) one["energy_joules"] = *study.energy_joules;
    for (const v1::Sweep& sweep : *sweeps)
      if (sweep.study() == study.study) one["sweeps"].push_back(to_json(sweep));
    studies.push_back(std::move(one));
  }
  return json_answer({{"studies", std::move(studies)}});
}

Api::Result Api::sweep(const Target& target) {
  return answer_of(presentation_.snapshot(target.path[2]));
}

absl::StatusOr<std::string> Api::metric_of(const Target& target, int32_t sweep_id) const {
  if (std::string given = target.text("metric"); !given.empty()) return given;
  const auto reported = store_.reported_metrics(sweep_id);
  if (!reported.ok()) return reported.status();
  for (const char* usual : {"loss", "train_loss", "val_loss"})
    if (std::find(reported->begin(), reported->end(), usual) != reported->end()) return usual;
  return reported->empty() ? "" : reported->front();
}

Api::Result Api::curves(const Target& target) {
  CurveQuery query;
  const auto sweep = store_.sweep(target.path[2]);
  if (!sweep.ok()) return sweep.status();
  query.sweep_id = sweep->id();
  const auto metric = metric_of(target, sweep->id());
  if (!metric.ok()) return metric.status();
  query.metric = *metric;
  const auto axis = axis_of(target.text("axis"));
  const auto points = target.number("points"), from = target.number("from"), to = target.number("to");
  const auto runs = target.ids("runs");
  for (const absl::Status& status : {axis.status(), points.status(), from.status(), to.status(), runs.status()})
    if (!status.ok()) return status;
  query.axis = *axis;
  query.log_axis = target.text("log") == "1";
  query.from = *from;
  query.to = *to;
  query.run_ids = *runs;
  const size_t curves = runs->empty() ? static_cast<size_t>(sweep->runs().total()) : runs->size();
  const double share = kPointsInAll / static_cast<double>(std::max<size_t>(1, curves));
  query.points = static_cast<int>(std::clamp(points->value_or(share), kFewestPoints, kMostPoints));

  const auto thinned = store_.thinned_curves(query);
  if (!thinned.ok()) return thinned.status();
  HttpAnswer answer;
  answer.body =
      fmt::format("{{\"metric\":{},\"extrema\":{},\"curves\":[", ordered_json(query.metric).dump(), thinned->extrema);
  for (const ThinnedCurve& curve : thinned->curves) {
    if (answer.body.back() == '}') answer.body += ',';
    fmt::format_to(std::back_inserter(answer.body), "{{\"run_id\":{},\"x\":", curve.run_id);
    append_numbers(answer.body, curve.x);
    answer.body += ",\"y\":";
    append_numbers(answer.body, curve.y);
    answer.body += '}';
  }
  answer.body += "]}";
  return answer;
}

Api::Result Api::run(const Target& target) {
  const auto id = parse_id(target.path[2], "run");
  if (!id.ok()) return id.status();
  auto run = store_.run(*id);
  if (!run.ok()) return run.status();
  const auto artifacts = store_.artifacts(*id);
  if (!artifacts.ok()) return artifacts.status();
  presentation_.explain(*run);
  ordered_json view = {{"run", to_json(*run)}, {"artifacts", ordered_json::array()}};
  for (const StoredArtifact& artifact : *artifacts)
    view["artifacts"].push_back({{"name", artifact.name}, {"kind", artifact.kind}, {"path", artifact.path}});
  return json_answer(view);
}

Api::Result Api::log(const Target& target) {
  const auto id = parse_id(target.path[2], "run");
  if (!id.ok()) return id.status();
  const auto after = target.number("after");
  if (!after.ok()) return after.status();
  if (const auto run = store_.run(*id); !run.ok()) return run.status();
  const auto chunks = store_.logs(*id, static_cast<int64_t>(after->value_or(0)), kLogBytes);
  if (!chunks.ok()) return chunks.status();
  ordered_json view = {{"chunks", ordered_json::array()}};
  for (const LogText& chunk : *chunks)
    view["chunks"].push_back({{"id", chunk.id}, {"attempt", chunk.attempt}, {"text", chunk.text}});
  return json_answer(view);
}

Api::Result Api::artifact(const Target& target) {
  const auto id = parse_id(target.path[2], "run");
  if (!id.ok()) return id.status();
  const auto artifacts = store_.artifacts(*id);
  if (!artifacts.ok()) return artifacts.status();
  for (const StoredArtifact& artifact : *artifacts)
    if (artifact.name == target.path[4]) return image_answer(artifact);
  return absl::NotFoundError(fmt::format("artifact: run {} has none named {}", *id, target.path[4]));
}

Api::Result Api::laws(const Target& target) {
  v1::ListLawsRequest request;
  request.set_study(target.text("study"));
  return answer_of(laws_.list(request));
}

Api::Result Api::law(const Target& target) {
  const auto id = parse_id(target.path[2], "law");
  if (!id.ok()) return id.status();
  const auto known = laws_.law(*id);
  if (!known.ok()) return known.status();
  const auto observations = store_.observations((*known)->stored.study, (*known)->stored.metric);
  if (!observations.ok()) return observations.status();
  std::vector<analysis::Observation> seen;
  for (const v1::Observation& o : *observations) seen.push_back(to_analysis(o));
  const std::string hash = observations_hash((*known)->stored.metric, seen);
  {
    const std::lock_guard lock(law_views_mutex_);
    if (const auto found = law_views_.find(*id); found != law_views_.end() && found->second.first == hash)
      return HttpAnswer{.body = found->second.second};
  }
  HttpAnswer answer = json_answer(law_view(**known, *observations));
  const std::lock_guard lock(law_views_mutex_);
  if (law_views_.size() >= kMostLawViews) law_views_.clear();
  law_views_[*id] = {hash, answer.body};
  return answer;
}

Api::Result Api::predict(const Target& target) {
  const auto id = parse_id(target.path[2], "law");
  if (!id.ok()) return id.status();
  const auto columns = columns_of(target);
  if (!columns.ok()) return columns.status();
  v1::PredictRequest request;
  request.set_law_id(*id);
  request.mutable_at()->insert(columns->begin(), columns->end());
  return answer_of(laws_.predict(request));
}

Api::Result Api::optimal(const Target& target) {
  const auto id = parse_id(target.path[2], "law");
  if (!id.ok()) return id.status();
  const auto flops = target.number("flops");
  if (!flops.ok()) return flops.status();
  v1::OptimalRequest request;
  request.mutable_law()->set_law_id(*id);
  if (flops->has_value()) request.set_flops(**flops);
  return answer_of(laws_.optimal(request));
}

Api::Result Api::rank(const Target& target) {
  const auto id = parse_id(target.path[2], "law");
  if (!id.ok()) return id.status();
  const auto known = laws_.law(*id);
  if (!known.ok()) return known.status();
  v1::RankRequest request;
  request.mutable_runs()->set_study((*known)->stored.study);
  request.mutable_runs()->set_metric((*known)->stored.metric);
  const auto draws = target.number("draws");
  if (!draws.ok()) return draws.status();
  request.set_bootstrap(static_cast<int32_t>(std::clamp(draws->value_or(0), 0.0, kMostDraws)));
  return answer_of(laws_.rank(request));
}

Api::Result Api::compare(const Target& target) {
  const auto a = parse_id(target.text("a"), "a"), b = parse_id(target.text("b"), "b");
  if (!a.ok()) return a.status();
  if (!b.ok()) return b.status();
  const auto at = target.numbers("at");
  if (!at.ok()) return at.status();
  v1::CompareRequest request;
  request.mutable_at()->Assign(at->begin(), at->end());
  request.mutable_a()->set_law_id(*a);
  request.mutable_b()->set_law_id(*b);
  return answer_of(laws_.compare(request));
}

Api::Result Api::cluster(const Target&) {
  const auto queue = store_.queue();
  if (!queue.ok()) return queue.status();
  ordered_json view = {{"workers", list(presentation_.workers())}, {"queue", ordered_json::array()}};
  for (const QueuedRuns& runs : *queue)
    view["queue"].push_back({{"sweep_id", runs.sweep_id},
                             {"sweep", runs.sweep},
                             {"stage", runs.stage},
                             {"state", runs.state},
                             {"reason", presentation_.why_not_yet(runs)},
                             {"slots", runs.need.slots},
                             {"labels", runs.need.labels},
                             {"workers", runs.need.workers},
                             {"runs", runs.count}});
  return json_answer(view);
}

}  // namespace scalelaw::server
