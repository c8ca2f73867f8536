"""Command lines by the thousand, right ones and wrong ones, held against a grammar of the tests'
own: a wrong one ends with exit code 2 and one line on stderr, at once, and nothing was opened."""

import pathlib
import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from evidence import Evidence
from loadgen_fixtures import nobody_listens, program
from scale import tries
from server_process import SANITIZER, SANITIZER_REPORT, environment

ROW = "command line"
CASES = tries(100, 3334)  # of each program
AT_ONCE = 10 if SANITIZER else 3  # seconds: more than an order of magnitude above what it costs

SECOND = 10**9
DAY = 24 * 3600 * SECOND
COUNTS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
SIZES = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20,
         "GiB": 1 << 30}
TIMES = {"ns": 1, "us": 10**3, "\u00b5s": 10**3, "\u03bcs": 10**3, "ms": 10**6, "s": SECOND,
         "m": 60 * SECOND, "h": 3600 * SECOND}
EVERY_UNIT = [*COUNTS, *SIZES, *TIMES, "X", "S", "sec", "KB", " ", "kk", "Ki", "%"]


# --- The grammar ----------------------------------------------------------------------------------


Check = Callable[[str], bool]


@dataclass(frozen=True)
class Quantity:
    """NUMBER UNIT, whole in the smallest unit and within limits; of a time only 0 has no unit."""

    units: Mapping[str, int]
    least: int
    most: int

    def __call__(self, text: str) -> bool:
        found = re.fullmatch(r"(0|[1-9][0-9]*)(\.[0-9]+)?([^0-9.]*)", text)
        if not found or len(text) > 100:
            return False
        if found[3] not in self.units:
            return text == "0" and self.units is TIMES and self.least == 0
        value = Fraction(found[1] + (found[2] or "")) * self.units[found[3]]
        return value.denominator == 1 and self.least <= value <= self.most

    def edges(self) -> list[str]:
        """What is just right and just wrong, and what a careless reader takes for it."""
        smallest = next(unit for unit, factor in self.units.items() if factor == 1)
        numbers = [self.least, self.least - 1, self.most, self.most + 1, self.least + 2**64,
                   self.most + 2**32, 10**25]
        texts = [*map(str, numbers), f"0{self.most}", f"+{self.most}", f"{self.most}.5",
                 f" {self.most}", hex(self.most)]
        return [text + smallest for text in texts]


def one_of(*names: str) -> Check:
    return lambda text: text in names


def either(*checks: Check) -> Check:
    return lambda text: any(check(text) for check in checks)


def cpu_list(text: str) -> bool:
    seen: set[int] = set()
    for item in text.split(","):
        found = re.fullmatch(r"(0|[1-9][0-9]*)(?:-(0|[1-9][0-9]*))?", item)
        if not found or len(item) > 9:
            return False
        first, last = int(found[1]), int(found[2] or found[1])
        if not first <= last <= 4095 or seen & set(range(first, last + 1)):
            return False
        seen |= set(range(first, last + 1))
    return True


def slo(text: str) -> bool:
    found = re.fullmatch(r"p([0-9]+(?:\.[0-9]*)?|\.[0-9]+)<(.*)", text, re.DOTALL)
    return found is not None and 50 <= Fraction(found[1].rstrip(".")) <= Fraction("99.99") and (
        Quantity(TIMES, 1000, 3600 * SECOND)(found[2]))


def address(text: str) -> bool:
    found = re.fullmatch(r"(127\.0\.0\.1|\[::1\])(?::([1-9][0-9]*))?", text)
    return found is not None and (found[2] is None or int(found[2]) <= 65535)


def name(text: str) -> bool:
    raw = text.encode(errors="surrogateescape")
    return 0 < len(raw) <= 64 and all(byte > 32 and byte not in b">\x7f" for byte in raw)


busy_poll = either(one_of("auto", "off", "always"), Quantity(TIMES, 1, SECOND))


@dataclass(frozen=True)
class Option:
    names: tuple[str, ...]
    check: Check | None  # None: a flag
    likely: tuple[str, ...] = ()  # values worth a try, right and wrong


def option(names: str, check: Check | None = None, *likely: str) -> Option:
    return Option(tuple(names.split(",")), check, likely)


