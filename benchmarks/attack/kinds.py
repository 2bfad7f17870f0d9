"""The attacks, each from a seeded choice."""

from __future__ import annotations

import struct
from typing import Final

from benchmarks.attack.ends import ACK, MSS, PSH, SYN, End
from benchmarks.attack.siege import _MACS, CLIENT, VIP, Attack
from ncore_ray.lab.dry.packets import ethernet, icmp, ipv4, tcp

_LARGE: Final = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
_POST: Final = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"


class RandomBytes(Attack):
    """Frames of random bytes, some behind a right Ethernet or IP header."""

    def step(self, now: int) -> None:
        """Send."""
        for _ in range(self.siege.dimensions.rate):
            body = self.choice.randbytes(self.choice.randrange(1, 200))
            kind = self.choice.randrange(4)
            if kind == 1:
                body = ethernet(body, 0x0800, *_MACS[0])
            elif kind > 1:
                protocol = self.choice.choice((1, 6, 17, self.choice.randrange(256)))
                body = ethernet(ipv4(CLIENT, VIP[0], protocol, body), 0x0800, *_MACS[0])
            self.siege.inject(body)


class Standing(Attack):
    """Connections that are held open as long as the engine lets them; new ones take the places of those it ends."""

    window = 65_535
    silent = False

    def begin(self) -> None:
        """Begin with none."""
        self.standing: list[End] = []

    def opening(self, end: End) -> None:
        """Say what is said first."""
        end.send(_LARGE)

    def step(self, now: int) -> None:
        """Keep the number of connections up, and use some of them."""
        self.standing = [end for end in self.standing if not end.was_reset and not end.ended]
        if len(self.standing) < self.siege.dimensions.attackers:
            end = self.siege.open(window=self.window, silent=self.silent)
            self.opening(end)
            self.standing.append(end)
        opened = [end for end in self.standing if end.opened]
        for _ in range(self.siege.dimensions.rate if opened else 0):
            self.siege.outcome.attack_packets += 1
            self.use(self.choice.choice(opened), now)

    def use(self, end: End, now: int) -> None:
        """Send one segment of the attack."""
        end.acknowledge()


class OverlappingSegments(Standing):
    """Bodies of requests in segments that overlap each other in every way, with other bytes each time."""

    def opening(self, end: End) -> None:
        """Begin a request with a long body."""
        end.send(_POST)

    def use(self, end: End, now: int) -> None:
        """Send a segment somewhere in the window."""
        length = self.choice.randrange(1, 400)
        end.emit(ACK | PSH, end.next + self.choice.randrange(-300, 3_000), self.choice.randbytes(length))


class OverlappingFragments(Attack):
    """Fragments that overlap, are never whole, or end beyond the largest packet."""

    def step(self, now: int) -> None:
        """Send."""
        for _ in range(self.siege.dimensions.rate):
            body = self.choice.randbytes(8 * self.choice.randrange(1, 30))
            offset = 8 * self.choice.choice((0, 1, 2, 3, self.choice.randrange(8_190)))
            packet = ipv4(
                CLIENT,
                VIP[0],
                self.choice.choice((6, 17)),
                body,
                identification=self.choice.randrange(64),
                offset=offset,
                more=self.choice.random() < 0.9,
            )
            self.siege.inject(ethernet(packet, 0x0800, *_MACS[0]))


class TinyWindows(Standing):
    """Readers whose windows are of some bytes."""

    window = 7


class ZeroWindows(Standing):
    """Readers whose windows are closed for ever, and who answer each probe."""

    def use(self, end: End, now: int) -> None:
        """Close the window."""
        end.window = 0
        end.acknowledge()


class SlowReaders(Standing):
    """Readers that take a segment now and then."""

    window = MSS

    def use(self, end: End, now: int) -> None:
        """Read a little, seldom."""
        if self.choice.random() < 0.02:
            end.acknowledge()


class SlowHeads(Standing):
    """Heads of requests that come a byte at a time and never end."""

    def opening(self, end: End) -> None:
        """Begin a head."""
        end.send(b"GET / HTTP/1.1\r\n")

    def use(self, end: End, now: int) -> None:
        """Send one byte more, seldom."""
        if self.choice.random() < 0.05:
            end.send(b"x")


class ManyHoles(Standing):
    """Every second byte of a stream, so that there are as many holes; and blocks that name as many."""

    def opening(self, end: End) -> None:
        """Begin a request with a long body."""
        end.send(_POST if self.choice.random() < 0.5 else _LARGE)

    def use(self, end: End, now: int) -> None:
        """Make a hole, or say that there are some."""
        at = 2 * self.choice.randrange(1, 4_000)
        if self.choice.random() < 0.5:
            end.emit(ACK | PSH, end.next + at, b"x")
            return
        edges = []
        for _ in range(4):
            start = end.expected + 2 * self.choice.randrange(-100, 8_000)
            edges += [start & 0xFFFF_FFFF, (start + 1) & 0xFFFF_FFFF]
        end.emit(ACK, end.next, options=struct.pack(">BBBB8I", 1, 1, 5, 34, *edges))


class IcmpStorm(Attack):
    """Echo requests, and errors that quote connections, those of clients too."""

    def step(self, now: int) -> None:
        """Send."""
        ends = [end for end in list(self.siege.ends.values())[-20:] if end.own[0] == CLIENT]
        for _ in range(self.siege.dimensions.rate):
            kind, code = self.choice.choice(((8, 0), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (4, 0), (5, 1), (11, 0)))
            rest = struct.pack(">HH", 0, self.choice.choice((0, 68, 576, 1_400, 65_535)))
            if kind == 8:
                rest += self.choice.randbytes(self.choice.randrange(1_000))
            else:
                rest += self._quoted(ends)
            self.siege.inject(ethernet(ipv4(CLIENT, VIP[0], 1, icmp(kind, code, rest)), 0x0800, *_MACS[0]))

    def _quoted(self, ends: list[End]) -> bytes:
        port, sequence = self.choice.randrange(65_536), self.choice.randrange(1 << 32)
        if ends and self.choice.random() < 0.7:
            end = self.choice.choice(ends)
            port, sequence = end.own[1], end.expected
        return ipv4(VIP[0], CLIENT, 6, tcp(*VIP, CLIENT, port, ACK, sequence=sequence))[:28]


class SynsOfTheOpen(Standing):
    """SYNs and resets near the numbers of connections that are open."""

    def use(self, end: End, now: int) -> None:
        """Send one of them, in the window but never exact."""
        end.emit(self.choice.choice((SYN, 4)), end.next + self.choice.randrange(2, 30_000))


KINDS: Final[dict[str, type[Attack]]] = {
    "random bytes": RandomBytes,
    "overlapping segments": OverlappingSegments,
    "overlapping fragments": OverlappingFragments,
    "tiny windows": TinyWindows,
    "zero windows": ZeroWindows,
    "slow readers": SlowReaders,
    "slow heads": SlowHeads,
    "many holes": ManyHoles,
    "ICMP storm": IcmpStorm,
    "SYNs and resets of open connections": SynsOfTheOpen,
}
