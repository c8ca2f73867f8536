#include "net/epoll_engine.h"

#include <algorithm>
#include <functional>
#include <system_error>

#include "net/socket.h"

namespace net {
namespace {

[[noreturn]] void fail_setup(const char* call) {
  throw std::system_error(errno, std::generic_category(), call);
}

int milliseconds_up(Nanos time) {
  constexpr Nanos kLongest = 3600 * kSecond;
  return static_cast<int>((std::min(time, kLongest) + kMillisecond - 1) / kMillisecond);
}

}  // namespace

EpollEngine::EpollEngine(Nanos spin)
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      spin_(spin),
      buffer_(std::make_unique<std::byte[]>(kReceiveBuffer)) {
  if (!epoll_) fail_setup("epoll_create1");
}

EpollEngine::~EpollEngine() {
  for (std::uint32_t slot = 0; slot < table_.slots(); ++slot) {
    if (table_[slot].fd >= 0) ::close(table_[slot].fd);
  }
}

void EpollEngine::listen(Fd listener) {
  listener_ = std::move(listener);
  set_mode(listener_.get(), Mode::kNonBlocking);
  // Level-triggered: what one batch leaves in the backlog is announced again.
  epoll_event event{.events = EPOLLIN, .data = {.u64 = epoll_tag::kListener}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.get(), &event) != 0) {
    fail_setup("epoll_ctl for the listening socket");
  }
}

void EpollEngine::stop_listening() {
  listener_.reset();
  accept_again_at_ = kNever;
}

void EpollEngine::watch(int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = epoll_tag::kWatch}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    fail_setup("epoll_ctl for a watched descriptor");
  }
}

// ---- accepting and connecting

void EpollEngine::accept_some() {
  for (int i = 0; i < kAcceptBatch && listener_; ++i) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      ++counters_.accepted;
      const ConnId id = adopt(fd);
      Conn& conn = table_[id.slot];
      conn.opened = true;
      if (!watch_edges(conn, id, EPOLL_CTL_ADD, false)) fail(id, conn, errno);
      enqueue(id, conn);
      continue;
    }
    if (errno == EAGAIN) return;
    if (!is_of_connection(errno)) return pause_accepting(errno);
    ++counters_.accept_failures;
    counters_.last_accept_errno = errno;
  }
}

// Without descriptors or memory the listener stays readable and would be announced without end.
void EpollEngine::pause_accepting(int error) {
  ++counters_.accept_failures;
  counters_.last_accept_errno = error;
  epoll_event nothing{.events = 0, .data = {.u64 = epoll_tag::kListener}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), &nothing);
  accept_again_at_ = now() + kAcceptPause;
}

void EpollEngine::resume_accepting() {
  accept_again_at_ = kNever;
  epoll_event event{.events = EPOLLIN, .data = {.u64 = epoll_tag::kListener}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), &event);
}

ConnId EpollEngine::connect(const Address& address) {
  Fd fd = socket_for(address, Mode::kNonBlocking);
  const int socket_error = fd ? 0 : errno;
  const ConnId id = adopt(fd.release());
  Conn& conn = table_[id.slot];
  if (socket_error != 0) {
    fail(id, conn, socket_error);
  } else if (::connect(conn.fd, address.data(), address.size()) == 0) {
    conn.opened = true;
    if (!watch_edges(conn, id, EPOLL_CTL_ADD, false)) fail(id, conn, errno);
    enqueue(id, conn);
  } else if (errno != EINPROGRESS) {
    fail(id, conn, errno);
  } else {
    conn.connecting = true;
    if (!watch_edges(conn, id, EPOLL_CTL_ADD, true)) fail(id, conn, errno);
  }
  return id;
}

ConnId EpollEngine::adopt(int fd) {
  const ConnId id = table_.add();
  table_[id.slot].fd = fd;
  return id;
}

void EpollEngine::connected(ConnId id, Conn& conn) {
  conn.connecting = false;
  const int error = pending_error(conn.fd);
  if (error != 0) return fail(id, conn, error);
  conn.opened = true;
}

// ---- the verbs

void EpollEngine::recv(ConnId id) {
  Conn* conn = table_.find(id);
  if (conn == nullptr || conn->closing) return;
  conn->wants_recv = true;
  if (conn->readable) enqueue(id, *conn);
}

void EpollEngine::send(ConnId id, Bytes bytes, Nanos* stamp) {
  Conn* conn = table_.find(id);
  if (conn == nullptr || conn->closing) return;
  if (stamp != nullptr) *stamp = now();
  const ssize_t sent = ::send(conn->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent == static_cast<ssize_t>(bytes.size())) {
    conn->sent = true;
    enqueue(id, *conn);
  } else if (sent >= 0) {
    park(id, *conn, bytes.subspan(static_cast<std::size_t>(sent)));
  } else if (errno == EAGAIN || errno == EINTR) {
    park(id, *conn, bytes);
  } else {
    fail(id, *conn, errno);
  }
}

