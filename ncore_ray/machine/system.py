"""System calls for kernels: by symbol of the C library, so that compiled kernels can be cached on disk."""

from __future__ import annotations

import ctypes
import platform
import time
from collections.abc import Callable
from typing import Any, Final

from numba import types

from ncore_ray.machine.jit import JIT, kernel
from ncore_ray.machine.memory import load32, load64
from ncore_ray.machine.record import I32, I64, Record, pointer_to

_SYS_FUTEX: Final = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 202)
_FUTEX_WAIT: Final = 0
_FUTEX_WAKE: Final = 1
_CLOCK_MONOTONIC: Final = 1
_TIMER_ABSTIME: Final = 1

EAGAIN: Final = 11
EINTR: Final = 4
ENOBUFS: Final = 105

POLLIN: Final = 1
MSG_DONTWAIT: Final = 0x40


class TimeSpec(Record):
    """``struct timespec``."""

    seconds: I64
    nanoseconds: I64


class PollFd(Record):
    """``struct pollfd``: events and revents are the halves of one word."""

    fd: I32
    events: I32


time_spec_at = pointer_to(TimeSpec)
poll_fd_at = pointer_to(PollFd)


def _external(name: str, result: Any, *arguments: Any) -> Callable[..., int]:
    if JIT:
        symbol: Callable[..., int] = types.ExternalFunction(name, result(*arguments))
        return symbol
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    function.argtypes = [ctypes.c_int64 if argument is types.int64 else ctypes.c_int32 for argument in arguments]
    function.restype = ctypes.c_int64 if result is types.int64 else ctypes.c_int32
    return function  # type: ignore[no-any-return]


_syscall = _external("syscall", types.int64, *[types.int64] * 7)
_clock_gettime = _external("clock_gettime", types.int32, types.int32, types.int64)
_errno_location = _external("__errno_location", types.int64)
_clock_nanosleep = _external("clock_nanosleep", types.int32, types.int32, types.int32, types.int64, types.int64)
sendmmsg = _external("sendmmsg", types.int32, types.int32, types.int64, types.int32, types.int32)
sendto = _external("sendto", types.int64, types.int32, types.int64, types.int64, types.int32, types.int64, types.int32)
ppoll = _external("ppoll", types.int32, types.int64, types.int64, types.int64, types.int64)
poll = _external("poll", types.int32, types.int64, types.int64, types.int32)
write = _external("write", types.int64, types.int32, types.int64, types.int64)
read = _external("read", types.int64, types.int32, types.int64, types.int64)
readv = _external("readv", types.int64, types.int32, types.int64, types.int32)


def _python_errno() -> int:
    return ctypes.get_errno()


def _kernel_errno() -> int:
    return load32(_errno_location())


errno: Callable[[], int] = kernel(_kernel_errno) if JIT else _python_errno
"""The error number of this thread's last failed call."""


@kernel
def now_us(scratch: int) -> int:
    """Return the monotonic clock in µs; ``scratch`` is the address of 16 private bytes."""
    _clock_gettime(_CLOCK_MONOTONIC, scratch)
    return load64(scratch) * 1_000_000 + load64(scratch + 8) // 1_000


@kernel
def sleep_until(at: int, scratch: int) -> int:
    """Sleep until an instant of the monotonic clock, in µs; return 0, or an error number (EINTR: a signal came).

    ``scratch`` is the address of 16 private bytes.
    """
    instant = time_spec_at(scratch)
    instant.seconds = at // 1_000_000
    instant.nanoseconds = at % 1_000_000 * 1_000
    return _clock_nanosleep(_CLOCK_MONOTONIC, _TIMER_ABSTIME, scratch, 0)


@kernel
def futex_wait(word: int, expected: int, timeout_us: int, scratch: int) -> int:
    """Sleep while the 32-bit word at an address holds ``expected``, at most ``timeout_us`` µs.

    ``scratch`` is the address of 16 private bytes. A wake-up without cause is possible.
    """
    span = time_spec_at(scratch)
    span.seconds = timeout_us // 1_000_000
    span.nanoseconds = timeout_us % 1_000_000 * 1_000
    return _syscall(_SYS_FUTEX, word, _FUTEX_WAIT, expected, scratch, 0, 0)


@kernel
def futex_wake(word: int) -> int:
    """Wake one process that sleeps on the word at an address."""
    return _syscall(_SYS_FUTEX, word, _FUTEX_WAKE, 1, 0, 0, 0)


@kernel
def poll_us(fds: int, count: int, timeout_us: int, scratch: int) -> int:
    """Wait at most ``timeout_us`` µs for one of ``count`` `PollFd` records at an address; return how many are ready.

    ``scratch`` is the address of 16 private bytes.
    """
    span = time_spec_at(scratch)
    span.seconds = timeout_us // 1_000_000
    span.nanoseconds = timeout_us % 1_000_000 * 1_000
    return ppoll(fds, count, scratch, 0)


def monotonic_us() -> int:
    """Return the clock that kernels are given, for control code: monotonic, in µs."""
    return time.monotonic_ns() // 1_000
