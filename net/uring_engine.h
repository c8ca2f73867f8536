// Completions over io_uring (Linux 5.19 and later; best from 6.1).
//
// One io_uring_enter a batch: it hands over what the handler asked for during the last batch and
// fetches what has completed since.
//
//   Receiving  Into buffers that all connections share: the kernel takes one when bytes are there,
//              so who waits holds none. A connection that has sent nothing but small messages (less
//              than 2 KiB) for a while has a multishot receive: armed once, it posts a completion
//              per arrival. It can't be trusted with more: asked or not, it goes on as long as
//              there are bytes, 33 buffers a pass. So all others have one-shot receives, armed only
//              when the handler asks, into small buffers or, for bulk, into large ones (64 KiB).
//   Sending    Tried at once and silently: a send that goes posts nothing, so it neither wakes the
//              loop nor costs a completion. The next enter's completions tell which ones did not
//              go (uring_features.h); all the others are then settled. What did not go gives its
//              shared buffer back and waits for room. At most one send of a connection is in
//              flight, for two could reorder.
//   Pressure   A peer that does not read holds none of the buffers others need. What a multishot
//              receive brings before the handler asks is set aside in the connection's inbox, the
//              buffers go back at once, and a receive that keeps bringing is cancelled: where small
//              messages turn into a flood, that is a pass or two (66 KiB each) before it ends.
//   Starving   A receive that found no buffer has ended; its connection waits in starved_ and is
//              armed again, in turn, when a buffer has come back.
//   Closing    close(2) does not cancel what is in flight, so the descriptor, the slot and the
//              buffers are kept until the last completion has come.
#pragma once

#include <liburing.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/buffer_ring.h"
#include "net/conn_table.h"
#include "net/engine.h"
#include "net/uring_features.h"

namespace net {

class UringEngine {
 public:
  static constexpr const char* kName = "io_uring";

  /// `spin`: how long to look again before sleeping (net/busy_poll.h). The thread that makes the
  /// engine must be the one that polls it. Throws BackendUnavailable, std::system_error.
  explicit UringEngine(Nanos spin, const UringFeatures& features = probe_uring());
  ~UringEngine();
  UringEngine(const UringEngine&) = delete;
  UringEngine& operator=(const UringEngine&) = delete;

  void listen(Fd listener);
  void stop_listening();
  ConnId connect(const Address& address, const Departure& departure = {});
  void watch(int fd);

  void recv(ConnId id);
  void send(ConnId id, Bytes bytes, Nanos* stamp = nullptr);
  void shutdown(ConnId id);
  void close(ConnId id);

  template <class H>
  requires Handler<H, UringEngine>
  void poll(H& handler, Nanos deadline);

  Nanos completed_at() const { return returned_; }
  Nanos completed_span() const { return returned_ - entered_; }
  int fd(ConnId id) const;
  std::size_t unread(ConnId id) const;
  const EngineCounters& counters() const { return counters_; }
  std::string description() const;
  const UringFeatures& features() const { return features_; }

 private:
  static constexpr unsigned kSubmissions = 1024;
  static constexpr std::size_t kSmallBuffer = 2 * 1024;
  static constexpr std::size_t kLargeBuffer = 64 * 1024;
  static constexpr unsigned kLargeBuffers = 32;
  static constexpr std::size_t kInboxLimit = 8 * 1024;
  static constexpr std::size_t kSpareInboxes = 16;
  static constexpr unsigned kSmallStreak = 16;
  static constexpr int kEnterTries = 100;
  static constexpr Nanos kAcceptPause = 100 * kMillisecond;

  // What a completion is about; with the connection it makes up the user_data.
  enum class Op : std::uint8_t {
    kIgnored,
    kAccept,
    kWatch,
    kConnect,
    kSend,
    kRecvMany,
    kRecvSmall,
    kRecvLarge
  };
  enum class Arm : std::uint8_t { kNone, kMany, kSmall, kLarge };
  enum class Flow : std::uint8_t { kUnknown, kSmall, kBulk };
  using Inbox = std::vector<std::byte>;

