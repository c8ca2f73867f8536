"""README.md and docs/PROTOCOL.md: the commands work as written, typed one after the other into one
shell. (docs/LAB.md, which also shows what comes out, is test_lab.py's.)"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from console_blocks import Shell
from test_lab import ROOT, shell  # noqa: F401

# What a reader runs, and no test within another.
LEFT_OUT = {
    "scripts/test": "it is what runs this",
    "scripts/experiment --preset=lab": "half an hour; its --quick is run",
    "scripts/experiment --preset=field": "an hour; its subjects have tests of their own",
    "scripts/experiment --subject=epoll --subject='mine=./my_server.py {port}' --connections=1,100":
        "it needs a server of the reader's",
    "scripts/compare results/local/lab-…": "the name stands for another",
}
PROGRAMS_ON_PATH = "export PATH=$PWD/build/release/bin:$PATH"


def commands_of(document: str) -> Iterator[str]:
    """Of the blocks without a language, and without the remark at a line's end. A quotation may go
    on over several lines."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", document, re.MULTILINE | re.DOTALL):
        if language:
            continue
        command = ""
        for line in block.splitlines():
            command = f"{command}\n{line}" if command else line
            try:
                shlex.split(command, comments=True)
            except ValueError:  # no closing quotation yet
                continue
            yield re.sub(r"\s+#\s[^\n]*$", "", command)
            command = ""


@pytest.mark.long
@pytest.mark.parametrize("path", ["README.md", "docs/PROTOCOL.md"])
def test_commands_work_as_written(shell: Shell, path: str) -> None:  # noqa: F811
    commands = [each for each in commands_of((ROOT / path).read_text()) if each not in LEFT_OUT]
    assert len(commands) >= 4, commands
    shell.type(f"ip link set lo up; {PROGRAMS_ON_PATH}")
    try:
        for command in commands:
            printed = shell.type(f"{command}\nprintf '\\nstatus %d\\n' $?")
            # 3: on a busy machine a run may not hold.
            ended_well = {"status 0", "status 3"} & set(printed)
            assert ended_well, f"{command}: {printed}"
    finally:
        for made in ("result.json", "run.hlog"):
            Path(ROOT, made).unlink(missing_ok=True)


def test_what_is_left_out_stands_in_a_document() -> None:
    known = set(commands_of((ROOT / "README.md").read_text()))
    assert LEFT_OUT.keys() <= known, LEFT_OUT.keys() - known
