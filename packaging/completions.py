"""Writes a program's completions for bash, zsh and fish, from what its --help prints.

    completions.py NAME DIR COMMAND...

runs COMMAND --help and writes DIR/bash/NAME, DIR/zsh/_NAME and DIR/fish/NAME.fish. They complete
the names of options, the values that can be told, and files where a file is meant.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from help_text import Help, Option, parse


BASH_PLACES = {"FILE": "_filedir", "DIR": "_filedir -d"}
ZSH_PLACES = {"FILE": "_files", "DIR": "_files -/"}
FISH_DIRECTORIES = "-a '(__fish_complete_directories)'"


def place(value: str) -> str:
    """FILE or DIR, where one is meant: FILE|-, DIR..., DIR|FILE."""
    kinds = value.removesuffix("...").split("|")
    return next((kind for kind in ("FILE", "DIR") if kind in kinds), "")


def bash(name: str, said: Help) -> str:
    """For bash-completion 2, which loads it when the name is first completed."""
    function = "_" + name.replace("-", "_")
    cases = "".join(f"    {names}) {action} ;;\n" for names, action in bash_values(said))
    offered = " ".join(f"--{each.name}{'=' if each.value else ''}" for each in said.options)
    argument = BASH_PLACES.get(place(said.argument), ":")
    return f"""\
# bash completion for {name}, made from its --help
{function}() {{
  local cur prev words cword split
  _init_completion -s || return
  case $prev in
{cases}  esac
  $split && return
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W '{offered}' -- "$cur"))
    [[ ${{COMPREPLY-}} == *= ]] && compopt -o nospace
    return
  fi
  {argument}
}} && complete -F {function} {name}
"""


def bash_values(said: Help) -> Iterator[tuple[str, str]]:
    """For `case $prev`: the options with a value, and what may stand there."""
    for each in said.options:
        names = "|".join(([each.short] if each.short else []) + [f"--{each.name}"])
        words = f"""COMPREPLY=($(compgen -W '{" ".join(each.words())}' -- "$cur"))"""
        if place(each.value):
            yield names, f"{BASH_PLACES[place(each.value)]}; return"
        elif each.value:
            yield names, f"{words}; return" if each.words() else "return"


def zsh(name: str, said: Help) -> str:
    """A function for _arguments."""
    specifications = [zsh_option(each) for each in said.options]
    if said.argument:
        action = ZSH_PLACES.get(place(said.argument), " ")
        specifications.append(shlex.quote(f"*:{zsh_text(said.argument)}:{action}"))
    return (f"#compdef {name}\n# made from its --help\n_arguments -s -S \\\n  " +
            " \\\n  ".join(specifications) + "\n")


def zsh_option(option: Option) -> str:
    """A value is attached, or the next word. An option is offered once, but where it may repeat."""
    value = ""
    if option.value:
        words = f"({' '.join(option.words())})" if option.words() else " "
        action = ZSH_PLACES.get(place(option.value), words)
        value = f":{zsh_text(option.value)}:{action}"
    said = f"[{zsh_text(option.brief())}]{value}"
    long = f"--{option.name}{'=' if value else ''}"
    if not option.short:
        return shlex.quote(("*" if option.may_repeat() else "") + long + said)
    both = f"({option.short} --{option.name})"
    short = option.short + ("+" if value else "")
    return f"{shlex.quote(both)}{{{short},{long}}}{shlex.quote(said)}"


def zsh_text(text: str) -> str:
    """With what has a meaning in a specification taken literally."""
    return "".join(f"\\{each}" if each in "[]:\\" else each for each in text)


def fish(name: str, said: Help) -> str:
    """A command for each option."""
    lines = [f"# fish completion for {name}, made from its --help"]
    argument = {"FILE": "-F", "DIR": f"-f {FISH_DIRECTORIES}", "": "-f"}[place(said.argument)]
    lines.append(f"complete -c {name} {argument}")
    for each in said.options:
        parts = [f"complete -c {name}", f"-s {each.short[1:]}" if each.short else "",
                 f"-l {each.name}", fish_value(each), f"-d {shlex.quote(each.brief())}"]
        lines.append(" ".join(part for part in parts if part))
    return "\n".join(lines) + "\n"


def fish_value(option: Option) -> str:
    """-r: a value is needed; -x: and it is no file."""
    if place(option.value):
        return {"FILE": "-r -F", "DIR": f"-x {FISH_DIRECTORIES}"}[place(option.value)]
    if option.words():
        return f"-x -a '{' '.join(option.words())}'"
    return "-x" if option.value else ""


SHELLS: dict[str, tuple[Callable[[str, Help], str], str]] = {
    "bash": (bash, "{}"), "zsh": (zsh, "_{}"), "fish": (fish, "{}.fish"),
}


def main(arguments: Sequence[str]) -> None:
    """Raises where the command fails, so that a build does."""
    name, directory, *command = arguments
    text = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True,
                          env={**os.environ, "COLUMNS": "80"}).stdout
    for shell, (write, file) in SHELLS.items():
        path = Path(directory) / shell / file.format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write(name, parse(text)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
