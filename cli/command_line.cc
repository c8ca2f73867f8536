// The only file that includes CLI11, which is slow to compile. CLI11 keeps the options, tells them
// apart and groups them for --help; Scanner stops what it would accept and should not.
#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <numeric>
#include <stdexcept>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cli/exit_code.h"
#include "cli/units.h"
#include "cli/version.h"

namespace cli {
namespace {

constexpr std::size_t kHelpWidth = 79;     // of 80 columns, as the GNU tools do
constexpr std::size_t kWidestName = 28;    // a longer one has a line of its own in --help
constexpr std::size_t kShownOfValue = 64;  // bytes that a message shows
constexpr std::size_t kShownOfReason = 400;
constexpr int kMostEdits = 2;  // between a misspelt option and the one that was meant

/// What is wrong with the line, without the program's name.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The first `most` bytes in printable ASCII: what came from outside must neither break the line
/// nor send the terminal an escape sequence, which UTF-8 and Latin-1 can also hold beyond ASCII.
std::string printable(std::string_view text, std::size_t most) {
  std::string shown;
  for (const char c : text.substr(0, most)) {
    if (c >= ' ' && c <= '~') {
      shown += c;
    } else {
      shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return shown;
}

std::string in_quotes(std::string_view text) {
  const std::string shown = printable(text, kShownOfValue);
  return text.size() <= kShownOfValue ? fmt::format("'{}'", shown)
                                      : fmt::format("'{}...' ({} bytes)", shown, text.size());
}

/// Insertions, deletions and substitutions that lead from one text to the other.
int edit_distance(std::string_view from, std::string_view to) {
  std::vector<int> row(to.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (const char c : from) {
    int diagonal = row[0]++;
    for (std::size_t i = 0; i < to.size(); ++i) {
      const int substituted = diagonal + (c == to[i] ? 0 : 1);
      diagonal = row[i + 1];
      row[i + 1] = std::min({substituted, diagonal + 1, row[i] + 1});
    }
  }
  return row.back();
}

/// The group of what --help does not show. (CLI11's own, "", takes an option's name as well.)
constexpr const char* kHidden = "hidden";

bool is_hidden(const CLI::Option& option) { return option.get_group() == kHidden; }

std::vector<std::string> long_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    if (is_hidden(*option)) continue;
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  }
  return names;
}

/// The option that was probably meant by `unknown` ("--szie", "--c", "-size"), or "".
std::string likely_option(const CLI::App& app, std::string_view unknown) {
  const bool one_dash = !unknown.starts_with("--");
  const std::string typed(unknown.substr(one_dash ? 1 : 2));
  if (!one_dash && typed.size() == 1 && app.get_option_no_throw("-" + typed)) return "-" + typed;
  std::string likely;
  int fewest = one_dash ? 1 : std::min(kMostEdits + 1, static_cast<int>(typed.size()));
  for (const std::string& name : long_names(app)) {
    if (typed.size() > name.size() + kMostEdits) continue;
    if (const int edits = edit_distance(typed, name); edits < fewest) {
      fewest = edits;
      likely = "--" + name;
    } else if (likely.empty() && typed.size() > 1 && !one_dash && name.starts_with(typed)) {
      likely = "--" + name;
    }
  }
  return likely;
}

bool is_flag(const CLI::Option& option) { return option.get_expected_max() == 0; }

/// Spells a line out for CLI11: every option under one name, its value the next argument. As they
/// are, CLI11 would take what follows "--size=" for the size, read "-q-x" as "-q --x", give a flag
/// any value, and let an option whose value is missing swallow the next one.
class Scanner {
 public:
  Scanner(const CLI::App& app, int max_arguments, std::vector<std::string> line)
      : app_(app), arguments_left_(max_arguments), line_(std::move(line)) {}

  /// Throws UsageError. Ends at --help or --version and returns that alone.
  std::vector<std::string> spell_out() {
    while (next_ < line_.size() && !only_) {
      const std::string& text = line_[next_++];
      if (text == "--") {
        spelt_.push_back(text);
        while (next_ < line_.size()) argument(line_[next_++]);
      } else if (text.starts_with("--")) {
        long_option(text);
      } else if (text.size() > 1 && text.starts_with('-')) {
        short_options(text);
      } else {
        argument(text);
      }
    }
    return only_ ? std::vector<std::string>{only_->get_name()} : std::move(spelt_);
  }

 private:
  void argument(const std::string& text) {
    if (--arguments_left_ < 0) {
      throw UsageError(fmt::format("{} is one argument too many, see --help", in_quotes(text)));
    }
    spelt_.push_back(text);
  }

  void long_option(const std::string& text) {
    const std::size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const CLI::Option& option = known(name, name);
    if (equals == std::string::npos) return add(option, std::nullopt);
    const std::string value = text.substr(equals + 1);
    if (!is_flag(option)) return add(option, value);
    throw UsageError(fmt::format("{}: {} is not allowed: it takes no value", option.get_name(),
                                 in_quotes(value)));
  }

  void short_options(const std::string& text) {
    for (std::size_t i = 1; i < text.size(); ++i) {
      const std::string name = {'-', text[i]};
      const CLI::Option& option =
          i == 1 ? known(name, text.substr(0, text.find('='))) : known(name, name, text);
      if (!is_flag(option) && i + 1 < text.size()) return add(option, text.substr(i + 1));
      add(option, std::nullopt);
    }
  }

  /// The option called `name`; an error shows what was `typed`, and where it was `joined`.
  const CLI::Option& known(const std::string& name, const std::string& typed,
                           const std::string& joined = "") const {
    if (const CLI::Option* option = app_.get_option_no_throw(name)) return *option;
    const std::string likely = likely_option(app_, typed);
    throw UsageError(fmt::format(
        "unknown option {}{}{}", in_quotes(typed), joined.empty() ? "" : " in " + in_quotes(joined),
        likely.empty() ? ", see --help" : fmt::format("; did you mean {}?", likely)));
  }

  void add(const CLI::Option& option, const std::optional<std::string>& attached) {
    if (&option == app_.get_help_ptr() || &option == app_.get_version_ptr()) only_ = &option;
    spelt_.push_back(option.get_name());
    if (!is_flag(option)) spelt_.push_back(attached ? *attached : value_after(option));
  }

  std::string value_after(const CLI::Option& option) {
    if (next_ < line_.size() && !looks_like_option(line_[next_])) return line_[next_++];
    const std::string name = option.get_name();
    throw UsageError(fmt::format("{}: a value is missing{}: {}{}{}", name,
                                 next_ < line_.size() ? " before " + in_quotes(line_[next_]) : "",
                                 name, name.starts_with("--") ? '=' : ' ', option.get_type_name()));
  }

  /// A value may begin with a dash ("-", or "-5s" that its parser will refuse), but not so.
  bool looks_like_option(const std::string& text) const {
    return text.starts_with("--") ||
           (text.size() > 1 && text[0] == '-' && app_.get_option_no_throw({'-', text[1]}));
  }

  const CLI::App& app_;
  int arguments_left_;
  const std::vector<std::string> line_;
  std::size_t next_ = 0;
  std::vector<std::string> spelt_;
  const CLI::Option* only_ = nullptr;
};

/// Columns that UTF-8 text takes, where no character is wide.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

/// `text` broken at spaces to fit a terminal, its further lines indented.
std::string wrapped(std::string_view text, std::size_t indent) {
  std::string lines;
  std::size_t column = indent;
  const auto break_line = [&] {
    lines += '\n' + std::string(indent, ' ');
    column = indent;
  };
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    const std::string_view word = text.substr(0, end);
    if (column > indent && column + 1 + columns(word) > kHelpWidth) {
      break_line();
    } else if (column > indent) {
      lines += ' ';
      ++column;
    }
    lines += word;
    column += columns(word);
    if (end < text.size() && text[end] == '\n') break_line();
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// "-c, --connections=N", "    --json=FILE", or an argument's name.
std::string left_column(const CLI::Option& option) {
  std::string value = option.get_type_name();
  if (option.get_positional()) return value;
  std::string names;
  for (const std::string& name : option.get_snames()) names += ", -" + name;
  names = names.empty() ? "    " : names.substr(2);
  const char* separator = option.get_snames().empty() ? "" : ", ";
  for (const std::string& name : option.get_lnames()) {
    names += separator + ("--" + name);
    separator = ", ";
  }
  if (value.empty()) return names;
  return names + (option.get_lnames().empty() ? " " : "=") + value;
}

/// CLI11's help in the order and layout of the GNU tools, for a terminal of 80 columns.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string program,
                        CLI::AppFormatMode) const override {
    std::string help = make_usage(app, program) + "\n" + wrapped(app->get_description(), 0) + "\n";
    help += make_positionals(app);
    for (const std::string& group : app->get_groups()) {
      const std::vector<const CLI::Option*> options =
          app->get_options([&group](const CLI::Option* option) {
            return option->get_group() == group && option->nonpositional() && !is_hidden(*option);
          });
      if (!options.empty()) help += make_group(group, false, options);
    }
    return app->get_footer().empty() ? help : help + "\n" + make_footer(app);
  }

  std::string make_usage(const CLI::App* app, std::string program) const override {
    std::string usage = fmt::format("Usage: {} [OPTION]...", program);
    for (const CLI::Option* option : app->get_options()) {
      if (option->get_positional()) usage += " " + argument_usage(*option);
    }
    return usage + "\n";
  }

  std::string make_option(const CLI::Option* option, bool) const override {
    std::string line = "  " + left_column(*option);
    const std::size_t indent = get_column_width();
    if (columns(line) + 2 > indent) line += "\n";
    const std::size_t used = line.ends_with('\n') ? 0 : columns(line);
    return line + std::string(indent - used, ' ') + wrapped(option->get_description(), indent) +
           "\n";
  }

 private:
  static std::string argument_usage(const CLI::Option& option) {
    std::string name = option.get_type_name();
    if (name.find('[') != std::string::npos) return name;
    return fmt::format("[{}]{}", name, option.get_expected_max() > 1 ? "..." : "");
  }
};

/// Where the descriptions start: right of all names but the very long ones.
std::size_t description_column(const CLI::App& app) {
  std::size_t widest = 0;
  for (const CLI::Option* option : app.get_options()) {
    if (is_hidden(*option)) continue;
    const std::size_t width = columns(left_column(*option));
    if (width <= kWidestName) widest = std::max(widest, width);
  }
  return 2 + widest + 2;
}

void complain(const std::string& program, const std::string& what) {
  std::fputs(fmt::format("{}: {}\n", program, what).c_str(), stderr);
}

int print(const std::string& program, const std::string& text) {
  if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return kOk;
  const std::string reason = std::generic_category().message(errno);
  complain(program, fmt::format("cannot write to standard output: {}", reason));
  return kFailed;
}

}  // namespace

struct CommandLine::Impl {
  Impl(std::string program, std::string summary)
      : app(std::move(summary), std::move(program)), formatter(std::make_shared<HelpFormatter>()) {
    app.formatter(formatter);
    formatter->label("Positionals", "Arguments");
    app.set_help_flag();  // comes back as the last group, in add_standard_flags()
  }

