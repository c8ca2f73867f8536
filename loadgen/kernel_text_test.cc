// Files that exist, that don't, and that can be opened but not read; and the texts found in them.
#include "loadgen/kernel_text.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "net/fd.h"

namespace {

using loadgen::printable;
using loadgen::read_kernel_line;
using loadgen::read_kernel_text;
using loadgen::trimmed;
using loadgen::value_of;

TEST(ReadKernelText, ReadsWhatHasNoSize) {
  const auto status = read_kernel_text("/proc/self/status");
  ASSERT_TRUE(status);
  EXPECT_EQ(value_of(*status, "Pid"), std::to_string(::getpid()));
}

TEST(ReadKernelText, KeepsNulBytes) {
  const auto arguments = read_kernel_text("/proc/self/cmdline");
  ASSERT_TRUE(arguments);
  EXPECT_NE(arguments->find('\0'), std::string::npos);
}

TEST(ReadKernelText, GivesNothingForWhatCannotBeRead) {
  EXPECT_FALSE(read_kernel_text("/proc/no/such/file"));
  EXPECT_FALSE(read_kernel_text("/proc")) << "opens, but read(2) says EISDIR";
  EXPECT_FALSE(read_kernel_text("/proc/self/mem")) << "opens, but read(2) says EIO";
}

TEST(ReadKernelText, TellsAnEmptyFileFromNone) { EXPECT_EQ(read_kernel_text("/dev/null"), ""); }

TEST(ReadKernelLine, FoldsBlanks) {
  std::array<char, 32> path{"/tmp/kernel_text_testXXXXXX"};
  const net::Fd file(::mkstemp(path.data()));
  ASSERT_TRUE(file);
  ASSERT_EQ(::write(file.get(), " 4096\t \t131072\n\n33\xff\n", 21), 21);
  EXPECT_EQ(read_kernel_line(path.data()), "4096 131072 33?");
  ASSERT_EQ(::ftruncate(file.get(), 0), 0);
  EXPECT_EQ(read_kernel_line(path.data()), std::nullopt);
  ::unlink(path.data());
  EXPECT_EQ(read_kernel_line(path.data()), std::nullopt);
}

TEST(ValueOf, FindsTheFirstLineOfTheName) {
  constexpr std::string_view kText = "cpu\t: 1\nmodel name\t: A: B \nmodel name: C\nlast: 9";
  EXPECT_EQ(value_of(kText, "model name"), "A: B");
  EXPECT_EQ(value_of(kText, "cpu"), "1");
  EXPECT_EQ(value_of(kText, "last"), "9");
  EXPECT_EQ(value_of(kText, "model"), std::nullopt);
  EXPECT_EQ(value_of("", "cpu"), std::nullopt);
}

TEST(Trimmed, DropsBlanksAtBothEnds) {
  EXPECT_EQ(trimmed(" \t a b\r\n"), "a b");
  EXPECT_EQ(trimmed(std::string_view("kvm\0", 4)), "kvm");
  EXPECT_EQ(trimmed(" \n"), "");
  EXPECT_EQ(trimmed(""), "");
}

TEST(Printable, LeavesAsciiAndNothingElse) {
  EXPECT_EQ(printable("a b~!"), "a b~!");
  EXPECT_EQ(printable("\x1b[31m\n\x7f\xff\xc3\xa9"), "?[31m?????");
}

}  // namespace
