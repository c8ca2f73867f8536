#include "net/uring_engine.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "net/socket.h"
#include "net/uring_restrictions.h"

namespace net {

UringEngine::Ring::Ring(UringFeatures& features) {
  io_uring_params params{};
  params.flags = features.setup_flags();
  params.cq_entries = features.cq_entries;
  const unsigned submissions = std::min(kSubmissions, features.cq_entries);
  if (const int status = io_uring_queue_init_params(submissions, &ring, &params); status != 0) {
    throw std::system_error(-status, std::generic_category(), "io_uring_setup");
  }
  if (features.registered_ring) features.registered_ring = io_uring_register_ring_fd(&ring) == 1;
}

UringEngine::UringEngine(Nanos spin, const UringFeatures& features)
    : features_(features),
      spin_(spin),
      ring_(features_),
      small_(&ring_.ring, 0, features_.small_buffers, kSmallBuffer),
      large_(&ring_.ring, 1, std::min(kLargeBuffers, features_.small_buffers), kLargeBuffer) {
  spare_inboxes_.reserve(kSpareInboxes);
  if (!features_.restricted) return;
  if (const int status = restrict_and_enable(&ring_.ring); status != 0) {
    throw BackendUnavailable("io_uring's requests can't be restricted here: " +
                             std::generic_category().message(-status));
  }
}

UringEngine::~UringEngine() {
  for (std::uint32_t slot = 0; slot < table_.slots(); ++slot) {
    const int fd = table_[slot].fd;
    if (fd < 0) continue;
    ::shutdown(fd, SHUT_RDWR);  // a send in flight holds the socket, and its bytes go before it
    ::close(fd);
  }
}

std::string UringEngine::description() const {
  std::string text = "io_uring:";
  for (const std::string& name : features_.names()) text += " " + name;
  return text;
}

// ---- listening, connecting, watching

void UringEngine::listen(Fd listener) {
  listener_ = std::move(listener);
  set_mode(listener_.get(), Mode::kBlocking);
  arm_accept();
}

void UringEngine::arm_accept() {
  io_uring_sqe* sqe = request(Op::kAccept, ConnId{});
  if (features_.multishot_accept) {
    io_uring_prep_multishot_accept(sqe, listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
  } else {
    io_uring_prep_accept(sqe, listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
  }
  accepting_ = true;
}

void UringEngine::stop_listening() {
  stopping_ = true;
  accept_again_at_ = kNever;
  if (!accepting_) return listener_.reset();
  io_uring_prep_cancel64(request(Op::kIgnored, ConnId{}), tag(Op::kAccept, ConnId{}), 0);
}

/// With a place in every list for everyone, no verb needs memory later.
ConnId UringEngine::adopt(int fd) {
  for (auto* list : {&silent_, &settling_, &due_, &serving_}) {
    list->reserve(table_.places());
  }
  const ConnId id = table_.add();
  table_[id.slot].fd = fd;
  return id;
}

ConnId UringEngine::accepted(int result, bool more) {
  if (!more) accepting_ = false;
  ConnId id;
  if (result >= 0) {
    try {
      id = adopt(result);
    } catch (const std::bad_alloc&) {  // this connection is lost
      ::close(result);
      result = -ENOMEM;
    }
  }
  if (result >= 0) {
    ++counters_.accepted;
    table_[id.slot].opened = true;
  } else if (result != -ECANCELED) {
    ++counters_.accept_failures;
    counters_.last_accept_errno = -result;
  }
  if (accepting_) return id;
  if (stopping_) {
    listener_.reset();
  } else if (result < 0 && result != -ECANCELED && !is_of_connection(-result)) {
    // Of what was closed in this batch the kernel did not know when it tried.
    accept_again_at_ = descriptor_came_free_ ? 0 : now() + kAcceptPause;
  } else {
    arm_accept();
  }
  return id;
}

ConnId UringEngine::connect(const Address& address, const Departure& departure) {
  Fd fd = socket_for(address, Mode::kBlocking, departure);
  const int socket_error = fd ? 0 : errno;
  const ConnId id = adopt(fd.get());
  fd.release();
  Conn& conn = table_[id.slot];
  if (socket_error != 0) {
    fail(id, conn, socket_error);
    return id;
  }
  io_uring_prep_connect(request(Op::kConnect, id), conn.fd, address.data(), address.size());
  conn.connecting = true;
  ++conn.pending;
  return id;
}

void UringEngine::connected(ConnId id, int result) {
  Conn& conn = table_[id.slot];
  --conn.pending;
  conn.connecting = false;
  if (conn.closing) return;
  if (result != 0) return fail(id, conn, -result);
  if (is_connected_to_itself(conn.fd)) return fail(id, conn, ECONNREFUSED);
  conn.opened = true;
}

void UringEngine::watch(int fd) {
  watched_ = fd;
  arm_watch();
}

void UringEngine::arm_watch() {
  io_uring_prep_poll_multishot(request(Op::kWatch, ConnId{}), watched_, POLLIN);
}

// ---- the verbs

void UringEngine::shutdown(ConnId id) {
  Conn* conn = find(id);
  if (conn == nullptr || conn->closing) return;
  if (::shutdown(conn->fd, SHUT_WR) != 0) fail(id, *conn, errno);
}

void UringEngine::close(ConnId id) {
  Conn* conn = find(id);
  if (conn != nullptr && !conn->closing) fail(id, *conn, 0);
}

int UringEngine::fd(ConnId id) const {
  const Conn* conn = table_.find(id);
  return conn == nullptr ? -1 : conn->fd;
}

std::size_t UringEngine::unread(ConnId id) const {
  const Conn* conn = table_.find(id);
  if (conn == nullptr) return 0;
  const std::size_t aside = conn->inbox ? conn->inbox->size() : 0;
  return aside + static_cast<std::size_t>(unread_bytes(conn->fd));
}

// ---- receiving

void UringEngine::arm_recv(ConnId id, Conn& conn) {
  const bool multishot = conn.flow == Flow::kSmall && features_.multishot_recv;
  const bool bulk = conn.flow == Flow::kBulk;
  conn.arm = multishot ? Arm::kMany : (bulk ? Arm::kLarge : Arm::kSmall);
  io_uring_sqe* sqe = request(op_of(conn.arm), id);
  if (multishot) {
    io_uring_prep_recv_multishot(sqe, conn.fd, nullptr, 0, 0);
  } else {
    io_uring_prep_recv(sqe, conn.fd, nullptr, bulk ? kLargeBuffer : kSmallBuffer, 0);
  }
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = bulk ? large_.group() : small_.group();
  // In the middle of a large message more has come already; else nothing has, most likely.
  if (!bulk) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  ++conn.pending;
}

void UringEngine::cancel_multishot(ConnId id, Conn& conn) {
  if (conn.arm != Arm::kMany || conn.cancelling) return;
  conn.cancelling = true;
  cancel(Op::kRecvMany, id);
}

UringEngine::Op UringEngine::op_of(Arm arm) {
  if (arm == Arm::kMany) return Op::kRecvMany;
  return arm == Arm::kLarge ? Op::kRecvLarge : Op::kRecvSmall;
}

// Each by its name, which the kernel finds in a hash table; to find them by their descriptor it
// looks at every request of every connection.
void UringEngine::cancel_all(ConnId id, const Conn& conn) {
  if (conn.arm != Arm::kNone) cancel(op_of(conn.arm), id);
  if (conn.connecting) cancel(Op::kConnect, id);
  if (!conn.outgoing.empty() && !conn.trying) cancel(Op::kSend, id);
}

void UringEngine::cancel(Op op, ConnId id) {
  io_uring_sqe* sqe = request(Op::kIgnored, id);
  io_uring_prep_cancel64(sqe, tag(op, id), 0);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

// A receive that stops short of what is there has met an urgent mark (tcp(7)), and a multishot one
// may then wait for an arrival that has already been. One that is armed anew looks first.
void UringEngine::note_short_read(ConnId id, Conn& conn, std::size_t size) {
  if (conn.arm != Arm::kMany || size >= kSmallBuffer) return;
  conn.flow = Flow::kUnknown;
  conn.small_in_a_row = 0;
  cancel_multishot(id, conn);
}

void UringEngine::set_aside(ConnId id, Conn& conn, Bytes bytes) {
  try {
    if (!conn.inbox && !spare_inboxes_.empty()) {
      conn.inbox = std::move(spare_inboxes_.back());
      spare_inboxes_.pop_back();
    }
    if (!conn.inbox) conn.inbox = std::make_unique<Inbox>();
    conn.inbox->insert(conn.inbox->end(), bytes.begin(), bytes.end());
  } catch (const std::bad_alloc&) {
    return fail(id, conn, ENOMEM);
  }
  if (conn.inbox->size() >= kInboxLimit) cancel_multishot(id, conn);
}

void UringEngine::receive_failed(ConnId id, Conn& conn, int error) {
  switch (error) {
    case 0:
      conn.eof = true;
      return;
    case ENOBUFS:
      ++counters_.starved;
      if (conn.closing || conn.arm != Arm::kNone) return;
      try {
        starved_.push_back(id);
      } catch (const std::bad_alloc&) {
        return fail(id, conn, ENOMEM);
      }
      conn.starved = true;
      return;
    case ECANCELED:
    case EAGAIN:
    case EINTR:
      return;
    default:
      if (!conn.closing) fail(id, conn, error);
  }
}

void UringEngine::rearm_starved() {
  std::size_t turns = std::min(starved_.size(), buffers_available());
  for (; turns > 0; --turns) {
    const ConnId id = starved_.front();
    starved_.pop_front();
    Conn* conn = table_.find(id);
    if (conn == nullptr) continue;
    conn->starved = false;
    const bool arms = conn->wants_recv && !conn->closing && conn->arm == Arm::kNone;
    if (arms && !conn->inbox) arm_recv(id, *conn);
  }
}

void UringEngine::give_back(std::unique_ptr<Inbox> inbox) {
  if (spare_inboxes_.size() >= kSpareInboxes || inbox->capacity() > kLargeBuffer) return;
  inbox->clear();
  spare_inboxes_.push_back(std::move(inbox));
}

// ---- sending

void UringEngine::send_ended(ConnId id, int result) {
  Conn& conn = table_[id.slot];
  const bool tried = conn.trying;
  conn.trying = conn.silent = false;
  const bool full = result == -EAGAIN || result == -EINTR;
  if (result < 0 && !full) {
    --conn.pending;
    drop_send(conn);
    if (!conn.closing) fail(id, conn, -result);
    return enqueue(id, conn);
  }
  if (result > 0) conn.outgoing = conn.outgoing.subspan(static_cast<std::size_t>(result));
  if (conn.outgoing.empty() || conn.closing) {
    --conn.pending;
    drop_send(conn);
    conn.sent = !conn.closing;
    return enqueue(id, conn);
  }
  if (tried) {
    ++counters_.parked;
    if (!keep_rest(conn)) {
      --conn.pending;
      return fail(id, conn, ENOMEM);
    }
  }
  queue_send(id, conn, 0);
}

// Gives the shared buffer back to the others: this send may wait for long.
bool UringEngine::keep_rest(Conn& conn) {
  const Bytes lent = delivering_.bytes;
  const bool shared = conn.leased != nullptr || conn.kept || !lent.empty();
  if (!shared) return true;
  std::unique_ptr<Inbox> copy;
  try {
    copy = std::make_unique<Inbox>(conn.outgoing.begin(), conn.outgoing.end());
  } catch (const std::bad_alloc&) {
    return false;
  }
  drop_send(conn);
  conn.kept = std::move(copy);
  conn.outgoing = *conn.kept;
  return true;
}

void UringEngine::fail(ConnId id, Conn& conn, int error) {
  conn.opened = conn.wants_recv = conn.sent = false;  // nothing is due any more but the end
  conn.closing = true;
  conn.error = static_cast<std::int16_t>(error);
  cancel_all(id, conn);
  enqueue(id, conn);
}

// ---- entering the kernel

io_uring_sqe* UringEngine::make_room() {
  stamp_sends();
  for (int tries = 0; tries < kEnterTries; ++tries) {  // passing troubles: see check()
    submit_and_fetch();
    if (io_uring_sqe* sqe = io_uring_get_sqe(&ring_.ring)) return sqe;
  }
  throw std::runtime_error("io_uring takes no more requests");
}

unsigned UringEngine::enter(Nanos deadline, bool sent_can_wait) {
  if (accept_again_at_ != kNever) {
    if (now() >= accept_again_at_) {
      accept_again_at_ = kNever;
      arm_accept();
    } else {
      deadline = std::min(deadline, accept_again_at_);
    }
  }
  descriptor_came_free_ = false;
  if (!starved_.empty()) rearm_starved();
  stamp_sends();
  ++counters_.waits;
  if (overflown()) ++counters_.overflows;
  const bool wait = io_uring_cq_ready(&ring_.ring) == 0 && may_wait(sent_can_wait);
  entered_ = returned_ = now();
  if (wait && spin_ == 0) {
    sleep(deadline);
  } else if (io_uring_sq_ready(&ring_.ring) != 0 || kernel_has_news()) {
    submit_and_fetch();
  }
  if (wait && spin_ != 0) spin(deadline);
  returned_ = now();
  const unsigned count = io_uring_cq_ready(&ring_.ring);
  if (count > 0) last_event_ = returned_;
  return count;
}

// The kernel says in memory that it has news, so that looking again costs no system call.
void UringEngine::spin(Nanos deadline) {
  while (io_uring_cq_ready(&ring_.ring) == 0) {
    entered_ = now();
    if (entered_ >= deadline) return;
    if (spin_ != kNever && entered_ - last_event_ >= spin_) return sleep(deadline);
    if (kernel_has_news()) submit_and_fetch();
  }
}

bool UringEngine::may_wait(bool sent_can_wait) {
  if (!due_.empty()) return false;
  // Those armed before a starved connection may not need the buffers that it waits for; and silent
  // sends hold some until they are settled.
  if (!starved_.empty() && (buffers_available() > 0 || !silent_.empty())) return false;
  if (silent_.empty()) return true;
  // on_sent is due as soon as the enter returns, unless it would do no more than wait for bytes
  // that will be announced anyway.
  return sent_can_wait && std::ranges::all_of(silent_, [&](ConnId id) {
           const Conn* conn = table_.find(id);
           return conn == nullptr || (conn->arm == Arm::kMany && !conn->inbox && !conn->eof);
         });
}

void UringEngine::submit_and_fetch() { check(io_uring_submit_and_get_events(&ring_.ring)); }

void UringEngine::sleep(Nanos deadline) {
  io_uring_cqe* first = nullptr;
  if (deadline == kNever) {
    check(io_uring_submit_and_wait(&ring_.ring, 1));
    entered_ = now();  // the time asleep is no part of the batch
    return;
  }
  const Nanos left = std::max<Nanos>(0, deadline - now());
  __kernel_timespec timeout{.tv_sec = left / kSecond, .tv_nsec = left % kSecond};
  check(io_uring_submit_and_wait_timeout(&ring_.ring, &first, 1, &timeout, nullptr));
  entered_ = now();
}

// Passing troubles (a full completion queue, memory) go away as completions are read.
void UringEngine::check(int status) {
  if (status >= 0 || status == -ETIME || status == -EINTR || status == -EAGAIN ||
      status == -EBUSY || status == -ENOMEM || status == -EBADR) {
    return;
  }
  throw std::system_error(-status, std::generic_category(), "io_uring_enter");
}

void UringEngine::stamp_sends() {
  if (stamps_.empty()) return;
  const Nanos t = now();
  for (Nanos* stamp : stamps_) *stamp = t;
  stamps_.clear();
}

bool UringEngine::kernel_has_news() const {
  return (IO_URING_READ_ONCE(*ring_.ring.sq.kflags) &
          (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

bool UringEngine::overflown() const {
  return (IO_URING_READ_ONCE(*ring_.ring.sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0;
}

}  // namespace net
