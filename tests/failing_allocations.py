"""Allocations that fail on purpose: a library in front of libc's malloc(3) counts them, and has the
one fail whose turn it is."""

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

MANY = 1 << 40

# What is left until one fails stands in a file, so that others can set and read it.
COUNTING_MALLOC = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static _Atomic long *left;

__attribute__((constructor)) static void begin(void) {
  const int file = open(getenv("ALLOCATIONS_LEFT"), O_RDWR | O_CLOEXEC);
  void *shared = mmap(NULL, sizeof *left, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (shared == MAP_FAILED) _exit(70);
  close(file);
  left = shared;
}

static int fails(void) {
  if (!left || atomic_load(left) <= 0 || atomic_fetch_sub(left, 1) != 1) return 0;
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return fails() ? NULL : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return fails() ? NULL : __libc_realloc(old, size); }
void *memalign(size_t to, size_t size) { return fails() ? NULL : __libc_memalign(to, size); }
void *aligned_alloc(size_t to, size_t size) { return memalign(to, size); }
int posix_memalign(void **place, size_t to, size_t size) {
  void *block = memalign(to, size);
  if (block) *place = block;
  return block ? 0 : ENOMEM;
}
"""


class Allocations:
    """Those of one process at a time."""

    def __init__(self, directory: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("there is no C compiler here")
        source, self.library = directory / "malloc.c", directory / "malloc.so"
        source.write_text(COUNTING_MALLOC)
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(self.library), str(source)],
                       check=True)
        self.file = directory / "left"
        self.file.write_bytes(bytes(8))
        with self.file.open("r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 8)

    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "ALLOCATIONS_LEFT": str(self.file)}

    def fail_at(self, number: int) -> None:
        """The `number`th from now on; 0: none."""
        struct.pack_into("q", self.shared, 0, number)

    def left(self) -> int:
        """Until one fails; 0: it has."""
        left: int = struct.unpack_from("q", self.shared, 0)[0]
        return left
