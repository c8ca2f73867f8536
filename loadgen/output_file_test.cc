// A result gets onto the disk whole or not at all, and what stood there before survives a failure.
#include "loadgen/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <thread>

#include "net/fd.h"

namespace loadgen {
namespace {

namespace fs = std::filesystem;

/// A directory of its own for each test.
class WriteOutput : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "output_file_test.XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string path(const std::string& name = "result.json") const { return directory_ / name; }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(directory_), fs::directory_iterator()));
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// The errno it fails with, and whether it names the path.
  static int failure(const std::string& path, std::string_view text = "new") {
    try {
      write_output(path, text);
      return 0;
    } catch (const std::system_error& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
      return error.code().value();
    }
  }

 private:
  fs::path directory_;
};

TEST_F(WriteOutput, MakesAFile) {
  const std::string text("bytes\0of any kind\n", 18);
  write_output(path(), text);
  EXPECT_EQ(read(path()), text);
  EXPECT_EQ(files(), 1U);
}

TEST_F(WriteOutput, WritesMuchAndNothing) {
  std::string much;
  much.resize(10'000'000, 'x');
  write_output(path("much"), much);
  EXPECT_TRUE(read(path("much")) == much);
  write_output(path("nothing"), "");
  EXPECT_EQ(fs::file_size(path("nothing")), 0U);
}

TEST_F(WriteOutput, ReplacesWhatWasThere) {
  write_output(path(), "an older and longer one");
  write_output(path(), "newer");
  EXPECT_EQ(read(path()), "newer");
  EXPECT_EQ(files(), 1U);
}

TEST_F(WriteOutput, WhoHasTheOldOneOpenGoesOnReadingIt) {
  write_output(path(), "old");
  std::ifstream reader(path());
  write_output(path(), "new");
  std::string text;
  reader >> text;
  EXPECT_EQ(text, "old");
}

TEST_F(WriteOutput, AllMayReadItWhomTheUmaskLets) {
  const mode_t before = ::umask(0027);
  write_output(path(), "x");
  EXPECT_EQ(::umask(before), mode_t{0027}) << "the umask was changed";
  EXPECT_EQ(fs::status(path()).permissions(), fs::perms{0640});
}

TEST_F(WriteOutput, FollowsALink) {
  write_output(path("target"), "old");
  fs::create_symlink("target", path("link"));
  write_output(path("link"), "new");
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(read(path("target")), "new");
}

TEST_F(WriteOutput, FollowsALinkToWhatIsNotThereYet) {
  fs::create_symlink("target", path("link"));
  write_output(path("link"), "new");
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(read(path("target")), "new");
}

TEST_F(WriteOutput, WritesIntoADeviceOrPipe) {
  write_output("/dev/null", "anything");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));

  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = read(path("pipe")); });
  write_output(path("pipe"), "through a pipe");
  reader.join();
  EXPECT_EQ(got, "through a pipe");
  EXPECT_TRUE(fs::is_fifo(path("pipe")));
}

TEST_F(WriteOutput, ADashIsStandardOutput) {
  ::testing::internal::CaptureStdout();
  write_output("-", "on the screen");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "on the screen");
  EXPECT_FALSE(fs::exists("-"));
}

TEST_F(WriteOutput, RefusesADirectory) {
  fs::create_directory(path("directory"));
  EXPECT_EQ(failure(path("directory")), EISDIR);
  EXPECT_EQ(files(), 1U);
}

TEST_F(WriteOutput, RefusesWhereThereIsNoDirectory) {
  EXPECT_EQ(failure(path("nowhere/result.json")), ENOENT);
  EXPECT_EQ(files(), 0U);
}

/// No file of this process may grow beyond so many bytes (setrlimit(2)).
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit small = before_;
    small.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallFiles() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST_F(WriteOutput, AFailureLeavesTheOldOneAndNothingElse) {
  write_output(path(), "old");
  {
    const SmallFiles small(1000);
    EXPECT_EQ(failure(path(), std::string(5000, 'x')), EFBIG);
  }
  EXPECT_EQ(read(path()), "old");
  EXPECT_EQ(files(), 1U);
}

TEST_F(WriteOutput, AFullDeviceIsAnError) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  EXPECT_EQ(failure("/dev/full"), ENOSPC);
}

TEST_F(WriteOutput, CheckLeavesNothingBehindAndTouchesNothing) {
  check_output(path());
  EXPECT_EQ(files(), 0U);
  write_output(path(), "old");
  check_output(path());
  check_output("-");
  check_output("/dev/null");
  EXPECT_EQ(read(path()), "old");
  EXPECT_EQ(files(), 1U);
}

TEST_F(WriteOutput, CheckFailsAsWritingWould) {
  const auto failure_of_check = [](const std::string& target) {
    try {
      check_output(target);
      return 0;
    } catch (const std::system_error& error) {
      EXPECT_NE(std::string(error.what()).find(target), std::string::npos) << error.what();
      return error.code().value();
    }
  };
  fs::create_directory(path("directory"));
  fs::create_symlink("nowhere/file", path("link"));
  EXPECT_EQ(failure_of_check(path("missing/file")), ENOENT);
  EXPECT_EQ(failure_of_check(path("directory")), EISDIR);
  EXPECT_EQ(failure_of_check(path("link")), ENOENT);
}

}  // namespace
}  // namespace loadgen
