// The options that sockets are made with and inherit, and what is read from them.
#include "net/socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <cerrno>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "net/testing_environment.h"
#include "net/testing_peer.h"

namespace net::test {
namespace {

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &size), 0);
  return value;
}

bool nonblocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }
bool closed_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

/// A listening socket, a peer, and the connection between them.
struct Connection {
  Connection()
      : listener(listen_on(local(), 16)),
        peer(Address::of_socket(listener.get())),
        accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)) {}

  Fd listener;
  Peer peer;
  Fd accepted;
};

TEST(ListenOn, ListensWhereItWasAsked) {
  const Fd listener = listen_on(local(), 16);
  const Address address = Address::of_socket(listener.get());
  EXPECT_NE(address.port(), 0);
  EXPECT_EQ(Peer(address).error(), 0);
  EXPECT_TRUE(closed_on_exec(listener.get()));
}

TEST(ListenOn, TakesIpv4OnAnIpv6Wildcard) {
  Fd listener;
  try {
    listener = listen_on(local("::"), 16);
  } catch (const std::system_error& error) {
    GTEST_SKIP() << error.what();
  }
  const std::uint16_t port = Address::of_socket(listener.get()).port();
  EXPECT_EQ(Peer(Address::resolve("127.0.0.1", port)).error(), 0);
  EXPECT_EQ(Peer(Address::resolve("::1", port)).error(), 0);
}

TEST(AdoptListener, SetsWhatListenOnSets) {
  Fd made(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(::listen(made.get(), 16), 0);
  const Fd listener = adopt_listener(std::move(made));
  EXPECT_TRUE(closed_on_exec(listener.get()));
  const Peer peer(Address::of_socket(listener.get()));
  const Fd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_EQ(option(accepted.get(), IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option(accepted.get(), SOL_SOCKET, SO_OOBINLINE), 1);
}

TEST(AdoptListener, TakesNothingElse) {
  EXPECT_THROW(adopt_listener(Fd()), std::runtime_error);
  EXPECT_THROW(adopt_listener(Fd(::open("/", O_PATH | O_CLOEXEC))), std::runtime_error);
  EXPECT_THROW(adopt_listener(Fd(::socket(AF_INET, SOCK_STREAM, 0))), std::runtime_error);
  EXPECT_THROW(adopt_listener(Fd(::socket(AF_INET, SOCK_DGRAM, 0))), std::runtime_error);
}

TEST(ListenOn, NamesTheAddressThatIsTaken) {
  const Fd first = listen_on(local(), 16);
  const Address taken = Address::of_socket(first.get());
  try {
    listen_on(taken, 16);
    ADD_FAILURE() << "two listen on one port";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EADDRINUSE);
    EXPECT_NE(std::string(error.what()).find(taken.to_string()), std::string::npos);
  }
}

TEST(ListenOn, NamesTheAddressThatIsNotOfThisHost) {
  try {
    listen_on(Address::resolve("192.0.2.1", 1), 16);  // RFC 5737: of nobody
    ADD_FAILURE() << "listens on somebody else's address";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EADDRNOTAVAIL);
    EXPECT_NE(std::string(error.what()).find("192.0.2.1:1"), std::string::npos);
  }
}

TEST(ListenOn, ThrowsWithoutDescriptors) {
  const Address address = local();
  const FewDescriptors none(0);
  EXPECT_THROW(listen_on(address, 16), std::system_error);
}

TEST(ListenOn, BindsAgainWhileOldConnectionsAreInTimeWait) {
  auto connection = std::make_unique<Connection>();
  const Address address = Address::of_socket(connection->listener.get());
  connection->accepted.reset();  // the one that closes first waits
  connection->peer.receive_all();
  connection.reset();
  EXPECT_NO_THROW(listen_on(address, 16));
}

