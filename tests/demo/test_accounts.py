"""Books are opened at an instant when no packet is on its way, so that what is even stays even."""

from __future__ import annotations

from typing import Any

from ncore_ray.demo.accounts import Snapshot, take_still
from ncore_ray.demo.links import LinkCount


def taken(received: int, returned: int, kernel: int) -> Snapshot:
    actors: dict[str, Any] = {
        "nic-nc0": {"received_packets": received, "returned_frames": returned},
        "distributor": {"received_packets": returned, "forwarded_packets": returned},
        "engine-0": {
            "received_packets": returned,
            "used_tcp_packets": returned,
            "made_packets": 0,
            "sent_packets": 0,
            "frame_capacity": 8,
            "free_frames": 8,
        },
    }
    status: dict[str, Any] = {"actors": [], "services": {}}
    return Snapshot(received, {"actors": actors}, status, {"nc0": LinkCount(kernel, 0)})


def take_from(*snapshots: Snapshot) -> Snapshot:
    remaining = iter(snapshots)
    return take_still(lambda: next(remaining))


def test_still_as_soon_as_nothing_moved() -> None:
    last = taken(3, 3, 3)
    assert take_from(taken(2, 2, 2), taken(3, 3, 3), last) is last


def test_not_still_while_the_kernel_counts() -> None:
    last = taken(2, 2, 3)
    assert take_from(taken(2, 2, 2), taken(2, 2, 3), last) is last


def test_not_still_while_a_frame_is_out() -> None:
    last = taken(2, 2, 2)
    assert take_from(taken(2, 1, 2), taken(2, 1, 2), taken(2, 2, 2), last) is last


def test_time_limit_ends_the_wait() -> None:
    last = taken(2, 1, 2)
    remaining = iter([taken(2, 1, 2), last])
    assert take_still(lambda: next(remaining), timeout_s=0) is last
