// The echo on libuv, the way its own guide writes it: read into a buffer, write it back, free it
// when the write is done. Usage: libuv_echo PORT
#include <uv.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace {

constexpr std::size_t kBufferSize = 64 * 1024;

struct Write {
  uv_write_t request;
  uv_buf_t buffer;
};

void check(int status, const char* what) {
  if (status >= 0) return;
  std::fprintf(stderr, "libuv_echo: %s: %s\n", what, uv_strerror(status));
  std::exit(1);
}

void close_client(uv_handle_t* client) {
  if (uv_is_closing(client) != 0) return;
  uv_close(client, [](uv_handle_t* handle) { delete reinterpret_cast<uv_tcp_t*>(handle); });
}

void allocate(uv_handle_t*, std::size_t, uv_buf_t* buffer) {
  // on_read and on_written give it back; the analyzer does not see them as its callers.
  *buffer = uv_buf_init(new char[kBufferSize], kBufferSize);  // NOLINT(*NewDeleteLeaks)
}

void on_written(uv_write_t* request, int status) {
  const std::unique_ptr<Write> write(reinterpret_cast<Write*>(request));
  delete[] write->buffer.base;
  if (status < 0) close_client(reinterpret_cast<uv_handle_t*>(request->handle));
}

void on_shut_down(uv_shutdown_t* request, int) {
  close_client(reinterpret_cast<uv_handle_t*>(request->handle));
  delete request;
}

void on_read(uv_stream_t* client, ssize_t size, const uv_buf_t* buffer) {
  if (size > 0) {
    auto* write = new Write{};
    write->buffer = uv_buf_init(buffer->base, static_cast<unsigned>(size));
    if (uv_write(&write->request, client, &write->buffer, 1, on_written) == 0) return;
    delete write;
    close_client(reinterpret_cast<uv_handle_t*>(client));
  } else if (size == UV_EOF) {  // what is queued goes out first
    auto* request = new uv_shutdown_t;
    if (uv_shutdown(request, client, on_shut_down) != 0) {
      delete request;
      close_client(reinterpret_cast<uv_handle_t*>(client));
    }
  } else if (size < 0) {
    close_client(reinterpret_cast<uv_handle_t*>(client));
  }
  delete[] buffer->base;
}

void on_connection(uv_stream_t* server, int status) {
  if (status < 0) return;
  auto* client = new uv_tcp_t;
  uv_tcp_init(server->loop, client);
  if (uv_accept(server, reinterpret_cast<uv_stream_t*>(client)) == 0) {
    uv_tcp_nodelay(client, 1);
    uv_read_start(reinterpret_cast<uv_stream_t*>(client), allocate, on_read);
  } else {
    close_client(reinterpret_cast<uv_handle_t*>(client));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: libuv_echo PORT\n", stderr);
    return 2;
  }
  uv_loop_t* loop = uv_default_loop();
  uv_tcp_t server;
  uv_tcp_init(loop, &server);
  sockaddr_in address{};
  check(uv_ip4_addr("127.0.0.1", std::atoi(argv[1]), &address), "address");
  check(uv_tcp_bind(&server, reinterpret_cast<const sockaddr*>(&address), 0), "bind");
  check(uv_listen(reinterpret_cast<uv_stream_t*>(&server), 4096, on_connection), "listen");
  return uv_run(loop, UV_RUN_DEFAULT);
}
