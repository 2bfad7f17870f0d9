"""Two real ends with SACK and timestamps, and an engine between them that splices what goes through it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.packets import arp, ethernet, ipv4, tcp
from tests.engine.crowd import PATIENT, Crowd, Stream, Wires, _unwrapped
from tests.support.reference_tcp import Wire
from tests.support.tcp_script import (
    CLIENT_MAC,
    FLAGS,
    SERVICE,
    SERVICE_MAC,
    SNIP,
    WRAP,
    configuration_text,
    read_segment,
)

_SYN_OPTIONS = b"\2\4\5\xb4\1\3\3\0\1\1\4\2"


@dataclass
class SplicedStream(Stream):
    """An end that says SACK blocks and timestamps, and remembers what it has said."""

    stamp: int = 0
    first_stamp: int = 0
    stamps: set[int] = field(default_factory=set)
    blocks: set[tuple[int, int]] = field(default_factory=set)
    heard: int = 0
    """The other end's latest timestamp."""
    first_heard: int = -1
    stamps_heard: list[int] = field(default_factory=list)
    echoes: list[int] = field(default_factory=list)
    blocks_heard: list[tuple[int, int]] = field(default_factory=list)

    def frame(self, wire: Wire) -> bytes:
        if not self.stamps:
            self.stamp = self.first_stamp = self.first * 7 % WRAP
        self.stamp = (self.stamp + 3) % WRAP
        self.stamps.add(self.stamp)
        options = _SYN_OPTIONS if "S" in wire.flags else b""
        options += struct.pack(">BBBBII", 1, 1, 8, 10, self.stamp, self.heard if "A" in wire.flags else 0)
        self.blocks |= set(wire.blocks)
        edges = [(at + 1 + self.engine_first) % WRAP for block in wire.blocks for at in block]
        if edges:
            options += struct.pack(f">BBBB{len(edges)}I", 1, 1, 5, 2 + 4 * len(edges), *edges)
        body = tcp(
            *self.own,
            *self.engine,
            sum(FLAGS[letter] for letter in wire.flags),
            wire.payload,
            sequence=(wire.position + 1 + self.first) % WRAP,
            acknowledgment=(wire.acknowledged + 1 + self.engine_first) % WRAP if "A" in wire.flags else 0,
            window=min(wire.window, 65535),
            options=options,
        )
        return ethernet(ipv4(self.own[0], self.engine[0], 6, body), 0x0800, NIC_MACS[self.nic], CLIENT_MAC)

    def hear(self, options: bytes) -> None:
        """Take timestamps and blocks."""
        while options:
            kind, length = options[0], options[1] if options[0] != 1 else 1
            if kind == 8:
                self.heard, echo = struct.unpack(">II", options[2:10])
                self.stamps_heard.append(self.heard)
                self.echoes += [echo] if echo else []
            elif kind == 5:
                edges = [
                    _unwrapped(edge - self.first, self.peer.una) - 1
                    for (edge,) in struct.iter_unpack(">I", options[2:length])
                ]
                self.blocks_heard += list(zip(edges[::2], edges[1::2], strict=True))
            options = options[length:]


class SplicedWorld(Crowd):
    """A crowd whose vServer splices. The pool of frames is small: no byte of a stream takes one."""

    stream_type = SplicedStream
    says_blocks = True

    def __init__(self, seed: int, wires: Wires, *, sizes: tuple[int, int], clients: int = 1, tcp: str = "") -> None:
        text = configuration_text(tcp=tcp, timeouts=PATIENT, vserver="mode: splice")
        lab = EngineLab(text, connections=max(4 * clients, 16), frames=64, nic_frames=1024)
        self._told_at = 0
        super().__init__(seed, wires, clients=clients, sizes=sizes, lab=lab)

    def _collect(self) -> None:
        """Answer questions for link-layer addresses, too: these runs are longer than what is known of them lasts."""
        super()._collect()
        if self.lab.now - self._told_at > 10_000_000:
            self._told_at = self.lab.now
            answer = arp(2, SERVICE_MAC, SERVICE, NIC_MACS[1], SNIP)
            self.lab.receive(1, ethernet(answer, 0x0806, NIC_MACS[1], SERVICE_MAC))

    def _wire(self, stream: Stream, frame: bytes) -> Wire:
        wire = super()._wire(stream, frame)
        stream.scale = 0
        assert isinstance(stream, SplicedStream)
        if "R" not in wire.flags:
            stream.hear(read_segment(stream.nic, frame).options)
        return wire
