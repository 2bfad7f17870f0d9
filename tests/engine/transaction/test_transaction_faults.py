"""Random pipelines while clients and servers go at any moment, tables are small and rings full.

What a client gets is a beginning of the right answers, or some whole ones and then an error of the appliance's own; and
in the end nothing is kept: no connection, frame, half or flow.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from ncore_ray.machine.jit import JIT
from tests.engine.http.http_talk import answer, get, passed_response
from tests.engine.transaction.transaction_lab import sharing
from tests.support.http_lab import HttpLab
from tests.support.tcp_peer import Peer

_ENGINES = 3
_ROUNDS = 150
_PATH = re.compile(rb"(?:GET|POST) /(\d+) HTTP/1\.1\r\n")
_ERROR = re.compile(rb"HTTP/1\.1 (400|408|413|502|503|504) ")
_BAD = b"bad\r\n\r\n"


def content(number: int) -> bytes:
    """Return a body that nobody else's is like."""
    return b"%d." % number * random.Random(number).choice([1, 10, 300, 5_000])


def whole(number: int, *, last: bool = False) -> bytes:
    return passed_response(answer(content(number)), b"Connection: close\r\n" if last else b"")


@dataclass
class Talk:
    """A client and what it has asked for."""

    client: Peer
    first: int
    asked: int = 0
    got: bytes = b""

    def ask(self, chance: random.Random) -> None:
        """Send a few requests, or something that ends the connection."""
        if self.client.closing or self.client.gone or not self.client.established or self.asked > 60:
            return
        kind = chance.random()
        for _ in range(chance.randrange(1, 6)):
            raw = get(self.first + self.asked)
            self.client.send(
                raw.replace(b"GET", b"POST", 1).replace(b"Host: a\r\n", b"Host: a\r\nContent-Length: 0\r\n")
                if kind < 0.2
                else raw
            )
            self.asked += 1
        if kind > 0.97:
            self.client.send(_BAD)
        elif kind > 0.93:
            self.client.close()
        elif kind > 0.9:
            self.client.reset()

    def check(self) -> None:
        """See that all that came is right."""
        self.got += self.client.read()
        rest, number = self.got, self.first
        while rest and number < self.first + self.asked:
            one = next((raw for raw in (whole(number), whole(number, last=True)) if rest.startswith(raw)), b"")
            if not one:
                break
            rest, number = rest[len(one) :], number + 1
        begun = any(raw.startswith(rest) for raw in (whole(number), whole(number, last=True)))
        assert begun or _ERROR.match(rest) or len(rest) < 13, rest[:200]


@dataclass
class Service:
    """Servers that answer, or do not."""

    lab: HttpLab
    chance: random.Random
    buffers: dict[int, bytes] = field(default_factory=dict)

    def step(self) -> None:
        """Do something with what has come."""
        for key, peer in enumerate(self.lab.servers[0].peers.values()):
            raw = self.buffers[key] = self.buffers.get(key, b"") + peer.read()
            kind = self.chance.random()
            if peer.gone or peer.closing:
                continue
            if kind < 0.01:
                peer.reset()
            elif kind < 0.02:
                peer.close()
            elif raw.endswith(b"\r\n\r\n") and kind > 0.3:
                match = _PATH.match(raw)
                assert match, raw
                self.buffers[key] = b""
                reply = answer(content(int(match[1])))
                if kind > 0.97:
                    peer.send(reply[: len(reply) // 2]).close()
                else:
                    peer.send(reply)


def talk(seed: int, connections: int, messages: int) -> None:
    """Let all go on for some time, each as chance says, and then end."""
    chance = random.Random(seed)
    with sharing(
        engines=_ENGINES,
        connections=connections,
        messages=messages,
        tcp="receive_window: 8KiB, send_buffer: 8KiB",
        timeouts="connect: 1s, server: 3s, header: 3s, client_idle: 3s",
    ) as lab:
        service = Service(lab, chance)
        talks: list[Talk] = []
        for number in range(_ROUNDS):
            if len(talks) < 8 and chance.random() < 0.1:
                client = lab.client(engine=chance.randrange(_ENGINES))
                client.settle = lambda: None
                talks.append(Talk(client.connect(), 100 * len(talks)))
            for one in talks:
                if chance.random() < 0.1:
                    one.ask(chance)
                one.check()
            lab.asleep = frozenset(k for k in range(_ENGINES) if chance.random() < 0.3)
            lab.now += chance.choice([10, 10, 1_000, 100_000 if number % 10 == 0 else 10])
            lab.step_engines()
            service.step()
        lab.asleep = frozenset()
        lab.settle()
        for one in talks:
            one.check()


@settings(max_examples=25 if JIT else 8, deadline=None)
@given(seed=st.integers(0, 1 << 32), connections=st.sampled_from([16, 64]), messages=st.sampled_from([2, 64]))
def test_what_comes_is_right_and_nothing_is_kept(seed: int, connections: int, messages: int) -> None:
    talk(seed, connections, messages)
