// The echo on Boost.Asio, as its own example has it: a session that keeps itself alive, one read
// and one write in turns. Usage: asio_echo PORT
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <utility>

namespace {

using boost::asio::ip::tcp;

class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(tcp::socket socket) : socket_(std::move(socket)) {}

  void read() {
    socket_.async_read_some(
        boost::asio::buffer(data_),
        [self = shared_from_this()](boost::system::error_code error, std::size_t size) {
          if (!error) self->write(size);
        });
  }

 private:
  void write(std::size_t size) {
    boost::asio::async_write(
        socket_, boost::asio::buffer(data_, size),
        [self = shared_from_this()](boost::system::error_code error, std::size_t) {
          if (!error) self->read();
        });
  }

  tcp::socket socket_;
  std::array<char, 64 * 1024> data_;
};

class Server {
 public:
  Server(boost::asio::io_context& context, std::uint16_t port)
      : acceptor_(context, {boost::asio::ip::address_v4::loopback(), port}) {
    acceptor_.listen(4096);
    accept();
  }

 private:
  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, tcp::socket socket) {
      if (!error) {
        socket.set_option(tcp::no_delay(true), error);
        std::make_shared<Session>(std::move(socket))->read();
      }
      accept();
    });
  }

  tcp::acceptor acceptor_;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fputs("usage: asio_echo PORT\n", stderr);
    return 2;
  }
  boost::asio::io_context context(1);  // one thread, so no locks
  const Server server(context, static_cast<std::uint16_t>(std::atoi(argv[1])));
  context.run();
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "asio_echo: %s\n", error.what());
  return 1;
}
