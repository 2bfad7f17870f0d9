"""Two streams through a TCP vServer over wires that lose, double and reorder, with readers of every pace."""

from __future__ import annotations

import heapq
import random
import struct
from dataclasses import dataclass

import pytest

from ncore_ray.engine.tcp.reassembly import FEWEST_SEGMENTS
from ncore_ray.machine.jit import JIT
from tests.support.reference_tcp import ReferenceTcp, Wire
from tests.support.tcp_script import (
    FLAGS,
    WRAP,
    End,
    Script,
    Segment,
    check_nothing_leaked,
    held_frames,
    read_segment,
)

TICK = 10_000
SIZE = 300_000 if JIT else 30_000


@dataclass
class Trouble:
    """What the wires do, in parts of 1."""

    loss: float = 0.0
    double: float = 0.0
    delay_us: int = 1_000
    jitter_us: int = 0


class World:
    """A script's engine between two reference TCPs, in simulated time."""

    def __init__(
        self, seed: int, trouble: Trouble, *, sizes: tuple[int, int], paces: tuple[int, int], tcp: str, sack: bool
    ) -> None:
        self.choice = random.Random(seed)
        self.trouble = trouble
        self.script = Script("client", tcp=tcp, timeouts="client_idle: 240s, connect: 240s", frames=1024)
        self.lab = self.script.lab
        self.ends = (self.script.client, self.script.service)
        data = [self.choice.randbytes(size) for size in sizes]
        self.peers = [ReferenceTcp(data[i], 20_000, paces[i], is_active=i == 0, says_blocks=sack) for i in range(2)]
        self.sack = sack
        self.events: list[tuple[int, int, int, bytes | Wire]] = []
        self.count = 0
        self.blocks_said = 0
        self.most_frames = 0

    def run(self, limit_s: int) -> None:
        end = self.lab.now + limit_s * 1_000_000
        next_tick = self.lab.now
        self._transmit(0, self.peers[0].send(self.lab.now))
        while not all(peer.is_done for peer in self.peers):
            assert self.lab.now < end, f"not finished: {self.peers[0].una} {self.peers[1].una}"
            due = (self.script._next_deadline() >> 10) + 1 << 10
            self.lab.now = max(min(due, next_tick, self.events[0][0] if self.events else end), self.lab.now + 1)
            self._deliver()
            self.lab.breathe()
            self._collect()
            if self.lab.now >= next_tick:
                next_tick += TICK
                for number in range(2):
                    self._transmit(number, self.peers[number].tick(self.lab.now))

    def _push(self, direction: int, what: bytes | Wire) -> None:
        copies = 0 if self.choice.random() < self.trouble.loss else 1 + (self.choice.random() < self.trouble.double)
        for _ in range(copies):
            self.count += 1
            at = self.lab.now + self.trouble.delay_us + self.choice.randrange(self.trouble.jitter_us + 1)
            heapq.heappush(self.events, (at, self.count, direction, what))

    def _transmit(self, number: int, segments: list[Wire]) -> None:
        for wire in segments:
            end = self.ends[number]
            options = b"\2\4\5\xb4\1\3\3\0" if "S" in wire.flags else self._blocks(end, wire)
            if "S" in wire.flags and self.sack:
                options += b"\1\1\4\2"
            window = min(wire.window, 65535)
            frame = end.segment(wire.flags, wire.position + 1, wire.acknowledged + 1, wire.payload, window, options)
            self._push(number, frame)

    @staticmethod
    def _blocks(end: End, wire: Wire) -> bytes:
        edges = [(at + 1 + end.engine_first) % WRAP for block in wire.blocks for at in block]
        return struct.pack(f">BBBB{len(edges)}I", 1, 1, 5, 2 + 4 * len(edges), *edges) if edges else b""

    def _deliver(self) -> None:
        while self.events and self.events[0][0] <= self.lab.now:
            _, _, direction, what = heapq.heappop(self.events)
            if isinstance(what, bytes):
                self.lab.receive(direction, what)
            else:
                self._transmit(direction - 2, self.peers[direction - 2].take(what, self.lab.now))

    def _collect(self) -> None:
        used = [sum(map(len, held_frames(self.lab)))] if self.count % 16 == 0 else [0]
        self.most_frames = max(self.most_frames, *used)
        for nic, frame in self.lab.sent():
            if frame[12:14] == b"\x08\x06":
                self.script._answer_arp(nic, frame)
            else:
                self._push(2 + nic, self._wire(self.ends[nic], frame))

    def _wire(self, end: End, frame: bytes) -> Wire:
        segment = read_segment(end.nic, frame)
        flags = "".join(letter for letter in "SFRA" if segment.flags & FLAGS[letter])
        if "S" in flags:
            end.engine_first = segment.sequence
            end.engine = (end.engine[0], segment.source[1])
            end.scale = segment.options[segment.options.index(b"\3\3") + 2]
        number = self.ends.index(end)
        if "S" not in flags and segment.options:
            self._check_blocks(self.peers[number], end, segment)
        window = segment.window << (0 if "S" in flags else end.scale)
        position = _unwrapped(segment.sequence - end.engine_first, self.peers[number].peer_position) - 1
        acknowledged = _unwrapped(segment.acknowledgment - end.first, self.peers[number].una) - 1
        return Wire(position, acknowledged, flags, window, segment.payload)

    def _check_blocks(self, peer: ReferenceTcp, end: End, segment: Segment) -> None:
        """What the engine says to hold was sent, and is in order, or beyond what it acknowledges, or came twice."""
        assert self.sack
        edges = [
            _unwrapped(edge - end.first, peer.una) - 1 for (edge,) in struct.iter_unpack(">I", segment.options[4:])
        ]
        acknowledged = _unwrapped(segment.acknowledgment - end.first, peer.una) - 1
        for number, (start, stop) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
            assert start < stop <= peer.fin
            assert start > acknowledged or number == 0
        self.blocks_said += 1


