"""The reader, breath by breath, with the memory driver."""

from __future__ import annotations

import struct

import pytest

from ncore_ray.arena.frame import FRAME_SIZE, RECEIVED, Checksum
from ncore_ray.nic.local import BATCH
from tests.nic.harness import Rig, memory_rig, number_of, packet

READER = 2
"""The reader's actor number on an arena with one engine."""


def test_packets_arrive_in_order_with_all_their_bytes() -> None:
    rig, driver = memory_rig()
    sent = [packet(number, 14 + 31 * number) for number in range(1, 40)]
    for data in sent:
        driver.put(data)
    assert rig.read() == len(sent)
    arrived = rig.take_all()
    assert [one.data for one in arrived] == sent
    assert all((one.nic, one.checksum) == (0, Checksum.UNKNOWN) for one in arrived)
    assert rig.received.received_packets == len(sent)
    assert rig.received.received_bytes == sum(map(len, sent))


@pytest.mark.parametrize("state", list(Checksum))
def test_the_checksum_state_goes_along(state: Checksum) -> None:
    rig, driver = memory_rig()
    driver.put(packet(), checksum=state)
    assert [one.checksum for one in rig.receive()] == [state]
    assert rig.received.received_partial_checksum_packets == (state == Checksum.PARTIAL)


def test_frames_change_their_owner_and_come_back() -> None:
    rig, driver = memory_rig(nic_frames=4)
    driver.put(packet())
    rig.read()
    arrived = rig.take()
    assert arrived is not None
    assert rig.arena.owners()[arrived.frame] == RECEIVED
    assert rig.reader.free_count == 3
    rig.give_back(arrived.frame, actor=1)
    assert rig.read() == 1
    assert rig.arena.owners()[arrived.frame] == READER
    assert rig.reader.free_count == 4
    assert rig.received.returned_frames == 1


def test_a_descriptor_is_taken_for_its_frame_on_the_way_home() -> None:
    rig, driver = memory_rig(nic_frames=2)
    driver.put(packet())
    rig.read()
    arrived = rig.take()
    assert arrived is not None
    rig.give_back(arrived.frame | 60 << 32 | 1 << 60)
    rig.read()
    assert rig.reader.free_count == 2


def test_without_frames_packets_wait_in_the_nic() -> None:
    rig, driver = memory_rig(nic_frames=2)
    for number in range(3):
        driver.put(packet(number))
    rig.read()
    first = rig.take_all()
    assert [number_of(one.data) for one in first] == [0, 1]
    assert rig.read() == 0
    assert rig.received.stalled_no_frame_breaths == 1
    rig.give_back(first[0].frame)
    rig.read()
    assert [number_of(one.data) for one in rig.take_all()] == [2]


def test_with_a_full_ring_packets_wait_in_the_nic() -> None:
    rig, driver = memory_rig(nic_frames=8, ring_capacity=4)
    for number in range(6):
        driver.put(packet(number))
    rig.read()
    assert rig.read() == 0
    assert rig.received.stalled_ring_full_breaths == 1
    assert [number_of(one.data) for one in rig.take_all()] == [0, 1, 2, 3]
    rig.read()
    assert [number_of(one.data) for one in rig.take_all()] == [4, 5]


def test_a_breath_is_bounded() -> None:
    rig, driver = memory_rig(nic_frames=2 * BATCH, ring_capacity=4 * BATCH)
    for number in range(BATCH + 5):
        driver.put(packet(number))
    assert rig.read() == BATCH
    assert rig.read() == 5


def test_useless_packets_are_counted_and_take_no_frame() -> None:
    rig, driver = memory_rig()
    driver.put(b"")
    driver.put(packet()[:13])
    driver.put(packet()[:12] + b"\x81\x00\x00\x05" + bytes(50))
    driver.put(packet()[:12] + b"\x88\xa8" + bytes(50))
    driver.put(packet(1, FRAME_SIZE + 1))
    driver.put(packet(2, FRAME_SIZE))
    driver.put(packet(3, 14 + 8)[:14])
    rig.read()
    assert [len(one.data) for one in rig.take_all()] == [FRAME_SIZE, 14]
    counters = rig.received
    assert counters.drop_nic_runt_packets == 2
    assert counters.drop_nic_vlan_packets == 2
    assert counters.drop_nic_truncated_packets == 1
    assert counters.received_packets == 2
    assert rig.reader.free_count == 62


def tagged(data: bytes, vlan: int, ether_type: int = 0x8100) -> bytes:
    return data[:12] + struct.pack(">HH", ether_type, vlan) + data[12:]


@pytest.mark.parametrize("vlan", [0, 10])
def test_tag_of_the_vlan_is_taken_off(vlan: int) -> None:
    """Upper bits are a priority; a tag of VLAN 0 says no more than that (IEEE 802.1Q §9.6)."""
    rig, driver = memory_rig()
    rig.reader_memory.local.vlan = vlan
    whole = packet(7, 900)
    for number in (vlan, vlan | 0xE000, 11):
        driver.put(tagged(whole, number))
    driver.put(tagged(whole, vlan, 0x88A8))
    driver.put(tagged(tagged(whole, 5), vlan))
    driver.put(tagged(whole, vlan)[:17])
    driver.put(whole)
    rig.read()
    assert [one.data for one in rig.take_all()] == [whole] * (2 if vlan else 3)
    assert rig.received.drop_nic_vlan_packets == (5 if vlan else 4)


def test_the_distributor_is_woken_once_per_breath() -> None:
    rig, driver = memory_rig()
    distributor = rig.arena.cores()[0]
    distributor["asleep"] = 1
    for number in range(3):
        driver.put(packet(number))
    rig.read()
    assert (distributor["bell"], distributor["asleep"]) == (1, 0)
    assert rig.arena.cores()[READER]["wakes_sent"] == 1
    driver.put(packet(4))
    rig.read()
    assert distributor["bell"] == 1


def test_nothing_to_do() -> None:
    rig, _ = memory_rig()
    assert rig.read() == 0
    assert rig.take() is None


def test_paced_packets_keep_their_distances() -> None:
    rig, driver = memory_rig()
    rig.reader_memory.local.paced = 1
    for number, at_us in enumerate((500, 500, 600, 1_000)):
        driver.put(packet(number), at_us=at_us)

    def numbers(passed_us: int) -> list[int]:
        return [number_of(one.data) for one in rig.receive(passed_us)]

    assert numbers(10) == [0, 1]
    assert numbers(99) == []
    assert numbers(1) == [2]
    assert numbers(399) == []
    assert numbers(1) == [3]


def test_two_nics_keep_apart() -> None:
    from ncore_ray.nic.memory import MemoryDriver
    from ncore_ray.nic.small_arena import make_small_arena

    arena = make_small_arena(nics=2, engines=2, nic_frames=4)
    drivers = [MemoryDriver(4_096), MemoryDriver(4_096)]
    rigs = [Rig(arena, driver, nic) for nic, driver in enumerate(drivers)]
    for nic, driver in enumerate(drivers):
        driver.put(packet(nic))
        rigs[nic].read()
    for nic, rig in enumerate(rigs):
        (arrived,) = rig.take_all()
        assert (arrived.nic, number_of(arrived.data), arrived.frame // 4) == (nic, nic, nic)
        rig.give_back(arrived.frame, actor=2)
        rig.read()
        assert rig.reader.free_count == 4
        assert rig.reader.actor == 3 + nic
        assert rig.writer.actor == 5 + nic
