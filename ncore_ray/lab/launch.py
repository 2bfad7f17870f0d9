"""Become a program inside a network namespace. Run as a file by ``process.py``, never imported:

``python -I -S launch.py NAMESPACE_FILE|- PARENT_PID PROGRAM [ARGUMENT…]``

It uses nothing but the standard library, so that it is there within milliseconds. It is a program of its own, not a
``preexec_fn``, because Python code between fork and exec may dead-lock in a program with threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CLONE_NEWNET = 0x4000_0000


def main(namespace: str, parent: int, arguments: list[str]) -> None:
    """Tie the life to the parent's, enter the namespace, and execute the program."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it had died before the line above
        sys.exit(1)
    if namespace != "-":
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            sys.exit(f"cannot enter {namespace}: {os.strerror(ctypes.get_errno())}")
    try:
        os.execvp(arguments[0], arguments)
    except OSError as error:
        sys.exit(f"cannot start {arguments[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
