"""Engines' own sending: over socket pairs, which need no privileges, and over a veth."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ncore_ray.lab.dry.packets import ip_frame, tcp
from ncore_ray.lab.offload import Offloads, set_offloads
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new, table
from ncore_ray.nic.burst import SEND_TRIES, SendCounters
from ncore_ray.nic.direct import SLOT_SIZE, Offload, SenderMemory, Slot, open_sender, send_slots, sender_at
from ncore_ray.nic.driver import NicError
from tests.nic.conftest import Link

ARENA = np.arange(65_536, dtype=np.uint64).astype(np.uint8)
"""Bytes to send: the low byte of each place's number."""


@entry_kernel
def send_now(base: int, slots: int, count: int, sender: int) -> int:
    """Send slots."""
    return send_slots(base, slots, count, sender_at(sender))


class Engine:
    """A sender, its counters, and slots."""

    def __init__(self, fds: list[int], capacity: int = 256) -> None:
        self._memory, self.counters, address = new(SendCounters)
        self.sender = SenderMemory(fds, address, capacity)

    def send(self, *slots: tuple[int, ...], arena: np.ndarray[Any, np.dtype[np.uint8]] = ARENA) -> int:
        """Send packets given as (NIC, then up to three pairs of place and length)."""
        memory = np.zeros(max(1, len(slots)) * SLOT_SIZE, np.uint8)
        rows = table(Slot, memory, 0, len(slots))
        for row, slot in zip(rows, slots, strict=True):
            for name, value in zip(rows.dtype.names or (), slot, strict=False):
                row[name] = value
        return send_now(arena.ctypes.data, memory.ctypes.data, len(slots), self.sender.address)


def data(*pieces: int) -> bytes:
    """Return the bytes of a packet given as pairs of place and length."""
    return b"".join(
        ARENA[place : place + length].tobytes() for place, length in zip(pieces[::2], pieces[1::2], strict=True)
    )


Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    made = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    for pair in made:
        for end in pair:
            end.setblocking(False)
    yield made
    for pair in made:
        for end in pair:
            end.close()


def take(end: socket.socket) -> list[bytes]:
    packets = []
    while True:
        try:
            packets.append(end.recv(65_536))
        except BlockingIOError:
            return packets


def engine_on(pairs: list[Pair], capacity: int = 256) -> Engine:
    return Engine([pair[0].fileno() for pair in pairs], capacity)


def test_pieces_are_joined_and_empty_ones_left_out(pairs: list[Pair]) -> None:
    engine = engine_on(pairs)
    slots = [(0, 10, 54, 1_000, 300, 5_000, 7), (0, 20, 54), (0, 30, 40, 0, 0, 700, 9)]
    assert engine.send(*slots) == 3
    assert take(pairs[0][1]) == [data(*slot[1:]) for slot in slots]
    counters = engine.counters
    assert (counters.sent_packets, counters.sent_bytes, counters.send_calls) == (3, 54 + 307 + 54 + 49, 1)


def test_one_call_per_nic_and_order_on_each(pairs: list[Pair]) -> None:
    engine = engine_on(pairs)
    slots = [(number % 2, number, 60 + number) for number in range(10)]
    assert engine.send(*slots) == 10
    for nic in range(2):
        assert take(pairs[nic][1]) == [data(*slot[1:]) for slot in slots if slot[0] == nic]
    assert engine.counters.send_calls == 2


def test_more_slots_than_the_scratch_holds(pairs: list[Pair]) -> None:
    engine = engine_on(pairs, capacity=3)
    slots = [(1, number, 60) for number in range(8)]
    assert engine.send(*slots) == 8
    assert take(pairs[1][1]) == [data(number, 60) for number in range(8)]
    assert engine.counters.send_calls == 3


def test_nothing_to_send(pairs: list[Pair]) -> None:
    engine = engine_on(pairs)
    assert engine.send() == 0
    assert engine.counters.send_calls == 0


