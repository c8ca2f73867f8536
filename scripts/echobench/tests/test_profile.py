"""What a sample is put to, and how samples become a message's nanoseconds."""

import pytest

from echobench.profile import ALL_PARTS, REST, USER, Profile, count, part_of, table

KERNEL = "[kernel.kallsyms]"


@pytest.mark.parametrize("functions, part", [
    (["_raw_spin_unlock_irqrestore", "ep_poll_callback", "sock_def_readable", "tcp_v4_rcv",
      "tcp_sendmsg", "do_syscall_64"], "wake who is to receive"),
    (["tcp_ack", "tcp_v4_rcv", "tcp_sendmsg", "io_send", "__do_sys_io_uring_enter"],
     "send, and deliver"),
    (["io_poll_task_func", "__do_sys_io_uring_enter", "do_syscall_64"], "io_uring's own"),
    (["sock_poll", "ep_send_events", "__x64_sys_epoll_wait"], "say who is ready"),
    (["inet_csk_accept", "io_accept", "__do_sys_io_uring_enter"], "accept"),
    (["tcp_close", "sock_close", "__fput", "task_work_run", "do_syscall_64"], "close"),
    (["fdget", "__sys_sendto", "do_syscall_64"], REST),
])
def test_the_first_part_that_is_on_the_stack(functions: list[str], part: str) -> None:
    stack = [(function, KERNEL) for function in functions]
    assert part_of([*stack, ("send", "/usr/lib/libc.so.6")]) == part


def test_without_the_kernel_it_is_user_space() -> None:
    assert part_of([("tcp_sendmsg", "/home/a/bin/server")]) == USER


def test_what_perf_prints_is_counted() -> None:
    script = """
\tffffffff8200da6b tcp_sendmsg_locked ([kernel.kallsyms])
\tffffffff8200ec5b tcp_sendmsg ([kernel.kallsyms])
\t          10ab59 __send (/usr/lib/x86_64-linux-gnu/libc.so.6)

\t            2b95 void a::b<c (d)>::poll(int) (/tmp/echo-server)

"""
    assert count(script) == {"send, and deliver": 1, USER: 1}


def test_the_parts_add_up() -> None:
    took = {part: 0.0 for part in ALL_PARTS} | {"receive": 500.0, USER: 100.0}
    more = took | {"receive": 504.0}
    slices = [Profile("1 connection", "epoll", 1e5, each) for each in (took, more)]
    assert table(slices, "1 connection") == [
        ["1 connection", "epoll"],
        ["receive", "502 ± 2"],
        [USER, "100 ± 0"],
        ["together", "602 ± 2"],
    ]
