#include "trainer/loop/train.h"

#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <optional>

#include <ATen/Context.h>
#include <fmt/format.h>

#include "trainer/artifact.h"
#include "trainer/data/picture.h"
#include "trainer/data/random.h"
#include "trainer/loop/batches.h"
#include "trainer/loop/checkpoint.h"
#include "trainer/loop/divergence.h"
#include "trainer/loop/events.h"
#include "trainer/loop/optimizer.h"
#include "trainer/loop/pace.h"
#include "trainer/loop/peers.h"
#include "trainer/loop/plan.h"
#include "trainer/loop/schedule.h"
#include "trainer/nn/autocast.h"

namespace scalelaw::trainer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kHeldOutImages = 4096;
constexpr int64_t kGridImages = 32;
constexpr int64_t kGridColumns = 8;
constexpr std::chrono::milliseconds kProgressEvery{1000};

volatile std::sig_atomic_t stop_requested = 0;

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

class Run {
 public:
  Run(const FamilyEntry& entry, const RunSpec& spec)
      : entry_(entry),
        spec_(spec),
        plan_(entry, spec, Plan::Model::kBuilt),
        facts_(plan_.facts(spec)),
        identity_(plan_.identity(entry, spec, facts_.steps)),
        images_(plan_.data.train(facts_.samples)),
        batches_(*images_, spec.seed, share_of(plan_)),
        optimizer_(plan_.family->module(), options_of(plan_.training)),
        schedule_{facts_.steps, plan_.training.warmup, plan_.training.schedule},
        divergence_(plan_.diverged_above),
        pace_(facts_.flops_per_sample * static_cast<double>(facts_.samples), evaluation_flops()),
        peers_(plan_.placement, plan_.device) {
    if (plan_.metrics_every == 0) plan_.metrics_every = std::max<int64_t>(1, facts_.steps / 100);
    if (leads()) events_.emplace(spec.events_path);
  }

  void run() {
    resume();
    if (leads()) events_->start(facts_.params, facts_.params_total, facts_.flops_per_sample, step_);
    while (step_ < facts_.steps) {
      train_step();
      if (step_ % plan_.metrics_every == 0 && step_ < facts_.steps) report_metrics({});
      if (grid_is_due()) draw_grid();
      keep_going(static_cast<double>(step_) * flops_per_step());
    }
    // What is left is the leader's work; the others free their devices.
    if (leads()) finish();
  }

 private:
  static Share share_of(const Plan& plan) {
    const int64_t size = plan.training.batch / plan.parts, mine = plan.parts / plan.placement.count;
    return {plan.training.batch, plan.placement.rank * mine * size, mine, size};
  }

  static AdamWOptions options_of(const TrainingDefaults& training) {
    AdamWOptions options;
    options.beta1 = training.beta1;
    options.beta2 = training.beta2;
    options.weight_decay = training.weight_decay;
    options.clip = training.clip;
    return options;
  }

  bool leads() const { return plan_.placement.leads(); }
  double flops_per_step() const { return facts_.flops_per_sample * static_cast<double>(facts_.batch); }
  double evaluation_flops() const {
    return plan_.family->evaluation_flops(facts_.flops_per_sample / 3) * (plan_.evaluates_both ? 2 : 1);
  }

  void resume() {
    torch::nn::Module& module = plan_.family->module();
    if (leads()) {
      std::filesystem::create_directories(spec_.checkpoint_directory);
      if (auto checkpoint = load_checkpoint(spec_.checkpoint_directory, identity_, module)) {
        optimizer_.restore(checkpoint->optimizer);
        step_ = checkpoint->step;
        loss_sum_ = checkpoint->loss_sum;
        loss_count_ = checkpoint->loss_count;
        divergence_.restore(checkpoint->divergence);
      } else {
        plan_.family->initialise(images_->range(0, std::min<int64_t>(1024, images_->size())).to(plan_.device));
      }
    }
    if (!plan_.placement.alone()) follow_leader();
    batches_.start(step_);
    pace_.start(static_cast<double>(step_) * flops_per_step());
  }

