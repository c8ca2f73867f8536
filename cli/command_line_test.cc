// The command line as a user meets it: what is read, what is refused and in which words, and that
// a refusal has no effect. getopt_long(3) is the referee of the syntax.
#include "cli/command_line.h"

#include <fcntl.h>
#include <getopt.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "cli/exit_code.h"
#include "cli/units.h"
#include "cli/version.h"

namespace {

using Strings = std::vector<std::string>;

struct Outcome {
  std::optional<int> code;
  std::string out;
  std::string err;
};

Outcome parse(cli::CommandLine& line, const Strings& args) {
  std::vector<const char*> argv = {"./loadgen"};
  for (const std::string& arg : args) argv.push_back(arg.c_str());
  const int argc = static_cast<int>(argv.size());
  argv.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.code = line.parse(argc, argv.data());
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

/// A small loadgen that notes what it was told: "size=64", "quiet", "target=h:1".
struct Program {
  Program() {
    line.positional("HOST:PORT", "Where the server listens (default 127.0.0.1:8888)", 1,
                    note("target"));
    line.group("Load");
    line.option("-c,--connections", "N", "Connections to keep open (default 1)",
                [this](std::string_view text) {
                  cli::parse_count(text, 1, 100'000);
                  note("connections")(text);
                });
    line.option("-d,--duration", "TIME", "How long to measure, after the warm-up (default 10s)",
                [this](std::string_view text) {
                  cli::parse_duration(text, 1'000'000, 3'600'000'000'000);
                  note("duration")(text);
                });
    line.option("-s,--size", "BYTES", "Size of a message (default 64)",
                [this](std::string_view text) {
                  cli::parse_bytes(text, 1, 64 << 20);
                  note("size")(text);
                });
    line.group("Output");
    line.option("--json", "FILE",
                "Write the result as JSON to FILE, or to stdout with -; results/schema.json says "
                "what it holds",
                note("json"));
    line.option("--busy-poll", "auto|off|always|TIME", "How long to spin\nbefore sleeping",
                note("busy-poll"));
    line.option("-y", "N", "An option without a long name", note("y"));
    line.flag("-q,--quiet", "No live line", [this] { calls.push_back("quiet"); });
    line.flag("-x", "A flag without a long name", [this] { calls.push_back("x"); });
    line.flag("--strict", "A flag that does not go with x", [this] {
      calls.push_back("strict");
      if (std::count(calls.begin(), calls.end(), "x") > 0) throw cli::BadValue("without -x only");
    });
    line.footer("Exit codes: 0 fine, 2 bad usage.");
  }

  std::function<void(std::string_view)> note(const std::string& name) {
    return [this, name](std::string_view text) { calls.push_back(name + "=" + std::string(text)); };
  }

  Outcome run(const Strings& args) { return parse(line, args); }

  Strings calls;
  cli::CommandLine line{"loadgen",
                        "Loads a TCP echo server over many connections, checks every byte that "
                        "comes back, and reports throughput and latency."};
};

void expect_calls(const Strings& args, const Strings& calls) {
  Program program;
  const Outcome outcome = program.run(args);
  EXPECT_EQ(outcome.code, std::nullopt) << testing::PrintToString(args) << outcome.err;
  EXPECT_EQ(outcome.out + outcome.err, "") << testing::PrintToString(args);
  EXPECT_EQ(program.calls, calls) << testing::PrintToString(args);
}

void expect_refused(const Strings& args, const std::string& message, const Strings& calls = {}) {
  Program program;
  const Outcome outcome = program.run(args);
  EXPECT_EQ(outcome.code, cli::kUsage) << testing::PrintToString(args);
  EXPECT_EQ(outcome.err, "loadgen: " + message + "\n") << testing::PrintToString(args);
  EXPECT_EQ(outcome.out, "") << testing::PrintToString(args);
  EXPECT_EQ(program.calls, calls) << testing::PrintToString(args);
}

const std::string kSizes = "a size from 1 to 64MiB, such as 64 or 64KiB";
const std::string kTimes = "a time from 1ms to 1h in ns, us, ms, s, m or h, such as 30s or 1.5ms";

TEST(CommandLine, ReadsEachWayToWriteAnOption) {
  expect_calls({}, {});
  expect_calls({"--size=64KiB"}, {"size=64KiB"});
  expect_calls({"--size", "64KiB"}, {"size=64KiB"});
  expect_calls({"-s64"}, {"size=64"});
  expect_calls({"-s", "64"}, {"size=64"});
  expect_calls({"-qxs64"}, {"quiet", "x", "size=64"});
  expect_calls({"-qx", "-s", "64"}, {"quiet", "x", "size=64"});
  expect_calls({"-y1"}, {"y=1"});
  expect_calls({"--quiet"}, {"quiet"});
}

TEST(CommandLine, CallsInTheOrderOfTheLine) {
  expect_calls({"--quiet", "h:1", "-s64", "-c", "500"},
               {"quiet", "target=h:1", "size=64", "connections=500"});
  expect_calls({"-c500", "-s64", "h:1", "-q"},
               {"connections=500", "size=64", "target=h:1", "quiet"});
}

TEST(CommandLine, PassesValuesAndArgumentsAsTheyAre) {
  expect_calls({"--json", "-"}, {"json=-"});
  expect_calls({"--json=-"}, {"json=-"});
  expect_calls({"--json=--quiet"}, {"json=--quiet"});
  expect_calls({"--json=a=b"}, {"json=a=b"});
  expect_calls({"--json=[a,b]"}, {"json=[a,b]"});
  expect_calls({"--json", "[a,b]"}, {"json=[a,b]"});
  expect_calls({"--json", "-nonsense"}, {"json=-nonsense"});
  expect_calls({"--json= a\tb "}, {"json= a\tb "});
  expect_calls({"--json={}"}, {"json={}"});
  expect_calls({"--json=%%"}, {"json=%%"});
  expect_calls({"[::1]"}, {"target=[::1]"});
  expect_calls({"-"}, {"target=-"});
  expect_calls({""}, {"target="});
  expect_calls({"/q"}, {"target=/q"});
  expect_calls({"++"}, {"target=++"});
  expect_calls({"--", "--quiet"}, {"target=--quiet"});
  expect_calls({"--", "--"}, {"target=--"});
  expect_calls({"-q", "--"}, {"quiet"});
}

TEST(CommandLine, NamesOptionValueAndWhatIsAllowed) {
  expect_refused({"--size=0"}, "--size: '0' is not allowed: " + kSizes);
  expect_refused({"--size", "0"}, "--size: '0' is not allowed: " + kSizes);
  expect_refused({"-s0"}, "--size: '0' is not allowed: " + kSizes);
  expect_refused({"-s=5"}, "--size: '=5' is not allowed: " + kSizes);
  expect_refused({"-size", "5"}, "--size: 'ize' is not allowed: " + kSizes);
  expect_refused({"--size=99999999999999999999"},
                 "--size: '99999999999999999999' is not allowed: " + kSizes);
  expect_refused({"-c", "-1"},
                 "--connections: '-1' is not allowed: a number from 1 to 100k, such as 500 or 10k");
}

TEST(CommandLine, RefusesNegativeValuesHoweverTheyAreWritten) {
  const std::string refusal = "--duration: '-5s' is not allowed: " + kTimes;
  expect_refused({"--duration=-5s"}, refusal);
  expect_refused({"--duration", "-5s"}, refusal);
  expect_refused({"-d", "-5s"}, refusal);
  expect_refused({"-d-5s"}, refusal);
  expect_refused({"--duration=-1"}, "--duration: '-1' is not allowed: " + kTimes);
}

TEST(CommandLine, RefusesEmptyAndMissingValues) {
  expect_refused({"--size="}, "--size: '' is not allowed: " + kSizes);
  expect_refused({"--size", ""}, "--size: '' is not allowed: " + kSizes);
  expect_refused({"-s", ""}, "--size: '' is not allowed: " + kSizes);
  expect_refused({"--size=", "64"}, "--size: '' is not allowed: " + kSizes);
  expect_refused({"--json="}, "--json: '' is not allowed: a value that is not empty", {"json="});
  expect_refused({"--size"}, "--size: a value is missing: --size=BYTES");
  expect_refused({"-s"}, "--size: a value is missing: --size=BYTES");
  expect_refused({"-y"}, "-y: a value is missing: -y N");
  expect_refused({"--json", "--quiet"}, "--json: a value is missing before '--quiet': --json=FILE");
  expect_refused({"--json", "-s5"}, "--json: a value is missing before '-s5': --json=FILE");
  expect_refused({"--json", "--"}, "--json: a value is missing before '--': --json=FILE");
  expect_refused({"--json", "--nonsense"},
                 "--json: a value is missing before '--nonsense': --json=FILE");
}

TEST(CommandLine, RefusesAValueWhereNoneBelongs) {
  expect_refused({"--quiet=5"}, "--quiet: '5' is not allowed: it takes no value");
  expect_refused({"--quiet="}, "--quiet: '' is not allowed: it takes no value");
  expect_refused({"--quiet=false"}, "--quiet: 'false' is not allowed: it takes no value");
  expect_refused({"--help=5"}, "--help: '5' is not allowed: it takes no value");
  expect_refused({"-q-x"}, "unknown option '--' in '-q-x', see --help");
  expect_refused({"-q=5"}, "unknown option '-=' in '-q=5', see --help");
}

TEST(CommandLine, RefusesRepetition) {
  expect_refused({"--size=1", "-s2"}, "--size: given more than once");
  expect_refused({"--size=1", "--size=1"}, "--size: given more than once");
  expect_refused({"-qq"}, "--quiet: given more than once");
  expect_refused({"-x", "-x"}, "-x: given more than once");
  expect_refused({"a", "b"}, "'b' is one argument too many, see --help");
  expect_refused({"a", "--", "--"}, "'--' is one argument too many, see --help");
}

TEST(CommandLine, ProposesTheOptionThatWasMeant) {
  expect_refused({"--szie=5"}, "unknown option '--szie'; did you mean --size?");
  expect_refused({"--Size=5"}, "unknown option '--Size'; did you mean --size?");
  expect_refused({"--conections"}, "unknown option '--conections'; did you mean --connections?");
  expect_refused({"--busy_poll=off"}, "unknown option '--busy_poll'; did you mean --busy-poll?");
  expect_refused({"--verison"}, "unknown option '--verison'; did you mean --version?");
  expect_refused({"--conn=5"}, "unknown option '--conn'; did you mean --connections?");
  expect_refused({"--c=5"}, "unknown option '--c'; did you mean -c?");
  expect_refused({"-busy-poll=off"}, "unknown option '-busy-poll'; did you mean --busy-poll?");
}

TEST(CommandLine, ProposesNothingFarFetched) {
  expect_refused({"--frobnicate"}, "unknown option '--frobnicate', see --help");
  expect_refused({"--z"}, "unknown option '--z', see --help");
  expect_refused({"-z"}, "unknown option '-z', see --help");
  expect_refused({"-qzx"}, "unknown option '-z' in '-qzx', see --help");
  expect_refused({"-1"}, "unknown option '-1', see --help");
  expect_refused({"--="}, "unknown option '--', see --help");
  expect_refused({"---"}, "unknown option '---', see --help");
  expect_refused({"--arguments"}, "unknown option '--arguments', see --help");
}

TEST(CommandLine, NeverAbbreviates) {
  const std::string name = "--connections";
  for (std::size_t length = 3; length < name.size(); ++length) {
    Program program;
    EXPECT_EQ(program.run({name.substr(0, length) + "=5"}).code, cli::kUsage) << length;
    EXPECT_EQ(program.calls, Strings{});
  }
}

TEST(CommandLine, KeepsTheTerminalSafe) {
  expect_refused({"--size=\x1b[31m\n\x7f\xc2\x9b"},
                 "--size: '\\x1b[31m\\x0a\\x7f\\xc2\\x9b' is not allowed: " + kSizes);
  expect_refused({"--si\rze"}, "unknown option '--si\\x0dze'; did you mean --size?");
  expect_refused({"-\x1b"}, "unknown option '-\\x1b', see --help");
  expect_refused({"a", "b\nc"}, "'b\\x0ac' is one argument too many, see --help");
  expect_refused({"--quiet=\n"}, "--quiet: '\\x0a' is not allowed: it takes no value");
  expect_refused({"--json", "--\n"}, "--json: a value is missing before '--\\x0a': --json=FILE");
}

TEST(CommandLine, ShortensAMegabyte) {
  constexpr std::size_t kMegabyte = 1 << 20;
  const std::string begin(64, '9');
  expect_refused({"--size=" + std::string(kMegabyte, '9')},
                 "--size: '" + begin + "...' (1048576 bytes) is not allowed: " + kSizes);
  for (const char* prefix : {"", "-", "--", "-q", "--quiet=", "-s", "--json --"}) {
    Program program;
    const Outcome outcome = program.run({"target", prefix + std::string(kMegabyte, '\n')});
    EXPECT_EQ(outcome.code, cli::kUsage) << prefix;
    EXPECT_LT(outcome.err.size(), 1'000U) << prefix;
  }
}

TEST(CommandLine, ShortensAReasonThatQuotesTheUser) {
  cli::CommandLine line("loadgen", "");
  line.positional("HOST:PORT", "", 1, [](std::string_view text) {
    throw cli::BadValue("an address that resolves, unlike " + std::string(text));
  });
  const Outcome outcome = parse(line, {std::string(1 << 20, '\x1b')});
  EXPECT_EQ(outcome.code, cli::kUsage);
  EXPECT_LT(outcome.err.size(), 3'000U);
  EXPECT_EQ(outcome.err.find('\x1b'), std::string::npos);
}

TEST(CommandLine, HasNoEffectBeforeTheSyntaxIsAccepted) {
  for (const Strings& end : std::vector<Strings>{
           {"--szie=5"}, {"-z"}, {"--size"}, {"-q", "-q"}, {"--quiet=5"}, {"a", "b"}, {"-s1"}}) {
    Program program;
    Strings args = {"-s64", "-c", "500", "--json=-"};
    args.insert(args.end(), end.begin(), end.end());
    EXPECT_EQ(program.run(args).code, cli::kUsage) << testing::PrintToString(end);
    EXPECT_EQ(program.calls, Strings{}) << testing::PrintToString(end);
  }
}

TEST(CommandLine, StopsAtTheFirstBadValue) {
  expect_refused({"-c500", "-s0", "--quiet"}, "--size: '0' is not allowed: " + kSizes,
                 {"connections=500"});
  expect_refused({"-x", "--strict", "-q"}, "--strict is not allowed: without -x only",
                 {"x", "strict"});
}

TEST(CommandLine, LetsOtherExceptionsPass) {
  cli::CommandLine line("loadgen", "");
  line.positional("HOST:PORT", "", 1,
                  [](std::string_view) { throw std::runtime_error("no such host"); });
  const std::array<const char*, 3> argv = {"loadgen", "nowhere", nullptr};
  EXPECT_THROW(line.parse(2, argv.data()), std::runtime_error);
}

TEST(CommandLine, RefusesArgumentsWhereThereAreNone) {
  cli::CommandLine line("echo-server", "");
  const Outcome outcome = parse(line, {"8888"});
  EXPECT_EQ(outcome.code, cli::kUsage);
  EXPECT_EQ(outcome.err, "echo-server: '8888' is one argument too many, see --help\n");
}

TEST(CommandLine, TakesManyArgumentsInOrder) {
  Strings seen;
  cli::CommandLine line("echo-client", "");
  line.positional("MESSAGE", "", INT_MAX,
                  [&seen](std::string_view text) { seen.emplace_back(text); });
  line.flag("-q", "", [&seen] { seen.emplace_back("-q"); });
  EXPECT_EQ(parse(line, {"[a,b]", "", "-q", "-", "--", "-q", "a"}).code, std::nullopt);
  EXPECT_EQ(seen, (Strings{"[a,b]", "", "-q", "-", "-q", "a"}));
}

TEST(CommandLine, NamesTheArgumentThatIsNotAllowed) {
  cli::CommandLine line("echo-client", "");
  line.positional("HOST:PORT", "", 2, [](std::string_view text) {
    if (text != "h:1") throw cli::BadValue("an address such as 127.0.0.1:8888");
  });
  EXPECT_EQ(parse(line, {"h:1", "h:x"}).err,
            "echo-client: HOST:PORT: 'h:x' is not allowed: an address such as 127.0.0.1:8888\n");
}

TEST(CommandLine, SurvivesALineWithoutAProgramName) {
  Program program;
  const char* const nothing[] = {nullptr};
  EXPECT_EQ(program.line.parse(0, nothing), std::nullopt);
}

const std::string kHelp =
    R"(Usage: loadgen [OPTION]... [HOST:PORT]

Loads a TCP echo server over many connections, checks every byte that comes
back, and reports throughput and latency.

Arguments:
  HOST:PORT            Where the server listens (default 127.0.0.1:8888)

Load:
  -c, --connections=N  Connections to keep open (default 1)
  -d, --duration=TIME  How long to measure, after the warm-up (default 10s)
  -s, --size=BYTES     Size of a message (default 64)

Output:
      --json=FILE      Write the result as JSON to FILE, or to stdout with -;
                       results/schema.json says what it holds
      --busy-poll=auto|off|always|TIME
                       How long to spin
                       before sleeping
  -y N                 An option without a long name
  -q, --quiet          No live line
  -x                   A flag without a long name
      --strict         A flag that does not go with x

Help:
  -h, --help           Print this help and exit
      --version        Print the version and exit

Exit codes: 0 fine, 2 bad usage.
)";

TEST(Help, IsGroupedByTopicAndFitsATerminal) {
  for (const char* option : {"--help", "-h", "-qh"}) {
    Program program;
    const Outcome outcome = program.run({option});
    EXPECT_EQ(outcome.code, cli::kOk) << option;
    EXPECT_EQ(outcome.out, kHelp) << option;
    EXPECT_EQ(outcome.err, "") << option;
    EXPECT_EQ(program.calls, Strings{}) << option;
  }
}

TEST(Help, WinsOverWhatFollowsAndOverBadValues) {
  expect_refused({"--frobnicate", "--help"}, "unknown option '--frobnicate', see --help");
  for (const Strings& args : std::vector<Strings>{
           {"--help", "--frobnicate"}, {"--size=0", "--help"}, {"-h", "--version"}}) {
    Program program;
    EXPECT_EQ(program.run(args).out, kHelp) << testing::PrintToString(args);
    EXPECT_EQ(program.calls, Strings{});
  }
}

TEST(Help, DoesNotOfferAHiddenOption) {
  const std::string line = "  -q, --quiet          No live line\n";
  std::string help = kHelp;
  help.erase(help.find(line), line.size());
  const auto run = [](const Strings& args) {
    Program program;
    program.line.hide("--quiet");
    return std::pair(program.run(args), program.calls);
  };
  EXPECT_EQ(run({"--help"}).first.out, help);
  EXPECT_EQ(run({"--quite"}).first.err, "loadgen: unknown option '--quite', see --help\n");
  EXPECT_EQ(run({"--quiet"}).second, Strings{"quiet"});
}

TEST(Help, ShowsHowManyArgumentsThereMayBe) {
  const auto usage = [](const std::string& name, int max_count) {
    cli::CommandLine line("echo-client", "Says it.");
    line.positional(name, "What to say", max_count, [](std::string_view) {});
    const std::string help = parse(line, {"--help"}).out;
    return help.substr(0, help.find('\n'));
  };
  EXPECT_EQ(usage("MESSAGE", 1), "Usage: echo-client [OPTION]... [MESSAGE]");
  EXPECT_EQ(usage("MESSAGE", 9), "Usage: echo-client [OPTION]... [MESSAGE]...");
  EXPECT_EQ(usage("[HOST:PORT] [MESSAGE]...", 9),
            "Usage: echo-client [OPTION]... [HOST:PORT] [MESSAGE]...");
}

TEST(Version, NamesProgramVersionAndRevision) {
  Program program;
  const Outcome outcome = program.run({"--version"});
  EXPECT_EQ(outcome.code, cli::kOk);
  EXPECT_EQ(outcome.out, "loadgen " + std::string(cli::version()) + " (" +
                             std::string(cli::git_revision()) + ")\n");
  EXPECT_FALSE(cli::version().empty());
  EXPECT_FALSE(cli::git_revision().empty());
}

[[noreturn]] void exit_with(const char* option) {
  Program program;
  const std::array<const char*, 3> argv = {"loadgen", option, nullptr};
  _exit(program.line.parse(2, argv.data()).value_or(99));
}

TEST(StdoutDeathTest, IsReportedWhereItCannotBeWritten) {
  for (const char* option : {"--help", "--version"}) {
    EXPECT_EXIT(
        {
          dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO);
          exit_with(option);
        },
        testing::ExitedWithCode(cli::kFailed),
        "^loadgen: cannot write to standard output: No space left on device\n$");
    EXPECT_EXIT(
        {
          close(STDOUT_FILENO);
          exit_with(option);
        },
        testing::ExitedWithCode(cli::kFailed),
        "^loadgen: cannot write to standard output: Bad file descriptor\n$");
  }
}

// Random lines, judged by getopt_long(3): it accepts more (abbreviations, repetitions, options as
// values), so a line that CommandLine accepts it must accept too, and read the same way.
namespace oracle {

struct Reading {
  bool accepted = true;
  Strings options;
  Strings arguments;
};

Reading read(Strings args) {
  static const std::array<option, 5> kOptions = {{{"size", required_argument, nullptr, 's'},
                                                  {"json", required_argument, nullptr, 'j'},
                                                  {"quiet", no_argument, nullptr, 'q'},
                                                  {"help", no_argument, nullptr, 'h'},
                                                  {}}};
  std::vector<char*> argv;
  args.insert(args.begin(), "program");
  for (std::string& arg : args) argv.push_back(arg.data());
  const int argc = static_cast<int>(argv.size());
  argv.push_back(nullptr);
  Reading reading;
  optind = 0;
  opterr = 0;
  for (int c; (c = getopt_long(argc, argv.data(), "s:qxh", kOptions.data(), nullptr)) != -1;) {
    if (c == '?') reading.accepted = false;
    std::string& read = reading.options.emplace_back(1, static_cast<char>(c));
    if (optarg != nullptr) read.append("=").append(optarg);
  }
  for (int i = optind; i < argc; ++i) reading.arguments.emplace_back(argv[static_cast<size_t>(i)]);
  return reading;
}

}  // namespace oracle

Strings random_line(std::mt19937& random) {
  static const Strings kWords = {"--size", "--size=64", "--size=",   "-s",        "-s64",  "-s=5",
                                 "--json", "--json=-",  "-q",        "-x",        "-qx",   "-qs5",
                                 "-q-x",   "-qs",       "--quiet",   "--quiet=1", "--",    "-",
                                 "host",   "[a,b]",     "",          "--szie",    "--siz", "-1",
                                 "-5s",    "--=",       "---",       "/q",        "{}",    "++",
                                 "%%",     "64",        "--json=--", "--json=[",  "a=b",   "-xj"};
  Strings line;
  for (std::size_t n = 1 + random() % 5; n > 0; --n) {
    std::string word = kWords[random() % kWords.size()];
    if (random() % 5 == 0) {
      const char byte = static_cast<char>(1 + random() % 255);
      word.insert(word.begin() + static_cast<long>(random() % (word.size() + 1)), byte);
    }
    line.push_back(word);
  }
  return line;
}

/// What CommandLine makes of a line, with the options that the referee knows.
struct Listener {
  Listener() {
    line.option("-s,--size", "BYTES", "", note("s"));
    line.option("--json", "FILE", "", note("j"));
    line.flag("-q,--quiet", "", [this] { options.push_back("q"); });
    line.flag("-x", "", [this] { options.push_back("x"); });
    line.positional("NAME", "", 3, [this](std::string_view text) { arguments.emplace_back(text); });
  }

  std::function<void(std::string_view)> note(const std::string& name) {
    return
        [this, name](std::string_view text) { options.push_back(name + "=" + std::string(text)); };
  }

  Strings options;
  Strings arguments;
  cli::CommandLine line{"loadgen", ""};
};

void expect_one_printable_line(const Outcome& outcome) {
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.err.starts_with("loadgen: ")) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  EXPECT_TRUE(std::all_of(outcome.err.begin(), outcome.err.end() - 1, [](char c) {
    return c >= ' ' && c <= '~';
  })) << testing::PrintToString(outcome.err);
}

TEST(CommandLine, AgreesWithGetoptOnRandomLines) {
  std::mt19937 random(20'260'102);
  int good = 0;
  int bad = 0;
  while (bad < 10'000) {
    const Strings args = random_line(random);
    SCOPED_TRACE(testing::PrintToString(args));
    Listener heard;
    const Outcome outcome = parse(heard.line, args);
    const oracle::Reading expected = oracle::read(args);
    if (outcome.code == cli::kUsage) {
      ++bad;
      expect_one_printable_line(outcome);
    } else if (outcome.code == cli::kOk) {
      EXPECT_EQ(std::count(expected.options.begin(), expected.options.end(), "h"), 1);
    } else {
      ++good;
      EXPECT_EQ(outcome.out + outcome.err, "");
      EXPECT_TRUE(expected.accepted);
      EXPECT_EQ(heard.options, expected.options);
      EXPECT_EQ(heard.arguments, expected.arguments);
    }
    if (HasFailure()) break;
  }
  EXPECT_GT(good, 2'000) << "the generator must also write what is allowed";
}

}  // namespace
