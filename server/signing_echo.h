// The echo of a node with --sign: each line comes back with the node's name at its end.
#pragma once

#include <deque>
#include <string>
#include <utility>

#include "net/engine.h"
#include "server/housekeeping.h"
#include "server/signing.h"

namespace server {

template <net::ServerEngine IO>
class SigningEcho {
 public:
  SigningEcho(Housekeeping& house, std::string signature)
      : house_(house), signature_(std::move(signature)) {}

  void on_open(IO& io, net::ConnId c) {
    if (!house_.admit(io, c)) return;
    const bool begun = house_.or_close(io, c, [&] {
      if (streams_.size() <= c.slot) streams_.resize(c.slot + 1);
      streams_[c.slot] = {};
    });
    if (begun) io.recv(c);
  }

  void on_recv(IO& io, net::ConnId c, net::Bytes bytes) {
    Client& client = streams_[c.slot];
    client.finished = bytes.empty();
    if (!client.finished && !house_.received(io, c, bytes.size())) return;
    house_.or_close(io, c, [&] {
      SignedStream& stream = client.stream;
      pass(io, c, client.finished ? stream.finish(signature_) : stream.sign(signature_, bytes));
    });
  }

  void on_sent(IO& io, net::ConnId c) {
    house_.or_close(io, c, [&] { pass(io, c, streams_[c.slot].stream.sign_rest(signature_)); });
  }

  void on_close(IO&, net::ConnId c, int error) { house_.ended(c, error); }

  void on_wake(IO& io) { house_.on_wake(io); }
  void drain(IO& io, net::ConnId c) { house_.drain_echo(io, c); }

 private:
  struct Client {
    SignedStream stream;
    bool finished = false;  // its FIN has come
  };

  void pass(IO& io, net::ConnId c, net::Bytes piece) {
    const Client& client = streams_[c.slot];
    if (client.stream.line_too_long()) {
      ++house_.counters().long_lines;
      io.close(c);
    } else if (!piece.empty()) {
      io.send(c, piece);
    } else if (client.finished) {
      io.close(c);
    } else {
      house_.sent(io, c);
      io.recv(c);
    }
  }

  Housekeeping& house_;
  std::string signature_;
  std::deque<Client> streams_;  // by slot; what is being sent stays where it is while this grows
};

}  // namespace server
