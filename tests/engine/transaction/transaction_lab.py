"""What the tests of transactions have in common: pipelines of numbered requests, and servers that answer when told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from ncore_ray.engine.connection import Role
from tests.engine.http.http_talk import answer, get, passed_request, passed_response
from tests.support.http_lab import HttpLab, running
from tests.support.tcp_peer import Peer

SMALL_WINDOWS: Final = "receive_window: 32KiB, send_buffer: 32KiB"
"""Windows with which a small pool has room for many answers that wait for their turn."""
_NUMBER = re.compile(rb"^[A-Z]+ /(\d+) ")


@contextmanager
def sharing(*, tcp: str = SMALL_WINDOWS, frames: int = 1_024, **settings: Any) -> Iterator[HttpLab]:
    """Give a lab whose vServer has the unit `transaction`."""
    with running(unit="transaction", tcp=tcp, frames=frames, **settings) as lab:
        yield lab


def pipeline(numbers: Iterable[int]) -> bytes:
    """Return requests, one behind the other."""
    return b"".join(get(number) for number in numbers)


def asked(lab: HttpLab) -> dict[int, Peer]:
    """Return the servers' connections on which a request waits for its answer, by the number in its path."""
    lab.settle()
    found = {}
    for peer in lab.servers[0].peers.values():
        match = _NUMBER.match(bytes(peer.received))
        if match:
            found[int(match[1])] = peer
    return found


def reply(peer: Peer, number: int, raw: bytes | None = None) -> bytes:
    """Answer a GET with its number; return what the client gets."""
    peer.expect(passed_request(get(number)))
    raw = answer(b"%d" % number) if raw is None else raw
    peer.send(raw)
    return passed_response(raw)


def answer_all(lab: HttpLab) -> list[int]:
    """Answer whatever is asked until nothing is any more, the latest first; return the numbers in that order."""
    order = []
    while servers := asked(lab):
        for number in sorted(servers, reverse=True):
            reply(servers[number], number)
            order.append(number)
    return order


def answers(numbers: Iterable[int], connection: bytes = b"") -> bytes:
    """Return what a client gets for plain requests."""
    return b"".join(passed_response(answer(b"%d" % number), connection) for number in numbers)


def roles(lab: HttpLab, engine: int) -> list[Role]:
    """Return the roles of an engine's connections."""
    return sorted(Role(tcb.role) for tcb in lab.connections(engine))