LOADGEN = [
    option("-c,--connections", Quantity(COUNTS, 1, 10**6), "1M", "1000001", "3"),
    option("-d,--duration", Quantity(TIMES, 10**6, DAY), "24h", "24.1h", "1ms", "999us"),
    option("-n,--messages", Quantity(COUNTS, 1, 10**12), "1000G", "1001G"),
    option("-s,--size", Quantity(SIZES, 1, 64 << 20), "64MiB", "65MiB", "0.5KiB"),
    option("-p,--pipeline", Quantity(COUNTS, 1, 65536), "65536", "65537"),
    option("-r,--rate", Quantity(COUNTS, 1, 10**8), "100M", "0.1G", "101M"),
    option("--arrivals", one_of("uniform", "poisson"), "uniform", "poisson", "Poisson"),
    option("--churn", Quantity(COUNTS, 1, 10**12), "7"),
    option("-w,--warmup", Quantity(TIMES, 0, DAY), "0", "0s", "00"),
    option("--timeout", Quantity(TIMES, 10**6, DAY), "soon", "0"),
    option("--verify", one_of("on", "off"), "on", "off", "yes"),
    option("--slo", slo, "p99<2ms", "p50<1us", "p49<1ms", "p99.99<1h", "p99.999<1s", "p99<999ns"),
    option("--seed", Quantity(COUNTS, 0, 1 << 53), "9007199254740992", "9007199254740993", "0"),
    option("-t,--threads", Quantity(COUNTS, 1, 1024), "1", "2", "1025"),
    option("--backend", one_of("epoll", "io_uring", "auto"), "epoll", "auto", "poll", "EPOLL"),
    option("--busy-poll", busy_poll, "auto", "off", "1s", "1001ms"),
    option("--cpu", cpu_list, "0", "0,1", "1-0", "0,0", "0-", "4096", "0,2-3", ",", "0,"),
    option("--interval", Quantity(TIMES, 10**7, DAY), "10ms", "9ms"),
    option("--json", lambda text: text != "", "result", "-", "other"),
    option("--hdr", lambda text: text not in ("", "-"), "result", "-", "samples"),
    option("--csv", lambda text: text not in ("", "-"), "result", "table"),
    option("--strict"), option("-q,--quiet"),
]

SERVER = [
    option("--port", Quantity(COUNTS, 0, 65535), "65k", "66k", "65535", "0"),
    option("--reuse-port"),
    option("--backend", one_of("epoll", "io_uring", "poll", "blocking", "auto"), "epoll", "poll",
           "blocking", "kqueue"),
    option("--busy-poll", busy_poll, "auto", "always", "50us"),
    option("--cpu", Quantity(COUNTS, 0, 4095), "0", "4096"),
    option("--backlog", Quantity(COUNTS, 1, 65535), "4096"),
    option("--max-connections", Quantity(COUNTS, 1, 10**7), "10M", "11M"),
    option("--idle-timeout", either(one_of("off"), Quantity(TIMES, 10**6, 7 * DAY)), "off", "168h",
           "169h"),
    option("--drain-timeout", Quantity(TIMES, 0, 3600 * SECOND), "0", "1h", "61m"),
    option("--relay", address, "127.0.0.1", "[::1]:7", "127.0.0.1:0", "127.0.0.1:65536",
           "127.0.0.1:x", "[::1", "127.0.0.1:"),
    option("--sign", name, "alice", "a b", "a>b", "x" * 64, "x" * 65, "\u00e9"),
]


@dataclass
class Line:
    """A command line in the making, and whether the grammar allows it."""

    arguments: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)  # by the option's last name
    right: bool = True

    def add(self, given: Option, value: str, dice: random.Random) -> None:
        spelt, full = dice.choice(given.names), given.names[-1]
        self.right &= full not in self.values
        self.values[full] = value
        if given.check is None:
            self.arguments.append(spelt)
        elif spelt.startswith("--"):
            attached = dice.random() < 0.7 or value.startswith("-")
            self.arguments += [f"{spelt}={value}"] if attached else [spelt, value]
        else:
            self.arguments += [spelt + value] if value and dice.random() < 0.5 else [spelt, value]
        self.right &= given.check is None or given.check(value)


# --- The dice -------------------------------------------------------------------------------------


def number(dice: random.Random) -> str:
    """As people write numbers, and as they had better not."""
    value = dice.choice([0, 1, 2, 7, 10, 100, 255, 1000, 65536, 2**31, 2**32, 2**63, 2**64,
                         2**64 + 7, 10**25, dice.randrange(10**6)])
    digits = str(value + dice.choice([0, 0, 0, -1, 1]))
    return dice.choice([
        digits, digits, digits, digits, f"{dice.randrange(10)}.{dice.randrange(100)}", "0" + digits,
        "-" + digits, "+" + digits, hex(abs(value)), f"{value:,}", digits + "e3", "." + digits,
        digits + ".", "1" * dice.choice([30, 1000, 100_000]), "nan", "inf", "\u0663"])


