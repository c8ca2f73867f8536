// What net/engine.h promises about the bytes: that all of them arrive, once, in order and
// unchanged, whoever is slow; who owns them meanwhile; and what a slow peer costs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "net/engine.h"
#include "net/testing_engine.h"
#include "net/testing_peer.h"

namespace net::test {
namespace {

TYPED_TEST_SUITE(EngineTest, Engines, EngineName);

constexpr int kTiny = 4096;  // a socket buffer so small that sends soon have to wait

// ---- receiving

TYPED_TEST(EngineTest, ReceivesPiecesOfEverySize) {
  auto& program = this->program();
  program.when_opened = [&](ConnId id) { program.recv(id); };
  program.when_received = [&](ConnId id, Bytes) { program.recv(id); };
  Accepted a = program.accept(program.listen());
  std::string all;
  for (const std::size_t size : std::vector<std::size_t>{
           1, 2, 3, 63, 2047, 2048, 2049, 4096, 10'000, 65'535, 65'536, 65'537, 100, 200'000, 1}) {
    std::string piece = pattern(size, size);
    all += piece;
    const auto send_rest = [&] { piece.erase(0, a.peer.try_send(piece)); };
    ASSERT_TRUE(program.drive(send_rest, [&] {
      return program.on(a.id).received.size() == all.size();
    })) << size;
  }
  EXPECT_TRUE(program.on(a.id).received == all);
}

TYPED_TEST(EngineTest, ReceivesWhatComesByteByByte) {
  auto& program = this->program();
  program.when_opened = [&](ConnId id) { program.recv(id); };
  program.when_received = [&](ConnId id, Bytes) { program.recv(id); };
  Accepted a = program.accept(program.listen());
  const std::string text = pattern(1, 300);
  for (std::size_t i = 0; i < text.size(); ++i) {
    ASSERT_TRUE(a.peer.send(text.substr(i, 1)));
    ASSERT_TRUE(program.until([&] { return program.on(a.id).received.size() == i + 1; }));
  }
  EXPECT_EQ(program.on(a.id).received, text);
}

TYPED_TEST(EngineTest, ReceivesUrgentBytesInTheirPlace) {
  auto& program = this->program();
  program.when_opened = [&](ConnId id) { program.recv(id); };
  program.when_received = [&](ConnId id, Bytes) { program.recv(id); };
  Accepted a = program.accept(program.listen());
  for (std::size_t i = 1; i <= 20; ++i) {
    ASSERT_TRUE(a.peer.send("before"));
    ASSERT_EQ(::send(a.peer.fd(), "!", 1, MSG_OOB), 1);
    ASSERT_TRUE(a.peer.send("after"));
    ASSERT_TRUE(program.until([&] { return program.on(a.id).received.size() == 12 * i; }));
  }
  EXPECT_EQ(program.on(a.id).received.substr(0, 24), "before!afterbefore!after");
}

/// A peer sends a MiB in pieces of this size, and nobody asks for it for a long time.
template <class IO>
void late_receiver(Program<IO>& program, std::size_t piece) {
  Accepted a = program.accept(program.listen());
  PatternPeer sender(std::move(a.peer), 7);
  constexpr std::size_t kAll = 1024 * 1024;
  program.keeps_received = false;
  program.recv(a.id);  // so that an engine which receives ahead has reason to
  sender.try_send(1);
  ASSERT_TRUE(program.until([&] { return program.on(a.id).pieces == 1; }));

  std::size_t held = 0;
  std::size_t received = 1;
  const auto send_on = [&] {
    if (sender.sent() < kAll) sender.try_send(std::min(piece, kAll - sender.sent()));
  };
  for (int i = 0; i < 300; ++i) {
    send_on();
    program.io().poll(program, now());
    const auto in_kernel = static_cast<std::size_t>(unread_bytes(program.io().fd(a.id)));
    held = std::max(held, program.io().unread(a.id) - in_kernel);
  }
  EXPECT_EQ(program.on(a.id).pieces, 1);
  EXPECT_LE(held, kMostKept);

  program.when_received = [&](ConnId id, Bytes bytes) {
    EXPECT_TRUE(text_of(bytes) == pattern(7, bytes.size(), received));
    received += bytes.size();
    if (received < kAll) program.recv(id);
  };
  program.recv(a.id);
  EXPECT_TRUE(program.drive(send_on, [&] { return received == kAll; }));
}

TYPED_TEST(EngineTest, LosesAndHoardsNothingWhenAskedLate) {
  for (const std::size_t piece : std::vector<std::size_t>{300, 2047, 2048, 5000, 65536, 1000000}) {
    SCOPED_TRACE(piece);
    this->make_program(0);
    late_receiver(this->program(), piece);
  }
}

TYPED_TEST(EngineTest, TellsWhatIsUnread) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  EXPECT_EQ(program.io().unread(a.id), 0U);
  for (int round = 1; round <= 3; ++round) {
    ASSERT_TRUE(a.peer.send(pattern(1, 1000)));
    ASSERT_TRUE(program.drive([] {}, [&] { return program.io().unread(a.id) == 1000; }));
    program.poll_a_while(3);
    EXPECT_EQ(program.io().unread(a.id), 1000U);
    program.recv(a.id);
    ASSERT_TRUE(program.until([&] { return program.on(a.id).pieces == round; }));
    EXPECT_EQ(program.io().unread(a.id), 0U);
  }
}

// ---- sending

TYPED_TEST(EngineTest, SendsWhatFitsAtOnce) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  for (const std::size_t size : std::vector<std::size_t>{1, 64, 2048, 16'384}) {
    const std::string text = pattern(2, size);
    const int before = program.on(a.id).sent;
    program.send(a.id, text);
    EXPECT_EQ(program.on(a.id).sent, before) << "a verb called the handler";
    ASSERT_TRUE(program.until([&] { return program.on(a.id).sent == before + 1; }));
    EXPECT_EQ(a.peer.receive(size), text);
  }
  program.poll_a_while();
  EXPECT_EQ(program.on(a.id).sent, 4);
  EXPECT_EQ(program.io().counters().parked, 0U);
}

TYPED_TEST(EngineTest, SendsNothingAndSaysSo) {
  auto& program = this->program();
  const Accepted a = program.accept(program.listen());
  program.send(a.id, Bytes());
  EXPECT_TRUE(program.until([&] { return program.on(a.id).sent == 1; }));
}

TYPED_TEST(EngineTest, SendsInOnSentWithoutEnd) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  const std::string numbers = pattern(3, 5000);
  std::size_t next = 0;
  program.when_sent = [&](ConnId id) {
    if (next < numbers.size()) program.send(id, std::string_view(numbers).substr(next++, 1));
  };
  program.when_sent(a.id);
  ASSERT_TRUE(program.until([&] { return program.on(a.id).sent == 5000; }));
  EXPECT_TRUE(a.peer.receive(5000) == numbers);
}

TYPED_TEST(EngineTest, SendsEverythingToASlowReader) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  const std::string much = pattern(4, 8 << 20);
  const std::string same = much;
  program.send(a.id, much);
  program.poll_a_while();
  EXPECT_EQ(program.on(a.id).sent, 0) << "said to be sent before the kernel had it";
  std::string got;
  const auto read_a_little = [&] { got += a.peer.try_receive(10'000); };
  ASSERT_TRUE(program.drive(read_a_little, [&] { return got.size() == much.size(); }));
  EXPECT_TRUE(got == same);
  EXPECT_TRUE(much == same);
  EXPECT_EQ(program.on(a.id).sent, 1);
  EXPECT_EQ(program.io().counters().parked, 1U);
}

TYPED_TEST(EngineTest, SendsEverythingThroughTinyBuffers) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen("127.0.0.1", kTiny), kTiny);
  const std::string much = pattern(5, 1 << 20);
  program.send(a.id, much);
  std::string got;
  const auto read_a_little = [&] { got += a.peer.try_receive(1000); };
  ASSERT_TRUE(program.drive(read_a_little, [&] { return got.size() == much.size(); }));
  EXPECT_TRUE(got == much);
}

