// What one worker counted, and, summed, what the whole run did.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "loadgen/histogram.h"
#include "loadgen/tcp_sum.h"
#include "loadgen/tenths.h"
#include "net/clock.h"

namespace loadgen {

struct Tally {
  std::uint64_t connections_opened = 0;
  std::uint64_t connections_failed = 0;
  std::uint64_t connections_lost = 0;    // open ones that ended before the run did
  std::uint64_t connections_remade = 0;  // in the place of such
  std::uint64_t answered_in_window = 0;  // throughput's numerator
  std::uint64_t bytes_sent = 0;          // in the window
  std::uint64_t bytes_received = 0;      // from the window's beginning on
  std::uint64_t due = 0;                 // open loop: messages that fell due in the window
  std::uint64_t sent = 0;                // messages handed to the kernel in the window
  std::uint64_t unsent = 0;              // of those due: never sent
  std::uint64_t unanswered = 0;          // sent, and no reply in full
  std::uint64_t lost_unanswered = 0;     // of these: their connection ended
  std::uint64_t spoiled = 0;             // came back wrong, so they are no samples
  std::uint64_t corrupt = 0;
  TcpSum tcp;
  std::map<std::string, std::uint64_t> errors;  // by kind, those that make up `corrupt` included
  Histogram latency;   // one sample a message, ns: from when it was due (open loop) or sent
  Histogram service;   // open loop: from when it was sent
  Histogram send_lag;  // open loop: from when it was due until it was sent
  std::uint64_t replaced_in_window = 0;  // connections that were established in another's place
  Histogram connect;                     // of these, where begun in the window: until they were, ns
  Histogram stamp_error;  // of the samples above: by how much their stamps may be off, ns
  net::Nanos ended = 0;   // when the window ended for this worker
  int connect_errno = 0;  // of the first connection that failed

  // What tells whether the figures hold (loadgen/verdict.h); of the window.
  Tenths tenths;
  net::Nanos turnaround = 0;  // closed loop: from a reply until the next message was sent; a sum
  net::Nanos held_up = 0;     // open loop: of the lag, what passed without a free connection
  std::uint64_t parked = 0;   // sends that the kernel could not take at once
  double busy = 0;            // part of the time not spent waiting; of the busiest worker
  net::Nanos stalled = 0;     // loadgen did not run, though it should have; all workers
  net::Nanos longest_stall = 0;

  void count(const std::string& kind) { ++errors[kind]; }

  void add(const Tally& other) {
    connections_opened += other.connections_opened;
    connections_failed += other.connections_failed;
    connections_lost += other.connections_lost;
    connections_remade += other.connections_remade;
    answered_in_window += other.answered_in_window;
    bytes_sent += other.bytes_sent;
    bytes_received += other.bytes_received;
    due += other.due;
    sent += other.sent;
    unsent += other.unsent;
    unanswered += other.unanswered;
    lost_unanswered += other.lost_unanswered;
    spoiled += other.spoiled;
    corrupt += other.corrupt;
    tcp.add(other.tcp);
    for (const auto& [kind, number] : other.errors) errors[kind] += number;
    latency.add(other.latency);
    service.add(other.service);
    send_lag.add(other.send_lag);
    replaced_in_window += other.replaced_in_window;
    connect.add(other.connect);
    stamp_error.add(other.stamp_error);
    ended = std::max(ended, other.ended);
    if (connect_errno == 0) connect_errno = other.connect_errno;
    tenths.add(other.tenths);
    turnaround += other.turnaround;
    held_up += other.held_up;
    parked += other.parked;
    busy = std::max(busy, other.busy);
    stalled += other.stalled;
    longest_stall = std::max(longest_stall, other.longest_stall);
  }
};

}  // namespace loadgen