@pytest.mark.parametrize("nic", [-1, 1, 2, 1 << 40])
def test_a_nic_without_a_socket(pairs: list[Pair], nic: int) -> None:
    engine = Engine([pairs[0][0].fileno(), -1])
    assert engine.send((0, 0, 60), (nic, 0, 61), (0, 0, 62)) == 2
    assert [len(one) for one in take(pairs[0][1])] == [60, 62]
    assert engine.counters.drop_nic_no_socket_packets == 1


def test_a_full_queue_is_tried_again_and_then_given_up(pairs: list[Pair]) -> None:
    engine = engine_on(pairs)
    sent = engine.send(*[(0, 0, 60)] * 2_000)
    assert 0 < sent < 2_000
    assert len(take(pairs[0][1])) == sent == engine.counters.sent_packets
    assert engine.counters.drop_nic_send_packets == 2_000 - sent
    assert SEND_TRIES <= engine.counters.retried_sends <= SEND_TRIES * 8
    assert engine.send((0, 0, 60)) == 1


def test_a_refused_packet_does_not_stop_the_others(pairs: list[Pair]) -> None:
    pairs[0][0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608)
    engine = engine_on(pairs)
    assert engine.send((0, 0, 60), (0, 0, 30_000), (0, 0, 61)) == 2  # the long one: EMSGSIZE
    assert [len(one) for one in take(pairs[0][1])] == [60, 61]
    assert engine.counters.drop_nic_send_packets == 1


def test_a_closed_socket_drops_all(pairs: list[Pair]) -> None:
    engine = engine_on(pairs)
    pairs[0][1].close()
    assert engine.send((0, 0, 60), (0, 0, 60), (1, 0, 60)) == 1
    assert engine.counters.drop_nic_send_packets == 2


@pytest.mark.network
def test_over_a_veth(link: Link) -> None:
    link.inside.netlink(lambda ip: ip.link("set", index=ip.link_lookup(ifname="nic0")[0], state="up"))
    fd = open_sender("nic0", link.inside.name)
    raw = link.raw()
    engine = Engine([fd])
    slots = [(0, 100 + number, 54, 9_000, 100 + number, 20_000, 5) for number in range(200)]
    assert engine.send(*slots) == 200
    assert [raw.recv(4_096) for _ in slots] == [data(*slot[1:]) for slot in slots]
    raw.send(bytes(60))
    sender = socket.socket(fileno=fd)
    with pytest.raises(BlockingIOError):
        sender.recv(100)
    sender.close()
    raw.close()


@pytest.mark.network
def test_large_segments_are_cut_for_a_device_that_cannot_do_it(link: Link) -> None:
    link.inside.netlink(lambda ip: ip.link("set", index=ip.link_lookup(ifname="nic0")[0], state="up"))
    link.inside.call(lambda: set_offloads("nic0", Offloads(tso=False, gso=False)))
    raw, payload = link.raw(), bytes(range(250)) * 20
    whole = ip_frame("10.9.0.2", "10.9.0.1", 6, tcp("10.9.0.2", 80, "10.9.0.1", 4_000, 16, payload))
    sender = socket.socket(fileno=open_sender("nic0", link.inside.name, offload=True))
    slot = (0, 0, 54, 54, len(payload), 0, 0, 0, 0, 0, Offload.CHECKSUM, 1_000)
    assert Engine([sender.fileno()]).send(slot, arena=np.frombuffer(whole, np.uint8)) == 1
    got = [raw.recv(4_096) for _ in range(5)]
    assert b"".join(packet[54:] for packet in got) == payload
    assert [len(packet) for packet in got] == [1_054] * 5
    sender.close()
    raw.close()


@pytest.mark.network
def test_errors_are_clear(link: Link) -> None:
    with pytest.raises(NicError, match="cannot send on network interface nope: No such device"):
        open_sender("nope", link.inside.name)
