#include "trainer/loop/train.h"

#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <optional>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "trainer/artifact.h"
#include "trainer/data/random.h"
#include "trainer/loop/checkpoint.h"
#include "trainer/loop/events.h"
#include "trainer/loop/optimizer.h"
#include "trainer/loop/order.h"
#include "trainer/loop/pace.h"
#include "trainer/loop/schedule.h"
#include "trainer/nn/flops.h"

namespace scalelaw::trainer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kHeldOutScenes = 4096;
constexpr int64_t kProbeBatch = 4;
constexpr std::chrono::milliseconds kProgressEvery{1000};

volatile std::sig_atomic_t stop_requested = 0;

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

// Everything that a run's parameters decide, read in one place so that unknown names are refused.
struct Plan {
  Params params;
  SceneParams scenes;
  std::unique_ptr<Family> family;
  TrainingDefaults training;
  int64_t metrics_every = 0;  // steps; 0: a hundredth of the run
  double checkpoint_seconds = 20;
  torch::Device device = torch::kCPU;

  Plan(const FamilyEntry& entry, const RunSpec& spec);
};

torch::Device device_named(const std::string& name) {
  if (name == "cpu" || (name == "auto" && !torch::cuda::is_available())) return torch::kCPU;
  if (!torch::cuda::is_available()) throw BadRun("device: cuda was asked for, but this libtorch sees no GPU");
  return torch::kCUDA;
}

Plan::Plan(const FamilyEntry& entry, const RunSpec& spec) : params(spec.params) {
  for (const FamilyInput& input : entry.inputs) {
    if (input.required && !spec.inputs.contains(input.name)) {
      throw BadRun(fmt::format("inputs.{}: missing; {} needs it: {}", input.name, entry.name, input.purpose));
    }
  }
  for (const auto& [name, path] : spec.inputs) {
    bool known = std::any_of(entry.inputs.begin(), entry.inputs.end(), [&](const auto& i) { return i.name == name; });
    if (!known) throw BadRun(fmt::format("inputs.{}: {} takes no such artifact", name, entry.name));
    if (!std::filesystem::exists(path)) throw BadRun(fmt::format("inputs.{}: no file {}", name, path));
  }
  scenes = SceneParams::read(params);
  device = device_named(params.choice("device", "auto", {"auto", "cpu", "cuda"}));
  torch::manual_seed(mix(spec.seed, 0));
  family = entry.make(FamilyContext{params, spec.inputs, spec.seed, device, scenes});

  training = family->defaults();
  training.batch = params.integer("batch", training.batch, 1, 65536);
  training.learning_rate = params.number("learning_rate", training.learning_rate, 0, 1);
  training.weight_decay = params.number("weight_decay", training.weight_decay, 0, 10);
  training.beta1 = params.number("beta1", training.beta1, 0, 0.9999);
  training.beta2 = params.number("beta2", training.beta2, 0, 0.99999);
  training.clip = params.number("clip", training.clip, 1e-6, 1e6);
  training.warmup = params.number("warmup", training.warmup, 0, 1);
  training.schedule = params.choice("schedule", training.schedule, {"cosine", "wsd"});
  training.ema = params.number("ema", training.ema, 0, 1);
  metrics_every = params.integer("metrics_every", 0, 0);
  checkpoint_seconds = params.number("checkpoint_seconds", checkpoint_seconds, 0, 1e6);
  params.finish();
  family->module().to(device);
}

ModelFacts facts_of(Plan& plan, const RunSpec& spec) {
  ModelFacts facts;
  facts.params = plan.family->backbone_params();
  for (const auto& parameter : plan.family->module().parameters()) facts.params_total += parameter.numel();
  // Held-out scenes: the smaller file, and FLOPs depend on shapes alone.
  Batch probe = Scenes::held_out(plan.scenes, kProbeBatch).range(0, kProbeBatch).to(plan.device);
  torch::NoGradGuard no_grad;
  double forward = count_flops([&] { plan.family->loss(probe); }) / static_cast<double>(probe.size());
  facts.flops_per_sample = 3 * forward;
  facts.batch = plan.training.batch;
  facts.steps = spec.budget.steps(facts.flops_per_sample, facts.batch, plan.training.samples);
  facts.samples = facts.steps * facts.batch;
  facts.resolved = plan.params.resolved();
  return facts;
}

