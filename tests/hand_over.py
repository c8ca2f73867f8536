"""Runs a program as who has made its listening socket does (sd_listen_fds(3)): with the given
descriptors from 3 on. A program of its own, for one of the variables names the process:

    hand_over.py DESCRIPTOR[,DESCRIPTOR...] PROGRAM ARGUMENT..."""

import fcntl
import os
import sys

FIRST, OUT_OF_THE_WAY = 3, 100


def main() -> None:
    descriptors = [int(each) for each in sys.argv[1].split(",")]
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, OUT_OF_THE_WAY) for each in descriptors]
    for each in descriptors:
        os.close(each)
    for number, each in enumerate(moved, FIRST):
        os.dup2(each, number)
    of_this_process = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(moved))}
    os.execve(sys.argv[2], sys.argv[2:], {**of_this_process, **os.environ})


if __name__ == "__main__":
    main()