  struct Conn {
    int fd = -1;
    std::uint32_t generation = 0;
    std::int16_t error = 0;     // an errno
    std::uint16_t pending = 0;  // requests whose last completion has not come
    Arm arm : 2 = Arm::kNone;
    Flow flow : 2 = Flow::kUnknown;
    bool connecting : 1 = false;
    bool cancelling : 1 = false;
    bool opened : 1 = false;  // on_open is due
    bool wants_recv : 1 = false;
    bool eof : 1 = false;  // FIN came; on_recv tells it once the inbox is empty
    bool starved : 1 = false;
    bool trying : 1 = false;  // the send in flight does not wait for room
    bool silent : 1 = false;  // and posts no completion if it goes; not settled yet
    bool listed : 1 = false;  // is in silent_
    bool sent : 1 = false;    // on_sent is due
    bool closing : 1 = false;
    bool queued : 1 = false;
    std::uint8_t small_in_a_row = 0;
    Bytes outgoing;                     // what of the send has not been taken by the kernel
    const std::byte* leased = nullptr;  // the shared buffer in which it stands
    std::unique_ptr<Inbox> kept;        // or the inbox it came from, or a copy of the rest
    std::unique_ptr<Inbox> inbox;
  };

  struct Ring {
    io_uring ring{};
    ~Ring() { io_uring_queue_exit(&ring); }
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;
    explicit Ring(UringFeatures& features);
  };

  // The bytes that on_recv is being given, and what holds them.
  struct Delivery {
    Bytes bytes;
    const std::byte* buffer = nullptr;
    std::unique_ptr<Inbox> inbox;
  };

  static std::uint64_t tag(Op op, ConnId id) {
    return std::uint64_t{static_cast<std::uint8_t>(op)} << 60 | std::uint64_t{id.generation} << 32 |
           id.slot;
  }
  static Op op_of(std::uint64_t tag) { return static_cast<Op>(tag >> 60); }
  static ConnId id_of(std::uint64_t tag) {
    return {static_cast<std::uint32_t>(tag), static_cast<std::uint32_t>(tag >> 32) & 0x0fffffffU};
  }

  // Entering the kernel.
  unsigned enter(Nanos deadline, bool sent_can_wait);
  bool may_wait(bool sent_can_wait);
  void submit_and_fetch();
  void spin(Nanos deadline);
  void sleep(Nanos deadline);
  void check(int status);
  void stamp_sends();
  bool kernel_has_news() const;
  bool overflown() const;
  io_uring_sqe* request(Op op, ConnId id);
  io_uring_sqe* make_room();
  void rearm_starved();
  std::size_t buffers_available() const { return std::min(small_.available(), large_.available()); }

  /// Most verbs are for the one that is being served, so it is looked up once a completion.
  struct Current {
    ConnId id;
    Conn* conn = nullptr;
  };
  Conn* find(ConnId id) { return id == current_.id ? current_.conn : table_.find(id); }

  // What came back.
  void send_ended(ConnId id, int result);
  template <class H>
  void settle(H& handler);
  template <class H>
  void dispatch(H& handler, const io_uring_cqe& cqe);
  template <class H>
  void received(H& handler, ConnId id, const io_uring_cqe& cqe, BufferRing& buffers);
  template <class H>
  void deliver(H& handler, ConnId id, Conn& conn);
  template <class H>
  void look_after(H& handler, ConnId id);
  template <class H>
  void serve(H& handler, ConnId id, Conn& conn);
  template <class H>
  void finish(H& handler, ConnId id, Conn& conn);
  ConnId accepted(int result, bool more);
  ConnId adopt(int fd);
  void connected(ConnId id, int result);
  void receive_failed(ConnId id, Conn& conn, int error);
  void set_aside(ConnId id, Conn& conn, Bytes bytes);
  void note_size(ConnId id, Conn& conn, std::size_t size);
  void note_short_read(ConnId id, Conn& conn, std::size_t size);