class Run {
 public:
  Run(const FamilyEntry& entry, const RunSpec& spec)
      : entry_(entry),
        spec_(spec),
        plan_(entry, spec),
        facts_(facts_of(plan_, spec)),
        scenes_(Scenes::train(plan_.scenes, facts_.samples)),
        order_(scenes_.size(), spec.seed),
        optimizer_(plan_.family->module(), options_of(plan_.training)),
        events_(spec.events_path),
        schedule_{facts_.steps, plan_.training.warmup, plan_.training.schedule},
        pace_(facts_.flops_per_sample * static_cast<double>(facts_.samples),
              plan_.family->evaluation_flops(facts_.flops_per_sample / 3)) {
    if (plan_.metrics_every == 0) plan_.metrics_every = std::max<int64_t>(1, facts_.steps / 100);
  }

  void run() {
    resume();
    events_.start(facts_.params, facts_.params_total, facts_.flops_per_sample, step_);
    while (step_ < facts_.steps) {
      train_step();
      if (step_ % plan_.metrics_every == 0 && step_ < facts_.steps) report_metrics({});
      keep_going(static_cast<double>(step_) * flops_per_step());
    }
    finish();
  }

 private:
  static AdamWOptions options_of(const TrainingDefaults& training) {
    AdamWOptions options;
    options.beta1 = training.beta1;
    options.beta2 = training.beta2;
    options.weight_decay = training.weight_decay;
    options.clip = training.clip;
    return options;
  }

  double flops_per_step() const { return facts_.flops_per_sample * static_cast<double>(facts_.batch); }

  // Same run: same model, data, budget and seed. How often to save or report does not matter.
  std::string identity() const {
    nlohmann::json params = facts_.resolved;
    for (const char* name : {"metrics_every", "checkpoint_seconds", "device"}) params.erase(name);
    return fmt::format("{} {} seed={} steps={}", entry_.name, params.dump(), spec_.seed, facts_.steps);
  }

  void resume() {
    std::filesystem::create_directories(spec_.checkpoint_directory);
    torch::nn::Module& module = plan_.family->module();
    if (auto checkpoint = load_checkpoint(spec_.checkpoint_directory, identity(), module)) {
      optimizer_.restore(checkpoint->optimizer);
      step_ = checkpoint->step;
      loss_sum_ = checkpoint->loss_sum;
      loss_count_ = checkpoint->loss_count;
    } else {
      plan_.family->initialise(scenes_.range(0, std::min<int64_t>(1024, scenes_.size())).to(plan_.device));
    }
    pace_.start(static_cast<double>(step_) * flops_per_step());
  }

  void train_step() {
    plan_.family->module().train();
    Batch batch = scenes_.batch(order_.samples(step_ * facts_.batch, facts_.batch)).to(plan_.device);
    torch::manual_seed(mix(spec_.seed, static_cast<uint64_t>(step_) + 1));
    optimizer_.clear_gradients();
    torch::Tensor loss = plan_.family->loss(batch);
    loss.backward();
    const double value = loss.item<double>();
    const double rate = plan_.training.learning_rate * rate_factor(schedule_, step_);
    const double norm = optimizer_.step(rate, average_share(plan_.training.ema, step_ + 1));
    if (!std::isfinite(value) || !std::isfinite(norm)) {
      throw BadRun(fmt::format("diverged at step {}: loss {}, gradient norm {}; lower learning_rate (now {}) or clip",
                               step_ + 1, value, norm, plan_.training.learning_rate));
    }
    ++step_;
    loss_sum_ += value;
    ++loss_count_;
  }

  void report_metrics(Values values) {
    if (loss_count_ > 0) {
      latest_loss_ = loss_sum_ / static_cast<double>(loss_count_);
      values["loss"] = *latest_loss_;
      values.merge(plan_.family->training_values());
      loss_sum_ = 0;
      loss_count_ = 0;
    }
    for (const auto& [name, value] : values) {
      if (!std::isfinite(value)) throw BadRun(fmt::format("{} is no longer finite at step {}", name, step_));
    }
    events_.metrics(step_, step_ * facts_.batch, static_cast<double>(step_) * flops_per_step(), values);
  }