def value_for(given: Option, dice: random.Random) -> str:
    if given.check is None:
        return ""
    kind = dice.random()
    if given.check is address or (given.likely and kind < 0.45):  # a name may cost a look-up
        return dice.choice(given.likely)
    if kind < 0.9:
        units = EVERY_UNIT
        if isinstance(given.check, Quantity) and dice.random() < 0.8:
            units = list(given.check.units)
        return number(dice) + dice.choice(units)
    return dice.choice(["", " ", "\n", "\x01", "\x1b[31m", "off", "auto", "=", "-", "x" * 100_000,
                        " 1", "1 ", "\ufeff1", "\udcff"])


def made_of(options: list[Option], dice: random.Random) -> Line:
    line = Line()
    for given in dice.choices(options, k=dice.choice([1, 1, 1, 2, 3])):
        line.add(given, value_for(given, dice), dice)
    return line


def amount(text: str) -> Fraction:
    found = re.match(r"[0-9.]+", text)
    assert found
    return Fraction(found[0]) * COUNTS[text[found.end():]]


def needs_a_large_machine(given: dict[str, str]) -> bool:
    connections, pipeline = (amount(given.get(name, "1")) for name in ("--connections",
                                                                       "--pipeline"))
    return connections * pipeline > 10**6 or amount(given.get("--threads", "1")) > 8


def for_loadgen(dice: random.Random, target: str) -> Line:
    line = made_of(LOADGEN, dice)
    given = line.values
    if line.right:
        if needs_a_large_machine(given):
            return for_loadgen(dice, target)
        files = [given[name] for name in ("--json", "--hdr", "--csv") if name in given]
        line.right = not (
            ("--duration" in given and "--messages" in given)
            or ("--arrivals" in given and "--rate" not in given and "--slo" not in given)
            or ("--slo" in given and given.keys() & {"--messages", "--hdr", "--csv"})
            or len(set(files)) < len(files)
            or amount(given.get("--threads", "1")) > amount(given.get("--connections", "1")))
    return finished(line, dice, target)


def for_server(dice: random.Random, target: str) -> Line:
    line = made_of(SERVER, dice)
    given = line.values
    if line.right and given.get("--backend") == "blocking":
        spins = given.get("--busy-poll", "auto") not in ("auto", "off")
        line.right = not spins and "--relay" not in given
    # A right one cannot be bound, and so ends at once too.
    line.arguments.insert(dice.randrange(2) * len(line.arguments), "--bind=192.0.2.1")
    return spoilt(line, dice, "surplus")


def for_client(dice: random.Random, target: str) -> Line:
    line = Line([target])
    for _ in range(dice.randrange(4)):
        message = dice.choice(["hello", "", "a b", "two\nlines", "x" * 100_000, "\u00e9", "\udcff",
                               "-", "a:b"])
        line.arguments.append(message)
        line.right &= "\n" not in message
    if dice.random() < 0.3:
        line.arguments[0] = dice.choice(["127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1",
                                         "127.0.0.1:1e3", "127.0.0.1:0x50", ":", "[:"])
        line.right = False
    return spoilt(line, dice)


def finished(line: Line, dice: random.Random, target: str) -> Line:
    wrong = dice.random() < 0.1
    bad = dice.choice(["127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:http", "[::1:1", "", "a b"])
    line.arguments.insert(0, bad if wrong else target)
    line.right &= not wrong
    return spoilt(line, dice, "surplus")


def spoilt(line: Line, dice: random.Random, *more: str) -> Line:
    """Sometimes there is also something that no program knows, after all that is right."""
    if dice.random() < 0.1:
        line.arguments.append(dice.choice(["--nonsense", "--no=1", "-Z", "--=", "--conections=1",
                                           *more]))
        line.right = False
    return line


PROGRAMS = {"loadgen": for_loadgen, "echo-server": for_server, "echo-client": for_client}


# --- What must come of it -------------------------------------------------------------------------


@pytest.fixture
def target() -> Iterator[str]:
    with nobody_listens() as refusing:
        yield refusing


