"""A system call that is refused, as containers and sandboxes do it: by a seccomp filter."""

import ctypes
import struct
from collections.abc import Callable

# On every architecture but alpha.
IO_URING = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}


def refuse(number: int, error: int) -> Callable[[], None]:
    """For `before_exec`: lets the system call of this number fail with this errno."""
    load_number, if_equal, give = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    allow, fail_with = 0x7fff0000, 0x00050000
    rules = [(load_number, 0, 0, 0), (if_equal, 0, 1, number),
             (give, 0, 0, fail_with | error), (give, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)

    def install() -> None:
        no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
        if (libc.prctl(no_new_privileges, 1, 0, 0, 0) != 0
                or libc.prctl(set_seccomp, filter_mode, program, 0, 0) != 0 or not code):
            raise OSError(ctypes.get_errno(), "prctl")
    return install
