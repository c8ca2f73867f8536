"""Chains of nodes: relays that pass everything on, and an echo at the end."""

from collections.abc import Sequence

from server_process import EchoServer, StartServer


def start_chain(start_server: StartServer, length: int,
                names: Sequence[str] = ()) -> list[EchoServer]:
    """The nodes from the one that clients talk to, to the echo. With names, all sign."""
    nodes: list[EchoServer] = []
    for number in reversed(range(length)):
        options = [f"--sign={names[number]}"] if names else []
        if nodes:
            options.append(f"--relay={address_of(nodes[0])}")
        nodes.insert(0, start_server(*options))
    return nodes


def address_of(node: EchoServer) -> str:
    host, port = node.address()
    return f"{host}:{port}"
