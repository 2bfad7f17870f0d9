"""Clients whose requests are shared out (unit `transaction`), when their engine died: who waits for nothing goes on."""

from __future__ import annotations

from ncore_ray.engine.connection import Role, tcb_of
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.takeover.local import TakeoverLocal, Verdict, judge, verdict_of
from ncore_ray.engine.transaction.client import is_quiet
from ncore_ray.engine.transaction.turn import begin_turn, turn_of
from ncore_ray.machine.jit import kernel


@kernel
def keep_quiet_clients(engine: Engine, local: TakeoverLocal) -> int:
    """Break the clients that wait for answers; let the others go on without their legs, which are broken all of them.

    A client is part of every change of one of its legs, and of its own: what is marked says which record of turns may
    be torn.
    """
    for number in range(engine.connection_count):
        if tcb_of(engine, number).role == Role.LEG and verdict_of(local, number) == Verdict.BROKEN:
            _break_client(engine, local, turn_of(engine, tcb_of(engine, number)).client)
    for number in range(engine.connection_count):
        client = tcb_of(engine, number)
        if client.role == Role.SPLIT and verdict_of(local, number) == Verdict.WHOLE:
            if is_quiet(engine, client):
                begin_turn(engine, client)
            else:
                judge(local, number, Verdict.BROKEN)
    return 0


@kernel
def _break_client(engine: Engine, local: TakeoverLocal, number: int) -> int:
    """Break a connection if its number plus 1 is one; the record that it stands in may be torn."""
    if 0 < number <= engine.connection_count and verdict_of(local, number - 1) == Verdict.WHOLE:
        judge(local, number - 1, Verdict.BROKEN)
    return 0
