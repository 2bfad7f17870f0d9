"""Random exchanges of several clients over several servers, cut and interleaved at random.

What each end receives is read by a parser of a few obvious lines, and compared with what the other end was to send.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.http_lab import HttpLab, running
from tests.support.tcp_peer import Peer


class Message(NamedTuple):
    """A whole message as a simple reader sees it."""

    start: bytes
    fields: dict[bytes, bytes]
    body: bytes
    size: int


def read_message(data: bytes, *, has_body: bool = True, ended: bool = False) -> Message | None:
    """Return the first message of a stream, or None if it is not whole yet."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        return None
    start, *lines = head.split(b"\r\n")
    fields = {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)}
    assert len(fields) == len(lines)
    size = len(head) + 4
    if start.startswith(b"HTTP/1.1 1"):
        has_body = False
    if not has_body:
        return Message(start, fields, b"", size)
    if b"content-length" in fields:
        length = int(fields[b"content-length"])
        return Message(start, fields, rest[:length], size + length) if len(rest) >= length else None
    if fields.get(b"transfer-encoding") != b"chunked":
        if start.startswith(b"HTTP/"):
            return Message(start, fields, rest, len(data)) if ended else None
        return Message(start, fields, b"", size)
    body, at = b"", 0
    while True:
        end = rest.find(b"\r\n", at)
        if end < 0:
            return None
        length = int(rest[at:end].partition(b";")[0], 16)
        if length == 0:
            break
        body += rest[end + 2 : end + 2 + length]
        at = end + 2 + length + 2
    last = rest.find(b"\r\n\r\n", end)
    return Message(start, fields, body, size + last + 4) if last >= 0 else None


@dataclass(frozen=True)
class Plan:
    """One exchange: what is sent, and how."""

    method: bytes
    request_size: int
    request_chunks: int
    """0: with Content-Length."""
    status: int
    response_size: int
    response_chunks: int
    interim: bool
    server_closes: bool

    @property
    def has_request_body(self) -> bool:
        return self.method in (b"POST", b"PUT")

    @property
    def has_response_body(self) -> bool:
        return self.method != b"HEAD" and self.status == 200


def _content(seed: str, size: int) -> bytes:
    return Random(seed).randbytes(size)


