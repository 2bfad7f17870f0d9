"""Packet fanout: how the kernel spreads the packets of one interface over several sockets (packet(7), PACKET_FANOUT).

Each engine reads a socket of its own. The sockets of an interface form a group; its members are numbered in the order
in which they joined. Who leaves has the last member take its number.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

_SOL_PACKET: Final = 263
_PACKET_FANOUT: Final = 18
_PACKET_FANOUT_DATA: Final = 22
_FLAG_UNIQUEID: Final = 0x2000
_FLAG_IGNORE_OUTGOING: Final = 0x4000
"""What the host itself sends is not for the group (Linux 5.19). PACKET_IGNORE_OUTGOING of its members has no effect."""
_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27

Instruction = tuple[int, int, int, int]
"""Of classic BPF: code, jump if true, jump if false, constant."""
_NOTHING: Final[Sequence[Instruction]] = ((0x06, 0, 0, 0),)
"""A filter that lets no packet in: return 0."""
_OF_OTHERS: Final[Sequence[Instruction]] = (
    (0x28, 0, 0, 0xFFFF_F004),  # load the packet's type (SKF_AD_PKTTYPE)
    (0x15, 0, 1, 4),  # PACKET_OUTGOING?
    *_NOTHING,
    (0x06, 0, 0, 0xFFFF_FFFF),
)
"""A filter that lets no packet in that the host itself sends."""


class Spread(Enum):
    """Which member of a group gets a packet."""

    HASH = 0
    """By the kernel's own hash of the flow (PACKET_FANOUT_HASH)."""
    RANDOM = 4
    """Any one (PACKET_FANOUT_RND): the worst case, for tests."""
    PROGRAM = 6
    """What a program of classic BPF returns, modulo the number of members (PACKET_FANOUT_CBPF)."""


@dataclass(frozen=True)
class Fanout:
    """Membership in a group of sockets."""

    spread: Spread
    group: int = 0
    """Id of the group to join; 0: make a new one."""
    program: tuple[Instruction, ...] = ()

    def joining(self, group: int) -> Fanout:
        """Return what the next socket joins; ``group`` 0: it makes the group."""
        return replace(self, group=group)


class Joining:
    """Brings one socket into a group without a packet that another member has got as well.

    with Joining(packets, fanout) as joining:
        packets.bind(…)          # sees nothing yet
    joining.group                # the id for those who join next
    """

    def __init__(self, packets: socket.socket, fanout: Fanout | None) -> None:
        self._socket = packets
        self._fanout = fanout
        self.group = 0

    def __enter__(self) -> Joining:
        if self._fanout is not None:
            _attach(self._socket, socket.SOL_SOCKET, _SO_ATTACH_FILTER, _NOTHING)
        return self

    def __exit__(self, *error: object) -> None:
        """Join; raises OSError (EINVAL: the group is of another interface or kind)."""
        if self._fanout is None or error[0] is not None:
            return
        try:
            self._join(self._fanout, _FLAG_IGNORE_OUTGOING)
        except OSError as error:  # an older kernel, perhaps
            if error.errno != errno.EINVAL:
                raise
            self._join(self._fanout, 0)
            _attach(self._socket, socket.SOL_SOCKET, _SO_ATTACH_FILTER, _OF_OTHERS)
        else:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)

    def _join(self, fanout: Fanout, flags: int) -> None:
        flags |= 0 if fanout.group else _FLAG_UNIQUEID
        argument = fanout.group | (fanout.spread.value | flags) << 16
        self._socket.setsockopt(_SOL_PACKET, _PACKET_FANOUT, struct.pack("<I", argument))
        self.group = self._socket.getsockopt(_SOL_PACKET, _PACKET_FANOUT) & 0xFFFF
        if fanout.spread is Spread.PROGRAM:
            set_program(self._socket, fanout.program)


def set_program(packets: socket.socket, program: Sequence[Instruction]) -> None:
    """Give the group of a socket another program (`Spread.PROGRAM`). Raises OSError."""
    _attach(packets, _SOL_PACKET, _PACKET_FANOUT_DATA, program)


def _attach(packets: socket.socket, level: int, option: int, program: Sequence[Instruction]) -> None:
    """Set a socket option that is a ``struct sock_fprog``."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    packets.setsockopt(level, option, struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
