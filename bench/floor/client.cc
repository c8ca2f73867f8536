// The floor's client as a program: takes loadgen's options and prints loadgen's result, so that the
// floor can stand in an experiment as one more subject. It looks at no byte, and it meets only
// floor_server, which takes the connections in the same order.
//
// --busy-poll=off waits asleep; any other spins. Of an open loop, of several threads and of churn
// it knows nothing.
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "bench/floor/in_turn.h"
#include "cli/complain.h"
#include "cli/exit_code.h"
#include "loadgen/context.h"
#include "loadgen/host_cpu.h"
#include "loadgen/options.h"
#include "loadgen/output_file.h"
#include "loadgen/result_json.h"
#include "loadgen/server_process.h"
#include "loadgen/source_addresses.h"
#include "loadgen/verdict.h"
#include "net/busy_poll.h"
#include "net/open_files.h"
#include "net/socket.h"

namespace bench {
namespace {

using loadgen::Options;
using loadgen::Result;

class Client {
 public:
  explicit Client(const Options& options)
      : options_(options),
        turn_(bytes_a_turn(options.message_size, options.pipeline)),
        message_(turn_),
        sources_(options.target) {
    result_.options = options;
    result_.started_at = std::chrono::system_clock::now();
  }

  Result operator()() {
    connect();
    server_ = loadgen::ServerProcess::find(options_.target);
    result_.usable_cpus = net::usable_cpus() + 1;
    if (!options_.cpus.empty()) net::pin_to_cpu(options_.cpus.front());
    if (options_.busy_poll.kind() == net::BusyPoll::Kind::kOff) {
      exchange<Waiting::kBlocking>();
    } else {
      exchange<Waiting::kSpinning>();
    }
    return std::move(result_);
  }

 private:
  struct Connection {
    net::Fd fd;
    net::Nanos sent_at = 0;
    std::size_t turns_left = 0;  // of the message that is under way
  };

  /// What is read at both ends of the window.
  struct Reading {
    net::Nanos at = 0;
    net::Nanos client = 0;
    net::Nanos server = 0;
    std::optional<loadgen::HostCpu> host;
  };

  Reading read() const {
    return {.at = net::now(),
            .client = loadgen::own_cpu_time(),
            .server = server_ ? server_->cpu_time() : 0,
            .host = loadgen::HostCpu::sample()};
  }

  void connect() {
    for (std::size_t i = 0; i < options_.connections; ++i) {
      Connection& c = connections_.emplace_back();
      const bool many = options_.connections > loadgen::SourceAddresses::kFew;
      c.fd = net::socket_for(options_.target, net::Mode::kBlocking,
                             {.source = many ? sources_.next() : nullptr});
      if (!c.fd) fail("socket");
      if (::connect(c.fd.get(), options_.target.data(), options_.target.size()) != 0) {
        fail("connect");
      }
      limit_waiting(c.fd.get());
    }
    result_.tally.connections_opened = connections_.size();
  }

  template <Waiting kWaiting>
  void exchange() {
    std::vector<std::byte> buffer(turn_);
    begin_ = net::now() + options_.warmup;
    end_ = begin_ + options_.duration;
    tenths_.window(begin_, end_);
    for (Connection& c : connections_) begin_message(c, net::now());
    Reading before = read();
    bool begun = false;
    // All end in the same round: the server would wait for one that has no more to say.
    for (std::size_t open = connections_.size(); open > 0;) {
      const bool last = net::now() >= end_;
      for (Connection& c : connections_) {
        await_reply<kWaiting>(c.fd, buffer);
        if (--c.turns_left > 0) {
          send_all(c.fd, message_);
          continue;
        }
        const net::Nanos t = net::now();
        if (!begun && t >= begin_) {
          begun = true;
          before = read();
        }
        complete(c, t);
        if (last) {
          --open;
        } else {
          begin_message(c, t);
        }
      }
    }
    report(before, read());
  }

  void begin_message(Connection& c, net::Nanos t) {
    c.sent_at = t;
    c.turns_left = options_.message_size * options_.pipeline / turn_;
    if (t >= begin_ && t < end_) result_.tally.sent += options_.pipeline;
    send_all(c.fd, message_);
  }

  void complete(const Connection& c, net::Nanos t) {
    loadgen::Tally& tally = result_.tally;
    for (std::size_t i = 0; i < options_.pipeline; ++i) {
      if (c.sent_at >= begin_ && c.sent_at < end_) tally.latency.record(t - c.sent_at);
      if (t < begin_ || t >= end_) continue;
      ++tally.answered_in_window;
      tenths_.record(tally.tenths, t, t - c.sent_at);
    }
  }

  void report(const Reading& before, const Reading& after) {
    const std::size_t size = options_.message_size;
    loadgen::Tally& tally = result_.tally;
    result_.elapsed = options_.duration;
    tally.ended = end_;
    tally.bytes_sent = tally.sent * size;
    tally.bytes_received = static_cast<std::uint64_t>(tally.latency.count()) * size;
    const net::Nanos between = after.at - before.at;
    result_.client = {.time = after.client - before.client, .elapsed = between};
    result_.steal_fraction = loadgen::steal_fraction(before.host, after.host);
    if (!server_) return;
    result_.server =
        loadgen::ServerUse{.pid = server_->pid(),
                           .command = server_->command(),
                           .threads = server_->threads(),
                           .cpu = {.time = after.server - before.server, .elapsed = between}};
  }

  const Options& options_;
  std::size_t turn_;
  std::vector<std::byte> message_;
  loadgen::SourceAddresses sources_;
  std::vector<Connection> connections_;
  std::optional<loadgen::ServerProcess> server_;
  loadgen::TenthsClock tenths_;
  net::Nanos begin_ = 0;
  net::Nanos end_ = 0;
  Result result_;
};

int measure(Options options) {
  if (options.rate || options.churn || options.messages || options.slo || options.threads > 1 ||
      options.self_test) {
    throw std::invalid_argument("the floor is a closed loop of one thread, for a duration");
  }
  options.verify = false;
  net::raise_open_files();
  nlohmann::ordered_json context = loadgen::collect_context();
  const Result result = Client(options)();
  const loadgen::Verdict verdict = loadgen::judge(result);
  const std::string json = loadgen::to_json(result, verdict, std::move(context)).dump(2) + "\n";
  loadgen::write_output(options.json.empty() ? "-" : options.json, json);
  return verdict.status == loadgen::Verdict::Status::kInvalid ? cli::kDoesNotHold : cli::kOk;
}

int main(int argc, const char* const* argv) {
  try {
    const auto parsed = loadgen::parse_options(argc, argv);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    return measure(std::get<Options>(parsed));
  } catch (const std::invalid_argument& usage) {
    cli::complain("floor_client", usage.what());
    return cli::kUsage;
  } catch (const std::exception& failure) {
    cli::complain("floor_client", failure.what());
    return cli::kFailed;
  }
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::main(argc, argv); }