def _framed(content: bytes, chunks: int) -> tuple[bytes, bytes]:
    """Return framing field and body."""
    if not chunks:
        return b"Content-Length: %d\r\n" % len(content), content
    step = max(len(content) // chunks, 1)
    pieces = [content[at : at + step] for at in range(0, len(content), step)]
    body = b"".join(b"%x;x=y\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nX-Last: 1\r\n\r\n"
    return b"Transfer-Encoding: chunked\r\n", body


def request_of(name: str, plan: Plan) -> bytes:
    start = b"%s /%s HTTP/1.1\r\nHost: h\r\nX-Name: %s\r\nConnection: x-gone\r\nX-Gone: 1\r\n"
    start %= (plan.method, name.encode(), name.encode())
    if not plan.has_request_body:
        return start + b"\r\n"
    framing, body = _framed(_content("q" + name, plan.request_size), plan.request_chunks)
    return start + framing + b"\r\n" + body


def response_of(name: str, plan: Plan) -> bytes:
    before = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" if plan.interim else b""
    close = b"Connection: close\r\n" if plan.server_closes else b""
    start = before + b"HTTP/1.1 %d Some\r\nX-Name: %s\r\n" % (plan.status, name.encode()) + close
    if plan.status != 200:
        return start + b"\r\n"
    framing, body = _framed(_content("r" + name, plan.response_size), plan.response_chunks)
    return start + framing + b"\r\n" + (body if plan.has_response_body else b"")


plans = st.builds(
    Plan,
    method=st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE"]),
    request_size=st.one_of(st.integers(0, 50), st.integers(0, 9_000)),
    request_chunks=st.integers(0, 5),
    status=st.sampled_from([200, 200, 200, 204, 304]),
    response_size=st.one_of(st.integers(0, 50), st.integers(0, 20_000)),
    response_chunks=st.integers(0, 5),
    interim=st.booleans(),
    server_closes=st.sampled_from([False, False, False, True]),
)


@dataclass
class _Client:
    number: int
    plans: list[Plan]
    peer: Peer
    pieces: list[bytes]
    stream: bytes = b""
    answered: int = 0

    def read(self, most: int | None) -> None:
        """Take what arrived, and compare every response that is whole."""
        self.stream += self.peer.read(most)
        while self.answered < len(self.plans):
            plan = self.plans[self.answered]
            name = f"{self.number}-{self.answered}"
            message = read_message(self.stream, has_body=plan.has_response_body)
            if message is None:
                return
            self.stream = self.stream[message.size :]
            if message.start.startswith(b"HTTP/1.1 103 "):
                assert plan.interim
                continue
            assert message.start == b"HTTP/1.1 %d Some" % plan.status
            assert message.fields[b"x-name"] == name.encode()
            assert message.fields[b"via"] == b"1.1 ncore"
            if plan.has_response_body:
                assert message.body == _content("r" + name, plan.response_size)
            self.answered += 1
        assert not self.stream


@dataclass
class _World:
    """The lab with its clients and servers, and the choices of one run."""

    lab: HttpLab
    random: Random
    clients: list[_Client]
    streams: dict[int, bytes] = field(default_factory=lambda: defaultdict(bytes))
    """What a server connection has received and not yet understood."""
    to_send: dict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    """Pieces of the response that a server connection is sending."""
    seen: list[str] = field(default_factory=list)

    def cut(self, data: bytes) -> list[bytes]:
        places = sorted(
            {0, len(data), *(self.random.randrange(len(data) + 1) for _ in range(self.random.randrange(4)))}
        )
        return [data[a:b] for a, b in pairwise(places)]

    def serve(self, peer: Peer) -> None:
        """Let a server connection do its next step."""
        key = id(peer)
        self.streams[key] += peer.read()
        if self.to_send[key]:
            piece = self.to_send[key].pop(0)
            if piece:
                peer.send(piece)
            elif not peer.closing:
                peer.close()
            return
        message = read_message(self.streams[key])
        if message is None or peer.gone or peer.closing:
            return
        self.streams[key] = self.streams[key][message.size :]
        self.answer(peer, message)

    def answer(self, peer: Peer, message: Message) -> None:
        name = message.fields[b"x-name"].decode()
        number, place = (int(part) for part in name.split("-"))
        plan = self.clients[number].plans[place]
        assert message.start == b"%s /%s HTTP/1.1" % (plan.method, name.encode())
        assert message.fields[b"host"] == b"h"
        assert message.fields[b"x-forwarded-for"] == b"10.1.0.2"
        assert message.fields[b"via"] == b"1.1 ncore"
        assert b"x-gone" not in message.fields
        expected = _content("q" + name, plan.request_size) if plan.has_request_body else b""
        assert message.body == expected
        assert name not in self.seen
        self.seen.append(name)
        self.to_send[id(peer)] = self.cut(response_of(name, plan)) + ([b""] if plan.server_closes else [])

    def step(self) -> None:
        client = self.random.choice(self.clients)
        what = self.random.randrange(6)
        if what == 0 and client.pieces:
            client.peer.send(client.pieces.pop(0))
        elif what == 1:
            client.read(self.random.choice([None, 100, 3_000]))
        elif what in (2, 3):
            servers = [peer for host in self.lab.servers for peer in host.peers.values()]
            if servers:
                self.serve(self.random.choice(servers))
        elif what == 4:
            self.lab.step_engines()
        else:
            self.lab.settle()

    def finish(self) -> None:
        """Do all that is left, in order."""
        for _ in range(400):
            for client in self.clients:
                if client.pieces:
                    client.peer.send(client.pieces.pop(0))
                client.read(None)
            for host in self.lab.servers:
                for peer in list(host.peers.values()):
                    self.serve(peer)
            self.lab.wait(4_000)
            if all(client.answered == len(client.plans) for client in self.clients):
                return
        raise AssertionError([(client.answered, len(client.plans), client.stream[:80]) for client in self.clients])

    def check_counts(self) -> None:
        total = sum(len(client.plans) for client in self.clients)
        vserver = self.lab.vserver()
        services = [self.lab.service_stats(number) for number in range(len(self.lab.servers))]
        server_peers = [peer for host in self.lab.servers for peer in host.peers.values()]
        assert vserver.requests == total == sum(service.requests for service in services)
        assert self.lab.counters().http_responses == total
        assert vserver.errors == 0
        assert vserver.total_connections == len(self.clients)
        assert sum(service.total_connections for service in services) == len(server_peers)
        assert vserver.received_bytes == sum(client.peer.total_sent for client in self.clients)
        assert vserver.sent_bytes == sum(client.peer.total_received for client in self.clients)
        assert sum(service.sent_bytes for service in services) == sum(peer.total_received for peer in server_peers)
        assert sum(service.received_bytes for service in services) == sum(peer.total_sent for peer in server_peers)
        assert all(service.busy == 0 for service in services)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    exchanges=st.lists(st.lists(plans, min_size=1, max_size=5), min_size=1, max_size=4),
    services=st.integers(1, 3),
    buffers=st.tuples(*[st.sampled_from(["4KiB", "8KiB", "64KiB"])] * 2),
    slow=st.booleans(),
    seed=st.integers(0, 1 << 32),
)
def test_random_exchanges(
    exchanges: list[list[Plan]], services: int, buffers: tuple[str, str], slow: bool, seed: int
) -> None:
    random = Random(seed)
    with running(
        services=services, tcp=f"receive_window: {buffers[0]}, send_buffer: {buffers[1]}", method="leastconnection"
    ) as lab:
        world = _World(lab, random, [])
        for number, planned in enumerate(exchanges):
            peer = lab.client(paused=slow, limit=5_000).connect()
            stream = b"".join(request_of(f"{number}-{place}", plan) for place, plan in enumerate(planned))
            pieces = [piece for piece in world.cut(stream) if piece]
            world.clients.append(_Client(number, planned, peer, pieces))
        for _ in range(60):
            world.step()
        world.finish()
        lab.settle()
        world.check_counts()


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    exchanges=st.lists(st.lists(plans, min_size=1, max_size=4), min_size=1, max_size=4),
    buffers=st.tuples(*[st.sampled_from(["4KiB", "64KiB"])] * 2),
    ends=st.lists(st.tuples(st.sampled_from(["client", "server"]), st.sampled_from(["reset", "close"])), max_size=6),
    seed=st.integers(0, 1 << 32),
)
def test_random_ends_leave_nothing_behind(
    exchanges: list[list[Plan]], buffers: tuple[str, str], ends: list[tuple[str, str]], seed: int
) -> None:
    """Connections are reset and closed anywhere; what must hold is that nothing is kept and everything is counted."""
    random = Random(seed)
    with running(services=2, tcp=f"receive_window: {buffers[0]}, send_buffer: {buffers[1]}") as lab:
        world = _World(lab, random, [])
        for number, planned in enumerate(exchanges):
            peer = lab.client(paused=random.random() < 0.3, limit=5_000).connect()
            stream = b"".join(request_of(f"{number}-{place}", plan) for place, plan in enumerate(planned))
            world.clients.append(_Client(number, planned, peer, [piece for piece in world.cut(stream) if piece]))
        for side, how in [*ends, ("", "")]:
            for _ in range(12):
                _careless_step(world)
            peers = [peer for host in lab.hosts.values() for peer in host.peers.values()]
            own = [peer for peer in peers if (peer.other[1] == 80) == (side == "client") and peer.established]
            if own and side:
                getattr(random.choice(own), how)()
        lab.settle()
        stats = [lab.service_stats(number) for number in range(2)]
        assert all(0 <= service.busy <= len(exchanges) for service in stats)
        assert all(service.idle_connections <= service.connections for service in stats)


def _careless_step(world: _World) -> None:
    """Do a step without a look at what comes."""
    lab, random = world.lab, world.random
    client = random.choice(world.clients)
    what = random.randrange(4)
    if what == 0 and client.pieces and not client.peer.closing:
        client.peer.send(client.pieces.pop(0))
    elif what == 1:
        client.peer.read()
    elif what == 2:
        for host in lab.servers:
            for peer in list(host.peers.values()):
                if not peer.closing and peer.read():
                    plan = random.choice(client.plans)
                    peer.send(response_of("0-0", plan)[: random.choice([20, 2_000, 30_000])])
    else:
        lab.settle()
