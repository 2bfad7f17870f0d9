"""What keeps a test bed from outliving its program: signals become exceptions, and a prefix has one owner."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Terminated(SystemExit):
    """SIGTERM or SIGHUP arrived; passes through ``finally`` blocks and ends the program with 128 + its number."""


def _raise_terminated(number: int, _frame: FrameType | None) -> None:
    raise Terminated(128 + number)


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise :class:`Terminated` where they would end the program at once.

    A handler that the program has set itself is left alone. Outside the main thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _raise_terminated)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def signals_held_back() -> Iterator[None]:
    """Hold back SIGINT, SIGTERM and SIGHUP of this thread, so that clean-up is never left half done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, *_SIGNALS))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class PrefixInUseError(RuntimeError):
    """Another living program owns the test bed of this prefix."""


@contextlib.contextmanager
def sole_owner(prefix: str) -> Iterator[None]:
    """Own a prefix while the block runs; the kernel releases it when the program dies, however it dies.

    Raises PrefixInUseError at once when another program (or another part of this one) owns it.
    """
    path = Path(f"/run/{prefix}.lock")
    descriptor = _lock(path, prefix)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path: Path, prefix: str) -> int:
    """Return the descriptor of the locked file that has the path's name now."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor  # else its owner removed it while we were opening it
        except BlockingIOError:
            owner = os.read(descriptor, 20).decode() or "unknown"
            os.close(descriptor)
            raise PrefixInUseError(f"a network named {prefix} is in use by process {owner}") from None
        os.close(descriptor)
