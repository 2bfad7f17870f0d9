"""Spliced streams over wires that lose, double and reorder: byte-exact, with what the ends say of it translated."""

from __future__ import annotations

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from ncore_ray.machine.jit import JIT
from tests.engine.crowd import Wires
from tests.engine.splice.worlds import SplicedStream, SplicedWorld
from tests.support.tcp_script import WRAP, check_nothing_leaked

SIZE = 30_000 if JIT else 12_000
_rates = st.floats(0.0, 0.15)


@settings(max_examples=25 if JIT else 8, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@example(seed=1, loss=0.0, double=0.0, jitter_us=0, up=SIZE, down=SIZE)
@example(seed=2, loss=0.15, double=0.1, jitter_us=30_000, up=0, down=SIZE)
@given(
    seed=st.integers(0, 1 << 32),
    loss=_rates,
    double=_rates,
    jitter_us=st.integers(0, 20_000),
    up=st.integers(0, SIZE),
    down=st.integers(0, SIZE),
)
def test_every_byte_arrives_once_and_in_order(
    seed: int, loss: float, double: float, jitter_us: int, up: int, down: int
) -> None:
    print(f"seed {seed}: {loss} lost, {double} doubled, {jitter_us} µs, {up} and {down} bytes")
    world = SplicedWorld(seed, Wires(loss, double, jitter_us=jitter_us), sizes=(up, down))
    world.run(limit_s=3_000)
    assert len(world.streams) == 2
    world.check_bytes()
    client, service = world.streams.values()
    assert isinstance(client, SplicedStream)
    assert isinstance(service, SplicedStream)
    for one, other in ((client, service), (service, client)):
        _check_options(one, other)
    assert (world.lab.vserver().received_bytes, world.lab.vserver().sent_bytes) == (up + 4, down)
    stats = world.lab.service_stats()
    assert (stats.sent_bytes, stats.received_bytes) == (up + 4, down)
    assert world.lab.engine().free_frame_count <= 64
    _end(world)


def _check_options(one: SplicedStream, other: SplicedStream) -> None:
    """What one end heard is what the other has said, as far as numbers may differ: by one shift."""
    shift = one.stamps_heard[0] - min(other.stamps, key=lambda stamp: (stamp - other.first_stamp) % WRAP)
    said = {(stamp + shift) % WRAP for stamp in other.stamps}
    if one.nic == 1:  # the SYN is said again by the engine, with the first timestamp; an answer's may be any
        assert set(one.stamps_heard) <= said
    assert set(one.echoes) <= one.stamps
    assert set(one.blocks_heard) <= other.blocks


def _end(world: SplicedWorld) -> None:
    world.events.clear()
    for _ in range(8):
        world.lab.now += 70_000_000
        world.lab.breathe()
        world.lab.sent()
    check_nothing_leaked(world.lab, connections=0)


def test_blocks_and_timestamps_come_through() -> None:
    """On a bad wire there is something to say, and it is heard."""
    heard = []
    for seed in range(3):
        world = SplicedWorld(seed, Wires(0.1, jitter_us=5_000), sizes=(SIZE, SIZE))
        world.run(limit_s=3_000)
        for one in world.streams.values():
            assert isinstance(one, SplicedStream)
            heard.append((len(one.blocks_heard), len(one.echoes)))
    assert min(blocks for blocks, _ in heard) > 0
    assert min(echoes for _, echoes in heard) > 10


def test_many_pairs_at_once() -> None:
    world = SplicedWorld(7, Wires(0.03, 0.02, jitter_us=3_000), sizes=(3_000, 3_000), clients=8)
    world.run(limit_s=3_000)
    world.check_bytes()
    assert world.lab.vserver().received_bytes == 8 * 3_004
    _end(world)


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_nothing_is_kept_in_frames_of_the_engine(loss: float) -> None:
    world = SplicedWorld(3, Wires(loss), sizes=(SIZE, SIZE))
    lab = world.lab
    for _ in range(20):
        world.run(limit_s=0.05)
        rings = [lab._ring(lab.arena.transmit_return_rings, nic) for nic in range(2)]
        assert lab.engine().free_frame_count + sum(ring.tail - ring.taken for ring in rings) == 64
