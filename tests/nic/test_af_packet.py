"""AF_PACKET over a veth pair: what the kernel hands over, and what it says of it."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ncore_ray.arena.frame import FRAME_SIZE, Checksum
from ncore_ray.lab.dry.packets import ethernet, ipv4, tcp
from ncore_ray.nic.af_packet import AfPacketDriver
from ncore_ray.nic.driver import NicError
from ncore_ray.nic.faults import FaultSettings
from ncore_ray.nic.small_arena import make_small_arena
from ncore_ray.nic.trace import Tracer
from tests.nic.conftest import Link
from tests.nic.harness import Arrived, Rig, packet

pytestmark = pytest.mark.network
SOL_UDP, UDP_SEGMENT = 17, 103


@pytest.fixture
def driver(link: Link) -> Iterator[AfPacketDriver]:
    opened = AfPacketDriver("nic0", netns=link.inside.name, ring_slots=64)
    opened.open()
    yield opened
    opened.close()


def rig_of(driver: AfPacketDriver) -> Rig:
    return Rig(make_small_arena(), driver)


def receive(rig: Rig, count: int) -> list[Arrived]:
    """Breathe until so many packets have come."""
    arrived: list[Arrived] = []
    end = time.monotonic() + 20
    while len(arrived) < count and time.monotonic() < end:
        arrived.extend(rig.receive())
    assert len(arrived) == count
    return arrived


def receive_payload(rig: Rig, length: int) -> bytes:
    """Breathe until so many bytes behind headers of 54 bytes have come."""
    found = b""
    end = time.monotonic() + 20
    while len(found) < length and time.monotonic() < end:
        found += b"".join(one.data[54:] for one in rig.receive())
    return found


def test_it_knows_the_interface(link: Link, driver: AfPacketDriver) -> None:
    assert driver.mac == int.from_bytes(link.nic_mac, "big")
    assert driver.mtu == 1_500
    assert driver.sends_directly


def test_frames_arrive_whole_and_in_order(link: Link, driver: AfPacketDriver) -> None:
    """More than the ring holds, and to any MAC address."""
    rig, raw = rig_of(driver), link.raw()
    for turn in range(10):
        sent = [packet(20 * turn + number, 30 + 70 * number) for number in range(20)]
        for data in sent:
            raw.send(data)
        assert [one.data for one in receive(rig, 20)] == sent
    assert driver.kernel_drops() == 0
    raw.close()


def test_a_partial_checksum_is_seen_as_partial(link: Link, driver: AfPacketDriver) -> None:
    """The kernel leaves the checksum of its own packets to the NIC: over a veth it is never computed."""
    rig, udp = rig_of(driver), link.udp()
    udp.sendto(b"hello", ("10.9.0.2", 7))
    (arrived,) = receive(rig, 1)
    assert arrived.data.endswith(b"hello")
    assert arrived.checksum == Checksum.PARTIAL
    assert rig.received.received_partial_checksum_packets == 1
    udp.close()


def test_packets_made_by_hand_are_unknown(link: Link, driver: AfPacketDriver) -> None:
    rig, raw = rig_of(driver), link.raw()
    raw.send(packet())
    assert receive(rig, 1)[0].checksum == Checksum.UNKNOWN
    raw.close()


def test_vlans_and_packets_too_long_are_dropped_and_counted(link: Link, driver: AfPacketDriver) -> None:
    link.set_mtu(2_034, 9_000)
    rig, raw, udp = rig_of(driver), link.raw(), link.udp()
    raw.send(packet()[:12] + b"\x81\x00\x00\x05\x08\x00" + bytes(50))
    raw.send(packet(1, FRAME_SIZE + 2))
    udp.setsockopt(SOL_UDP, UDP_SEGMENT, 1_000)
    udp.sendto(bytes(4_000), ("10.9.0.2", 7))  # one packet of 4 KB that the NIC is asked to cut
    raw.send(packet(2, FRAME_SIZE))
    assert receive(rig, 1)[0].data == packet(2, FRAME_SIZE)
    assert rig.received.drop_nic_vlan_packets == 1
    assert rig.received.drop_nic_truncated_packets == 2
    raw.close()
    udp.close()


def test_only_packets_of_the_vlan_arrive(link: Link, driver: AfPacketDriver) -> None:
    """The kernel hands a tag over beside the packet."""
    rig, raw = rig_of(driver), link.raw()
    rig.reader_memory.local.vlan = 5
    for tag in (b"\x00\x06", b"", b"\xa0\x05"):
        data = packet(1, 200)
        raw.send(data[:12] + (b"\x81\x00" + tag if tag else b"") + data[12:])
    assert receive(rig, 1)[0].data == packet(1, 200)
    assert rig.received.drop_nic_vlan_packets == 2
    raw.close()


def test_a_large_packet_of_another_vlan_is_not_taken_for_the_next_one(link: Link, driver: AfPacketDriver) -> None:
    """The kernel queues large packets at the socket, beside their slots in the ring."""
    rig, udp = rig_of(driver), link.udp()
    udp.setsockopt(SOL_UDP, UDP_SEGMENT, 1_000)
    rig.reader_memory.local.vlan = 5
    udp.sendto(b"A" * 4_000, ("10.9.0.2", 7))
    end = time.monotonic() + 20
    while rig.received.drop_nic_vlan_packets == 0 and time.monotonic() < end:
        assert not rig.receive()
    assert rig.received.drop_nic_vlan_packets == 1
    waiting = os.dup(rig.reader_memory.local.fd)
    with pytest.raises(BlockingIOError):  # or else the next large packet would be read as this one
        os.read(waiting, 1)
    os.close(waiting)
    udp.close()


def test_what_the_ring_cannot_hold_is_counted_by_the_kernel(link: Link) -> None:
    driver = AfPacketDriver("nic0", netns=link.inside.name, ring_slots=30)
    driver.open()
    rig, raw = rig_of(driver), link.raw()
    for number in range(50):
        raw.send(packet(number))
    receive(rig, 30)
    assert driver.kernel_drops() == 20
    assert driver.kernel_drops() == 0
    raw.send(packet(99))
    assert receive(rig, 1)[0].data == packet(99)
    raw.close()
    driver.close()


def test_the_writer_sends_and_hears_nothing_of_it(link: Link, driver: AfPacketDriver) -> None:
    rig, raw = rig_of(driver), link.raw()
    sent = [packet(number, 60 + number) for number in range(50)]
    for number, data in enumerate(sent):
        rig.send(64 + number, data)
    assert rig.write() == 50
    assert [raw.recv(4_096) for _ in sent] == sent
    assert (rig.sends.sent_packets, rig.sends.send_calls) == (50, 1)
    assert rig.sends.sent_bytes == sum(map(len, sent))
    assert rig.sent_home() == list(range(64, 114))
    assert rig.read() == 0
    raw.close()


def test_a_packet_beyond_the_mtu_is_refused_and_the_others_sent(link: Link, driver: AfPacketDriver) -> None:
    rig, raw = rig_of(driver), link.raw()
    for number, length in enumerate((60, 2_000, 61)):
        rig.send(64 + number, packet(number, length))
    rig.write()
    assert [len(raw.recv(4_096)) for _ in range(2)] == [60, 61]
    assert (rig.sends.sent_packets, rig.sends.drop_nic_send_packets) == (2, 1)
    assert len(rig.sent_home()) == 3
    raw.close()


def test_it_goes_on_after_the_interface_was_down(link: Link, driver: AfPacketDriver) -> None:
    rig, raw = rig_of(driver), link.raw()

    def switch(state: str) -> None:
        link.inside.netlink(lambda ip: ip.link("set", index=ip.link_lookup(ifname="nic0")[0], state=state))

    switch("down")
    rig.send(64, packet())
    rig.write()
    assert rig.sends.drop_nic_send_packets == 1
    assert rig.read() == 0
    switch("up")
    raw.close()
    raw = link.raw()
    raw.send(packet(7))
    assert receive(rig, 1)[0].data == packet(7)
    raw.close()


PAYLOAD = np.arange(20_000, dtype=np.uint32).astype(np.uint8).tobytes()
ACK, FIN = 16, 1


def large(flags: int = ACK, payload: bytes = PAYLOAD) -> bytes:
    """Return a packet that the kernel has not cut yet, as TSO leaves it, behind a virtio header that says so."""
    segment = tcp("10.9.0.1", 7, "10.9.0.2", 80, flags, payload)
    whole = ethernet(ipv4("10.9.0.1", "10.9.0.2", 6, segment))
    return struct.pack("<BBHHHH", 1, 1, 54, 1448, 34, 16) + whole


def send_between_small_ones(rig: Rig, link: Link, whole: bytes, parts: int) -> list[Arrived]:
    """Send a packet between two small ones; return what comes between those."""
    raw = link.raw()
    raw.setsockopt(263, 15, 1)  # PACKET_VNET_HDR
    for each in (bytes(10) + packet(1), whole, bytes(10) + packet(2)):
        raw.send(each)
    raw.close()
    first, *between, last = receive(rig, 1 + parts + 1)
    assert [first.data, last.data] == [packet(1), packet(2)]
    assert rig.received.drop_nic_truncated_packets == 0
    return between


def test_large_packet_comes_whole_in_many_frames_and_order_is_kept(link: Link, driver: AfPacketDriver) -> None:
    rig = rig_of(driver)
    (whole,) = send_between_small_ones(rig, link, large(), 1)
    assert whole.data == large()[10:]
    assert whole.checksum == Checksum.PARTIAL
    assert (rig.received.received_large_packets, rig.received.received_parts) == (1, 1)
    assert rig.received.chained_frames == 9
    rig.read()
    assert rig.received.returned_frames == 3 + 9
    assert rig.reader.free_count == rig.reader.frame_count
    assert (rig.arena.owners()[: rig.reader.frame_count] == rig.reader.actor).all()


@pytest.mark.parametrize("reason", ["end of a stream", "traced", "faults", "few frames"])
def test_large_packet_is_cut_where_it_cannot_go_on_whole(
    link: Link, driver: AfPacketDriver, reason: str, tmp_path: Path
) -> None:
    rig = rig_of(driver)
    tracer = Tracer(tmp_path / "trace.pcap")
    if reason == "traced":
        rig.trace(tracer)
    elif reason == "faults":
        rig.inject(FaultSettings())
    elif reason == "few frames":
        rig.arena.array[rig.reader.free_frames : rig.reader.free_frames + 4 * 9].view("<i4")[:] = range(9)
        rig.reader.free_count = 9
    parts = send_between_small_ones(rig, link, large(ACK | FIN if reason == "end of a stream" else ACK), 11)
    assert b"".join(part.data[54:] for part in parts) == PAYLOAD
    assert {part.checksum for part in parts} == {Checksum.PARTIAL}
    assert (rig.received.received_large_packets, rig.received.received_parts) == (1, 11)
    assert rig.received.chained_frames == 0
    tracer.close()


@pytest.mark.parametrize("length", [FRAME_SIZE * 2 - 54, FRAME_SIZE * 3 - 54, FRAME_SIZE * 3 - 53, 60_000])
def test_large_packets_of_any_length(link: Link, driver: AfPacketDriver, length: int) -> None:
    rig = rig_of(driver)
    payload = (PAYLOAD * 4)[:length]
    (whole,) = send_between_small_ones(rig, link, large(payload=payload), 1)
    assert whole.data == large(payload=payload)[10:]


def test_packets_a_little_longer_than_a_frame(link: Link, driver: AfPacketDriver) -> None:
    """Up to a length they fit into a slot of the ring, though not into a frame, and are cut; longer ones come whole."""
    rig, raw = rig_of(driver), link.raw()
    raw.setsockopt(263, 15, 1)  # PACKET_VNET_HDR
    for length in range(FRAME_SIZE - 2, FRAME_SIZE + 100, 3):
        segment = tcp("10.9.0.1", 7, "10.9.0.2", 80, 16, bytes(length - 54))
        whole = ethernet(ipv4("10.9.0.1", "10.9.0.2", 6, segment))
        raw.send(struct.pack("<BBHHHH", 1, 1, 54, 1448, 34, 16) + whole)
        assert receive_payload(rig, length - 54) == bytes(length - 54)
    assert 0 < rig.received.chained_frames < rig.received.received_large_packets
    assert rig.received.drop_nic_truncated_packets == 0
    raw.close()


def test_errors_are_clear(link: Link) -> None:
    with pytest.raises(NicError, match="no network interface nope"):
        AfPacketDriver("nope", netns=link.inside.name).open()
    with pytest.raises(NicError, match="namespace none-such cannot be opened"):
        AfPacketDriver("nic0", netns="none-such").open()
    link.set_mtu(9_000, 9_000)
    with pytest.raises(NicError, match="MTU of 9000, but frames hold 2034: set `mtu`"):
        AfPacketDriver("nic0", netns=link.inside.name).open()
    driver = AfPacketDriver("nic0", netns=link.inside.name, mtu=1_400, mac=0x02_00_00_00_00_77)
    driver.open()
    assert (driver.mtu, driver.mac) == (1_400, 0x02_00_00_00_00_77)
    driver.close()
    driver.close()


def test_not_open() -> None:
    with pytest.raises(NicError, match="is not open"):
        rig_of(AfPacketDriver("nic0"))
    assert AfPacketDriver("nic0").kernel_drops() == 0