TEST(Accepted, InheritsTheOptions) {
  const Connection connection;
  ASSERT_TRUE(connection.accepted);
  EXPECT_NE(option(connection.accepted.get(), IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_NE(option(connection.accepted.get(), SOL_SOCKET, SO_OOBINLINE), 0);
}

TEST(SocketFor, HasTheOptionsAndTheMode) {
  for (const Mode mode : {Mode::kBlocking, Mode::kNonBlocking}) {
    for (const char* host : {"127.0.0.1", "::1"}) {
      const Fd fd = socket_for(local(host), mode);
      ASSERT_TRUE(fd) << host;
      EXPECT_NE(option(fd.get(), IPPROTO_TCP, TCP_NODELAY), 0);
      EXPECT_NE(option(fd.get(), SOL_SOCKET, SO_OOBINLINE), 0);
      EXPECT_EQ(option(fd.get(), SOL_SOCKET, SO_TYPE), SOCK_STREAM);
      EXPECT_EQ(nonblocking(fd.get()), mode == Mode::kNonBlocking);
      EXPECT_TRUE(closed_on_exec(fd.get()));
    }
  }
}

TEST(SocketFor, LeavesErrnoWhereThereIsNone) {
  const Address address = local();
  const FewDescriptors none(0);
  errno = 0;
  const Fd fd = socket_for(address, Mode::kBlocking);
  EXPECT_EQ(errno, EMFILE);
  EXPECT_FALSE(fd);
}

TEST(SocketFor, SetsOutFromTheSourceAddress) {
  const Fd listener = listen_on(local(), 16);
  const Address target = Address::of_socket(listener.get());
  const Address source = local("127.0.0.77");
  const Fd fd = socket_for(target, Mode::kBlocking, {.source = &source});
  ASSERT_TRUE(fd);
  EXPECT_EQ(Address::of_socket(fd.get()).port(), 0) << "chosen when the peer is known";
  ASSERT_EQ(::connect(fd.get(), target.data(), target.size()), 0);
  EXPECT_TRUE(Address::of_socket(fd.get()).to_string().starts_with("127.0.0.77:"));
}

TEST(SocketFor, LeavesErrnoWhereTheSourceIsNotOfThisHost) {
  const Address source = local("192.0.2.1");  // of nobody (RFC 5737)
  const Fd fd = socket_for(local(), Mode::kBlocking, {.source = &source});
  EXPECT_EQ(errno, EADDRNOTAVAIL);
  EXPECT_FALSE(fd);
}

TEST(SetMode, GoesBothWaysAndKeepsTheOtherFlags) {
  const Fd fd(::open("/dev/null", O_WRONLY | O_APPEND | O_CLOEXEC));
  for (int i = 0; i < 2; ++i) {
    set_mode(fd.get(), Mode::kNonBlocking);
    EXPECT_TRUE(nonblocking(fd.get()));
    set_mode(fd.get(), Mode::kBlocking);
    EXPECT_FALSE(nonblocking(fd.get()));
  }
  EXPECT_NE(::fcntl(fd.get(), F_GETFL) & O_APPEND, 0);
}

TEST(IsOfConnection, TellsADeadConnectionFromAWantOfMeans) {
  for (const int error : {ECONNABORTED, EINTR, EPROTO, ENETDOWN, EHOSTUNREACH, EPERM}) {
    EXPECT_TRUE(is_of_connection(error)) << error;
  }
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EBADF, EINVAL, EAGAIN}) {
    EXPECT_FALSE(is_of_connection(error)) << error;
  }
}

TEST(PendingError, IsWhatAFailedConnectLeft) {
  const Refusal nobody;
  const Fd fd = socket_for(nobody.address(), Mode::kNonBlocking);
  EXPECT_EQ(pending_error(fd.get()), 0);
  (void)::connect(fd.get(), nobody.address().data(), nobody.address().size());
  ASSERT_TRUE(ready_for(fd.get(), POLLOUT));
  EXPECT_EQ(pending_error(fd.get()), ECONNREFUSED);
  EXPECT_EQ(pending_error(fd.get()), 0) << "it is told once";
}

TEST(PendingError, OfNoSocketIsAnError) { EXPECT_EQ(pending_error(-1), EBADF); }

TEST(UnreadBytes, CountsWhatNobodyHasRead) {
  Connection connection;
  EXPECT_EQ(unread_bytes(connection.accepted.get()), 0);
  ASSERT_TRUE(connection.peer.send(pattern(1, 1000)));
  ASSERT_TRUE(ready_for(connection.accepted.get(), POLLIN));
  EXPECT_EQ(unread_bytes(connection.accepted.get()), 1000);
  Peer reader(std::move(connection.accepted));
  reader.receive(400);
  EXPECT_EQ(unread_bytes(reader.fd()), 600);
  EXPECT_EQ(unread_bytes(-1), 0);
}

TEST(UnacknowledgedBytes, GoToNothingWhereThePeersHostHasThem) {
  Connection connection;
  EXPECT_EQ(unacknowledged_bytes(connection.peer.fd()), 0);
  ASSERT_TRUE(connection.peer.send("hello"));
  const Nanos give_up = now() + kPatience;
  while (unacknowledged_bytes(connection.peer.fd()) != 0 && now() < give_up) {
    ready_for(connection.peer.fd(), 0, kMillisecond);
  }
  EXPECT_EQ(unacknowledged_bytes(connection.peer.fd()), 0);
}

TEST(UnacknowledgedBytes, CountsWhatThePeerHasNoRoomFor) {
  const Fd listener = listen_on(local(), 16);
  Peer peer(Address::of_socket(listener.get()), 4096);
  Peer sender(Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)));
  ASSERT_GT(sender.try_send(pattern(1, 1'000'000)), 10'000U);
  EXPECT_GT(unacknowledged_bytes(sender.fd()), 0);
  EXPECT_EQ(unacknowledged_bytes(-1), 0);
}

}  // namespace
}  // namespace net::test
