"""What the documents tell their readers to type works as written: the commands of each are typed
one after the other into one shell. (docs/LAB.md, which shows what comes out, is test_lab.py's.)"""

import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from console_blocks import Shell
from mpi_job import AS_ROOT, hosts_on_a_wire
from server_process import PROGRAMS, ROOT, StartServer, environment
from test_lab import SHEET, shell  # noqa: F401

PROGRAMS_ON_PATH = "export PATH=$PWD/build/release/bin:$PATH"


@dataclass(frozen=True)
class Document:
    """What its reader has, and is to see."""

    needs: tuple[str, ...] = ()  # programs and files; without one, the test is skipped
    host: str = "shell"  # the fixture with the shell
    before: str = ""  # what was typed before
    shows: tuple[str, ...] = ()  # lines, as patterns


DOCUMENTS = {
    "README.md": Document(),
    "docs/CLUSTER.md": Document(
        needs=("mpirun", "build/release/bin/loadgen-mpi"), host="shell_on_anna",
        shows=("  0 +anna .*", "  1 +anna .*", "  2 +bert .*", "  3 +bert .*",
               "anna.json .*", "bert.json .*", "total .*")),
    "docs/MEASURING.md": Document(
        needs=("java", "/usr/share/java/hdrhistogram.jar"),
        before="echo-server > /dev/null & loadgen -q -c 10 -r 1k -d 2s --hdr=run.hlog",
        shows=(r"#\[Max .*Total count *= *[1-9].*",)),
    "docs/PROTOCOL.md": Document(),
    "docs/SERVICE.md": Document(
        needs=("systemd-socket-activate",),
        shows=(r"listening on 127\.0\.0\.1:8888 .*", "Hello, world!")),
    "results/README.md": Document(
        before="""\
for folder in before after results/local/experiment-…; do
  scripts/experiment --subject=epoll --subject=poll --duration=0.1 --warmup=0.1 --blocks=2 \
--no-build --out=$folder
done
echo-server > /dev/null &
loadgen -q -c 10 -d 2s --json=anna.json & loadgen -q -c 10 -d 2s --json=bert.json; wait $!"""),
}
MADE = ["result.json", "run.hlog", "hosts", "anna.json", "bert.json", "before", "after"]

# What a reader runs, and no test within another: commands, as patterns, and why.
LEFT_OUT = {
    "scripts/test": "it is what runs this",
    "cmake --preset dev && *": "scripts/test does the same, and runs this",
    "scripts/experiment --preset=lab": "half an hour; its --quick is run",
    "scripts/experiment --preset=field": "an hour; its subjects have tests of their own",
    "scripts/experiment --subject=epoll --subject='mine=./my_server.py {port}' --connections=1,100":
        "it needs a server of the reader's",
    "scripts/experiment --subject=epoll --subject=io_uring --rate=*":
        "five minutes; a --quick one is run, and scripts/echobench/tests has rates",
    "scripts/experiment * --until=2%": "as long as the machine is unsteady",
    "scripts/experiment * --seed=*": "what was recorded: half an hour and more each",
    "build/release/bench/exchange_bench *": "what scripts/bench ran: ten minutes",
    "scripts/* --out=results/*": "it records anew",
    "scripts/costs": "it records anew; test_costs.py counts the same",
    "scripts/profile": "it records anew",
    "scripts/readme": "it changes the documents; its --check is a test",
    "scripts/bench": "it records anew",
    "scripts/compare results/local/lab-…": "the name stands for another",
    "echo-server * --relay=ADDRESS-OF-THE-NEXT": "the name stands for another",
    "srun *": "Slurm needs daemons, a key and a configuration of the machine; not repeated here",
    "salloc *": "the same",
    "systemctl *": "it needs systemd as process 1; test_service.py has the units",
}


def is_complete(command: str) -> bool:
    """Whether a shell would not wait for more: a quotation, a loop or a here document."""
    read = subprocess.run(["bash", "-n"], input=command, capture_output=True, text=True,
                          check=False)
    return read.returncode == 0 and not read.stderr and not command.endswith("\\")