  // Everything that decides the steps to come, so that only the leader needs a checkpoint.
  void follow_leader() {
    AdamW::State state = optimizer_.state();
    const DivergenceGuard::State& seen = divergence_.state();
    torch::Tensor numbers = torch::tensor({static_cast<double>(step_), static_cast<double>(state.steps), seen.first,
                                           static_cast<double>(seen.seen), seen.recent},
                                          torch::kDouble);
    peers_.follow_leader(numbers);
    const double* number = numbers.data_ptr<double>();
    step_ = static_cast<int64_t>(number[0]);
    state.steps = static_cast<int64_t>(number[1]);
    divergence_.restore({number[2], static_cast<int64_t>(number[3]), number[4]});
    for (const torch::Tensor& flat : {state.moment1, state.moment2, state.average}) peers_.follow_leader(flat);
    optimizer_.restore(state);
    follow_leaders_weights();
  }

  void follow_leaders_weights() {
    peers_.follow_leader(optimizer_.state().weights);
    for (const torch::Tensor& buffer : plan_.family->module().buffers()) peers_.follow_leader(buffer);
  }

  void train_step() {
    plan_.family->module().train();
    optimizer_.clear_gradients();
    double loss = gradients_of_step();
    if (plan_.placement.alone()) {
      stop_agreed_ = stop_requested;
    } else {
      loss = combine_with_peers(loss);
    }
    const double rate = plan_.training.learning_rate * rate_factor(schedule_, step_);
    const double norm = optimizer_.step(rate, average_share(plan_.training.ema, step_ + 1));
    if (auto reason = divergence_.check(loss, norm)) {
      throw BadRun(fmt::format("diverged at step {}: {}; lower learning_rate (now {}) or clip (now {})", step_ + 1,
                               *reason, plan_.training.learning_rate, plan_.training.clip));
    }
    if (!plan_.placement.alone() && plan_.family->loss_changes_state()) follow_leaders_weights();
    ++step_;
    loss_sum_ += loss;
    ++loss_count_;
  }

  // This process's share of the step's parts. Returns its share of the batch's mean loss.
  double gradients_of_step() {
    const int64_t parts = plan_.parts, mine = parts / plan_.placement.count;
    double total = 0;
    for (int64_t part = plan_.placement.rank * mine; part < (plan_.placement.rank + 1) * mine; ++part) {
      Batch batch = batches_.next().to(plan_.device);
      const uint64_t stream = mix(spec_.seed, static_cast<uint64_t>(step_) + 1);
      torch::manual_seed(part == 0 ? stream : mix(stream, static_cast<uint64_t>(part)));
      torch::Tensor loss;
      {
        Autocast autocast(plan_.bf16);
        loss = plan_.family->loss(batch);
      }
      if (parts > 1) loss = loss / static_cast<double>(parts);
      loss.backward();
      total += loss.item<double>();
    }
    return total;
  }

  // Gradients add up over the processes, and they agree on whether to stop, since all must stop at the same step.
  double combine_with_peers(double loss) {
    peers_.sum(optimizer_.gather_gradients());
    torch::Tensor agreed = torch::tensor({loss, stop_requested ? 1.0 : 0.0}, torch::kDouble);
    peers_.sum(agreed);
    stop_agreed_ = agreed[1].item<double>() > 0;
    return agreed[0].item<double>();
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
    if (!leads()) return;
    events_->metrics(step_, step_ * facts_.batch, static_cast<double>(step_) * flops_per_step(), values);
  }

