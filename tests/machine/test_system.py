"""System calls of kernels."""

from __future__ import annotations

import os

import numpy as np

from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.system import EAGAIN, POLLIN, errno, monotonic_us, now_us, poll, poll_fd_at, read, write


@entry_kernel
def clock(scratch: int) -> int:
    """Return the clock."""
    return now_us(scratch)


@entry_kernel
def through_pipe(reading: int, writing: int, scratch: int) -> int:
    """Read from an empty pipe (leaves the error number), write, poll, read; return what poll answered."""
    read(reading, scratch, 8)
    error = errno()
    write(writing, scratch, 3)
    waited = poll_fd_at(scratch + 8)
    waited.fd = reading
    waited.events = POLLIN
    ready = poll(scratch + 8, 1, 0)
    return error * 1_000_000 + ready * 1_000 + read(reading, scratch, 8) * 10 + ((waited.events >> 16) & POLLIN)


def test_kernels_and_control_code_have_one_clock() -> None:
    scratch = np.zeros(2, np.int64)
    before = monotonic_us()
    now = clock(scratch.ctypes.data)
    assert before <= now <= monotonic_us()


def test_read_write_poll_errno() -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    scratch = np.zeros(4, np.int64)
    try:
        assert through_pipe(reading, writing, scratch.ctypes.data) == EAGAIN * 1_000_000 + 1_031
    finally:
        os.close(reading)
        os.close(writing)
