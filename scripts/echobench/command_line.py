"""Command lines read strictly: what is wrong is one line that names the option, exit status 2."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn


class GnuFormatter(argparse.RawDescriptionHelpFormatter):
    """Options as the programs show theirs: "  -h, --help", "      --size=BYTES"."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        value = "" if action.nargs == 0 else "=" + self._format_args(action, "VALUE")
        *short, long = action.option_strings
        return (f"{short[0]}, " if short else "    ") + long + value

    def _metavar_formatter(
        self, action: argparse.Action, default_metavar: str
    ) -> Callable[[int], tuple[str, ...]]:
        if action.metavar is None and action.choices is not None:
            default_metavar = "|".join(str(each) for each in action.choices)
            return lambda count: (default_metavar,) * count
        return super()._metavar_formatter(action, default_metavar)


class Parser(argparse.ArgumentParser):
    """argparse with its help in the programs' form, and without the usage before each error."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=GnuFormatter, **settings)
        self._positionals.title = "Arguments"
        self._optionals.title = "Options"

    def error(self, message: str) -> NoReturn:
        """Ends the program."""
        line = " ".join(message.split())
        self.exit(2, f"{self.prog}: {line} (--help shows what is allowed)\n")

    def format_help(self) -> str:
        """As the other scripts begin theirs."""
        return "U" + super().format_help()[1:]


def run(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Ends the program with main's status; quietly where the output's reader (head) has gone."""
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def at_least_one(text: str) -> int:
    """A whole number from 1."""
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def block_count(text: str) -> int:
    """A whole number from 1 to 1000."""
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text) or int(text) > 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 1000")
    return int(text)


def seed(text: str) -> int:
    """A whole number that fits everywhere."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def seconds(text: str) -> float:
    """Seconds, up to an hour."""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,9})?", text) or not 0 < float(text) <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to 3600")
    return float(text)


def percentage(text: str) -> float:
    """ "5%" is 0.05."""
    match = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]{1,3})?)%", text)
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage below 100, as in 5%")
    return float(match[1]) / 100


def numbers(text: str) -> list[float]:
    """ "1,10k,64KiB"."""
    return [_number(part) for part in text.split(",")]


def _number(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(k|M|KiB|MiB)?", text)
    factor = {None: 1, "k": 1000, "M": 10**6, "KiB": 1 << 10, "MiB": 1 << 20}
    if match is None or not 0 < (value := float(match[1]) * factor[match[2]]) <= 1e12:
        raise argparse.ArgumentTypeError(f"{text!r} is no number as in 500, 10k, 64KiB")
    return int(value) if value == int(value) else value