TYPED_TEST(EngineTest, ParkedBytesOfTheCallerAreNotCopied) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  std::string much(16 << 20, 'a');
  program.send(a.id, much);
  ASSERT_TRUE(program.until([&] { return program.io().counters().parked == 1; }));
  much.back() = 'z';  // no program may do that
  std::string got;
  ASSERT_TRUE(program.drive([&] { got += a.peer.try_receive(); },
                            [&] { return got.size() == much.size(); }));
  EXPECT_EQ(got.back(), 'z');
}

TYPED_TEST(EngineTest, CloseDropsWhatIsParked) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen("127.0.0.1", kTiny), kTiny);
  const std::string much = pattern(6, 4 << 20);
  program.send(a.id, much);
  ASSERT_TRUE(program.until([&] { return program.io().counters().parked == 1; }));
  program.poll_a_while();
  program.close(a.id);
  ASSERT_TRUE(program.until_closed(a.id));
  EXPECT_EQ(program.on(a.id).error, 0);
  const std::string got = a.peer.receive_all();
  EXPECT_TRUE(a.peer.ended());
  EXPECT_LT(got.size(), much.size());
  EXPECT_TRUE(got == much.substr(0, got.size()));
}

TYPED_TEST(EngineTest, ReceivesWhileASendIsParked) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen("127.0.0.1", kTiny), kTiny);
  const std::string much = pattern(7, 1 << 20);
  program.send(a.id, much);
  ASSERT_TRUE(program.until([&] { return program.io().counters().parked == 1; }));
  program.when_received = [&](ConnId id, Bytes) { program.recv(id); };
  program.recv(a.id);
  PatternPeer speaker(std::move(a.peer), 8);
  const auto speak = [&] {
    if (speaker.sent() < 100'000) speaker.try_send(100'000 - speaker.sent());
  };
  ASSERT_TRUE(program.drive(speak, [&] { return program.on(a.id).received.size() == 100'000; }));
  EXPECT_TRUE(program.on(a.id).received == pattern(8, 100'000));
  EXPECT_EQ(program.on(a.id).sent, 0);
}

// ---- whose bytes they are

/// Sends until it can't any more, since what comes back is not read.
template <class IO>
bool fill(Program<IO>& program, std::vector<PatternPeer>& peers) {
  std::size_t before = 0;
  int steps_without_change = 0;
  return program.drive(
      [&] {
        std::size_t sent = 0;
        for (PatternPeer& peer : peers) {
          peer.try_send(50'000);
          sent += peer.sent();
        }
        steps_without_change = sent == before ? steps_without_change + 1 : 0;
        before = sent;
      },
      [&] { return steps_without_change == 20; });
}

TYPED_TEST(EngineTest, ParkedEchoesKeepTheirBytesWhileOthersUseTheBuffers) {
  auto& program = this->program();
  program.echo();
  const Address address = program.listen("127.0.0.1", kTiny);
  auto greedy = program.accept_patterns(40, address, kTiny);  // more than there are large buffers
  auto chatty = program.accept_patterns(4, address, 0, 100);
  ASSERT_TRUE(fill(program, greedy));
  EXPECT_GE(program.io().counters().parked, 40U);

  for (int round = 0; round < 20; ++round) {
    for (PatternPeer& peer : chatty) {
      peer.try_send(1 + static_cast<std::size_t>(round) * 500);
      ASSERT_TRUE(program.drive([&] { peer.try_receive(); },
                                [&] { return peer.received() == peer.sent(); }));
      ASSERT_TRUE(peer.intact());
    }
  }
  const auto read = [&] {
    for (PatternPeer& peer : greedy) peer.try_receive();
  };
  const auto has_all = [](const PatternPeer& peer) { return peer.has_all_back(); };
  EXPECT_TRUE(program.drive(read, [&] { return std::ranges::all_of(greedy, has_all); }));
}

/// One that relays what it receives from the first connection to others.
template <class IO>
struct Relay {
  explicit Relay(Program<IO>& the_program) : program(the_program) {
    program.keeps_received = false;
    address = program.listen("127.0.0.1", kTiny);
    Accepted a = program.accept(address);
    from = a.id;
    speaker.emplace_back(std::move(a.peer), 1);
    program.when_sent = [this](ConnId id) {
      if (id == bystander) return program.recv(id);
      if (--unsent == 0) program.recv(from);
    };
    Accepted other = program.accept(address);
    bystander = other.id;
    chatty.emplace_back(std::move(other.peer), 2);
  }

  /// What is received goes to these, by `share` as a whole or in parts.
  template <class Share>
  void to(std::vector<ConnId> targets, Share share) {
    program.when_received = [this, targets = std::move(targets), share](ConnId id, Bytes bytes) {
      if (id == bystander) return program.send(id, bytes);
      unsent = targets.size();
      for (std::size_t i = 0; i < targets.size(); ++i) program.send(targets[i], share(bytes, i));
    };
    program.recv(from);
    program.recv(bystander);
  }

  /// The shared buffers are used by somebody else.
  void chat() {
    PatternPeer& peer = chatty.front();
    for (int i = 0; i < 30; ++i) {
      peer.try_send(3000);
      ASSERT_TRUE(program.drive([&] { peer.try_receive(); },
                                [&] { return peer.received() == peer.sent(); }));
    }
    EXPECT_TRUE(peer.intact());
  }

  Program<IO>& program;
  Address address;
  ConnId from, bystander;
  std::vector<PatternPeer> speaker, chatty;  // one each
  std::size_t unsent = 0;
};

TYPED_TEST(EngineTest, RelaysToASlowReader) {
  auto& program = this->program();
  Relay relay(program);
  Accepted to = program.accept(relay.address, kTiny);
  relay.to({to.id}, [](Bytes bytes, std::size_t) { return bytes; });
  ASSERT_TRUE(fill(program, relay.speaker));
  EXPECT_GE(program.io().counters().parked, 1U);
  relay.chat();
  std::string got;
  const std::size_t sent = relay.speaker.front().sent();
  ASSERT_TRUE(
      program.drive([&] { got += to.peer.try_receive(); }, [&] { return got.size() == sent; }));
  EXPECT_TRUE(got == pattern(1, sent));
}

TYPED_TEST(EngineTest, SendsTheSameReceivedBytesToSeveral) {
  auto& program = this->program();
  Relay relay(program);
  Accepted fast = program.accept(relay.address);
  Accepted slow = program.accept(relay.address, kTiny);
  Accepted slower = program.accept(relay.address, kTiny);
  relay.to({slow.id, fast.id, slower.id, relay.from},
           [](Bytes bytes, std::size_t) { return bytes; });
  std::string from_fast, from_slow, from_slower, echo;
  const auto speak = [&] { relay.speaker.front().try_send(20'000); };
  ASSERT_TRUE(program.drive(speak, [&] { return program.io().counters().parked >= 2; }));
  relay.chat();
  const std::size_t sent = relay.speaker.front().sent();
  const auto read_all = [&] {
    from_fast += fast.peer.try_receive();
    from_slow += slow.peer.try_receive();
    from_slower += slower.peer.try_receive();
    echo += relay.speaker.front().peer().try_receive();
  };
  ASSERT_TRUE(program.drive(read_all, [&] {
    return from_fast.size() == sent && from_slow.size() == sent && from_slower.size() == sent &&
           echo.size() == sent;
  }));
  const std::string expected = pattern(1, sent);
  EXPECT_TRUE(from_fast == expected);
  EXPECT_TRUE(from_slow == expected);
  EXPECT_TRUE(from_slower == expected);
  EXPECT_TRUE(echo == expected);
}

TYPED_TEST(EngineTest, SendsPartsOfReceivedBytes) {
  auto& program = this->program();
  Relay relay(program);
  Accepted first = program.accept(relay.address, kTiny);
  Accepted second = program.accept(relay.address, kTiny);
  std::string for_first, for_second;
  relay.to({first.id, second.id}, [&](Bytes bytes, std::size_t part) {
    const std::size_t middle = bytes.size() / 3;
    const Bytes share = part == 0 ? bytes.first(middle) : bytes.subspan(middle);
    (part == 0 ? for_first : for_second) += text_of(share);
    return share;
  });
  ASSERT_TRUE(fill(program, relay.speaker));
  relay.chat();
  std::string got_first, got_second;
  const auto read = [&] {
    got_first += first.peer.try_receive();
    got_second += second.peer.try_receive();
  };
  const std::size_t sent = relay.speaker.front().sent();
  ASSERT_TRUE(program.drive(
      read, [&] { return got_first.size() + got_second.size() == sent && relay.unsent == 0; }));
  EXPECT_TRUE(got_first == for_first);
  EXPECT_TRUE(got_second == for_second);
}

TYPED_TEST(EngineTest, BytesSentOnOutliveTheConnectionTheyCameFrom) {
  auto& program = this->program();
  const Address address = program.listen("127.0.0.1", kTiny);
  Accepted from = program.accept(address);
  Accepted to = program.accept(address, kTiny);
  const std::string filler = pattern(1, 200'000);
  program.send(to.id, filler);
  ASSERT_TRUE(program.until([&] { return program.io().counters().parked == 1; }));
  std::string got;
  ASSERT_TRUE(program.drive([&] { got += to.peer.try_receive(1000); },
                            [&] { return program.on(to.id).sent == 1; }));

  std::string sent_on;
  program.when_received = [&](ConnId, Bytes bytes) {
    sent_on = text_of(bytes);
    program.send(to.id, bytes);
    program.close(from.id);
  };
  ASSERT_TRUE(from.peer.send(pattern(2, 40'000)));
  program.recv(from.id);
  ASSERT_TRUE(program.until_closed(from.id));
  const auto read = [&] { got += to.peer.try_receive(1000); };
  ASSERT_TRUE(program.drive(read, [&] { return got.size() == filler.size() + sent_on.size(); }));
  EXPECT_TRUE(got == filler + sent_on);
}

// ---- what a greedy peer costs the others

TYPED_TEST(EngineTest, AnswersAnIdleOneBesideManyThatSendAndDoNotRead) {
  auto& program = this->program();
  program.echo();
  const Address address = program.listen("127.0.0.1", kTiny);
  Accepted idle = program.accept(address);
  auto greedy = program.accept_patterns(100, address, kTiny);
  ASSERT_TRUE(fill(program, greedy));
  ASSERT_TRUE(idle.peer.send("are you there?"));
  ASSERT_TRUE(program.until([&] { return program.on(idle.id).sent == 1; }));
  EXPECT_EQ(idle.peer.receive(14), "are you there?");
  EXPECT_LE(program.largest_piece(), kMostKept);
}

TYPED_TEST(EngineTest, AnswersAPoliteOneBesideManyThatReadSlowly) {
  auto& program = this->program();
  program.echo();
  const Address address = program.listen("127.0.0.1", kTiny);
  Accepted polite = program.accept(address);
  auto slow = program.accept_patterns(200, address, kTiny);
  int polls = 0;
  const auto go_on = [&] {
    ++polls;
    for (std::size_t i = 0; i < slow.size(); ++i) {
      if (slow[i].sent() < slow[i].received() + 10'000) slow[i].try_send(12'000);
      if ((i + static_cast<std::size_t>(polls)) % 5 == 0) slow[i].try_receive();  // not all at once
    }
  };
  ASSERT_TRUE(program.drive(go_on, [&] { return program.io().counters().parked >= 400; }));
  for (int i = 1; i <= 20; ++i) {
    ASSERT_TRUE(polite.peer.send("are you there?"));
    const int before = polls;
    ASSERT_TRUE(program.drive(go_on, [&] { return program.on(polite.id).sent == i; }));
    EXPECT_LE(polls, before + 20) << "one has to wait for the others";
    ASSERT_EQ(polite.peer.receive(14), "are you there?");
  }
  EXPECT_TRUE(std::ranges::all_of(slow, &PatternPeer::intact));
}

TYPED_TEST(EngineTest, TakesNoMoreFromAPeerThatDoesNotRead) {
  auto& program = this->program();
  program.echo();
  Accepted a = program.accept(program.listen("127.0.0.1", kTiny), kTiny);
  std::vector<PatternPeer> greedy;
  greedy.emplace_back(std::move(a.peer), 1);
  ASSERT_TRUE(fill(program, greedy));
  const int pieces = program.on(a.id).pieces;
  program.poll_a_while();
  EXPECT_EQ(program.on(a.id).pieces, pieces);
  EXPECT_TRUE(program.on(a.id).sending);
}

// ---- stamps

TYPED_TEST(EngineTest, StampsASendBeforeThePeerSeesIt) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  Nanos previous = 0;
  for (int i = 1; i <= 50; ++i) {
    const Nanos before = now();
    Nanos stamp = 0;
    program.send(a.id, bytes_of("stamped"), &stamp);
    program.io().poll(program, now());
    ASSERT_EQ(a.peer.receive(7), "stamped");
    EXPECT_LE(stamp, now());
    EXPECT_GE(stamp, before);
    EXPECT_GE(stamp, previous);
    previous = stamp;
    ASSERT_TRUE(program.until([&] { return program.on(a.id).sent == i; }));
  }
}

TYPED_TEST(EngineTest, StampsALongSendWhenItBegins) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen("127.0.0.1", kTiny), kTiny);
  const std::string much = pattern(1, 100'000);
  Nanos stamp = 0;
  program.send(a.id, bytes_of(much), &stamp);
  ASSERT_TRUE(program.until([&] { return program.io().counters().parked == 1; }));
  const Nanos begun = now();
  ASSERT_TRUE(
      program.drive([&] { a.peer.try_receive(); }, [&] { return program.on(a.id).sent == 1; }));
  EXPECT_GT(stamp, 0);
  EXPECT_LE(stamp, begun);
}

TYPED_TEST(EngineTest, TellsWhenAReceiveCompletedAndHowSurelySo) {
  auto& program = this->program();
  Accepted a = program.accept(program.listen());
  program.when_opened = nullptr;
  for (int i = 1; i <= 50; ++i) {
    program.recv(a.id);
    program.poll_a_while(1);
    const Nanos sent = now();
    ASSERT_TRUE(a.peer.send("now"));
    program.when_received = [&](ConnId, Bytes) {
      const Nanos at = program.io().completed_at();
      const Nanos span = program.io().completed_span();
      EXPECT_GE(at, sent);
      EXPECT_LE(at, now());
      EXPECT_GE(span, 0);
      EXPECT_LE(span, now() - sent + kSecond) << "longer than it can have taken";
    };
    ASSERT_TRUE(program.until([&] { return program.on(a.id).pieces == i; }));
  }
}

}  // namespace
}  // namespace net::test