  void add(CLI::Option* option, std::function<void(std::string_view)> set) {
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    option->group(topic);
    setters[option] = std::move(set);
  }

  void add_standard_flags() {
    app.set_help_flag("-h,--help", "Print this help and exit")->group("Help");
    app.set_version_flag("--version", fmt::format("{} ({})", version(), git_revision()),
                         "Print the version and exit")
        ->group("Help");
  }

  void refuse_repeats() const {
    for (const CLI::Option* option : app.get_options()) {
      if (option->nonpositional() && option->count() > 1) {
        throw UsageError(option->get_name() + ": given more than once");
      }
    }
  }

  /// Calls each value's setter, in the order of the line.
  void apply() const {
    std::unordered_map<const CLI::Option*, std::size_t> done;
    for (const CLI::Option* option : app.parse_order()) {
      const std::string& value = option->results().at(done[option]++);
      try {
        setters.at(option)(value);
        if (value.empty() && option->nonpositional()) throw BadValue("a value that is not empty");
      } catch (const BadValue& allowed) {
        throw refusal(*option, value, allowed);
      }
    }
  }

  static UsageError refusal(const CLI::Option& option, const std::string& value,
                            const BadValue& allowed) {
    const std::string name = option.get_positional() ? option.get_type_name() : option.get_name();
    const std::string given =
        is_flag(option) ? name : fmt::format("{}: {}", name, in_quotes(value));
    return UsageError(
        fmt::format("{} is not allowed: {}", given, printable(allowed.what(), kShownOfReason)));
  }