  void arm_accept();
  void pause_accepting(int error);
  void arm_watch();
  void arm_recv(ConnId id, Conn& conn);
  void cancel_multishot(ConnId id, Conn& conn);
  void cancel_all(ConnId id, const Conn& conn);
  void cancel(Op op, ConnId id);
  static Op op_of(Arm arm);
  io_uring_sqe* queue_send(ConnId id, Conn& conn, int flags);
  bool keep_rest(Conn& conn);
  void drop_send(Conn& conn);
  void fail(ConnId id, Conn& conn, int error);
  void enqueue(ConnId id, Conn& conn);
  void give_back(const std::byte* buffer);
  void give_back(std::unique_ptr<Inbox> inbox);

  UringFeatures features_;
  Nanos spin_;
  Ring ring_;
  BufferRing small_;
  BufferRing large_;

  Fd listener_;
  bool accepting_ = false;
  bool stopping_ = false;
  Nanos accept_again_at_ = kNever;
  bool descriptor_came_free_ = false;  // since the kernel was last entered
  int watched_ = -1;

  ConnTable<Conn> table_;
  Current current_;
  std::vector<ConnId> silent_;  // silent sends since the last settling
  std::vector<ConnId> settling_;
  std::vector<ConnId> due_;  // connections with something to do that no completion announces
  std::vector<ConnId> serving_;
  std::deque<ConnId> starved_;
  std::vector<Nanos*> stamps_;  // to be set when the sends are handed to the kernel
  std::vector<std::unique_ptr<Inbox>> spare_inboxes_;
  Delivery delivering_;
  bool woken_ = false;
  Nanos last_event_ = 0;
  Nanos entered_ = 0;
  Nanos returned_ = 0;
  EngineCounters counters_;
};

template <class H>
requires Handler<H, UringEngine>
void UringEngine::poll(H& handler, Nanos deadline) {
  const unsigned count = enter(deadline, sent_can_wait(handler));
  const bool all_submitted = io_uring_sq_ready(&ring_.ring) == 0;
  // First the sends that went wrong, for they decide which of the silent ones went well; a kernel
  // posts them before the receives of the same enter in any case.
  const unsigned first = *ring_.ring.cq.khead;
  const unsigned mask = *ring_.ring.cq.kring_mask;
  for (unsigned i = first; i != first + count; ++i) {
    const io_uring_cqe& cqe = ring_.ring.cq.cqes[i & mask];
    if (op_of(cqe.user_data) == Op::kSend) send_ended(id_of(cqe.user_data), cqe.res);
  }
  if (all_submitted) settle(handler);
  for (unsigned i = first; i != first + count; ++i) {
    const io_uring_cqe cqe = ring_.ring.cq.cqes[i & mask];
    io_uring_cq_advance(&ring_.ring, 1);  // at once: a verb that must submit may need the room
    dispatch(handler, cqe);
  }

  serving_.swap(due_);
  // A handler that connects may let the list move. NOLINTNEXTLINE(modernize-loop-convert)
  for (std::size_t i = 0; i < serving_.size(); ++i) {
    const ConnId id = serving_[i];
    if (Conn* conn = table_.find(id)) conn->queued = false;
    look_after(handler, id);
  }
  serving_.clear();
  if (woken_) {
    woken_ = false;
    handler.on_wake(*this);
  }
}

// A silent send is known to have gone when the completions of the enter that submitted it have all
// been read; those that overflowed the queue have not.
template <class H>
void UringEngine::settle(H& handler) {
  if (silent_.empty() || overflown()) return;
  settling_.swap(silent_);
  // This list may move, too. NOLINTNEXTLINE(modernize-loop-convert)
  for (std::size_t i = 0; i < settling_.size(); ++i) {
    const ConnId id = settling_[i];
    Conn* conn = table_.find(id);
    if (conn != nullptr) conn->listed = false;
    if (conn == nullptr || !conn->silent) continue;  // went on as an ordinary one
    current_ = {id, conn};
    conn->trying = conn->silent = false;
    --conn->pending;
    drop_send(*conn);
    if (!conn->closing) handler.on_sent(*this, id);
    if (conn->closing) enqueue(id, *conn);
  }
  settling_.clear();
}

template <class H>
[[gnu::always_inline]] inline void UringEngine::dispatch(H& handler, const io_uring_cqe& cqe) {
  const ConnId id = id_of(cqe.user_data);
  const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;
  switch (op_of(cqe.user_data)) {
    case Op::kRecvMany:
    case Op::kRecvSmall:
      return received(handler, id, cqe, small_);
    case Op::kRecvLarge:
      return received(handler, id, cqe, large_);
    case Op::kAccept:
      return look_after(handler, accepted(cqe.res, more));
    case Op::kConnect:
      connected(id, cqe.res);
      return look_after(handler, id);
    case Op::kWatch:
      woken_ = true;
      if (!more) arm_watch();
      return;
    case Op::kSend:
    case Op::kIgnored:
      return;
  }
}

template <class H>
[[gnu::always_inline]] inline void UringEngine::received(H& handler, ConnId id,
                                                         const io_uring_cqe& cqe,
                                                         BufferRing& buffers) {
  Conn& conn = table_[id.slot];
  current_ = {id, &conn};
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) {
    conn.arm = Arm::kNone;
    conn.cancelling = false;
    --conn.pending;
  }
  const std::byte* buffer = nullptr;
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    buffer = buffers.take(static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT));
  }
  if (cqe.res > 0 && !conn.closing) {
    const Bytes bytes(buffer, static_cast<std::size_t>(cqe.res));
    note_size(id, conn, bytes.size());
    if ((cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0) note_short_read(id, conn, bytes.size());
    if (conn.wants_recv && !conn.inbox) {
      delivering_.bytes = bytes;
      delivering_.buffer = buffer;
      deliver(handler, id, conn);
    } else {
      set_aside(id, conn, bytes);
      give_back(buffer);
    }
  } else {
    if (buffer != nullptr) give_back(buffer);
    if (cqe.res <= 0) receive_failed(id, conn, -cqe.res);
  }
  serve(handler, id, conn);
}

