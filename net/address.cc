#include "net/address.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>

namespace net {
namespace {

constexpr const char* kForm = "HOST:PORT, HOST or [IPV6]:PORT, such as 127.0.0.1:8888";
constexpr const char* kPortForm = "HOST:PORT with a port from 1 to 65535, such as 127.0.0.1:8888";
constexpr const char* kIpv4Form =
    "an IPv4 address of four numbers from 0 to 255, such as 127.0.0.1";
constexpr const char* kIpv6Form =
    "an IPv6 address, in brackets where a port follows, such as [::1]:8888";

/// An IPv6 literal without its scope, which only getaddrinfo(3) can read.
bool is_ipv6(const std::string& host) {
  in6_addr ignored;
  return ::inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &ignored) == 1;
}

/// What inet_aton(3) would read as a number: it makes 0.0.34.184 of "8888", 8.0.0.1 of "010.1".
bool is_malformed_ipv4(const std::string& host) {
  in_addr ignored;
  return host.find_first_not_of("0123456789.") == std::string::npos &&
         ::inet_pton(AF_INET, host.c_str(), &ignored) != 1;
}

bool is_blank_or_control(char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; }

std::string without_brackets(const std::string& host) {
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  return bracketed ? host.substr(1, host.size() - 2) : host;
}

std::uint16_t parse_port(std::string_view text) {
  unsigned port = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  const bool leading_zero = text.starts_with('0');
  if (error != std::errc() || rest != end || leading_zero || port > 65535) {
    throw std::invalid_argument(kPortForm);
  }
  return static_cast<std::uint16_t>(port);
}

struct HostAndPort {
  std::string_view host;
  std::optional<std::string_view> port;
};

HostAndPort split_bracketed(std::string_view text) {
  const std::size_t end = text.find(']');
  if (end == std::string_view::npos) throw std::invalid_argument(kIpv6Form);
  const std::string_view host = text.substr(1, end - 1);
  const std::string_view rest = text.substr(end + 1);
  if (rest.empty()) return {host, std::nullopt};
  if (rest.front() != ':') throw std::invalid_argument(kForm);
  return {host, rest.substr(1)};
}

/// More than one colon and no brackets: all of it is an IPv6 address, as ::1:8888 is one.
HostAndPort split(std::string_view text) {
  if (text.starts_with('[')) return split_bracketed(text);
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) {
    return {text, std::nullopt};
  }
  return {text.substr(0, colon), text.substr(colon + 1)};
}

void check_host(const std::string& host, bool bracketed) {
  if (host.empty() || std::any_of(host.begin(), host.end(), is_blank_or_control)) {
    throw std::invalid_argument(kForm);
  }
  const bool wants_ipv6 = bracketed || host.find(':') != std::string::npos;
  if (wants_ipv6 && !is_ipv6(host)) throw std::invalid_argument(kIpv6Form);
  if (is_malformed_ipv4(host)) throw std::invalid_argument(kIpv4Form);
}

[[noreturn]] void fail(const std::string& host, const std::string& reason) {
  throw std::runtime_error("cannot resolve '" + host + "': " + reason);
}

std::string reason_of(int resolver_error, bool literal) {
  if (resolver_error == EAI_SYSTEM) return std::generic_category().message(errno);
  if (literal && resolver_error == EAI_NONAME) return "no such IPv6 address or interface";
  return ::gai_strerror(resolver_error);
}

}  // namespace

Address::Address(const sockaddr* address, socklen_t size)
    : size_(std::min<socklen_t>(size, sizeof storage_)) {
  std::memcpy(&storage_, address, size_);
}

Address Address::resolve(const std::string& host, std::uint16_t port) {
  // The same everywhere (RFC 6761, section 6.3), even where no /etc/hosts says so.
  const std::string name = host == "localhost" ? "127.0.0.1" : without_brackets(host);
  if (name.empty()) fail(host, "it is empty");
  if (is_malformed_ipv4(name)) fail(host, kIpv4Form);
  const bool literal = host.starts_with('[') || name.find(':') != std::string::npos;

  addrinfo hints{};
  hints.ai_family = literal ? AF_INET6 : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = literal ? AI_NUMERICHOST : 0;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(name.c_str(), nullptr, &hints, &found);
  if (error != 0) fail(host, reason_of(error, literal));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);

  Address address(found->ai_addr, found->ai_addrlen);
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  reinterpret_cast<sockaddr_in*>(&address.storage_)->sin_port = htons(port);
  return address;
}

Address Address::parse(std::string_view text, std::uint16_t default_port) {
  const HostAndPort parts = split(text);
  const std::string host(parts.host);
  check_host(host, text.starts_with('['));
  return resolve(host, parts.port ? parse_port(*parts.port) : default_port);
}

Address Address::of_socket(int fd) {
  Address address;
  address.size_ = sizeof address.storage_;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage_), &address.size_) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot tell a socket's address");
  }
  return address;
}

std::uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(data())->sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(data())->sin6_port);
  return 0;
}

bool Address::is_loopback() const {
  if (family() == AF_INET) {
    const auto& ip = reinterpret_cast<const sockaddr_in*>(data())->sin_addr;
    return ntohl(ip.s_addr) >> 24 == IN_LOOPBACKNET;
  }
  if (family() != AF_INET6) return false;
  const auto& ip = reinterpret_cast<const sockaddr_in6*>(data())->sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&ip) || (IN6_IS_ADDR_V4MAPPED(&ip) && ip.s6_addr[12] == 127);
}

std::string Address::to_string() const {
  if (family() != AF_INET && family() != AF_INET6) return "unspecified";
  char host[NI_MAXHOST];
  const int error = ::getnameinfo(data(), size_, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
  if (error != 0) return "unspecified";
  const std::string port_text = std::to_string(port());
  return family() == AF_INET6 ? "[" + std::string(host) + "]:" + port_text
                              : std::string(host) + ":" + port_text;
}

}  // namespace net
