"""What cmake/hardening.cmake asks for, looked for in the programs that were built (readelf(1))."""

import platform
import re
import shutil
import subprocess

import pytest

from server_process import PROGRAMS, SANITIZER

pytestmark = [
    pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not there (binutils)"),
    pytest.mark.parametrize("program", [
        "echo-server", "loadgen", "echo-client",
        *(["loadgen-mpi"] if (PROGRAMS / "loadgen-mpi").exists() else []),
    ]),
]

ENDBR64 = b"\xf3\x0f\x1e\xfa"


def readelf(program: str, what: str) -> str:
    return subprocess.run(["readelf", "--wide", what, str(PROGRAMS / program)],
                          capture_output=True, text=True, check=True).stdout


def imported(program: str) -> set[str]:
    """The functions that it takes from libraries, by their plain names."""
    return set(re.findall(r" UND (\w+)", readelf(program, "--dyn-syms")))


def is_optimised() -> bool:
    """As far as the build's own record tells; what was installed is taken for it."""
    cache = PROGRAMS.parent / "CMakeCache.txt"
    return not cache.exists() or "CMAKE_BUILD_TYPE:STRING=Debug" not in cache.read_text()


def code_of_main(program: str, size: int) -> bytes:
    """The first bytes of main(); the segment that holds it tells where it is in the file."""
    symbol = re.search(r"^\s*\d+: ([0-9a-f]+) .* main$", readelf(program, "--symbols"),
                       re.MULTILINE)
    assert symbol, f"{program} has no symbol main"
    address = int(symbol[1], 16)
    segments = re.findall(r"^\s*LOAD\s+0x(\w+) 0x(\w+) 0x\w+ 0x(\w+)",
                          readelf(program, "--program-headers"), re.MULTILINE)
    for offset, start, length in (tuple(int(each, 16) for each in found) for found in segments):
        if start <= address < start + length:
            with (PROGRAMS / program).open("rb") as image:
                image.seek(address - start + offset)
                return image.read(size)
    raise AssertionError(f"{program}: no segment holds main at {address:#x}")


def test_stands_at_a_random_place(program: str) -> None:
    assert re.search(r"Type:\s+DYN", readelf(program, "--file-header"))
    assert re.search(r"FLAGS_1.*\bPIE\b", readelf(program, "--dynamic"))


def test_what_is_linked_is_read_only(program: str) -> None:
    assert "GNU_RELRO" in readelf(program, "--program-headers"), "expected RELRO"
    dynamic = readelf(program, "--dynamic")
    assert re.search(r"FLAGS_1.*\bNOW\b", dynamic), f"expected all to be bound at once: {dynamic}"


def test_stack_holds_no_code(program: str) -> None:
    found = re.search(r"GNU_STACK(?:\s+0x\w+){5}\s+(\w+)",
                      readelf(program, "--program-headers"))
    assert found and found[1] == "RW", f"expected a stack that can't be run, got {found}"


@pytest.mark.skipif(bool(SANITIZER), reason="the sanitizer watches the stack itself")
def test_return_addresses_have_canaries(program: str) -> None:
    assert "__stack_chk_fail" in imported(program)


def test_libc_checks_sizes(program: str) -> None:
    if SANITIZER or not is_optimised():
        pytest.skip("only an optimised build knows sizes; sanitizers check them themselves")
    checking = {name for name in imported(program) if re.fullmatch(r"__\w+_chk", name)}
    assert checking, "expected functions such as __fprintf_chk among those of libc"


def test_indirect_jumps_need_a_landing_pad(program: str) -> None:
    if platform.machine() != "x86_64":
        pytest.skip(f"CET is x86's, this is {platform.machine()}")
    begins = code_of_main(program, len(ENDBR64))
    assert begins == ENDBR64, f"expected main to begin with endbr64, it does with {begins.hex()}"
