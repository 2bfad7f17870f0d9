"""The rate of delivery against a record per segment, as the draft has it."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from ncore_ray.engine.connection import tcb_at
from ncore_ray.engine.partition import engine_at
from ncore_ray.engine.tcp import blocks, rate
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import view
from tests.support.tcp_script import configuration_text

MSS = 1460
SECOND = 1_000_000


@entry_kernel
def begin(engine: int, tcb: int) -> int:
    tcb_at(tcb).rate_block = blocks.take_block(engine_at(engine))
    return rate.rate_begin(engine_at(engine), tcb_at(tcb))


@entry_kernel
def note(engine: int, tcb: int) -> int:
    return rate.note_sending(engine_at(engine), tcb_at(tcb))


@entry_kernel
def take(engine: int, tcb: int) -> int:
    return rate.take_sample_of_rate(engine_at(engine), tcb_at(tcb))


@dataclass
class Segment:
    """What the draft keeps of each packet in flight."""

    sent_at: int
    delivered: int
    delivered_at: int
    first_sent_at: int


class Reference:
    """§3.1 of draft-cheng-iccrg-delivery-rate-estimation-00, word by word, for segments of equal size."""

    def __init__(self, now: int) -> None:
        self.delivered, self.delivered_at, self.first_sent_at = 0, now, now
        self.flight: list[Segment] = []

    def send(self, now: int) -> None:
        if not self.flight:
            self.first_sent_at = self.delivered_at = now
        self.flight.append(Segment(now, self.delivered, self.delivered_at, self.first_sent_at))

    def acknowledge(self, now: int, count: int) -> int:
        """Return bytes per second."""
        taken, self.flight = self.flight[:count], self.flight[count:]
        self.delivered += count * MSS
        self.delivered_at = now
        newest = taken[-1]
        self.first_sent_at = newest.sent_at
        interval = max(newest.sent_at - newest.first_sent_at, now - newest.delivered_at)
        return (self.delivered - newest.delivered) * SECOND // interval if interval else 0


@pytest.mark.parametrize("seed", range(5))
def test_samples_are_those_of_the_draft(seed: int) -> None:
    chance = random.Random(seed)
    lab = EngineLab(configuration_text())
    engine = lab.engine()
    offset = engine.connections
    engine_address, address = lab.base + engine.offset, lab.base + offset
    from ncore_ray.engine.connection import Tcb

    tcb = view(Tcb, lab.array, offset)
    now = engine.now = 1_000_000
    begin(engine_address, address)
    block = engine.spans + (tcb.rate_block - 1) * blocks.BLOCK_SIZE
    measured = view(rate.Rate, lab.array, block)
    reference = Reference(now)
    flight: list[int] = []
    for _ in range(400):
        now += chance.choice((100, 1_000, 7_000))
        engine.now = now
        if len(flight) < 15 and (not flight or chance.random() < 0.55):
            reference.send(now)
            note(engine_address, address)
            tcb.snd_max += MSS
            flight.append(now)
            continue
        count = chance.randint(1, len(flight))
        expected = reference.acknowledge(now, count)
        engine.delivered, engine.sample_sent_at = count * MSS, flight[count - 1]
        tcb.snd_una += count * MSS
        flight = flight[count:]
        take(engine_address, address)
        assert measured.sample == expected


def test_what_is_sent_without_more_to_send_is_marked_and_old_notes_make_room() -> None:
    lab = EngineLab(configuration_text())
    engine = lab.engine()
    engine_address, address = lab.base + engine.offset, lab.base + engine.connections
    from ncore_ray.engine.connection import Tcb

    tcb = view(Tcb, lab.array, engine.connections)
    engine.now = 1_000_000
    begin(engine_address, address)
    measured = view(rate.Rate, lab.array, engine.spans + (tcb.rate_block - 1) * blocks.BLOCK_SIZE)
    for _ in range(rate.SENDINGS + 5):
        note(engine_address, address)
        tcb.snd_max += MSS
        engine.now += 1_000
    assert measured.count == rate.SENDINGS
    engine.delivered, engine.sample_sent_at = MSS, 1_000_000
    take(engine_address, address)
    assert measured.sample == 0  # nothing is known any more of when that was sent
    measured.limited_until = 1 << 40
    note(engine_address, address)
    engine.now += 10_000
    engine.delivered, engine.sample_sent_at = MSS, engine.now - 10_000
    take(engine_address, address)
    assert (measured.sample_limited, measured.sample > 0) == (1, True)
