#include "cli/follow.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "cli/format.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "proto/message_json.h"
#include "scalelaw/v1/sweeps.grpc.pb.h"

namespace scalelaw::cli {
namespace {

using namespace std::chrono_literals;

/// Reads the stream of snapshots on a thread of its own, again and again while the server is away.
class Snapshots {
 public:
  Snapshots(Session& session, std::string sweep) : session_(session), sweep_(std::move(sweep)) {
    reader_ = std::thread([this] { read_all(); });
  }
  ~Snapshots() {
    stop();
    reader_.join();
  }

  struct News {
    std::optional<v1::SweepSnapshot> snapshot;
    bool away = false;
    /// Nothing more will come: the sweep ended, the request failed, or `stop` was called.
    bool over = false;
    grpc::Status status;
  };
  /// The newest snapshot since the last call, if any, waiting for one at most that long.
  News wait(std::chrono::milliseconds at_most) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, at_most, [this] { return news_.snapshot || news_.over; });
    News news = news_;
    news_.snapshot.reset();
    return news;
  }
  void stop() {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    if (context_) context_->TryCancel();
    changed_.notify_all();
  }

 private:
  void read_all() {
    std::unique_ptr<v1::Sweeps::Stub> stub = v1::Sweeps::NewStub(session_.channel());
    bool reached = false;
    while (true) {
      {
        std::lock_guard lock(mutex_);
        if (stopped_) break;
        context_ = std::make_unique<grpc::ClientContext>();
      }
      v1::WatchSweepRequest request;
      request.set_sweep(sweep_);
      auto stream = stub->Watch(context_.get(), request);
      v1::SweepSnapshot snapshot;
      bool ended = false;
      while (stream->Read(&snapshot)) {
        reached = true;
        ended = is_over(snapshot.sweep().state());
        std::lock_guard lock(mutex_);
        news_.away = false;
        news_.snapshot = snapshot;
        changed_.notify_all();
      }
      grpc::Status status = stream->Finish();
      std::unique_lock lock(mutex_);
      bool try_again = !ended && reached && (status.ok() || status.error_code() == grpc::StatusCode::UNAVAILABLE);
      if (!try_again || stopped_) {
        news_.status = status;
        break;
      }
      news_.away = true;
      changed_.wait_for(lock, 1s, [this] { return stopped_; });
    }
    std::lock_guard lock(mutex_);
    news_.over = true;
    changed_.notify_all();
  }

  Session& session_;
  std::string sweep_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<grpc::ClientContext> context_;
  News news_;
  bool stopped_ = false;
  std::thread reader_;
};

/// The lines drawn last are replaced by the next ones.
class InPlace {
 public:
  void draw(const std::vector<std::string>& lines) {
    // Hidden while drawing, so that the cursor does not flicker over the lines.
    std::string text = "\033[?25l" + to_top();
    for (const std::string& line : lines) text += line + "\033[K\n";
    text += "\033[J\033[?25h";
    drawn_ = static_cast<int>(lines.size());
    print(text);
    std::fflush(stdout);
  }

 private:
  std::string to_top() const { return drawn_ > 0 ? fmt::format("\033[{}A\r", drawn_) : ""; }

  int drawn_ = 0;
};

void say_how_to_come_back(const Session& session, const std::string& sweep) {
  std::string server = session.server == kDefaultServer ? "" : " --server " + session.server;
  fmt::print(stderr,
             "\nThe sweep goes on. Come back with:  scalelaw watch {0}{1}\n"
             "Stop it with:                       scalelaw cancel {0}{1}\n",
             sweep, server);
}

int ended(const Session& session, const v1::SweepSnapshot& last) {
  v1::SweepState state = last.sweep().state();
  if (state == v1::SWEEP_STATE_SUCCEEDED) return kOk;
  if (!session.json && state == v1::SWEEP_STATE_FAILED) {
    for (const v1::Run& run : last.runs())
      if (run.state() == v1::RUN_STATE_FAILED) {
        fmt::print(stderr, "See why:  scalelaw logs {}\n", run.id());
        break;
      }
  }
  return kFailed;
}

}  // namespace

int follow(Session& session, const std::string& sweep, bool every_snapshot) {
  Interrupt interrupt;
  Snapshots snapshots(session, sweep);
  InPlace screen;
  v1::SweepSnapshot last;
  bool any = false;
  bool said_away = false;
  double last_line = 0;
  while (true) {
    Snapshots::News news = snapshots.wait(250ms);
    v1::SweepSnapshot before = last;
    if (news.snapshot) {
      last = *news.snapshot;
      any = true;
    }
    bool over = any && is_over(last.sweep().state());
    if (any && session.json) {
      if (every_snapshot && news.snapshot) print(to_json(last).dump() + "\n");
    } else if (any && session.terminal.tty) {
      session.terminal = standard_output();  // it may have been resized
      std::vector<std::string> lines = render_progress(last, session.terminal, now());
      if (news.away) lines.push_back(session.terminal.paint(Color::kYellow, "the server is away; trying again"));
      screen.draw(lines);
    } else if (any) {
      for (const std::string& line : state_changes(before, last)) print(line + "\n");
      if (over || now() - last_line >= 10) {
        print(progress_line(last, now()) + "\n");
        last_line = now();
      }
      if (news.away && !said_away) print("the server is away; trying again\n");
      said_away = news.away;
    }
    std::fflush(stdout);
    if (over) break;
    if (interrupt.requested()) {
      say_how_to_come_back(session, sweep);
      return kInterrupted;
    }
    if (news.over) return report(session, news.status);
  }
  if (session.json && !every_snapshot) print_json(last);
  return ended(session, last);
}

}  // namespace scalelaw::cli
