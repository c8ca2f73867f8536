#include "net/blocking_engine.h"

#include <linux/tcp.h>
#include <poll.h>
#include <sched.h>

#include <algorithm>

namespace net {

BlockingEngine::BlockingEngine(Nanos) : progress_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!progress_) throw std::system_error(errno, std::generic_category(), "eventfd");
  baton_.lock();
}

BlockingEngine::~BlockingEngine() {
  ending_ = true;
  for (std::uint32_t slot = 0; slot < table_.slots(); ++slot) {
    if (table_[slot].fd >= 0) close({slot, table_[slot].generation});
  }
  while (table_.used() > 0) {
    sleep(kNever, true);
    progress_told_ = false;
    join_ended();
  }
  join_ended();
  baton_.unlock();
}

void BlockingEngine::listen(Fd listener) {
  listener_ = std::move(listener);
  set_mode(listener_.get(), Mode::kNonBlocking);
}

void BlockingEngine::stop_listening() {
  listener_.reset();
  accept_again_at_ = kNever;
}

void BlockingEngine::pause_accepting(int error) {
  ++counters_.accept_failures;
  counters_.last_accept_errno = error;
  accept_again_at_ = now() + kAcceptPause;
}

// ---- the verbs

void BlockingEngine::recv(ConnId id) {
  Conn* conn = table_.find(id);
  if (conn == nullptr || conn->closing) return;
  conn->wants_recv = true;
  asked(id);
}

void BlockingEngine::send(ConnId id, Bytes bytes, Nanos* stamp) {
  Conn* conn = table_.find(id);
  if (conn == nullptr || conn->closing) return;
  conn->wants_send = true;
  conn->unsent = bytes;
  conn->stamp = stamp;
  asked(id);
}

void BlockingEngine::shutdown(ConnId id) {
  const Conn* conn = table_.find(id);
  if (conn != nullptr && !conn->closing) ::shutdown(conn->fd, SHUT_WR);
}

void BlockingEngine::close(ConnId id) {
  Conn* conn = table_.find(id);
  if (conn == nullptr || conn->closing) return;
  conn->closing = true;
  if (conn->in_call) ::shutdown(conn->fd, SHUT_RDWR);  // which ends the call
  asked(id);
}

/// Most verbs come from the connection's own callbacks, and its thread is about to look.
void BlockingEngine::asked(ConnId id) {
  if (table_[id.slot].thread.get_id() != std::this_thread::get_id()) asked_.notify_all();
}

int BlockingEngine::fd(ConnId id) const {
  const Conn* conn = table_.find(id);
  return conn == nullptr ? -1 : conn->fd;
}

/// What the kernel holds and what a thread has just fetched: all that ever came, less what the
/// handler has seen (tcpi_bytes_received, RFC 4898).
std::size_t BlockingEngine::unread(ConnId id) const {
  const Conn* conn = table_.find(id);
  tcp_info info{};
  socklen_t size = sizeof info;
  if (conn == nullptr || ::getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  const std::uint64_t came = info.tcpi_bytes_received;
  return came > conn->received ? static_cast<std::size_t>(came - conn->received) : 0;
}

// ---- the blocking calls

ssize_t BlockingEngine::receive(Turn& turn, Conn& conn, std::byte* buffer) {
  conn.wants_recv = false;
  conn.in_call = true;
  const int fd = conn.fd;
  turn.release();
  ssize_t got = 0;
  do {
    got = ::recv(fd, buffer, kReceiveBuffer, 0);
  } while (got < 0 && errno == EINTR);
  const int error = errno;
  turn.take();
  conn.in_call = false;
  if (got >= 0) {
    conn.received += static_cast<std::uint64_t>(got);
  } else if (!std::exchange(conn.closing, true)) {
    conn.error = error;
  }
  return got;
}

void BlockingEngine::send_all(Turn& turn, Conn& conn) {
  conn.wants_send = false;
  conn.in_call = true;
  const int fd = conn.fd;
  Bytes rest = conn.unsent;
  if (conn.stamp != nullptr) *conn.stamp = now();
  turn.release();
  int error = 0;
  while (!rest.empty() && error == 0) {
    const ssize_t sent = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      rest = rest.subspan(static_cast<std::size_t>(sent));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  turn.take();
  conn.in_call = false;
  if (error != 0 && !std::exchange(conn.closing, true)) conn.error = error;
}

// ---- turns

void BlockingEngine::Turn::take() {
  ++engine_.wanting_;
  engine_.baton_.lock();
  --engine_.wanting_;
}

void BlockingEngine::tell_progress() {
  if (!std::exchange(progress_told_, true)) ::eventfd_write(progress_.get(), 1);
}

/// A thread that ends gives its place in the table away and is joined here.
void BlockingEngine::join_ended() {
  if (ended_.empty()) return;
  joining_.swap(ended_);
  baton_.unlock();  // its last act is to release the baton
  for (std::thread& thread : joining_) thread.join();
  baton_.lock();
  joining_.clear();
}

/// Callbacks are made meanwhile, by the threads. That some were made is worth returning for, but
/// once in a while: under load it would be once a message.
unsigned BlockingEngine::wait(Nanos deadline) {
  ++counters_.waits;
  const Nanos batch_ends = std::min(deadline, now() + kBatch);
  const bool waits_for_a_descriptor = accept_again_at_ != kNever;
  unsigned why = sleep(batch_ends, waits_for_a_descriptor);
  if (why == kNothing && batch_ends < deadline) why = sleep(deadline, true);
  progress_told_ = false;
  return why;
}

unsigned BlockingEngine::sleep(Nanos until, bool for_progress) {
  const Nanos t = now();
  const bool accepting = listener_ && (accept_again_at_ == kNever || t >= accept_again_at_);
  if (accepting) accept_again_at_ = kNever;
  std::array<pollfd, 3> fds{
      {{.fd = accepting ? listener_.get() : -1, .events = POLLIN, .revents = 0},
       {.fd = watched_, .events = POLLIN, .revents = 0},
       {.fd = for_progress ? progress_.get() : -1, .events = POLLIN, .revents = 0}}};
  until = std::min(until, accept_again_at_);
  const Nanos left = until == kNever ? 0 : std::max<Nanos>(0, until - t);
  const timespec timeout{.tv_sec = left / kSecond, .tv_nsec = left % kSecond};

  baton_.unlock();
  ::ppoll(fds.data(), fds.size(), until == kNever ? nullptr : &timeout, nullptr);
  // A mutex is not fair: who releases it and takes it again would leave the others nothing.
  for (int i = 0; i < 100 && wanting_ > 0; ++i) ::sched_yield();
  baton_.lock();

  eventfd_t ignored = 0;
  if (fds[2].revents != 0) {
    ::eventfd_read(progress_.get(), &ignored);
    progress_told_ = false;
  }
  return (fds[0].revents != 0 ? kListener : 0U) | (fds[1].revents != 0 ? kWatched : 0U);
}

}  // namespace net
