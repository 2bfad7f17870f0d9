"""Floods of TCP segments from made-up addresses, seeded; many at a time, as rows of an array."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ncore_ray.lab.dry.packets import ethernet, ipv4, tcp

Frames = npt.NDArray[np.uint8]
SYN, RST, ACK = 2, 4, 16
_MSS: Final = bytes([2, 4, 5, 180, 1, 3, 3, 7])
_IP: Final = 14
_TCP: Final = 34
_KINDS: Final = {"syn": (SYN, _MSS), "ack": (ACK, b""), "rst": (RST, b""), "syn-ack": (SYN | ACK, _MSS)}
KINDS: Final = tuple(_KINDS)


class Flood:
    """Segments of one kind to one address and port; a /8 network is where they say to come from."""

    def __init__(self, kind: str, seed: int, target: tuple[str, int], macs: tuple[int, int]) -> None:
        """``macs``: of the appliance and of the next hop."""
        flags, options = _KINDS[kind]
        body = tcp("10.0.0.0", 0, *target, flags, sequence=0, acknowledgment=0, options=options)
        frame = ethernet(ipv4("10.0.0.0", target[0], 6, body), 0x0800, *macs)
        self._template = np.frombuffer(frame, np.uint8)
        self._random = np.random.default_rng(seed)

    def frames(self, count: int) -> Frames:
        """Return the next frames, one a row."""
        rows = np.tile(self._template, (count, 1))
        numbers = self._random.integers(0, 256, (count, 13), np.uint8)
        rows[:, _IP + 13 : _IP + 16] = numbers[:, :3] | 16  # not the addresses of the true hosts
        rows[:, _TCP : _TCP + 2] = numbers[:, 3:5] | 4
        rows[:, _TCP + 4 : _TCP + 12] = numbers[:, 5:13]
        _repair_sum(rows, slice(_IP, _TCP), _IP + 10, 0)
        _repair_sum(rows, slice(_TCP, None), _TCP + 16, 6 + rows.shape[1] - _TCP)
        return rows


def _repair_sum(rows: Frames, covered: slice, at: int, extra: int) -> None:
    """Write the Internet checksum of a part of all rows (RFC 1071); ``extra``: protocol and length of TCP."""
    rows[:, at : at + 2] = 0
    total: Any = _words(rows[:, covered]).sum(axis=1, dtype=np.int64) + extra
    if extra:
        total += _words(rows[:, _IP + 12 : _IP + 20]).sum(axis=1, dtype=np.int64)
    for _ in range(2):
        total = (total & 0xFFFF) + (total >> 16)
    rows[:, at], rows[:, at + 1] = (0xFFFF - total) >> 8, (0xFFFF - total) & 0xFF


def _words(part: Frames) -> npt.NDArray[np.int64]:
    return part[:, ::2].astype(np.int64) << 8 | part[:, 1::2]
