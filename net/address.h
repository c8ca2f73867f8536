// Where a socket listens or connects: an IPv4 or IPv6 address with its port, read from and written
// as people write it (127.0.0.1:8888, [::1]:8888, localhost:8888).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace net {

class Address {
 public:
  Address() = default;
  /// Takes what getsockname(2), accept(2) or getaddrinfo(3) gave.
  Address(const sockaddr* address, socklen_t size);

  /// Resolves a name or a literal (brackets allowed) and takes the first answer of getaddrinfo(3).
  /// "localhost" is 127.0.0.1, the programs' own default; a literal asks no name server. Throws
  /// std::runtime_error that names the host and the reason.
  static Address resolve(const std::string& host, std::uint16_t port);

  /// "HOST:PORT", "HOST" or "[V6]:PORT"; without a port, `default_port`. Throws
  /// std::invalid_argument where the text has not that form, std::runtime_error where the name does
  /// not resolve.
  static Address parse(std::string_view text, std::uint16_t default_port);

  /// The address a socket is bound to.
  static Address of_socket(int fd);

  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }
  int family() const { return storage_.ss_family; }
  std::uint16_t port() const;
  bool is_loopback() const;

  /// "127.0.0.1:8888", "[::1]:8888": the form that parse() reads.
  std::string to_string() const;

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

}  // namespace net
