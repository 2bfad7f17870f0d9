"""What a successor finds after its predecessor died between two stores."""

from __future__ import annotations

import pytest

from ncore_ray.arena.frame import CHAINED, NO_FRAME
from ncore_ray.arena.ring import Ring
from ncore_ray.machine.record import view
from ncore_ray.nic.recover import rebuild_free, recover_writer
from tests.nic.harness import Rig, memory_rig, packet

FRAMES = 8


def rig_with_packets(count: int) -> Rig:
    rig, driver = memory_rig(nic_frames=FRAMES, ring_capacity=16)
    for number in range(count):
        driver.put(packet(number))
    rig.read()
    return rig


def ring(rig: Rig, region: int, index: int = 0) -> Ring:
    return view(Ring, rig.arena.array, region + index * rig.arena.header.ring_stride)


def check_usable(rig: Rig, free: int) -> None:
    """Every free frame is on the stack once and can be used."""
    assert rebuild_free(rig.base, 0) == free == rig.reader.free_count
    start = rig.reader.free_frames
    stack = rig.arena.array[start : start + 4 * free].view("<i4").tolist()
    assert len(set(stack)) == free
    assert all(rig.arena.owners()[frame] == rig.reader.actor for frame in stack)


def test_a_stack_that_was_lost() -> None:
    rig = rig_with_packets(3)
    rig.reader.free_count = 7
    check_usable(rig, FRAMES - 3)
    assert len(rig.take_all()) == 3


@pytest.mark.parametrize("published", range(4))
def test_descriptors_that_were_never_published(published: int) -> None:
    rig = rig_with_packets(3)
    inbound = rig.inbound()
    inbound.tail = published
    check_usable(rig, FRAMES - published)
    assert len(rig.take_all()) == published
    assert inbound.written == published


def chain(rig: Rig, head: int) -> list[int]:
    """Let a packet that was handed on take the two top free frames as well; return all its frames."""
    rig.reader.free_count -= 2
    start = rig.reader.free_frames + 4 * rig.reader.free_count
    further = rig.arena.array[start : start + 8].view("<i4").tolist()
    for frame, following in zip([head, *further], [*further, NO_FRAME], strict=True):
        rig.arena.links()[frame] = following
    rig.arena.owners()[further] = CHAINED
    return [head, *further]


@pytest.mark.parametrize("published", [True, False])
def test_a_packet_in_several_frames(published: bool) -> None:
    rig = rig_with_packets(2)
    if not published:
        rig.inbound().tail = 1
    chain(rig, 1)
    check_usable(rig, FRAMES - 4 if published else FRAMES - 1)


@pytest.mark.parametrize("home", range(4))
def test_a_packet_in_several_frames_of_which_some_were_home(home: int) -> None:
    rig = rig_with_packets(1)
    (one,) = rig.take_all()
    frames = chain(rig, one.frame)
    rig.give_back(one.frame, actor=1)
    back = ring(rig, rig.arena.header.return_rings, 1)
    back.seen_tail, back.taken = 1, 1
    rig.arena.owners()[frames[:home]] = rig.reader.actor
    check_usable(rig, FRAMES)


@pytest.mark.parametrize("owner_written", [True, False])
def test_frames_taken_home_but_not_given_back(owner_written: bool) -> None:
    rig = rig_with_packets(3)
    frames = [one.frame for one in rig.take_all()]
    for frame in frames:
        rig.give_back(frame, actor=1)
    home = ring(rig, rig.arena.header.return_rings, 1)
    home.seen_tail, home.taken = 3, 2
    if owner_written:
        rig.arena.owners()[frames[:2]] = rig.reader.actor
    check_usable(rig, FRAMES - 1)
    assert home.head == 2
    rig.read()
    assert rig.reader.free_count == FRAMES


@pytest.mark.parametrize("given_back", [True, False])
@pytest.mark.parametrize("returned", range(4))
def test_packets_taken_and_partly_on_their_way_home(returned: int, given_back: bool) -> None:
    """The writer died behind taking 3 packets, writing some return words, and perhaps giving the places back."""
    rig, _ = memory_rig(nic_frames=FRAMES, ring_capacity=16)
    for frame in range(FRAMES, FRAMES + 4):
        rig.send(frame, packet(frame))
    taken = ring(rig, rig.arena.header.transmit_rings)
    home = ring(rig, rig.arena.header.transmit_return_rings)
    taken.seen_tail, taken.taken = 4, 3
    words = rig.arena.header.transmit_return_rings + rig.arena.header.ring_stride - 8 * home.capacity
    done = 3 if given_back else returned
    rig.arena.array[words : words + 8 * done].view("<i8")[:] = range(FRAMES, FRAMES + done)
    home.written = done
    if given_back:
        taken.head = 3
    assert recover_writer(rig.base, 0) == 3 - done
    assert rig.sent_home() == [FRAMES, FRAMES + 1, FRAMES + 2]
    rig.write()
    assert rig.sent_home() == [FRAMES + 3]


def test_nothing_was_amiss() -> None:
    rig = rig_with_packets(2)
    assert recover_writer(rig.base, 0) == 0
    check_usable(rig, FRAMES - 2)
    assert len(rig.take_all()) == 2
