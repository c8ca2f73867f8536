"""Stand-ins for echo-server and loadgen: instant, and wrong in whatever way a test asks for.

Each is a Python script that keeps to the programs' command line, exit statuses and output. What it
is to do comes from a file beside it, so a test can change it between two starts.
"""

import json
import sys
from pathlib import Path
from typing import Any

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
if answer["result"] is not None:
    print(json.dumps(answer["result"]))
sys.exit(answer["exit"])
"""


def result(
    messages_per_s: float, *, p99: float | None = 9e6, status: str = "valid", code: str = ""
) -> dict[str, Any]:
    """The part of loadgen's object that comparisons read."""
    return {
        "throughput": {"messages_per_s": messages_per_s},
        "latency_ns": {"p50": 500e9 / messages_per_s, "p99": p99},
        "cpu": {"server": {"ns_per_message": 1e9 / messages_per_s}},
        "verdict": {
            "status": status,
            "reasons": [{"code": code, "message": f"because of {code}"}] if code else [],
        },
    }


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