def judge(name: str, line: Line, where: pathlib.Path) -> None:
    began = time.monotonic()
    ended = subprocess.run([program(name), *line.arguments], cwd=where, stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=60, env=environment())
    seconds = time.monotonic() - began
    status, errors = ended.returncode, ended.stderr
    told = f"{name} {line.arguments!r:.2000} (right: {line.right}): {ended!r:.2000}"
    assert not SANITIZER_REPORT.search(errors.decode(errors="replace")), told
    assert ended.stdout == b"", told
    assert list(where.iterdir()) == [], told
    if line.right:
        assert status in (1, 4), told
        return
    assert status == 2, told
    assert re.fullmatch(rb"[ -~]{10,1500}\n", errors), told
    assert seconds < AT_ONCE, f"{seconds} s: {told}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_right_and_wrong_lines(evidence: Evidence, tmp_path: pathlib.Path, target: str,
                               name: str) -> None:
    wrong = 0
    for case in range(CASES):
        line = PROGRAMS[name](random.Random(f"{name} {case}"), target)
        judge(name, line, tmp_path)
        wrong += not line.right
    assert CASES // 5 < wrong < CASES * 19 // 20, "the dice should throw some of each"
    evidence(ROW, command_lines=CASES, wrong_ones=wrong, wrong_ones_taken=0)


@pytest.mark.parametrize("name", ["loadgen", "echo-server"])
def test_every_limit(evidence: Evidence, tmp_path: pathlib.Path, target: str, name: str) -> None:
    options, place = (LOADGEN, target) if name == "loadgen" else (SERVER, "--bind=192.0.2.1")
    tried = 0
    for given in options:
        if not isinstance(given.check, Quantity):
            continue
        for value in given.check.edges():
            right = given.check(value) and (given.names[-1] != "--threads" or value == "1")
            judge(name, Line([place, f"{given.names[-1]}={value}"], right=right), tmp_path)
            tried += 1
    evidence(ROW, command_lines=tried, wrong_ones_taken=0)


def strace(log: pathlib.Path) -> list[str]:
    found = shutil.which("strace")
    if found is None or subprocess.run([found, "-qq", "-o", "/dev/null", "true"]).returncode != 0:
        pytest.skip("strace cannot trace here")
    return [found, "-f", "-qq", "-o", str(log), "-e", "trace=network,openat,?open,?creat"]


@pytest.mark.skipif(SANITIZER != "", reason="a sanitizer opens files of its own")
@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_opened_for_a_wrong_line(tmp_path: pathlib.Path, target: str, name: str) -> None:
    log = tmp_path / "log"
    tracer, tried, case = strace(log), 0, 0
    while tried < tries(5, 100):
        line = PROGRAMS[name](random.Random(f"{name} {case}"), target)
        case += 1
        if line.right:
            continue
        tried += 1
        subprocess.run([*tracer, program(name), *line.arguments], capture_output=True, timeout=60,
                       env=environment())
        calls = log.read_text()
        assert "execve" not in calls and not re.search(r"\b(socket|bind|connect)\(", calls), (
            line.arguments, calls)
        assert not re.search(r"O_(WRONLY|RDWR|CREAT)", calls), (line.arguments, calls)


def test_the_grammar_knows_right_from_wrong() -> None:
    """By hand, lest both err alike."""
    count, time_, size = LOADGEN[0].check, LOADGEN[1].check, LOADGEN[3].check
    assert count is not None and time_ is not None and size is not None
    assert all(map(count, ["1", "1.5k", "1M", "0.5k", "10K"]))
    assert not any(map(count, ["0", "01", "1.5", "-1", "1m", "", " 1", "1001k", "1.", ".5k"]))
    assert all(map(time_, ["1ms", "1.5s", "24h", "1000us", "0.001s"]))
    assert not any(map(time_, ["1", "0", "1sec", "0.5ms", "1S", "24.0001h"]))
    assert all(map(size, ["1", "64B", "0.5KiB", "1.5kB"]))
    assert not any(map(size, ["1k", "1KB", "0.3KiB", "0"]))
    assert cpu_list("0,2-3") and not cpu_list("0,0") and not cpu_list("3-2")
    assert slo("p99<2ms") and not slo("p49<2ms")


def test_none_of_them_reaches_a_server(tmp_path: pathlib.Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        target = "127.0.0.1:%d" % listener.getsockname()[1]
        for name in ("loadgen", "echo-client"):
            for case in range(tries(20, 200)):
                line = PROGRAMS[name](random.Random(f"{name} {case}"), target)
                if not line.right:
                    judge(name, line, tmp_path)
        with pytest.raises(BlockingIOError):
            listener.accept()
