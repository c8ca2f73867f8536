// The echo itself. The lecture's loop
//
//     while data := conn.recv(): conn.sendall(data)
//     conn.close()
//
// becomes on_open, on_recv and on_sent: each asks for the next step, and the engine says when it is
// done. Nothing is received from a connection while its last bytes are on their way back, so a peer
// that does not read stops itself.
#pragma once

#include "net/engine.h"
#include "server/housekeeping.h"

namespace server {

template <net::ServerEngine IO>
class EchoServer {
 public:
  explicit EchoServer(Housekeeping& house) : house_(house) {}

  void on_open(IO& io, net::ConnId c) {
    if (house_.admit(io, c)) io.recv(c);
  }

  void on_recv(IO& io, net::ConnId c, net::Bytes bytes) {
    if (bytes.empty()) return io.close(c);
    if (house_.received(io, c, bytes.size())) io.send(c, bytes);
  }

  void on_sent(IO& io, net::ConnId c) {
    house_.sent(io, c);
    io.recv(c);
  }

  void on_close(IO&, net::ConnId c, int error) { house_.ended(c, error); }

  bool sent_only_asks_for_more() const { return !house_.timed(); }
  void on_wake(IO& io) { house_.on_wake(io); }
  void drain(IO& io, net::ConnId c) { house_.drain_echo(io, c); }

 private:
  Housekeeping& house_;
};

}  // namespace server
