"""What is due when: in order, and without waiting for what is due later."""

from __future__ import annotations

import threading
import time

from ncore_ray.management.agenda import Agenda


def test_what_is_due_comes_in_order_and_what_is_not_does_not() -> None:
    agenda: Agenda[str] = Agenda()
    now = time.monotonic()
    for name, due in (("late", now + 1_000), ("second", now - 1), ("first", now - 2), ("third", now - 1)):
        agenda.add(name, due)
    assert [agenda.take(0) for _ in range(4)] == ["first", "second", "third", None]


def test_who_waits_is_woken_by_what_comes() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.add("late", time.monotonic() + 1_000)
    adder = threading.Timer(0.05, lambda: agenda.add("now", time.monotonic()))
    adder.start()
    assert agenda.take(60) == "now"
    adder.join()
