"""docs/man: a page tells of each option and exit code that its command has, and of no other."""

import re

import pytest

from installed_commands import NAMES, PAGES, help_of, help_text

pytestmark = pytest.mark.parametrize("name", NAMES)

SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]


def section(name: str, title: str) -> str:
    """What stands under a heading of the page's source (scdoc(5))."""
    page = (PAGES / f"{name}.1.scd").read_text()
    found = re.search(rf"^# {title}\n(.*?)(?=^# |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"{name}.1.scd has no section {title}"
    return found[1]


def options_of_page(name: str) -> set[tuple[str, str, str]]:
    """Short name, long name, value: an option stands at the beginning of a line, in bold."""
    lines = re.findall(r"^(\*-.*)$", section(name, "OPTIONS"), re.MULTILINE)
    pattern = re.compile(r"(?:\*(-\w)\*, )?\*--([a-z-]+)\*(?:=_(.+)_)?")
    found = [pattern.fullmatch(line) for line in lines]
    assert all(found), f"{name}.1.scd: not an option as it is written elsewhere, in {lines}"
    return {(each[1] or "", each[2], each[3] or "") for each in found if each}


def test_options_are_those_of_help(name: str) -> None:
    assert options_of_page(name) == {(each.short, each.name, each.value)
                                     for each in help_of(name).options}


def test_help_is_read_whole(name: str) -> None:
    """Found in another way: what a line begins with, and what has a column for itself."""
    names = re.findall(r"^ +(?:-., )?--(\S+?)(?:=\S+)?(?:  .*)?$", help_text(name), re.MULTILINE)
    assert names == [each.name for each in help_of(name).options]
    assert all(each.text for each in help_of(name).options), "an option without a word about it"


def test_exit_codes_are_those_of_help(name: str) -> None:
    said = re.search(r"^Exit (?:codes|status):(.*)\Z", help_text(name), re.MULTILINE | re.DOTALL)
    assert said, f"{name} --help tells no exit codes"
    told = re.findall(r"\b\d+\b", said[1])
    assert re.findall(r"_(\d+)_", section(name, "EXIT STATUS")) == told


def test_page_has_what_a_page_has(name: str) -> None:
    for title in SECTIONS:
        section(name, title)
    assert re.search(r"^\$ ", section(name, "EXAMPLES"), re.MULTILINE), "expected a command"
