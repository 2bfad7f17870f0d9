"""HTTP exchanges and UDP sessions on an engine that dies time and again: right answers, or an honest end; no leak."""

from __future__ import annotations

from typing import Any

import pytest

from ncore_ray.machine.jit import JIT
from tests.engine.http.http_talk import answer, get, passed_response
from tests.engine.remote.virtual_lab import FUNCTIONAL
from tests.engine.takeover.mortal import Mortal
from tests.support.http_lab import SECOND, SNIPS, VIP, HttpLab, configuration
from tests.support.tcp_peer import Peer

SEEDS = 3 if JIT else 5
ROUNDS = 40 if JIT else 16
CLIENTS = 4


class MortalHttp(Mortal, HttpLab):
    """Hosts around an engine that dies."""


def serve(lab: MortalHttp) -> None:
    """Let every service answer the requests that it has whole."""
    for host in lab.servers:
        while host.waiting:
            host.waiting.popleft()
        for peer in host.peers.values():
            if peer.received.endswith(b"\r\n\r\n") and not peer.gone:
                number = int(peer.received.split(b" ", 2)[1][1:])
                peer.received.clear()
                peer.send(answer(b"%d" % number))


def ask(lab: MortalHttp, peer: Peer, number: int) -> str:
    """Send a request; return what came of it."""
    peer.send(get(number))
    for _ in range(40):
        lab.settle()
        serve(lab)
        lab.settle()
        got = bytes(peer.received)
        if got == passed_response(answer(b"%d" % number)):
            peer.received.clear()
            return "answered"
        if peer.gone or peer.was_reset or peer.eof:
            assert got == b"" or got.startswith(b"HTTP/1.1 50"), got
            return "ended"
        lab.wait(SECOND // 4)
    raise AssertionError(f"no end of request {number}: {bytes(peer.received)!r}")


OPTIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "functional": {"engines": 2, "distribution": FUNCTIONAL},
    "transactions": {"engines": 2, "unit": "transaction"},
}


@pytest.mark.parametrize("parallelism", OPTIONS)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_exchanges_survive(seed: int, parallelism: str) -> None:
    options = OPTIONS[parallelism]
    text = configuration(services=2, monitor="{type: tcp, interval: 1s}", **options)
    lab = MortalHttp(text, connections=64, frames=512)
    for host in lab.servers:
        host.options = {"lossy": True}
    lab.begin_dying(seed, 0.05 if JIT else 0.1)
    peers: list[Peer] = []
    came = {"answered": 0, "ended": 0}
    for number in range(ROUNDS if parallelism != "transactions" else ROUNDS // 3):
        peers = [peer for peer in peers if not (peer.gone or peer.was_reset or peer.eof)]
        while len(peers) < CLIENTS:
            peers.append(lab.client(lossy=True).connect())
            lab.wait(SECOND // 4)
            peers = [peer for peer in peers if peer.established]
        came[ask(lab, peers[number % len(peers)], number)] += 1
    where = f"seed {seed}: {lab.deaths} deaths, {lab.marked} with a change, {came}"
    # Clients whose requests are shared out are reset when their engine dies, and told of requests that were with it.
    assert came["ended"] <= (lab.deaths if parallelism == "transactions" else lab.marked), where
    lab.odds = 0.0
    lab.patience = 20 * SECOND
    lab.wait(5 * SECOND)
    lab.end()
    print(where)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_sessions_survive(seed: int) -> None:
    lab = MortalHttp(configuration(protocol="UDP", services=2), connections=64, frames=256)
    lab.begin_dying(seed, 0.1)
    for number in range(ROUNDS):
        lab.client_host.send_datagram(4_000 + number % 5, (VIP, 80), b"%d" % number)
        lab.settle()
        for host in lab.servers:
            while host.datagrams:
                source, port, own, payload = host.datagrams.popleft()
                assert (source, own) == (SNIPS[1], 80)
                host.send_datagram(80, (SNIPS[1], port), payload)
        lab.settle()
    got = [int(payload) for _, _, _, payload in lab.client_host.datagrams]
    assert len(got) == len(set(got)) >= ROUNDS - 2 * lab.deaths
    lab.odds = 0.0
    lab.patience = 40 * SECOND
    lab.end()
    print(f"seed {seed}: {lab.deaths} deaths, {len(got)} of {ROUNDS} datagrams came back")
