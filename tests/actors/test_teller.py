"""A teller whose port always fails rests longer and longer, and fills no log; then it goes on as before."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ncore_ray.actors.teller import Teller
from ncore_ray.arena.core import Actor
from ncore_ray.management.trouble import FIRST_REST_S, LONGEST_REST_S, Trouble
from ncore_ray.messages.arena import management
from ncore_ray.messages.parcel import Parcels, cut
from ncore_ray.messages.port import Message, Sending
from tests.support.http_lab import HttpLab, running

TIMES = 40
ENGINE = int(Actor.ENGINE)
BOSS = management(1)


@pytest.fixture(scope="module")
def lab() -> Iterator[HttpLab]:
    """An arena with one engine."""
    with running() as made:
        yield made


@dataclass
class BadPort:
    """Fails a number of times, then has a question, then fails again."""

    failures: int
    attempts: int = 0
    sent: list[Any] = field(default_factory=list)
    longest: int = 8192

    def send(self, receiver: int, value: Any) -> Sending:
        """Keep what is sent."""
        assert receiver == BOSS
        self.sent.append(value)
        return Sending.SENT

    def try_receive(self) -> Message | None:
        """Nobody asks so."""
        raise NotImplementedError

    def receive(self, deadline_us: int) -> Message | None:
        """Fail, but once."""
        self.attempts += 1
        if self.attempts == self.failures + 1:
            return Message(BOSS, next(iter(cut(5, {"ask": "counters"}, self.longest))))
        if self.attempts == self.failures + 2:
            return None
        raise OSError(f"no ring {self.attempts}")


def _rests(lab: HttpLab, port: BadPort, times: int) -> list[float]:
    """Let a teller work until it has rested so often; return for how long each time."""
    rests: list[float] = []

    def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == times:
            teller.stop()

    teller = Teller(lab.array, ENGINE, port, rest)
    teller.start()
    teller.join()
    return rests


def test_who_always_fails_rests_longer_and_longer(lab: HttpLab, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ncore_ray"):
        rests = _rests(lab, BadPort(failures=TIMES), TIMES)
    assert rests[:3] == [FIRST_REST_S, 2 * FIRST_REST_S, 4 * FIRST_REST_S]
    assert rests == sorted(rests)
    assert rests[-1] == LONGEST_REST_S
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == f"core {ENGINE} does not tell"
    assert [record.exc_info is not None for record in caplog.records] == [True, False, False, False, False, False]
    assert lines[-1] == f"core {ENGINE} does not tell, 32 times in a row: no ring 32"


def test_it_answers_as_soon_as_it_can_and_begins_anew(lab: HttpLab) -> None:
    port = BadPort(failures=5)
    rests = _rests(lab, port, 7)
    parcels = Parcels()
    (number, value), *_ = [found for part in port.sent if (found := parcels.put(BOSS, part))]
    assert number == 5
    assert value["words"]["received_packets"] > 0
    assert rests[5:] == [FIRST_REST_S, 2 * FIRST_REST_S]


def test_rests_stay_bounded_however_long_it_fails() -> None:
    trouble = Trouble()
    news = sum((trouble.again(), trouble.is_news)[1] for _ in range(100_000))
    assert news == 17
    assert trouble.again() == LONGEST_REST_S
    trouble.over()
    assert (trouble.again(), trouble.is_news) == (FIRST_REST_S, True)
