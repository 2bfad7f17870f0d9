"""Virtual connections under engines that breathe in any order, rings that are nearly always full, and peers that go.

Whatever happens: every stream is byte-exact as far as it comes, a ring that is full loses nothing, no frame is lost or
kept, and in the end no half of a virtual connection is left.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.machine.jit import JIT
from tests.engine.remote.virtual_lab import FUNCTIONAL, count
from tests.support.http_lab import HttpLab, running
from tests.support.tcp_peer import Peer

_LIMITS = "receive_window: 8KiB, send_buffer: 8KiB"
_ENGINES = 3
STEP = st.tuples(
    st.sampled_from(["send", "answer", "read", "close", "end", "reset", "abort", "breathe", "new"]),
    st.integers(0, 7),
    st.integers(1, 12_000),
)


@dataclass
class Pair:
    """A client, its server once it has come, and what each got."""

    client: Peer
    server: Peer | None = None
    at_server: bytes = b""
    at_client: bytes = b""


class Books:
    """Clients and what they have sent: pair k's bytes are those of a generator of its own."""

    def __init__(self, lab: HttpLab) -> None:
        self.lab = lab
        self.pairs: list[Pair] = []
        self.streams = [random.Random(seed).randbytes(400_000) for seed in range(2)]

    def new(self) -> None:
        """Open a client; its server is known by the first byte, the client's number."""
        client = self.lab.client(engine=len(self.pairs) % 2, paused=True, limit=8_192)
        client.settle = lambda: None
        client.connect()
        self.pairs.append(Pair(client))

    def find_servers(self) -> None:
        """Match the servers' connections with their clients."""
        for peer in self.lab.servers[0].waiting:
            peer.paused, peer.limit = True, 8_192
        for peer in [one for one in self.lab.servers[0].waiting if one.received]:
            self.lab.servers[0].waiting.remove(peer)
            self.pairs[peer.received[0]].server = peer

    def send(self, peer: Peer | None, stream: bytes, length: int, first: bytes = b"") -> None:
        """Send the next bytes of a stream."""
        if peer is None or peer.closing or peer.gone or peer.total_sent + length >= len(stream):
            return
        whole = first + stream
        peer.send(whole[peer.total_sent : peer.total_sent + length])

    def take(self, pair: Pair) -> None:
        """Read at both ends, and compare."""
        number = self.pairs.index(pair)
        pair.at_client += pair.client.read()
        pair.at_server += pair.server.read() if pair.server else b""
        assert pair.at_client == self.streams[1][: len(pair.at_client)]
        assert pair.at_server == (bytes([number]) + self.streams[0])[: len(pair.at_server)]

    def step(self, name: str, which: int, length: int) -> None:
        """Do one thing."""
        if name == "new" or not self.pairs:
            if len(self.pairs) < 6:
                self.new()
            return
        pair = self.pairs[which % len(self.pairs)]
        number = bytes([which % len(self.pairs)])
        does: dict[str, Callable[[], object]] = {
            "send": lambda: self.send(pair.client, self.streams[0], length, number),
            "answer": lambda: self.send(pair.server, self.streams[1], length),
            "read": lambda: self.take(pair),
            "close": lambda: None if pair.client.gone else pair.client.close(),
            "end": lambda: pair.server and not pair.server.gone and pair.server.close(),
            "reset": lambda: pair.client.established and pair.client.reset(),
            "abort": lambda: pair.server and pair.server.reset(),
            "breathe": lambda: self.breathe(which, length),
        }
        does[name]()

    def breathe(self, asleep: int, rounds: int) -> None:
        """Let some of the engines breathe a few times."""
        self.lab.asleep = frozenset(k for k in range(_ENGINES) if asleep >> k & 1)
        for _ in range(rounds % 4 + 1):
            self.lab.now += 10
            self.lab.step_engines()
        self.lab.asleep = frozenset()
        self.find_servers()

    def check_pools(self) -> None:
        """Every frame that an engine has free is of its own pool, and once."""
        lab = self.lab
        for k in lab.engine_indexes:
            engine = lab.engine(k)
            stack = lab.array[engine.free_frames : engine.free_frames + 4 * engine.free_frame_count].view("<i4")
            assert len(set(stack.tolist())) == engine.free_frame_count
            assert (lab._metas()["home"][stack] == k).all()


@settings(max_examples=150 if JIT else 15)
@given(steps=st.lists(STEP, min_size=5, max_size=60), messages=st.sampled_from([2, 4, 16]))
def test_streams_are_exact_and_nothing_is_lost_or_kept(steps: list[tuple[str, int, int]], messages: int) -> None:
    functions = f"{FUNCTIONAL}, functions: [transport, transport, application]"
    with running(
        engines=_ENGINES, distribution=functions, protocol="TCP", tcp=_LIMITS, messages=messages, frames=256
    ) as lab:
        books = Books(lab)
        for name, which, length in steps:
            books.step(name, which, length)
            books.check_pools()
        for _ in range(6):
            books.breathe(0, 3)
            for pair in books.pairs:
                books.take(pair)
        lab.settle()
        opened, accepted = count(lab, "virtual_connections_opened"), count(lab, "virtual_connections_accepted")
        assert sum(opened) == sum(accepted)
        assert sum(count(lab, "virtual_sent_bytes")) >= sum(count(lab, "virtual_received_bytes"))


def test_tiny_rings_pass_large_streams_both_ways() -> None:
    windows = "receive_window: 128KiB, send_buffer: 128KiB"  # for all there are frames: nothing has to be sent again
    with running(engines=2, distribution=FUNCTIONAL, protocol="TCP", tcp=windows, messages=2, frames=512) as lab:
        stream = random.Random(1).randbytes(300_000)
        clients = [lab.client().connect() for _ in range(4)]
        servers = [lab.servers[0].accept() for _ in clients]
        for peer in (*clients, *servers):
            peer.send(stream)
        for peer in (*clients, *servers):
            peer.expect(stream)
        assert sum(count(lab, "virtual_ring_full_waits")) > 100
