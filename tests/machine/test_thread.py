"""A loop's thread takes its core and its priority, and only that thread does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from ncore_ray.machine.thread import settle


def in_thread(work: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def test_thread_is_bound_and_the_others_are_not() -> None:
    allowed = os.sched_getaffinity(0)
    first = min(allowed)

    def work() -> None:
        settle([first])
        assert os.sched_getaffinity(0) == {first}

    in_thread(work)
    assert os.sched_getaffinity(0) == allowed


def test_low_priority_is_taken_back_where_that_is_allowed() -> None:
    def work() -> None:
        os.setpriority(os.PRIO_PROCESS, 0, 5)
        settle(None)
        if os.getpriority(os.PRIO_PROCESS, 0) != 0:
            with pytest.raises(PermissionError):
                os.setpriority(os.PRIO_PROCESS, 0, 0)

    in_thread(work)
