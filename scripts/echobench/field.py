"""What ours is measured beside, by name: the same echo on other libraries (bench/peers), and the
floor, which is no server but the least that an exchange can cost (bench/floor).

Those that cannot run here are named all the same: an experiment says that it leaves them out.
"""

import shutil
from pathlib import Path

from echobench.plan import Subject

PYTHON = "/usr/bin/python3"

FLOORS = ("floor", "spinning floor")


def peers(root: Path, bin_directory: Path) -> list[Subject]:
    """Those of bench/peers."""
    built, source = bin_directory.parent / "bench/peers", root / "bench/peers"
    node = shutil.which("node") or "node"
    return [
        Subject("plain epoll", [str(built / "plain_epoll_echo"), "{port}"]),
        Subject("libuv", [str(built / "libuv_echo"), "{port}"], needs="libuv1-dev"),
        Subject("libevent", [str(built / "libevent_echo"), "{port}"], needs="libevent-dev"),
        Subject("Boost.Asio", [str(built / "asio_echo"), "{port}"], needs="libboost-dev"),
        Subject("Go", [str(built / "go_echo"), "{port}"], needs="golang-go"),
        Subject("Node", [node, str(source / "node_echo.js"), "{port}"], needs="nodejs"),
        Subject("asyncio", [PYTHON, str(source / "asyncio_echo.py"), "{port}"]),
        Subject("lecture", [PYTHON, str(source / "lecture_echo.py"), "{port}"]),
    ]


def floors(bin_directory: Path) -> list[Subject]:
    """Whose ends sleep in recv(2), and whose ends ask again until something is there."""
    built = bin_directory.parent / "bench/floor"
    client = str(built / "floor_client")
    server = [str(built / "floor_server"), "{port}", "{connections}", "{message_size}",
              "{pipeline}"]
    asleep, spinning = FLOORS
    return [
        Subject(asleep, [*server, "block"], client=[client, "--busy-poll=off"]),
        Subject(spinning, [*server, "spin"], client=[client, "--busy-poll=always"]),
    ]


def by_name(root: Path, bin_directory: Path) -> dict[str, Subject]:
    """All of them."""
    return {each.name: each for each in (*peers(root, bin_directory), *floors(bin_directory))}
