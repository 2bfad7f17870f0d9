"""Two real ends with the engine between them, and wires that do to each packet what the input says.

A packet is passed on, lost, doubled, kept back, or changed: a byte of it without a new checksum, which has to be found
out; or a field of its header with one, as somebody on the way would. Whatever happens, nobody gets a byte that was not
sent at its place, and nothing leaks.
"""

from __future__ import annotations

import heapq
from typing import Final

from ncore_ray.lab.dry.engine import EngineLab
from tests.engine.crowd import PATIENT, Crowd, Stream, Wires
from tests.fuzz.labs import Rewound
from tests.fuzz.packets import _summed_tcp
from tests.support.reference_tcp import Wire
from tests.support.tcp_script import check_nothing_leaked, configuration_text

_SIZE: Final = 3_000
_KEPT_BACK_US: Final = (500, 3_000, 20_000, 250_000)
_PASS: Final = 96
"""From this choice on a packet is only passed on."""


class MutatedCrowd(Crowd):
    """One client and one service; what the wires do comes from the input, and is nothing when that has ended."""

    def __init__(self, data: bytes, lab: EngineLab) -> None:
        self._data, self._place = data, 0
        super().__init__(1, Wires(), clients=1, sizes=(_SIZE, _SIZE), lab=lab)

    def _next(self) -> int:
        place = self._place
        self._place += 1
        return self._data[place] if place < len(self._data) else 255

    def _push(self, stream: Stream, what: bytes | Wire) -> None:
        choice = self._next()
        delays = [1_000]
        if choice < 24:
            delays = []
        elif choice < 32:
            delays = [1_000, 1_000 + _KEPT_BACK_US[choice & 3]]
        elif choice < 48:
            delays = [1_000 + _KEPT_BACK_US[choice & 3]]
        elif choice < _PASS and isinstance(what, bytes):
            what = self._changed(what, choice)
        for delay in delays:
            self.count += 1
            heapq.heappush(self.events, (self.lab.now + delay, self.count, stream, what))

    def _changed(self, frame: bytes, choice: int) -> bytes:
        """Return a frame to the engine with a byte changed."""
        changed = bytearray(frame)
        if choice < 64:  # noise: the checksum tells
            changed[14 + self._next() % (len(frame) - 14)] ^= self._next() | 1
            return bytes(changed)
        place = (46, 47, 48, 49, 52, 53, 54, 55)[choice & 7]
        if place >= len(changed) or place < 48:
            changed[47] |= 8 * (choice & 1) | 32 * (choice >> 1 & 1)  # PSH, URG
        else:  # window, urgent pointer, options or, where there are none, nothing
            limit = 34 + (changed[46] >> 4) * 4
            if place < limit:
                changed[place] = self._next()
        source, destination = (".".join(map(str, frame[at : at + 4])) for at in (26, 30))
        return bytes(changed[:34]) + _summed_tcp(source, destination, bytes(changed[34:]))


def _new_lab() -> EngineLab:
    return EngineLab(configuration_text(timeouts=PATIENT), connections=16, frames=64, nic_frames=64)


_REWOUND: Final = Rewound(_new_lab())


def mutated_wires(data: bytes) -> None:
    """Let a client and a service exchange their streams."""
    lab = _REWOUND.rewind()
    crowd = MutatedCrowd(data[:400], lab)
    crowd.run(limit_s=6)
    sent = {0: crowd.response, 1: next(s.peer.data for (nic, _), s in crowd.streams.items() if nic == 0)}
    for (nic, _), stream in crowd.streams.items():
        got = bytes(stream.peer.received)
        assert got == sent[nic][: len(got)], "other bytes than were sent"
        assert stream.peer.end is None or not stream.peer.ended or got == sent[nic], "an end before the end"
    check_nothing_leaked(lab)
