"""Stand-ins for echo-server and loadgen: instant, and wrong in whatever way a test asks for.

Each is a Python script that keeps to the programs' command line, exit statuses and output. What it
is to do comes from a file beside it, so a test can change it between two starts.
"""

import json
import sys
from pathlib import Path
from typing import Any

from echobench.tests.sample import result

SERVER = """
import json, os, signal, sys, time
from pathlib import Path
behaviour = json.loads(Path(__file__).with_name("behaviour.json").read_text())
options = dict(part.lstrip("-").partition("=")[::2] for part in sys.argv[1:])
if "version" in options:
    print("echo-server 0.0 (stand-in)")
    sys.exit(0)
if options["backend"] in behaviour["unavailable"]:
    print(f"{options['backend']} is disabled: stand-in", file=sys.stderr)
    sys.exit(4)
def end(*_):
    sys.exit(behaviour["server_exit"])
signal.signal(signal.SIGTERM, end)
with open(Path(__file__).with_name("pids"), "a") as pids:
    print(os.getpid(), file=pids)
Path(__file__).with_name("backend").write_text(options["backend"])
print(f"listening on 127.0.0.1:1 ({options['backend']})", flush=True)
while True:
    time.sleep(60)
"""

CLIENT = """
import json, os, sys, time
from pathlib import Path
behaviour = json.loads(Path(__file__).with_name("behaviour.json").read_text())
if "--version" in sys.argv:
    print("loadgen 0.0 (stand-in)")
    sys.exit(0)
with open(Path(__file__).with_name("pids"), "a") as pids:
    print(os.getpid(), file=pids)
backend = Path(__file__).with_name("backend").read_text()
if behaviour["client_hangs"]:
    time.sleep(600)
print("the stand-in speaks", file=sys.stderr)
answer = behaviour["clients"][backend]
result = answer["result"]
if isinstance(result, list):  # one after the other
    turns = Path(__file__).with_name("turns")
    turn = int(turns.read_text()) if turns.exists() else 0
    turns.write_text(str(turn + 1))
    result = result[turn % len(result)]
if result is not None:
    print(json.dumps(result))
sys.exit(answer["exit"])
"""


class StandIns:
    """The two programs in a directory of their own, and what they are to do."""

    def __init__(self, directory: Path) -> None:
        self.bin = directory
        self.behaviour: dict[str, Any] = {
            "unavailable": [],
            "server_exit": 0,
            "client_hangs": False,
            "clients": {
                "epoll": {"result": result(100e3), "exit": 0},
                "io_uring": {"result": result(110e3), "exit": 0},
            },
        }
        for name, source in (("echo-server", SERVER), ("loadgen", CLIENT)):
            program = directory / name
            program.write_text(f"#!{sys.executable} -S\n{source}")
            program.chmod(0o755)
        self.install()

    def install(self) -> None:
        """Makes `behaviour` what the next start does."""
        (self.bin / "behaviour.json").write_text(json.dumps(self.behaviour))

    def pids(self) -> list[int]:
        """Every process that was started and got as far as to say so."""
        path = self.bin / "pids"
        return [int(line) for line in path.read_text().split()] if path.exists() else []