  // Between two pieces of work: progress, a checkpoint when it is time, and stopping when asked to.
  void keep_going(double flops_done) {
    pace_.reached(flops_done);
    if (stop_agreed_) {
      if (leads()) save();
      throw Interrupted();
    }
    if (!leads()) return;
    if (step_ < facts_.steps && seconds_since(saved_at_) >= plan_.checkpoint_seconds) save();
    if (Clock::now() - progress_at_ >= kProgressEvery) {
      progress_at_ = Clock::now();
      events_->progress(pace_.fraction(), pace_.seconds_left());
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
    save_checkpoint(spec_.checkpoint_directory, identity_,
                    {step_, optimizer_.state(), loss_sum_, loss_count_, divergence_.state()}, plan_.family->module());
    events_->checkpoint(step_, checkpoint_path(spec_.checkpoint_directory));
    saved_at_ = Clock::now();
  }

  bool grid_is_due() const {
    const int64_t grids = plan_.sample_grids;
    return leads() && step_ * grids / facts_.steps > (step_ - 1) * grids / facts_.steps;
  }

  // Draws for the first held-out captions with the averaged weights: one picture, its captions in the file beside it.
  void draw_grid() {
    torch::NoGradGuard no_grad;
    plan_.family->module().eval();
    std::unique_ptr<Dataset> prompts = plan_.data.held_out(kGridImages);
    torch::manual_seed(mix(spec_.seed, 0));
    torch::Tensor images;
    with_average([&] { images = plan_.family->draw(prompts->range(0, kGridImages).to(plan_.device)); });
    const std::string folder = spec_.directory + "/samples", name = fmt::format("step-{:08}", step_);
    std::filesystem::create_directories(folder);
    std::string captions;
    for (int64_t i = 0; i < kGridImages; ++i) captions += prompts->caption(i % prompts->size()) + '\n';
    write_file(folder + "/captions.txt", captions);
    write_file(folder + "/" + name + ".png", encode_png(grid_of(images, kGridColumns)));
    events_->artifact("samples-" + name, "samples/" + name + ".png", "image");
  }

  void with_average(const std::function<void()>& work) {
    const bool averaged = plan_.training.ema > 0;
    if (averaged) optimizer_.swap_average();
    try {
      work();
    } catch (...) {
      if (averaged) optimizer_.swap_average();
      throw;
    }
    if (averaged) optimizer_.swap_average();
  }

  void finish() {
    // A long evaluation must not cost the training when the machine goes away.
    if (pace_.evaluation_seconds() > plan_.checkpoint_seconds) save();
    optimizer_.clear_gradients();
    const std::string path = entry_.artifact + ".pt";
    Values values;
    try {
      with_average([&] {
        values = evaluate(0);
        save_artifact(spec_.directory + "/" + path, entry_.name, facts_.resolved, plan_.family->module());
      });
      if (plan_.evaluates_both) {
        for (const auto& [name, value] : evaluate(0.5)) {
          const bool bound = name.ends_with("_chance") || name.ends_with("_ceiling");
          if (!bound) values[name + "_without_ema"] = value;
        }
      }
    } catch (const Interrupted&) {
      save();
      throw;
    }
    for (const auto& notes : {plan_.data.notes(), images_->notes(), held_out_->notes()}) {
      for (const auto& [name, value] : notes) values[name] += value;
    }
    if (spec_.narrate) narrate_end(values);
    report_metrics(std::move(values));
    events_->artifact(entry_.artifact, path, "model");
    events_->progress(1, 0);
  }

  // With the weights as they are. `done`: share of the evaluations that are behind it.
  Values evaluate(double done) {
    torch::NoGradGuard no_grad;
    plan_.family->module().eval();
    if (!held_out_) held_out_ = plan_.data.held_out(kHeldOutImages);
    const double trained = flops_per_step() * static_cast<double>(facts_.steps);
    const double each = plan_.evaluates_both ? 0.5 : 1;
    try {
      return plan_.family->evaluate(*held_out_, [&](double share) {
        if (stop_requested) throw Interrupted();
        keep_going(trained + (done + each * share) * pace_.evaluation_flops());
      });
    } catch (const c10::Error& error) {
      throw std::runtime_error(std::string("evaluation failed: ") + error.what_without_backtrace());
    }
  }

  const FamilyEntry& entry_;
  const RunSpec& spec_;
  Plan plan_;
  ModelFacts facts_;
  std::string identity_;
  std::unique_ptr<Dataset> images_, held_out_;  // the latter from the evaluation on
  Batches batches_;
  AdamW optimizer_;
  std::optional<Events> events_;  // the leader's
  Schedule schedule_;
  DivergenceGuard divergence_;
  Pace pace_;
  Peers peers_;
  int64_t step_ = 0;
  double loss_sum_ = 0;
  std::optional<double> latest_loss_;
  int64_t loss_count_ = 0;
  bool stop_agreed_ = false;
  Clock::time_point saved_at_ = Clock::now(), progress_at_{};
};

}  // namespace

ModelFacts describe(const FamilyEntry& entry, const RunSpec& spec) {
  Plan plan(entry, spec, entry.describe != nullptr ? Plan::Model::kDescribed : Plan::Model::kBuilt);
  return plan.facts(spec);
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