// The buffer goes back when on_recv returns, unless a send has taken it along.
template <class H>
[[gnu::always_inline]] inline void UringEngine::deliver(H& handler, ConnId id, Conn& conn) {
  conn.wants_recv = false;
  handler.on_recv(*this, id, delivering_.bytes);
  if (delivering_.buffer != nullptr) give_back(std::exchange(delivering_.buffer, nullptr));
  if (delivering_.inbox) give_back(std::move(delivering_.inbox));
  delivering_.bytes = Bytes();
}

template <class H>
void UringEngine::look_after(H& handler, ConnId id) {
  Conn* conn = table_.find(id);
  if (conn == nullptr) return;
  current_ = {id, conn};
  serve(handler, id, *conn);
}

template <class H>
[[gnu::always_inline]] inline void UringEngine::serve(H& handler, ConnId id, Conn& conn) {
  if (conn.opened) {
    conn.opened = false;
    handler.on_open(*this, id);
  }
  if (conn.sent) {
    conn.sent = false;
    handler.on_sent(*this, id);
  }
  if (conn.wants_recv) {
    if (conn.inbox) {
      delivering_.bytes = *conn.inbox;
      delivering_.inbox = std::move(conn.inbox);
      deliver(handler, id, conn);
    } else if (conn.eof) {
      conn.wants_recv = false;
      handler.on_recv(*this, id, Bytes());
    } else if (conn.arm == Arm::kNone && !conn.starved) {
      arm_recv(id, conn);
    }
  }
  if (conn.closing) {
    if (conn.pending == 0) finish(handler, id, conn);
  } else if (conn.sent || (conn.wants_recv && conn.inbox)) {
    enqueue(id, conn);
  }
}