  CLI::App app;
  std::shared_ptr<HelpFormatter> formatter;
  std::string topic = "Options";
  int max_arguments = 0;
  std::unordered_map<const CLI::Option*, std::function<void(std::string_view)>> setters;
};

CommandLine::CommandLine(std::string program, std::string summary)
    : impl_(std::make_unique<Impl>(std::move(program), std::move(summary))) {}

CommandLine::~CommandLine() = default;

void CommandLine::group(std::string title) { impl_->topic = std::move(title); }

void CommandLine::option(const std::string& names, const std::string& value_name,
                         const std::string& help, std::function<void(std::string_view)> set) {
  impl_->add(impl_->app.add_option(names, help)->type_name(value_name), std::move(set));
}

void CommandLine::flag(const std::string& names, const std::string& help,
                       std::function<void()> set) {
  impl_->add(impl_->app.add_flag(names, help), [set = std::move(set)](std::string_view) { set(); });
}

void CommandLine::hide(const std::string& name) { impl_->app.get_option(name)->group(kHidden); }

void CommandLine::positional(const std::string& value_name, const std::string& help, int max_count,
                             std::function<void(std::string_view)> set) {
  CLI::Option* arguments = impl_->app.add_option("arguments", help)->type_name(value_name);
  arguments->expected(max_count);
  impl_->add(arguments, std::move(set));
  impl_->max_arguments = max_count;
}

void CommandLine::footer(std::string text) { impl_->app.footer(std::move(text)); }

std::optional<int> CommandLine::parse(int argc, const char* const* argv) {
  CLI::App& app = impl_->app;
  const std::string& program = app.get_name();
  impl_->add_standard_flags();
  try {
    std::vector<std::string> line(argv + std::min(argc, 1), argv + argc);
    line = Scanner(app, impl_->max_arguments, std::move(line)).spell_out();
    std::reverse(line.begin(), line.end());  // CLI11 takes arguments from the back
    app.parse(line);
    impl_->refuse_repeats();
    impl_->apply();
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    impl_->formatter->column_width(description_column(app));
    return print(program, app.help());
  } catch (const CLI::CallForVersion& version_text) {
    return print(program, fmt::format("{} {}\n", program, version_text.what()));
  } catch (const CLI::ParseError& error) {
    complain(program, printable(error.what(), kShownOfReason));
  } catch (const UsageError& error) {
    complain(program, error.what());
  }
  return kUsage;
}

}  // namespace cli
