"""Packets of any bytes into an engine: nothing breaks, each is counted once, nothing leaks.

An input is a row of records: kind, length (two bytes), then so many bytes. The outer headers and the checksums of all
kinds but the first are made to fit, so that the bytes get to what is behind them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from typing import Final

from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.packets import ethernet, internet_checksum, ipv4, pseudo_header, udp
from tests.fuzz.labs import Rewound
from tests.support.tcp_script import (
    CLIENT,
    CLIENT_MAC,
    SERVICE,
    SERVICE_MAC,
    SNIP,
    VIP,
    Script,
    check_nothing_leaked,
    configuration_text,
    established,
    reset_all,
)

MOST_RECORDS: Final = 24
_WRAP: Final = 1 << 32


def records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the records of an input; the last one may be cut off."""
    place = 0
    for _ in range(MOST_RECORDS):
        if place + 3 > len(data):
            return
        kind, length = data[place], int.from_bytes(data[place + 1 : place + 3], "big") % 1600
        yield kind, data[place + 3 : place + 3 + length]
        place += 3 + length


@cache
def _quiet_lab() -> Rewound:
    lab = EngineLab(configuration_text(), connections=16, frames=64, nic_frames=32)
    lab.learn(1, SERVICE, SERVICE_MAC)
    return Rewound(lab)


def any_packets(data: bytes) -> None:
    """Feed frames to an engine that has no connections yet."""
    lab = _quiet_lab().rewind()
    for kind, body in records(data):
        nic = kind >> 7
        lab.receive(nic, _frame(kind & 0x7F, body, nic))
        lab.breathe()
        lab.sent()
    lab.pass_time(50_000, step_us=25_000)
    lab.sent()
    check_nothing_leaked(lab)


def _frame(kind: int, body: bytes, nic: int) -> bytes:
    source, own = ((CLIENT, VIP), (SERVICE, SNIP))[nic]
    destination, mac = NIC_MACS[nic], CLIENT_MAC
    choice = kind % 6
    if choice == 0:
        return body
    if choice == 1:
        return ethernet(body, 0x0806, destination, mac)
    if choice == 2:
        return ethernet(_summed_ip(body), 0x0800, destination, mac)
    if choice == 3:
        return ethernet(ipv4(source, own, 6, _summed_tcp(source, own, body)), 0x0800, destination, mac)
    if choice == 4:
        return ethernet(ipv4(source, own, 17, udp(source, 4000, own, 53, body)), 0x0800, destination, mac)
    return ethernet(ipv4(source, own, 1, _summed(body, 2)), 0x0800, destination, mac)


def _summed(body: bytes, place: int) -> bytes:
    """Return a message with its checksum, at some place, made right."""
    if len(body) < place + 2:
        return body
    bare = body[:place] + b"\0\0" + body[place + 2 :]
    return bare[:place] + struct.pack(">H", internet_checksum(bare)) + bare[place + 2 :]


def _summed_ip(body: bytes) -> bytes:
    length = (body[0] & 15) * 4 if body else 0
    return _summed(body[:length], 10) + body[length:] if 12 <= length <= len(body) else body


def _summed_tcp(source: str, destination: str, body: bytes) -> bytes:
    if len(body) < 18:
        return body
    bare = body[:16] + b"\0\0" + body[18:]
    total = internet_checksum(pseudo_header(source, destination, 6, len(bare)) + bare)
    return bare[:16] + struct.pack(">H", total) + bare[18:]


@cache
def _open_pair() -> tuple[Script, Rewound]:
    script = established("client", sack=True, frames=128, connections=16, tcp="timestamps: false")
    script.service.sends("PA", data=4_000)
    script.settle()
    return script, Rewound(script.lab)


def any_segments(data: bytes) -> None:
    """Feed segments near what is expected to both ends of an open pair, while time goes by.

    Record: kind (bit 7: which end; the low bits: ms that go by before), bytes: sequence and acknowledgment relative to
    what is expected (2 bytes each, signed), flags, window (2), length of the options, options, payload.
    """
    script, rewound = _open_pair()
    lab = rewound.rewind()
    for kind, body in records(data):
        if len(body) < 8:
            lab.pass_time(8_000 * (kind & 0x7F), step_us=40_000)
            lab.sent()
            continue
        end = script.service if kind & 0x80 else script.client
        tcb = end.tcb()
        expected, sent = (tcb.rcv_nxt, tcb.snd_una) if tcb else (end.first, max(end.engine_first, 0))
        ahead, beyond, flags, window, size = struct.unpack(">hhBHB", body[:8])
        options = body[8 : 8 + size % 41]
        raw = struct.pack(
            ">HHIIBBHHH",
            end.own[1],
            end.engine[1],
            (expected + ahead) % _WRAP,
            (sent + beyond) % _WRAP,
            (5 + -(-len(options) // 4)) << 4,
            flags & 0x3F,
            window,
            0,
            0,
        )
        raw += options + bytes(-len(options) % 4) + body[8 + size % 41 :]
        raw = _summed_tcp(end.own[0], end.engine[0], raw)
        frame = ethernet(ipv4(end.own[0], end.engine[0], 6, raw), 0x0800, NIC_MACS[end.nic], end.mac)
        lab.receive(end.nic, frame)
        lab.now += 1000 * (kind & 0x7F)
        lab.breathe()
        lab.sent()
    check_nothing_leaked(lab)
    reset_all(lab)
    check_nothing_leaked(lab)
