"""`explain` says what the kernels do, and changes nothing."""

from __future__ import annotations

import pytest

from ncore_ray.flow.distributor import Algorithm, distributor_view, set_active_engines
from ncore_ray.flow.explain import ExplainError, explain
from ncore_ray.flow.records import Drop, FlowState, Rule
from ncore_ray.lab.dry.arena import SNIPS, VIP
from ncore_ray.lab.dry.distributor import make_appliance
from ncore_ray.lab.dry.packets import tcp_packet

CLIENT = "10.1.0.7"


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_explanation_is_what_happens_and_changes_nothing(algorithm: Algorithm) -> None:
    appliance = make_appliance(algorithm=algorithm)
    array = appliance.arena.array
    for port in range(1000, 1020):
        before = appliance.arena.snapshot()
        told = explain(array, CLIENT, port, VIP, 80, now=appliance.now)
        assert appliance.arena.snapshot() == before
        assert told.rule == Rule.ASSIGNED
        assert appliance.send(tcp_packet(CLIENT, port, VIP, 80)) == told.engine
        again = explain(array, CLIENT, port, VIP, 80, now=appliance.now)
        assert (again.engine, again.rule, again.state) == (told.engine, Rule.FLOW, FlowState.SYN_ONLY)


def test_sentences() -> None:
    appliance = make_appliance(algorithm=Algorithm.ROUND_ROBIN)
    array, now = appliance.arena.array, appliance.now
    flow = "tcp 10.1.0.7:1 → 10.1.0.100:80"
    assert (
        str(explain(array, CLIENT, 1, VIP, 80, now=now))
        == f"{flow}: engine 0, as a new flow by the algorithm roundrobin."
    )
    appliance.send(tcp_packet(CLIENT, 1, VIP, 80))
    assert (
        str(explain(array, CLIENT, 1, VIP, 80, now=now))
        == f"{flow}: engine 0, by its entry in the flow table (syn only)."
    )
    owner = str(explain(array, "10.2.0.2", 80, SNIPS[1], 65535, now=now))
    assert owner.endswith("engine 3, which owns the destination port (the answer of a server).")
    assert "(nobody listens there), by hash 0x" in str(explain(array, CLIENT, 1, VIP, 81, "udp", now=now))
    foreign = explain(array, CLIENT, 1, "192.0.2.1", 81, now=now)
    assert (foreign.engine, foreign.cause) == (None, Drop.NOT_FOR_US)
    assert str(foreign).endswith("dropped, because its destination is neither a VIP nor a SNIP.")
    set_active_engines(array, distributor_view(array), [])
    assert explain(array, CLIENT, 2, VIP, 80, now=now).cause == Drop.NO_ENGINE


def test_what_cannot_be_asked() -> None:
    array = make_appliance().arena.array
    for arguments in (
        ("x", 1, VIP, 80),
        (CLIENT, 1, "2001:db8::1", 80),
        (CLIENT, -1, VIP, 80),
        (CLIENT, 1, VIP, 65536),
    ):
        with pytest.raises(ExplainError):
            explain(array, *arguments)
    with pytest.raises(ExplainError):
        explain(array, CLIENT, 1, VIP, 80, "256")
