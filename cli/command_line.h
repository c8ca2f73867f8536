// The command line of every program: GNU long options, --help by topic, --version, and one line on
// stderr for a mistake. Nothing of the program runs before the whole line was read, so a mistake at
// its end has no more effect than one at its start.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace cli {

/// Options, flags and arguments, each with the function that takes its value. They are written
/// --size=64, --size 64, -s64 or -s 64; flags may be joined (-qx, -qs64); "--" ends them; none may
/// be given twice or abbreviated. A value may be "-". One that begins with "--", or with "-" and
/// the letter of an option, must be attached, so that a forgotten value does not eat the next
/// option.
///
/// A `set` function is called once per value, in the order of the line, after the syntax of the
/// whole line was accepted and with text that lives as long as the call. It throws BadValue
/// (cli/units.h) where the value is not allowed, and must refuse an empty one: an option's that it
/// accepts is refused afterwards, an argument's ('') is its own affair. It should only take note:
/// what it opens or prints would happen although a later value is refused. Other exceptions pass
/// through parse().
///
/// A name that is already taken, or is no name, is an error of the program: CLI11 throws.
class CommandLine {
 public:
  CommandLine(std::string program, std::string summary);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  /// Starts a topic of --help; the options added next belong to it.
  void group(std::string title);

  /// An option with a value. `names` as "-c,--connections", `value_name` as "N"; `help` says the
  /// default and is broken at spaces, and where it has line ends.
  void option(const std::string& names, const std::string& value_name, const std::string& help,
              std::function<void(std::string_view)> set);

  /// An option without a value.
  void flag(const std::string& names, const std::string& help, std::function<void()> set);

  /// Keeps an option that was added out of --help, and out of guesses at what was meant: it is
  /// there for the program to say why it is refused.
  void hide(const std::string& name);

  /// The arguments that are no options; at most one list of them, of at most `max_count`. `set` is
  /// called once for each. The usage line shows `value_name` as "[NAME]" or "[NAME]...", or as it
  /// is where it has brackets of its own: "[HOST:PORT] [MESSAGE]...".
  void positional(const std::string& value_name, const std::string& help, int max_count,
                  std::function<void(std::string_view)> set);

  /// Printed as it is under the options in --help: examples, exit codes.
  void footer(std::string text);

  /// Reads the line; once. -h, --help and --version print on stdout, whatever follows them on the
  /// line. Returns the exit code to end with, or nullopt to go on: kOk after those, kFailed where
  /// stdout could not be written, kUsage after a line on stderr such as
  ///   loadgen: --size: '0' is not allowed: a size from 1 to 64MiB, such as 64 or 64KiB
  /// which is printable ASCII and of bounded length whatever the arguments are.
  std::optional<int> parse(int argc, const char* const* argv);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cli
