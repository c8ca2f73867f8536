"""What a program can be asked for, read from what its --help prints. All programs and scripts print
it in one form (cli/command_line.cc, GnuFormatter in scripts/echobench/command_line.py):

    Arguments:
      HOST:PORT            the server (127.0.0.1:8888)

    Load:
      -c, --connections=N  connections, over all threads (1)
          --verify=on|off  compare every byte that comes back (on)
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

OPTION = re.compile(r" {2}(?:(-\w), | {4})--([a-z][a-z-]*)(?:=(\S+))?(?: {2,}(.*))?")
ARGUMENT = re.compile(r" {2}([A-Z[]\S*(?: \S+)*)(?: {2,}(.*))?")
CONTINUED = re.compile(r" {4,}(\S.*)")


class Option(NamedTuple):
    """-s, --name=VALUE; a flag has no value. The text is what --help says of it, in one line."""

    short: str
    name: str
    value: str
    text: str

    def words(self) -> list[str]:
        """The values that can be typed as they stand: of auto|off|TIME, auto and off."""
        return [each for each in self.value.split("|") if re.fullmatch(r"[a-z][a-z0-9_]*", each)]

    def may_repeat(self) -> bool:
        """Whether it says so."""
        return "may be given again" in self.text

    def brief(self) -> str:
        """The text up to where it goes into details."""
        return re.split(r"[;:]| \(", self.text)[0]


@dataclass(frozen=True)
class Help:
    """All of it."""

    options: list[Option]
    argument: str  # as in "HOST:PORT"; "" where there is none


def parse(text: str) -> Help:
    """Of the lines before the first blank one after the options, whatever follows is no option."""
    options: list[Option] = []
    argument = ""
    for line in text.splitlines():
        if match := OPTION.fullmatch(line):
            options.append(Option(*(each or "" for each in match.groups())))
        elif not options and (match := ARGUMENT.fullmatch(line)):
            argument = match[1]
        elif options and (match := CONTINUED.fullmatch(line)):
            last = options[-1]
            options[-1] = last._replace(text=f"{last.text} {match[1]}".strip())
    return Help(options, argument)
