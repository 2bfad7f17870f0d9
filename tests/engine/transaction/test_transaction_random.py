"""Random pipelines, cut anywhere, over engines that breathe in any order: every answer is byte-exact and in order."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.machine.jit import JIT
from tests.engine.http.http_talk import chunked, passed_request, passed_response
from tests.engine.remote.virtual_lab import count
from tests.engine.transaction.transaction_lab import SMALL_WINDOWS, sharing
from tests.support.http_lab import HttpLab
from tests.support.tcp_peer import Peer

_ENGINES = 3
_MOST_ROUNDS = 20_000
_METHODS = (b"GET", b"GET", b"GET", b"GET", b"HEAD", b"OPTIONS", b"PUT", b"POST", b"DELETE")


@dataclass
class Exchange:
    """One request and its answer, as they are sent; and when the server is to answer."""

    number: int
    request: bytes
    response: bytes
    delay: int
    """Rounds."""


def random_body(chance: random.Random, most: int) -> tuple[bytes, bytes]:
    """Return a field of framing and a body."""
    content = chance.randbytes(chance.choice([0, 1, 10, 500, chance.randrange(most)]))
    if chance.random() < 0.4:
        cuts = sorted(chance.randrange(len(content) + 1) for _ in range(chance.randrange(4)))
        pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True) if a < b]
        return b"Transfer-Encoding: chunked\r\n", chunked(*pieces)
    return b"Content-Length: %d\r\n" % len(content), content


def random_exchange(chance: random.Random, number: int) -> Exchange:
    """Return a request of any kind with an answer of any kind."""
    method = chance.choice(_METHODS)
    framing, body = b"", b""
    if method in (b"PUT", b"POST") or chance.random() < 0.1:
        framing, body = random_body(chance, 6_000)
    request = b"%s /%d HTTP/1.1\r\nHost: a\r\n%s\r\n%s" % (method, number, framing, body)
    kind = chance.random()
    if kind < 0.1:
        response = b"HTTP/1.1 204 No Content\r\n\r\n"
    else:
        framing, body = random_body(chance, 40_000 if kind > 0.9 else 3_000)
        response = b"HTTP/1.1 200 OK\r\nX-Number: %d\r\n%s\r\n%s" % (
            number,
            framing,
            b"" if method == b"HEAD" else body,
        )
    return Exchange(number, request, response, chance.choice([0, 0, 1, 5, 40]))


@dataclass
class Talk:
    """One client's pipeline."""

    client: Peer
    stream: bytes
    expected: bytes
    got: bytes = b""
    sent: int = 0

    def send_some(self, chance: random.Random) -> None:
        """Send the next bytes, as many as chance says."""
        if self.sent < len(self.stream) and chance.random() < 0.5:
            part = self.stream[self.sent : self.sent + chance.choice([1, 20, 100, 1_000, 50_000])]
            self.sent += len(part)
            self.client.send(part)

    def read_some(self, chance: random.Random) -> None:
        """Read, and compare."""
        if chance.random() < 0.7:
            self.got += self.client.read(chance.choice([None, 100, 5_000]))
            assert self.got == self.expected[: len(self.got)]

    @property
    def is_done(self) -> bool:
        return self.got == self.expected


@dataclass
class Service:
    """The servers: they check each request as it comes, and answer after a while, in pieces."""

    lab: HttpLab
    chance: random.Random
    exchanges: dict[int, Exchange] = field(default_factory=dict)
    buffers: dict[int, bytes] = field(default_factory=dict)
    due: list[tuple[int, Peer, bytes]] = field(default_factory=list)

    def step(self, now: int) -> None:
        """Take what has come, and send what is due."""
        for key, peer in enumerate(self.lab.servers[0].peers.values()):
            raw = self.buffers[key] = self.buffers.get(key, b"") + peer.read()
            head = raw.split(b" ", 2)
            if len(head) == 3:
                exchange = self.exchanges[int(head[1][1:])]
                expected = passed_request(exchange.request)
                assert raw == expected[: len(raw)]
                if raw == expected:
                    self.buffers[key] = b""
                    self._answer(peer, exchange, now)
        ready = [item for item in self.due if item[0] <= now]
        self.due = [item for item in self.due if item[0] > now]
        for _, peer, part in ready:
            peer.send(part)

    def _answer(self, peer: Peer, exchange: Exchange, now: int) -> None:
        at, raw = now + exchange.delay, exchange.response
        while raw:
            size = self.chance.choice([3, 200, 100_000])
            self.due.append((at, peer, raw[:size]))
            raw = raw[size:]
            at += self.chance.choice([0, 1, 3])


def talk(seed: int, *, messages: int, tcp: str) -> None:
    """Let clients and servers talk until all is said."""
    chance = random.Random(seed)
    with sharing(engines=_ENGINES, messages=messages, tcp=tcp) as lab:
        service = Service(lab, chance)
        talks = []
        for place in range(chance.randrange(1, 4)):
            client = lab.client(engine=place % _ENGINES).connect()
            client.settle = lambda: None
            exchanges = [random_exchange(chance, 100 * place + number) for number in range(chance.randrange(4, 24))]
            service.exchanges |= {exchange.number: exchange for exchange in exchanges}
            stream = b"".join(exchange.request for exchange in exchanges)
            talks.append(Talk(client, stream, b"".join(passed_response(exchange.response) for exchange in exchanges)))
        now = 0
        while not all(one.is_done for one in talks):
            now += 1
            assert now < _MOST_ROUNDS, f"seed {seed}: it does not go on"
            lab.asleep = frozenset(k for k in range(_ENGINES) if chance.random() < 0.3)
            lab.now += 20
            lab.step_engines()
            service.step(now)
            for one in talks:
                one.send_some(chance)
                one.read_some(chance)
        lab.asleep = frozenset()
        assert sum(count(lab, "http_requests")) == len(service.exchanges)
        assert min(count(lab, "http_requests")) > 0
        assert sum(count(lab, "transactions_lost")) == 0


@settings(max_examples=80 if JIT else 6, deadline=None)
@given(seed=st.integers(0, 1 << 32), messages=st.sampled_from([4, 64]), small=st.booleans())
def test_answers_are_exact_and_in_order(seed: int, messages: int, small: bool) -> None:
    talk(seed, messages=messages, tcp="receive_window: 8KiB, send_buffer: 8KiB" if small else SMALL_WINDOWS)
