// The life of connections on a simulated kernel (net/simulated_engine.h): the input is the seed of
// a world and what its clients say. Whoever reads on gets back what was sent, and nothing is left.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/check.h"
#include "net/simulated_engine.h"
#include "server/echo_server.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::uint64_t seed = 0;
  if (size < sizeof seed) return 0;
  std::memcpy(&seed, data, sizeof seed);
  std::string_view said(reinterpret_cast<const char*>(data) + sizeof seed, size - sizeof seed);

  const server::Options options;
  net::Signals signals{SIGTERM};
  server::Housekeeping house(options, 100, signals);
  net::SimulatedEngine io(seed);
  std::vector<net::SimulatedPeer*> clients;
  do {
    const std::size_t end = std::min(said.find('\n'), said.size());
    const bool patient = end == 0 || said[end - 1] != '!';
    net::SimulatedPeer peer;
    peer.to_send = said.substr(0, end);
    peer.hangs_up = !patient && seed % 2 == 0;
    peer.resets = !patient && seed % 2 == 1;
    peer.piece = 1 + seed % 64;
    peer.room = 1 + seed % 32;
    clients.push_back(&io.invite(std::move(peer)));
    said.remove_prefix(std::min(end + 1, said.size()));
  } while (!said.empty() && clients.size() < 100);

  server::EchoServer<net::SimulatedEngine> echo(house);
  while (!io.settled()) io.poll(echo, io.now());
  fuzz::check(io.open() == 0 && house.connections() == 0, "nothing is left");
  for (const net::SimulatedPeer* client : clients) {
    fuzz::check(client->to_send.starts_with(client->received), "a prefix of what was sent");
    if (client->resets || client->hangs_up) continue;
    fuzz::check(client->received.size() == client->to_send.size(), "all of it");
  }
  return 0;
}
