"""The distributor's loop in a thread of its own: it works, sleeps, is woken, and stops."""

from __future__ import annotations

import threading
import time

import pytest

from ncore_ray.arena.core import CoreState
from ncore_ray.flow.distributor import distributor_run
from ncore_ray.lab.dry.arena import VIP
from ncore_ray.lab.dry.distributor import make_appliance
from ncore_ray.lab.dry.packets import tcp_packet
from ncore_ray.machine.jit import JIT


@pytest.mark.skipif(not JIT, reason="plain Python has no second thread that runs at the same time")
def test_loop_distributes_until_it_is_stopped() -> None:
    appliance = make_appliance()
    arena, core = appliance.arena, appliance.arena.core(0)
    thread = threading.Thread(target=distributor_run, args=(arena.base, appliance.local.address), daemon=True)
    thread.start()
    for port in range(1, 21):
        arena.receive(port % 2, tcp_packet("10.1.0.7", port, VIP, 80))
    deadline = time.monotonic() + 60
    while appliance.counters()["forwarded_packets"] < 20 or core.sleeps == 0:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    core.stop = 1
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert core.breaths > 0
    assert core.heartbeat_at > 0
    assert core.busy_us >= 0
    assert core.state == CoreState.ABSENT