template <class H>
[[gnu::noinline]] void UringEngine::finish(H& handler, ConnId id, Conn& conn) {
  const int error = conn.error;
  if (conn.inbox) give_back(std::move(conn.inbox));
  drop_send(conn);
  if (conn.fd >= 0) ::close(conn.fd);
  conn.fd = -1;
  handler.on_close(*this, id, error);
  table_.free(id);
  current_ = Current{};
  descriptor_came_free_ = true;
  if (accept_again_at_ != kNever) accept_again_at_ = 0;
}

// ---- what each message takes, to be compiled into the handler

[[gnu::always_inline]] inline void UringEngine::recv(ConnId id) {
  Conn* conn = find(id);
  if (conn == nullptr || conn->closing) return;
  conn->wants_recv = true;
  if (conn->inbox || conn->eof) {
    enqueue(id, *conn);
  } else if (conn->arm == Arm::kNone && !conn->starved) {
    arm_recv(id, *conn);
  }
}

[[gnu::always_inline]] inline void UringEngine::send(ConnId id, Bytes bytes, Nanos* stamp) {
  Conn* conn = find(id);
  if (conn == nullptr || conn->closing) return;
  conn->outgoing = bytes;
  const std::less<> before;
  const Bytes lent = delivering_.bytes;
  const bool received = !lent.empty() && !before(bytes.data(), lent.data()) &&
                        before(bytes.data(), lent.data() + lent.size());
  if (received && delivering_.buffer != nullptr) {
    conn->leased = std::exchange(delivering_.buffer, nullptr);
  } else if (received && delivering_.inbox) {
    conn->kept = std::move(delivering_.inbox);
  } else if (received && !keep_rest(*conn)) {  // an earlier send has taken the buffer along
    return fail(id, *conn, ENOMEM);
  }
  ++conn->pending;
  io_uring_sqe* sqe = queue_send(id, *conn, MSG_DONTWAIT);
  if (stamp != nullptr) stamps_.push_back(stamp);  // behind those that a full queue handed over
  conn->trying = true;
  if (!features_.silent_send) return;
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  conn->silent = true;
  if (!conn->listed) silent_.push_back(id);
  conn->listed = true;
}

[[gnu::always_inline]] inline io_uring_sqe* UringEngine::queue_send(ConnId id, Conn& conn,
                                                                    int flags) {
  io_uring_sqe* sqe = request(Op::kSend, id);
  io_uring_prep_send(sqe, conn.fd, conn.outgoing.data(), conn.outgoing.size(),
                     MSG_NOSIGNAL | MSG_WAITALL | flags);
  return sqe;
}

[[gnu::always_inline]] inline io_uring_sqe* UringEngine::request(Op op, ConnId id) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_.ring);
  if (sqe == nullptr) [[unlikely]]
    sqe = make_room();
  sqe->user_data = tag(op, id);
  return sqe;
}

// A full small buffer says that messages are larger than that; a row of small receives says that
// they are not, or no longer.
[[gnu::always_inline]] inline void UringEngine::note_size(ConnId id, Conn& conn, std::size_t size) {
  if (size >= kSmallBuffer) {
    conn.flow = Flow::kBulk;
    conn.small_in_a_row = 0;
    cancel_multishot(id, conn);
  } else if (conn.flow != Flow::kSmall && ++conn.small_in_a_row >= kSmallStreak) {
    conn.flow = Flow::kSmall;
  }
}

inline void UringEngine::give_back(const std::byte* buffer) {
  BufferRing& owner = small_.owns(buffer) ? small_ : large_;
  owner.give_back(buffer);
}

inline void UringEngine::drop_send(Conn& conn) {
  if (conn.leased != nullptr) give_back(std::exchange(conn.leased, nullptr));
  if (conn.kept) give_back(std::move(conn.kept));
  conn.outgoing = Bytes();
}

inline void UringEngine::enqueue(ConnId id, Conn& conn) {
  if (conn.queued) return;
  conn.queued = true;
  due_.push_back(id);
}

static_assert(Engine<UringEngine>);

}  // namespace net
