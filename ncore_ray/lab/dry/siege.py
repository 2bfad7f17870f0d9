"""A packet engine under a flood, and a client that behaves: does it get its answer?

siege = Siege("syn", seed=1)
siege.visit(flood=500)                # the client comes once, while 500 segments of the flood arrive
siege.answered, siege.visits
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.flood import Flood
from ncore_ray.lab.dry.packets import ethernet, ip_bytes, ipv4, tcp

VIP: Final = "10.1.0.100"
CLIENT: Final = "10.1.0.2"
SERVICE: Final = "10.2.0.2"
_MAC: Final = 0x0200_0000_0A02
_BREATH: Final = 64
_FIRST_PORT: Final = 20_000
_PORTS: Final = 40_000
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
_OPTIONS: Final = bytes([2, 4, 5, 180, 1, 3, 3, 7])
_TEXT: Final = """
appliance: {{name: siege}}
nics:
  - {{name: nc0, driver: memory, addresses: [10.1.0.10/24]}}
  - {{name: nc1, driver: memory, addresses: [10.2.0.10/24]}}
services:
  - {{name: one, address: "10.2.0.2:9000", monitor: none}}
vservers:
  - {{name: raw, address: "10.1.0.100:9000", protocol: TCP, services: [one]}}
tcp: {{{tcp}}}
"""


@dataclass(frozen=True)
class _Segment:
    source: tuple[bytes, int]
    destination: tuple[bytes, int]
    sequence: int
    acknowledgment: int
    flags: int
    payload: bytes


def _read(frame: bytes) -> _Segment | None:
    if frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return None
    source, destination, sequence, acknowledgment, offset, flags = struct.unpack(">HHIIBB", frame[34:48])
    payload = frame[34 + (offset >> 4) * 4 :]
    return _Segment((frame[26:30], source), (frame[30:34], destination), sequence, acknowledgment, flags, payload)


class Siege:
    """The flood comes in on the clients' side."""

    def __init__(self, kind: str, seed: int, *, tcp: str = "", connections: int = 256) -> None:
        self.lab = EngineLab(_TEXT.format(tcp=tcp), connections=connections, frames=256)
        self.lab.learn(1, SERVICE, _MAC)
        self.flood = Flood(kind, seed, (VIP, 9000), (NIC_MACS[0], _MAC))
        self.visits = self.answered = self.flooded = 0
        self._seen: list[_Segment] = []

    def _breathe(self) -> None:
        self.lab.breathe(self.lab.now + 50)
        ours = (ip_bytes(CLIENT), ip_bytes(SERVICE))
        for _, frame in self.lab.sent():
            segment = _read(frame)
            if segment and segment.destination[0] in ours:
                self._seen.append(segment)

    def press(self, count: int) -> None:
        """Let some of the flood in."""
        self.flooded += count
        for start in range(0, count, _BREATH):
            for row in self.flood.frames(min(_BREATH, count - start)):
                self.lab.receive(0, row.tobytes())
            self._breathe()

    def _send(self, answer: _Segment, flags: int, payload: bytes = b"", options: bytes = b"") -> None:
        """Send a segment to where another one came from, as the next of its connection."""
        taken = len(answer.payload) + bool(answer.flags & (_SYN | _FIN))
        source, destination = (".".join(map(str, end)) for end in (answer.destination[0], answer.source[0]))
        body = tcp(
            source,
            answer.destination[1],
            destination,
            answer.source[1],
            flags,
            payload,
            sequence=answer.acknowledgment,
            acknowledgment=(answer.sequence + taken) & 0xFFFF_FFFF,
            options=options,
        )
        nic = 0 if source == CLIENT else 1
        self.lab.receive(nic, ethernet(ipv4(source, destination, 6, body), 0x0800, NIC_MACS[nic], _MAC))

    def _await(self, host: str, flags: int) -> _Segment | None:
        """Return what came for a host with all of some flags, and forget it; None if nothing did."""
        self._breathe()
        for segment in self._seen:
            if segment.destination[0] == ip_bytes(host) and segment.flags & flags == flags:
                self._seen.remove(segment)
                return segment
        return None

    def visit(self, flood: int) -> bool:
        """Let the client ask once, with a part of ``flood`` segments before each step; return whether it was answered.

        Nothing is sent twice: what the appliance does not answer at once counts as not answered.
        """
        self._seen.clear()
        self.visits += 1
        found = self._talk(flood // 5)
        self.answered += found
        return found

    def _talk(self, part: int) -> bool:
        self.press(part)
        port = _FIRST_PORT + self.visits % _PORTS
        self._send(_Segment((ip_bytes(VIP), 9000), (ip_bytes(CLIENT), port), 0, port, 0, b""), _SYN, b"", _OPTIONS)
        self.press(part)
        greeting = self._await(CLIENT, _SYN | _ACK)
        if greeting is None:
            return False
        self._send(greeting, _PSH | _ACK, b"ask")
        self.press(part)
        return self._serve(part)

    def _serve(self, part: int) -> bool:
        opening = self._await(SERVICE, _SYN)
        if opening is None:
            return False
        self._send(opening, _SYN | _ACK, b"", _OPTIONS)
        self.press(part)
        question = self._await(SERVICE, _PSH)
        if question is None or question.payload != b"ask":
            return False
        self._send(question, _PSH | _ACK, b"answer")
        self.press(part)
        answer = self._await(CLIENT, _PSH)
        if answer is None or answer.payload != b"answer":
            return False
        self._send(answer, _RST | _ACK)
        self._breathe()
        return True