void EpollEngine::shutdown(ConnId id) {
  Conn* conn = table_.find(id);
  if (conn == nullptr || conn->closing) return;
  if (::shutdown(conn->fd, SHUT_WR) != 0) fail(id, *conn, errno);
}

void EpollEngine::close(ConnId id) {
  Conn* conn = table_.find(id);
  if (conn != nullptr && !conn->closing) fail(id, *conn, 0);
}

int EpollEngine::fd(ConnId id) const {
  const Conn* conn = table_.find(id);
  return conn == nullptr ? -1 : conn->fd;
}

std::size_t EpollEngine::unread(ConnId id) const {
  const Conn* conn = table_.find(id);
  return conn == nullptr ? 0 : static_cast<std::size_t>(unread_bytes(conn->fd));
}

// ---- parked sends, errors, events

void EpollEngine::park(ConnId id, Conn& conn, Bytes rest) {
  ++counters_.parked;
  conn.parked = in_receive_buffer(rest) ? ParkedSend::copy_of(rest) : ParkedSend::holding(rest);
  if (!conn.parked) return fail(id, conn, ENOMEM);
  if (!conn.watches_writable && !watch_edges(conn, id, EPOLL_CTL_MOD, true)) {
    return fail(id, conn, errno);
  }
  flush(id, conn);  // only after EAGAIN is an edge certain to come
}

void EpollEngine::flush(ConnId id, Conn& conn) {
  while (!conn.parked->rest().empty()) {
    const Bytes rest = conn.parked->rest();
    const ssize_t sent = ::send(conn.fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) return fail(id, conn, errno);
    conn.parked->taken(static_cast<std::size_t>(sent));
  }
  conn.parked.reset();
  conn.sent = true;
  enqueue(id, conn);
}

void EpollEngine::fail(ConnId id, Conn& conn, int error) {
  conn.closing = true;
  conn.error = error;
  conn.parked.reset();
  enqueue(id, conn);
}

void EpollEngine::enqueue(ConnId id, Conn& conn) {
  if (conn.queued || id == current_) return;
  conn.queued = true;
  due_.push_back(id);
}

void EpollEngine::arrived(ConnId id, std::uint32_t events) {
  Conn* conn = table_.find(id);
  if (conn == nullptr || conn->closing) return;
  if (conn->connecting) {
    connected(id, *conn);
    if (conn->closing) return;  // else the same edge may tell of bytes, or of FIN, too
  }
  constexpr std::uint32_t kBehindTheData = EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR;
  if ((events & (EPOLLIN | kBehindTheData)) != 0) conn->readable = true;
  if ((events & kBehindTheData) != 0) conn->short_read_lies = true;
  if (conn->parked && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) flush(id, *conn);
}

bool EpollEngine::watch_edges(Conn& conn, ConnId id, int operation, bool writable) {
  conn.watches_writable = writable;
  const std::uint32_t out = writable ? std::uint32_t{EPOLLOUT} : 0U;
  epoll_event event{.events = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET | out,
                    .data = {.u64 = epoll_tag::of(id)}};
  return ::epoll_ctl(epoll_.get(), operation, conn.fd, &event) == 0;
}

bool EpollEngine::in_receive_buffer(Bytes bytes) const {
  const std::less<> before;
  return !before(bytes.data(), buffer_.get()) &&
         before(bytes.data(), buffer_.get() + kReceiveBuffer);
}

// ---- waiting

int EpollEngine::wait(Nanos deadline) {
  ++counters_.waits;
  if (accept_again_at_ != kNever) {
    if (now() >= accept_again_at_) resume_accepting();
    deadline = std::min(deadline, accept_again_at_);
  }
  if (!due_.empty()) return std::max(0, ::epoll_wait(epoll_.get(), events_, kEvents, 0));
  if (spin_ == 0) return sleep(deadline);

  for (;;) {
    const int ready = ::epoll_wait(epoll_.get(), events_, kEvents, 0);
    if (ready < 0) return 0;
    const Nanos t = now();
    if (ready > 0) {
      last_event_ = t;
      return ready;
    }
    if (t >= deadline) return 0;
    if (spin_ != kNever && t - last_event_ >= spin_) break;
  }
  const int ready = sleep(deadline);
  last_event_ = now();
  return ready;
}

int EpollEngine::sleep(Nanos deadline) {
  if (deadline == kNever) return std::max(0, ::epoll_wait(epoll_.get(), events_, kEvents, -1));
  const Nanos left = std::max<Nanos>(0, deadline - now());
  const timespec timeout{.tv_sec = left / kSecond, .tv_nsec = left % kSecond};
  int ready = ::epoll_pwait2(epoll_.get(), events_, kEvents, &timeout, nullptr);
  if (ready < 0 && errno == ENOSYS) {  // before Linux 5.11
    ready = ::epoll_wait(epoll_.get(), events_, kEvents, milliseconds_up(left));
  }
  return std::max(0, ready);
}

}  // namespace net
