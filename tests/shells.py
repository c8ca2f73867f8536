"""What the shells themselves offer for a line that is not finished, as behind TAB."""

import os
import pty
import re
import select
import shlex
import subprocess
import time
from pathlib import Path

LONGEST_S = 20.0


def bash(completions: Path, line: str, directory: Path) -> list[str]:
    """Readline splits words at "=" too (COMP_WORDBREAKS), and so must who calls the function."""
    words = re.findall(r"=|[^\s=]+", line) + ([""] if line[-1] in " =" else [])
    name = words[0]
    script = f"""
      source /usr/share/bash-completion/bash_completion
      source {shlex.quote(str(completions / "bash" / name))}
      COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}
      COMP_WORDS=({" ".join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}
      $(complete -p {name} | sed 's/.*-F \\([^ ]*\\).*/\\1/') 2> /dev/null
      printf '%s\\n' "${{COMPREPLY[@]}}" """
    printed = subprocess.run(["bash", "--norc", "-c", script], cwd=directory,
                             capture_output=True, text=True, timeout=LONGEST_S, check=True)
    assert printed.stderr == "", printed.stderr
    return [each.rstrip("=") for each in printed.stdout.split()]


def fish(completions: Path, line: str, directory: Path) -> list[str]:
    """`complete -C` prints the candidates for the last word, each with its description."""
    script = f"source {completions}/fish/{line.split()[0]}.fish; complete -C {shlex.quote(line)}"
    printed = subprocess.run(["fish", "--no-config", "-c", script], cwd=directory,
                             capture_output=True, text=True, timeout=LONGEST_S, check=True)
    assert printed.stderr == "", printed.stderr
    offered = [each.partition("\t")[0] for each in printed.stdout.splitlines()]
    # A value that is attached is offered together with its option.
    return [each if each.endswith("=") else each.rpartition("=")[2] for each in offered]


ZSH = """
PS1=; unsetopt beep zle_bracketed_paste 2> /dev/null; fpath=({completions}/zsh $fpath)
autoload -Uz compinit; compinit -u -D
compadd() {{
  [[ ${{@[1,(i)(-|--)]}} == *-(O|A|D)\\ * ]] || {{
    local -a hits; builtin compadd -O hits "$@"; offered+=($hits); }}
  builtin compadd "$@"
}}
show() {{ print -rl -- $offered > {answer}.part; mv -f {answer}.part {answer}; offered=() }}
ask() {{ BUFFER=$asked; CURSOR=$#BUFFER; comppostfuncs=(show); zle complete-word; BUFFER= }}
zle -N ask; bindkey '^X' ask; typeset -a offered; touch {answer}
"""


def zsh(completions: Path, line: str, directory: Path) -> list[str]:
    """Completion is the line editor's, which wants a terminal. What it finds goes to a file."""
    answer = directory / ".answer"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(directory)
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "TERM": "dumb"})
    try:
        os.write(terminal, ZSH.format(completions=completions, answer=answer).encode())
        _await(answer, terminal)
        answer.unlink()
        os.write(terminal, f"asked={shlex.quote(line)}\n\x18".encode())
        _await(answer, terminal)
        return [each.rstrip("=") for each in answer.read_text().split()]
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
        answer.unlink(missing_ok=True)


def _await(answer: Path, terminal: int) -> None:
    """What the shell echoes must be read, or it would wait."""
    deadline = time.monotonic() + LONGEST_S
    said = b""
    while not answer.exists():
        assert time.monotonic() < deadline, f"zsh does not answer; it said {said!r}"
        if select.select([terminal], [], [], 0.05)[0]:
            said += os.read(terminal, 65536)


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
