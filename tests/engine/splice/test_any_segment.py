"""Any segments into spliced pairs of every age: each is counted once, nothing leaks, what goes on is well formed."""

from __future__ import annotations

import random
import struct

import pytest

from ncore_ray.engine.connection import Role
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.machine.jit import JIT
from tests.support.tcp_script import Script, check_accounts, check_nothing_leaked, read_segment

ROUNDS = 400 if JIT else 120
_EDGES = (-70_000, -2, -1, 0, 1, 2, 1_460, 40_000, 65_535, 70_000, 1 << 31)


def _options(choice: random.Random) -> bytes:
    kind = choice.randrange(5)
    if kind == 0:
        return b""
    if kind == 1:
        return struct.pack(">BBBBII", 1, 1, 8, 10, choice.getrandbits(32), choice.getrandbits(32))
    if kind == 2:
        return struct.pack(">BBBBII", 1, 1, 5, 10, choice.getrandbits(32), choice.getrandbits(32))
    if kind == 3:
        return b"\2\4\5\xb4\1\3\3\7\1\1\4\2"
    return choice.randbytes(4 * choice.randrange(11))


def _segment(choice: random.Random, script: Script, side: int) -> bytes:
    end = (script.client, script.service)[side]
    tcb = end.tcb()
    sequence, acknowledgment = 0, 0
    if tcb is not None:
        sequence = tcb.rcv_nxt - end.first + choice.choice(_EDGES)
        acknowledgment = tcb.snd_max - max(end.engine_first, 0) + choice.choice(_EDGES)
    flags = choice.choice(["A", "A", "PA", "FA", "S", "SA", "R", "RA", "", "FSRPA", "ECA"])
    payload = choice.randbytes(choice.choice([0, 0, 1, 100, 1_400, 1_900]))
    window = choice.choice([0, 1, 500, 65_535])
    return end.segment(flags, sequence, acknowledgment, payload, window, _options(choice), choice.randrange(4))


@pytest.mark.parametrize("seed", range(6))
def test_any_segments_in_every_state(seed: int) -> None:
    choice = random.Random(seed)
    script = Script(vserver="mode: splice", timeouts="client_idle: 20s, time_wait: 1s")
    lab = script.lab
    for _ in range(ROUNDS):
        if not lab.connections():
            script.client.first = choice.getrandbits(32)
            lab.receive(0, script.client.segment("S", 0, 0, options=_options(choice)))
        for _ in range(choice.randrange(4)):
            side = choice.randrange(2)
            lab.receive(side, _segment(choice, script, side))
        if choice.random() < 0.3:
            _answer(choice, script)
        lab.now += choice.choice([100, 1_000, 50_000, 2_000_000])
        lab.breathe()
        for nic, frame in lab.sent():
            if frame[12:14] == b"\x08\x00" and frame[23] == 6:
                segment = read_segment(nic, frame)
                end = (script.client, script.service)[nic]
                if segment.flags & 2:
                    end.engine_first, end.engine = segment.sequence, (end.engine[0], segment.source[1])
            elif frame[12:14] == b"\x08\x06":
                script.answer_arp()
        check_accounts(lab.totals())
        check_nothing_leaked(lab)
    for _ in range(60):
        lab.now += 1_000_000
        lab.breathe()
        lab.sent()
    check_nothing_leaked(lab, connections=0)
    print(f"seed {seed}: {lab.counters().spliced_segments} of {lab.counters().received_packets} went on")
    assert lab.counters().spliced_segments > 10


def _answer(choice: random.Random, script: Script) -> None:
    """Let the service answer as it should, or the client acknowledge that."""
    for tcb in script.lab.connections():
        end = script.client if tcb.role == Role.CLIENT else script.service
        if tcb.role == Role.SERVER:
            end.engine = (end.engine[0], tcb.ports >> 8 & 0xFFFF)
        end.engine_first = tcb.iss
        if tcb.role == Role.SERVER and tcb.state == TcpState.SPLICE_OPENING:
            script.lab.receive(1, end.segment("SA", 0, 1, options=_options(choice)))
        elif tcb.role == Role.CLIENT and tcb.state == TcpState.SPLICE_ANSWERED:
            script.lab.receive(0, end.segment("A", 1, 1))
