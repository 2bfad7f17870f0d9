"""The writer, breath by breath, with the memory driver."""

from __future__ import annotations

from ncore_ray.nic.faults import FaultSettings
from ncore_ray.nic.local import BATCH
from tests.nic.harness import memory_rig, packet

FIRST = 64
"""First frame of engine 0 on the arena of `memory_rig`."""


def test_packets_leave_in_order_and_frames_go_home() -> None:
    rig, driver = memory_rig()
    sent = [packet(number, 60 + number) for number in range(10)]
    for number, data in enumerate(sent):
        rig.send(FIRST + number, data)
    assert rig.write() == 10
    assert [one.data for one in driver.sent()] == sent
    assert rig.sent_home() == list(range(FIRST, FIRST + 10))
    assert (rig.sends.sent_packets, rig.sends.sent_bytes) == (10, sum(map(len, sent)))
    assert rig.written.taken_packets == 10


def test_each_engine_gets_its_own_frames() -> None:
    rig, driver = memory_rig(engines=3)
    for engine in range(3):
        rig.send(FIRST + 64 * engine, packet(engine), engine)
    assert rig.write() == 3
    assert len(driver.sent()) == 3
    assert [rig.sent_home(engine) for engine in range(3)] == [[64], [128], [192]]


def test_a_breath_takes_one_batch() -> None:
    rig, _ = memory_rig(ring_capacity=4 * BATCH)
    for _ in range(BATCH + 1):
        rig.send(FIRST, packet())
    assert rig.write() == BATCH
    assert rig.write() == 1


def test_packets_wait_while_the_output_is_full() -> None:
    rig, driver = memory_rig()
    driver.output.head.head = driver.output.head.tail - driver.output.head.capacity  # as if nobody had read
    rig.send(FIRST, packet())
    assert rig.write() == 0
    assert rig.written.stalled_breaths == 1
    assert rig.writer_memory.local.stalled == 1
    driver.output.head.head = driver.output.head.tail
    assert rig.write() == 1
    assert rig.writer_memory.local.stalled == 0
    assert rig.sent_home() == [FIRST]


def test_packets_wait_while_frames_cannot_go_home() -> None:
    rig, driver = memory_rig(ring_capacity=4)
    for _ in range(4):
        rig.send(FIRST, packet())
    rig.write()
    rig.send(FIRST, packet(5))
    assert rig.write() == 0
    assert rig.written.stalled_breaths == 1
    assert len(rig.sent_home()) == 4
    assert rig.write() == 1
    assert len(driver.sent()) == 5


def test_a_length_beyond_the_frame_is_refused() -> None:
    rig, driver = memory_rig()
    rig.arena.write_frame(FIRST, packet())
    rig.send(FIRST, packet(1, 2_049)[:2_049])
    rig.write()
    assert driver.sent() == []
    assert rig.written.drop_nic_bad_descriptor_packets == 1
    assert rig.sent_home() == [FIRST]


def test_delayed_packets_leave_later_and_their_frames_at_once() -> None:
    rig, driver = memory_rig()
    rig.inject(FaultSettings(delay_us=1_000))
    rig.send(FIRST, packet(1))
    assert rig.write() == 1
    assert (driver.sent(), rig.sent_home()) == ([], [FIRST])
    rig.write(999)
    assert driver.sent() == []
    rig.write(1)
    assert [one.data for one in driver.sent()] == [packet(1)]


def test_the_injector_can_double_a_whole_batch() -> None:
    rig, driver = memory_rig(ring_capacity=2 * BATCH)
    rig.inject(FaultSettings(duplication=1_000_000))
    for number in range(BATCH):
        rig.send(FIRST, packet(number))
    rig.write()
    rig.write()
    assert len(driver.sent()) == 2 * BATCH
    assert rig.sends.sent_packets == 2 * BATCH
    assert len(rig.sent_home()) == BATCH