def _unwrapped(number: int, near: int) -> int:
    """Return the value congruent to a 32-bit number that is nearest to another."""
    return near + (number - near + WRAP // 2) % WRAP - WRAP // 2


GOOD = Trouble()
BAD = Trouble(loss=0.05, double=0.05, jitter_us=4_000)
WORST = Trouble(loss=0.15, double=0.1, jitter_us=30_000)
SMALL = "receive_window: 8KiB, send_buffer: 6KiB"
CASES = [
    (GOOD, (SIZE, SIZE), (1 << 20, 1 << 20), ""),
    (GOOD, (SIZE, 0), (1 << 20, 500), ""),
    (GOOD, (0, SIZE // 4), (300, 1 << 20), SMALL),
    (BAD, (SIZE, SIZE), (1 << 20, 1 << 20), ""),
    (BAD, (SIZE // 4, SIZE // 4), (700, 700), SMALL),
    (BAD, (10, SIZE // 2), (1 << 20, 1 << 20), "initial_window: 2"),
    (WORST, (SIZE // 10, SIZE // 10), (1 << 20, 1 << 20), ""),
    (WORST, (SIZE // 20, SIZE // 20), (400, 5_000), SMALL),
    (WORST, (0, 0), (1, 1), ""),
]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", range(len(CASES)))
def test_every_byte_arrives_once_and_in_order(case: int, seed: int) -> None:
    """With selective acknowledgments for every second seed."""
    trouble, sizes, paces, tcp = CASES[case]
    tcp = tcp + ", retries: 30" if tcp else "retries: 30"
    world = World(1000 * case + seed, trouble, sizes=sizes, paces=paces, tcp=tcp, sack=seed % 2 == 1)
    world.run(limit_s=3_000)
    assert world.blocks_said or not (world.sack and trouble.loss and sum(sizes) > SIZE // 4)
    for number in range(2):
        assert bytes(world.peers[number].received) == world.peers[1 - number].data, f"seed {1000 * case + seed}"
    engine = world.lab.engine()
    # Per direction the window's bytes, and per connection the segments that came too early.
    early = max(FEWEST_SEGMENTS, engine.receive_limit // 1024)
    assert world.most_frames <= 2 * (engine.receive_limit // 2048 + 2) + 2 * early
    world.events.clear()
    for _ in range(5):
        world.lab.now += 70_000_000
        world.lab.breathe()
        world.lab.sent()
    check_nothing_leaked(world.lab, connections=0)
