"""Many streams at once through an engine with few frames: all get on, and no work is done for nothing."""

from __future__ import annotations

import pytest

from ncore_ray.machine.jit import JIT
from tests.engine.crowd import Crowd, Wires
from tests.support.tcp_script import check_accounts

SIZE = 20_000 if JIT else 3_000
CLIENTS = 16 if JIT else 6
BAD = Wires(loss=0.05, double=0.02, jitter_us=3_000)
CASES = [
    (Wires(loss=0.05, jitter_us=3_000), {"frames": 128 if JIT else 24}),
    (BAD, {"frames": 512, "tcp": "receive_window: 8KiB, send_buffer: 6KiB"}),
    (BAD, {"frames": 192, "pace": 2_000}),
    (Wires(loss=0.15, double=0.1, jitter_us=30_000), {"frames": 160}),
]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", range(len(CASES)))
def test_all_get_on_with_few_frames(case: int, seed: int) -> None:
    wires, options = CASES[case]
    crowd = Crowd(100 * case + seed, wires, clients=CLIENTS, sizes=(SIZE, SIZE), **options)  # type: ignore[arg-type]
    crowd.run(limit_s=60)
    streams = crowd.streams.values()
    where = f"seed {100 * case + seed}: {crowd.pool()}"
    assert len(streams) == 2 * CLIENTS, where
    assert all(stream.peer.is_done and not stream.reset for stream in streams), where
    crowd.check_bytes()
    # A loss or two in a row, each with its time-out; and work only for packets and for timers.
    assert max(stream.longest_stall_us for stream in streams) < 15_000_000, where
    assert crowd.work < 3 * crowd.packets + 1_000, where
    check_accounts(crowd.lab.totals())
