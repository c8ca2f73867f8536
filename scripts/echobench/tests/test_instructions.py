"""Callgrind's output by file: what a called function cost is told with its own lines only."""

from echobench.instructions import by_file, table

PROFILE = """\
events: Ir

ob=/usr/bin/echo-server
fl=/home/me/echobench/net/epoll_engine.h
fn=poll
10 3
fi=/home/me/echobench/server/echo_server.h
20 4
fe=/home/me/echobench/net/epoll_engine.h
11 1
cob=/lib/libc.so.6
cfi=???
cfn=recv
calls=5 0
12 50

ob=/lib/libc.so.6
fl=???
fn=recv
0 50
"""


def test_instructions_are_told_once_by_the_file_they_stand_in() -> None:
    assert by_file(PROFILE) == {"net/epoll_engine.h": 4, "server/echo_server.h": 4, "libc.so.6": 50}


def test_a_table_adds_up() -> None:
    counted = {"a": {"x.h": 10.0, "y.h": 1.0}, "b": {"x.h": 2.0, "z.h": 7.0}}
    assert table(counted) == [["", "a", "b"], ["x.h", "10", "2"], ["z.h", "0", "7"],
                              ["others", "1", "0"], ["together", "11", "9"]]
