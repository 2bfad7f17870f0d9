"""The engine's actor, as far as it needs no process of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ncore_ray.actors.packet_engine import PacketEngine


class Guest:
    """The partition of another engine, at work in this one's process."""

    def __init__(self, host: PacketEngine, *, ends: bool = True) -> None:
        self._host, self._ends, self._runs = host, ends, True
        self.seen: list[bool] = []

    def alive(self) -> bool:
        return self._runs

    def failure(self) -> None:
        return None

    def stop(self) -> bool:
        """End; whoever watches the host looks just then."""
        self._runs = not self._ends
        self.seen.append(self._host.alive())
        return self._ends


def engine() -> PacketEngine:
    made = PacketEngine("lab/engine-0", 0, None, [])
    loop: Any = SimpleNamespace(alive=True, failure=None)
    made._loop = loop
    return made


@pytest.mark.parametrize("ends", [True, False])
def test_a_guest_that_is_dismissed_is_no_failure(ends: bool) -> None:
    host = engine()
    guest: Any = Guest(host, ends=ends)
    host._guests[3] = guest
    assert host.dismiss(3) is ends
    assert guest.seen == [True]
    assert host.alive()
    assert list(host._guests) == ([] if ends else [3])
    assert host.dismiss(4)


def test_a_guest_that_ends_by_itself_is_one() -> None:
    host = engine()
    guest: Any = Guest(host)
    host._guests[3] = guest
    guest._runs = False
    assert not host.alive()