def commands_of(path: str) -> Iterator[str]:
    """Of the blocks without a language, and without the remark at a line's end."""
    document = (ROOT / path).read_text()
    for language, block in re.findall(r"^ *```(\w*)\n(.*?)^ *```$", document,
                                      re.MULTILINE | re.DOTALL):
        if language:
            continue
        command = ""
        for line in textwrap.dedent(block).splitlines():
            command += line
            if not command:
                continue
            if is_complete(command):
                yield re.sub(r"\s+#\s[^\n]*$", "", command)
                command = ""
            else:
                command += "\n"
        assert not command, f"{path}: {command!r} is not a whole command"


def is_left_out(command: str) -> bool:
    return any(fnmatchcase(command, pattern) for pattern in LEFT_OUT)


def documents() -> list[str]:
    """Those that people write."""
    listed = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-co",
                             "--exclude-standard", "*.md", ":!results/*/report.md"], cwd=ROOT,
                            capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip(f"not in a repository: {listed.stderr}")
    return listed.stdout.splitlines()


def test_no_command_is_forgotten() -> None:
    """A block without a language is commands, and each of them is typed below or left out."""
    typed = {command for path in DOCUMENTS for command in commands_of(path)}
    forgotten = [(path, command) for path in documents() for command in commands_of(path)
                 if command not in typed and not is_left_out(command)]
    assert not forgotten


def test_no_block_is_hidden() -> None:
    """A command stands in a block with a fence, and one with a prompt in what test_lab.py types."""
    for path in documents():
        document = (ROOT / path).read_text()
        without = re.sub(r"^ *```.*?^ *```$", "", document, flags=re.MULTILINE | re.DOTALL)
        assert not re.search(r"\n\n(?: {4,}|\t).*", without), f"{path}: a block by its indentation"
        assert ROOT / path == SHEET or "```console" not in document, path


def test_what_is_left_out_stands_in_a_document() -> None:
    commands = [command for path in documents() for command in commands_of(path)]
    stale = [pattern for pattern in LEFT_OUT
             if not any(fnmatchcase(command, pattern) for command in commands)]
    assert not stale


@pytest.fixture
def shell_on_anna(launch: StartServer, tmp_path: Path) -> Iterator[Shell]:
    """The first machine of docs/CLUSTER.md: from it `bert` is reached with ssh, and `server` has
    an echo-server."""
    if PROGRAMS != ROOT / "build/release/bin":
        pytest.skip("the documents are about the release build")
    with hosts_on_a_wire(["anna", "bert", "server"], tmp_path) as hosts:
        launch("--port=8888", f"--bind={hosts.address(2)}", before_exec=lambda: hosts.enter(2))
        with_ssh = {"PATH": f"{hosts.ssh.parent}:{environment()['PATH']}"}
        own = Shell(ROOT, environment({**AS_ROOT, **with_ssh}), hosts.inside(0))
        yield own
        own.close()


@pytest.mark.long
@pytest.mark.parametrize("path", DOCUMENTS)
def test_commands_work_as_written(path: str, request: pytest.FixtureRequest) -> None:
    document = DOCUMENTS[path]
    for needed in document.needs:
        if shutil.which(needed) is None and not (ROOT / needed).exists():
            pytest.skip(f"there is no {needed} here")
    commands = [each for each in commands_of(path) if not is_left_out(each)]
    if document.before:
        commands.insert(0, document.before)
    typed_into: Shell = request.getfixturevalue(document.host)
    typed_into.type(f"ip link set lo up; {PROGRAMS_ON_PATH}")
    seen: list[str] = []
    try:
        for command in commands:
            # mpirun would read what is typed next.
            printed = typed_into.type(f"{{ {command}\n}} < /dev/null\n"
                                      "printf '\\nstatus %d\\n' $?")
            # 3: on a busy machine a run may not hold.
            ended_well = {"status 0", "status 3"} & set(printed)
            assert ended_well, f"{command}: {printed}"
            seen += printed
    finally:
        for made in MADE:
            subprocess.run(["rm", "-rf", ROOT / made], check=True)
    for line in document.shows:
        assert any(re.fullmatch(line, each) for each in seen), f"no {line!r} in {seen}"
