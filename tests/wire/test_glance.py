"""The first glance at a frame, checked against how the frame was built."""

from __future__ import annotations

import pytest

from ncore_ray.lab.dry.arena import GuardedBytes
from ncore_ray.lab.dry.packets import arp, ethernet, ip_frame, ipv4, ipv6, tcp, udp
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.wire.address import words_of
from ncore_ray.wire.glance import (
    destination_high_in,
    destination_in,
    ports_in,
    protocol_in,
    source_high_in,
    source_in,
)

SOURCE, DESTINATION = "10.1.0.2", "10.1.0.100"


@entry_kernel
def ports_door(frame: int, length: int) -> int:
    return ports_in(frame, length)


@entry_kernel
def ends_door(frame: int, which: int) -> int:
    if which == 0:
        return source_in(frame)
    if which == 1:
        return destination_in(frame)
    if which == 2:
        return protocol_in(frame)
    return source_high_in(frame) if which == 3 else destination_high_in(frame)


def glance(data: bytes) -> int:
    """Return where the ports lie, counted from the frame's start; the frame ends where no byte may be read."""
    memory = GuardedBytes()
    address = memory.put(data)
    found = ports_door(address, len(data))
    return found - address if found else 0


@pytest.mark.parametrize("options", [b"", b"\1" * 4, b"\1" * 40])
@pytest.mark.parametrize("protocol", [6, 17])
def test_ports_lie_behind_the_network_header(protocol: int, options: bytes) -> None:
    body = tcp(SOURCE, 4711, DESTINATION, 80, 2) if protocol == 6 else udp(SOURCE, 4711, DESTINATION, 80)
    frame = ethernet(ipv4(SOURCE, DESTINATION, protocol, body, options=options))
    assert glance(frame) == 34 + len(options)
    memory = GuardedBytes()
    address = memory.put(frame)
    assert [ends_door(address, which) for which in range(3)] == [
        words_of(SOURCE)[1],
        words_of(DESTINATION)[1],
        protocol,
    ]


@pytest.mark.parametrize("protocol", [6, 17])
def test_ports_of_ipv6(protocol: int) -> None:
    source, destination = "2001:db8::2", "2001:db8::100"
    body = tcp(source, 4711, destination, 80, 2) if protocol == 6 else udp(source, 4711, destination, 80)
    frame = ip_frame(source, destination, protocol, body)
    assert glance(frame) == 54
    assert [glance(frame[:length]) for length in (57, 58)] == [0, 54]
    memory = GuardedBytes()
    address = memory.put(frame)
    ends = [ends_door(address, which) for which in (3, 0, 4, 1)]
    assert (ends, ends_door(address, 2)) == ([*words_of(source), *words_of(destination)], protocol)
    assert glance(ethernet(ipv6(source, destination, 60, bytes(8) + body), 0x86DD)) == 0


def test_a_first_fragment_has_ports_and_a_later_one_has_none() -> None:
    body = udp(SOURCE, 4711, DESTINATION, 80, bytes(100))
    assert glance(ethernet(ipv4(SOURCE, DESTINATION, 17, body[:64], more=True))) == 34
    assert glance(ethernet(ipv4(SOURCE, DESTINATION, 17, body[64:], offset=64))) == 0


def test_other_packets_have_none() -> None:
    body = tcp(SOURCE, 4711, DESTINATION, 80, 2)
    assert glance(ethernet(ipv4(SOURCE, DESTINATION, 1, body))) == 0
    assert glance(ethernet(ipv4(SOURCE, DESTINATION, 6, body), 0x86DD)) == 0
    assert glance(ethernet(arp(1, 1, SOURCE, 0, DESTINATION), 0x0806)) == 0


def test_frames_cut_anywhere_are_read_no_further() -> None:
    frame = ethernet(ipv4(SOURCE, DESTINATION, 6, tcp(SOURCE, 4711, DESTINATION, 80, 2), options=b"\1" * 8))
    found = [glance(frame[:length]) for length in range(14, len(frame) + 1)]
    assert found == [0 if length < 46 else 42 for length in range(14, len(frame) + 1)]
