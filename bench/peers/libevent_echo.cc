// The echo on libevent's bufferevents: what came in is moved to the output, not copied.
// libevent 2.1 reads at most 4 KiB at a time, whatever it is told. Usage: libevent_echo PORT
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr std::size_t kBufferSize = 64 * 1024;

void close_when_written(bufferevent* client, void*) { bufferevent_free(client); }

void on_read(bufferevent* client, void*) {
  bufferevent_write_buffer(client, bufferevent_get_input(client));
  // Back-pressure: a peer that does not take its echo is not read from.
  if (evbuffer_get_length(bufferevent_get_output(client)) > kBufferSize) {
    bufferevent_disable(client, EV_READ);
  }
}

void on_written(bufferevent* client, void*) { bufferevent_enable(client, EV_READ); }

void on_event(bufferevent* client, short what, void*) {
  const bool owes = evbuffer_get_length(bufferevent_get_output(client)) > 0;
  if ((what & BEV_EVENT_EOF) != 0 && owes) {
    bufferevent_disable(client, EV_READ);
    bufferevent_setcb(client, nullptr, close_when_written, on_event, nullptr);
  } else {
    bufferevent_free(client);
  }
}

void on_connection(evconnlistener* listener, evutil_socket_t fd, sockaddr*, int, void*) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  bufferevent* client =
      bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
  if (client == nullptr) {
    evutil_closesocket(fd);
    return;
  }
  // 16 KiB at once by default.
  bufferevent_set_max_single_read(client, kBufferSize);
  bufferevent_set_max_single_write(client, kBufferSize);
  bufferevent_setcb(client, on_read, on_written, on_event, nullptr);
  bufferevent_enable(client, EV_READ | EV_WRITE);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: libevent_echo PORT\n", stderr);
    return 2;
  }
  event_base* base = event_base_new();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[1])));
  evconnlistener* listener = evconnlistener_new_bind(
      base, on_connection, nullptr, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 4096,
      reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (listener == nullptr) {
    std::fprintf(stderr, "libevent_echo: listen: %s\n", std::strerror(errno));
    return 1;
  }
  return event_base_dispatch(base);
}