  // Between two pieces of work: progress, a checkpoint when it is time, and stopping when asked to.
  void keep_going(double flops_done) {
    pace_.reached(flops_done);
    if (stop_requested) {
      save();
      throw Interrupted();
    }
    if (step_ < facts_.steps && seconds_since(saved_at_) >= plan_.checkpoint_seconds) save();
    if (Clock::now() - progress_at_ >= kProgressEvery) {
      progress_at_ = Clock::now();
      events_.progress(pace_.fraction(), pace_.seconds_left());
      if (spec_.narrate) narrate_progress();
    }
  }

  void narrate_progress() const {
    std::string left = pace_.seconds_left() ? fmt::format("{:.0f} s left", *pace_.seconds_left()) : "measuring";
    std::string loss = latest_loss_ ? fmt::format("  loss {:.4f}", *latest_loss_) : "";
    // One line, rewritten.
    fmt::print(stderr, "\r{:3.0f} %  step {}/{}{}  {}\x1b[K", 100 * pace_.fraction(), step_, facts_.steps, loss, left);
  }

  void narrate_end(const Values& values) const {
    fmt::print(stderr, "\r\x1b[K");
    for (const auto& [name, value] : values) fmt::print("{:24} {:.4f}\n", name, value);
  }

  void save() {
    save_checkpoint(spec_.checkpoint_directory, identity(), {step_, optimizer_.state(), loss_sum_, loss_count_},
                    plan_.family->module());
    events_.checkpoint(step_, checkpoint_path(spec_.checkpoint_directory));
    saved_at_ = Clock::now();
  }

  void finish() {
    // A long evaluation must not cost the training when the machine goes away.
    if (pace_.evaluation_seconds() > plan_.checkpoint_seconds) save();
    optimizer_.clear_gradients();
    if (plan_.training.ema > 0) optimizer_.swap_average();
    Values values = evaluate();

    const std::string path = entry_.artifact + ".pt";
    save_artifact(spec_.directory + "/" + path, entry_.name, facts_.resolved, plan_.family->module());
    if (spec_.narrate) narrate_end(values);
    report_metrics(std::move(values));
    events_.artifact(entry_.artifact, path, "model");
    events_.progress(1, 0);
  }

  Values evaluate() {
    torch::NoGradGuard no_grad;
    plan_.family->module().eval();
    Scenes held_out = Scenes::held_out(plan_.scenes, kHeldOutScenes);
    const double trained = flops_per_step() * static_cast<double>(facts_.steps);
    try {
      return plan_.family->evaluate(held_out, [&](double share) {
        if (stop_requested && plan_.training.ema > 0)
          optimizer_.swap_average();  // the checkpoint holds both as trained
        keep_going(trained + share * pace_.evaluation_flops());
      });
    } catch (const c10::Error& error) {
      throw std::runtime_error(std::string("evaluation failed: ") + error.what_without_backtrace());
    }
  }

  const FamilyEntry& entry_;
  const RunSpec& spec_;
  Plan plan_;
  ModelFacts facts_;
  Scenes scenes_;
  DataOrder order_;
  AdamW optimizer_;
  Events events_;
  Schedule schedule_;
  Pace pace_;
  int64_t step_ = 0;
  double loss_sum_ = 0;
  std::optional<double> latest_loss_;
  int64_t loss_count_ = 0;
  Clock::time_point saved_at_ = Clock::now(), progress_at_{};
};

}  // namespace

ModelFacts describe(const FamilyEntry& entry, const RunSpec& spec) {
  Plan plan(entry, spec);
  return facts_of(plan, spec);
}

void train(const FamilyEntry& entry, const RunSpec& spec) {
  at::globalContext().setFlushDenormal(true);
  Run(entry, spec).run();
}

void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_requested = 1; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  // A file size limit is an error of the write, with a message, like a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace scalelaw::trainer
