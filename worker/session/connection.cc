#include "worker/session/connection.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "scalelaw/v1/workers.grpc.pb.h"

namespace scalelaw::worker {
namespace {

// One bidirectional stream: reads as they come, writes from a queue, one at a time.
template <typename Out, typename In>
class Stream final : public grpc::ClientBidiReactor<Out, In> {
 public:
  using OnRead = std::function<void(In)>;
  using OnEnd = std::function<void(grpc::Status)>;
  Stream(OnRead on_read, OnEnd on_end) : on_read_(std::move(on_read)), on_end_(std::move(on_end)) {}

  // `call` binds this reactor to the method.
  template <typename Call>
  void start(Call call) {
    call(&context_, this);
    this->AddHold();  // For the writes from outside; released when reading has ended.
    this->StartRead(&in_);
    this->StartCall();
  }
  void send(Out message) {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    queue_.push_back(std::move(message));
    if (queue_.size() == 1) this->StartWrite(&queue_.front());
  }
  void cancel_and_wait() {
    context_.TryCancel();
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return done_; });
  }

 private:
  void OnReadDone(bool ok) override {
    if (ok) {
      on_read_(std::move(in_));
      in_ = In();
      return this->StartRead(&in_);
    }
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    this->RemoveHold();
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    queue_.pop_front();
    if (ok && !closed_ && !queue_.empty()) this->StartWrite(&queue_.front());
    if (!ok || closed_) queue_.clear();
  }
  void OnDone(const grpc::Status& status) override {
    on_end_(status);
    const std::lock_guard lock(mutex_);
    done_ = true;
    ended_.notify_all();
  }

  OnRead on_read_;
  OnEnd on_end_;
  grpc::ClientContext context_;
  In in_;
  std::mutex mutex_;
  std::condition_variable ended_;
  // The front is being written.
  std::deque<Out> queue_;
  bool closed_ = false;
  bool done_ = false;
};

grpc::ChannelArguments channel_arguments() {
  grpc::ChannelArguments arguments;
  // The worker's own back-off rules, so each connection starts afresh.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Pings are rare, lest the server finds them too many; what they are for here is the limit on unacknowledged data
  // (TCP_USER_TIMEOUT), by which heartbeats find a dead link within 20 s.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 300'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  return arguments;
}

absl::Status as_status(const grpc::Status& status) {
  if (status.ok()) return absl::UnavailableError("closed by the coordinator");
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

}  // namespace

class Connection::Impl {
 public:
  Impl(const std::string& address, const client::Credentials& credentials, const v1::Hello& hello, Handlers handlers)
      : handlers_(std::move(handlers)),
        stub_(v1::Workers::NewStub(client::open_channel(address, credentials, channel_arguments()))),
        session_([this](v1::CoordinatorMessage message) { handlers_.on_message(std::move(message)); },
                 [this](const grpc::Status& status) { closed(status); }),
        delivery_([this](v1::RecordAck ack) { handlers_.on_ack(std::move(ack)); },
                  [this](const grpc::Status& status) { closed(status); }) {
    session_.start([this](auto* context, auto* stream) { stub_->async()->Session(context, stream); });
    v1::WorkerMessage first;
    *first.mutable_hello() = hello;
    session_.send(std::move(first));
  }
  ~Impl() {
    session_.cancel_and_wait();
    if (delivering_) delivery_.cancel_and_wait();
  }
  void send(v1::WorkerMessage message) { session_.send(std::move(message)); }
  void deliver(v1::RecordBatch batch) {
    std::call_once(delivery_started_, [this] {
      delivering_ = true;
      delivery_.start([this](auto* context, auto* stream) { stub_->async()->Deliver(context, stream); });
    });
    delivery_.send(std::move(batch));
  }

 private:
  void closed(const grpc::Status& status) {
    std::call_once(closed_, [&] { handlers_.on_closed(as_status(status)); });
  }

  Handlers handlers_;
  std::unique_ptr<v1::Workers::Stub> stub_;
  std::once_flag closed_;
  std::once_flag delivery_started_;
  bool delivering_ = false;
  Stream<v1::WorkerMessage, v1::CoordinatorMessage> session_;
  Stream<v1::RecordBatch, v1::RecordAck> delivery_;
};

Connection::Connection(const std::string& address, const client::Credentials& credentials, const v1::Hello& hello,
                       Handlers handlers)
    : impl_(std::make_unique<Impl>(address, credentials, hello, std::move(handlers))) {}
Connection::~Connection() = default;
void Connection::send(v1::WorkerMessage message) {
  impl_->send(std::move(message));
}
void Connection::deliver(v1::RecordBatch batch) {
  impl_->deliver(std::move(batch));
}

}  // namespace scalelaw::worker
