"""What is not frozen or thawed, and that nothing is changed by it; deaths in the middle."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ncore_ray.engine.handover.document import FlowFormatError, from_document, to_document
from ncore_ray.engine.handover.frozen import FLOW_SIZE, FrozenFlow, Refusal
from ncore_ray.engine.handover.run import Handover
from ncore_ray.engine.takeover.run import take_over
from ncore_ray.engine.tcp.spans import OWN_SPANS
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.machine.jit import JIT
from ncore_ray.machine.record import dtype_of, offset_of
from tests.engine.handover.homes import check_engine
from tests.engine.takeover.mortal import Mortal, die_at_line
from tests.support.tcp_script import Script, configuration_text, established


def snapshot(lab: EngineLab) -> bytes:
    """Return all regions of an arena; the pages between them are out of bounds."""
    spans = lab.blueprint.layout.spans.values()
    return b"".join(lab.array[span.offset : span.offset + span.size].tobytes() for span in spans)


def laden(**options: object) -> tuple[Script, bytes]:
    """Return a pair with bytes in flight both ways and segments that came too early, and what it is frozen to."""
    script = established("client", sack=True, **options)
    script.client.sends("PA", data=3_000)
    script.service.sends("PA", data=700)
    script.client.sends("PA", 4_001, data=500)
    script.settle()
    frozen = Handover(script.lab.array).freeze(0, next(iter(Handover(script.lab.array).flows(0))))
    assert not isinstance(frozen, Refusal)
    return script, frozen


def empty_lab(**dimensions: int) -> EngineLab:
    return EngineLab(configuration_text(), **dimensions)


def test_freezing_changes_nothing() -> None:
    script, _ = laden()
    before = snapshot(script.lab)
    Handover(script.lab.array).freeze(0, next(iter(Handover(script.lab.array).flows(0))))
    assert snapshot(script.lab) == before


def test_a_document_names_everything() -> None:
    _, frozen = laden()
    document = to_document(frozen)
    client, service = document["sides"]
    assert client["connection"]["state"] == 3
    assert [len(early["data"]) for early in client["early"]] == [500]
    assert len(service["send"]) == 3_000
    assert from_document(document) == frozen


@pytest.mark.parametrize("step", [1, 7])
def test_a_flow_that_was_cut_off_is_refused(step: int) -> None:
    _, frozen = laden()
    lab = empty_lab()
    before = snapshot(lab)
    for length in range(0, len(frozen), 97 * step):
        assert Handover(lab.array).thaw(0, frozen[:length], lab.now) == Refusal.TORN
    assert snapshot(lab) == before


def test_wrong_lengths_are_refused() -> None:
    _, frozen = laden()
    lab = empty_lab()
    choice = random.Random(3)
    for field in range(FLOW_SIZE, FLOW_SIZE + 40, 8):
        for value in (-1, 1 << 40, choice.randrange(5_000), -(1 << 63)):
            damaged = bytearray(frozen)
            damaged[field : field + 8] = value.to_bytes(8, "little", signed=True)
            if bytes(damaged) != frozen:
                assert Handover(lab.array).thaw(0, bytes(damaged), lab.now) == Refusal.TORN
    check_engine(lab, lab.engine(), 0)


@pytest.mark.parametrize("field", ["version", "layout"])
def test_another_version_is_refused(field: str) -> None:
    _, frozen = laden()
    lab = empty_lab()
    other = bytearray(frozen)
    other[offset_of(FrozenFlow, field)] ^= 1
    assert Handover(lab.array).thaw(0, bytes(other), lab.now) == Refusal.WRONG_VERSION


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "this is no ncore flow"),
        ({"version": 2}, "a flow of version 2; this program knows version 1"),
        ({"frozen_at": "soon"}, "cannot be read"),
        ({"sides": [{}]}, "cannot be read"),
    ],
)
def test_a_wrong_document_says_why(change: dict[str, object], message: str) -> None:
    _, frozen = laden()
    with pytest.raises(FlowFormatError, match=message):
        from_document(to_document(frozen) | change)


def test_a_missing_field_is_named() -> None:
    document = to_document(laden()[1])
    del document["sides"][0]["connection"]["snd_una"]
    with pytest.raises(FlowFormatError, match="missing or unknown: snd_una"):
        from_document(document)


def test_a_flow_that_is_there_is_not_thawed_again() -> None:
    script, frozen = laden()
    assert Handover(script.lab.array).thaw(0, frozen, script.lab.now) == Refusal.KNOWN


def test_a_full_table_takes_no_flow() -> None:
    _, frozen = laden()
    lab = empty_lab(connections=1)
    before = snapshot(lab)
    assert Handover(lab.array).thaw(0, frozen, lab.now) == Refusal.NO_CONNECTION
    assert snapshot(lab) == before


def test_a_full_pool_takes_no_flow() -> None:
    _, frozen = laden()
    lab = empty_lab(frames=16)
    lab.engine().free_frame_count = 5
    assert Handover(lab.array).thaw(0, frozen, lab.now) == Refusal.NO_MEMORY
    assert lab.engine().live_connections == 0


def test_no_such_connection() -> None:
    lab = empty_lab()
    for number in (-1, 0, 64, 1 << 40):
        assert Handover(lab.array).freeze(0, number) == Refusal.NOT_FOUND


def test_without_a_block_of_spans_the_flow_goes_on() -> None:
    """What the peer had said to hold is forgotten; the counts of bytes say so, too."""
    script = established("client", sack=True)
    script.service.sends("PA", data=14_600)
    script.settle()
    script.client.inbox.clear()
    script.client.sends("A", ack=1, sack=[(1461, 2921), (4381, 5841), (7301, 8761)])
    script.settle()
    tcb = script.client.live()
    assert tcb.span_count > OWN_SPANS
    handover, lab = Handover(script.lab.array), empty_lab()
    frozen = handover.freeze(0, next(iter(handover.flows(0))))
    assert not isinstance(frozen, Refusal)
    lab.engine().span_blocks_used = lab.engine().span_block_count
    number = Handover(lab.array).thaw(0, frozen, lab.now)
    assert not isinstance(number, Refusal)
    thawed = next(tcb for tcb in lab.connections() if tcb.snd_una != tcb.snd_max)
    assert (thawed.span_count, thawed.sacked_bytes, thawed.lost_bytes, thawed.span_block) == (1, 0, 0, 0)


@pytest.mark.parametrize("seed", range(4))
def test_an_engine_that_dies_while_it_thaws_is_taken_over(seed: int) -> None:
    _, frozen = laden()
    choice = random.Random(seed)
    lab = Mortal(configuration_text(), connections=16, frames=64)
    lab.begin_dying(seed, 0.0)
    handover = Handover(lab.array)
    deaths = 0
    for _ in range(12):

        def thaw(engine: int, now: int) -> int:
            return int(handover.thaw(engine, frozen, now))

        if JIT:
            lab._child.end()  # a new one knows what this process knows by now
            died = lab._child.die_after(choice.random() * 60e-6, 0, lab.now, thaw)
        else:
            died = die_at_line(choice.randrange(900), lambda: thaw(0, lab.now))
        deaths += died
        found = take_over(lab.array, 0, lab.now)
        assert found.unmarked == 0
        lab.check_whole(0)
        assert (found.whole, found.broken) in {(0, 0), (0, 1), (0, 2), (2, 0)}
        if found.whole:
            assert handover.withdraw(0, next(iter(handover.flows(0)))) == 2
        lab.breathe()
        lab.sent()
        lab.now += 2_000
    assert JIT or deaths
    assert (
        lab.engine().free_frame_count
        + sum(
            ring.tail - ring.taken
            for ring in (lab._ring(lab.arena.transmit_return_rings, nic) for nic in range(lab.arena.nic_count))
        )
        == lab.engine().frame_count
    )


def test_layouts_are_whole_words() -> None:
    """Records follow each other in a frozen flow without a gap."""
    assert dtype_of(FrozenFlow).itemsize == FLOW_SIZE
    assert np.dtype("<i8").itemsize * 7 == FLOW_SIZE
