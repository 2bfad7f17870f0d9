"""What strangers bring about has a limit: resets and echo replies; errors are in `test_fragments`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ncore_ray.lab.dry.engine import NIC_MACS
from ncore_ray.lab.dry.packets import ethernet, icmp, icmpv6, ipv4, ipv6, tcp
from tests.engine.ip.dual import CLIENT_MAC, CLIENTS, VIPS, Dual
from tests.support.tcp_script import check_accounts


def _stray(family: int) -> bytes:
    body = tcp(CLIENTS[family], 1, VIPS[family], 9, 16)
    packet = ipv4(CLIENTS[4], VIPS[4], 6, body) if family == 4 else ipv6(CLIENTS[6], VIPS[6], 6, body)
    return ethernet(packet, 0x0800 if family == 4 else 0x86DD, NIC_MACS[0], CLIENT_MAC)


def _ping(family: int) -> bytes:
    if family == 4:
        return ethernet(ipv4(CLIENTS[4], VIPS[4], 1, icmp(8, 0, bytes(8))), 0x0800, NIC_MACS[0], CLIENT_MAC)
    body = icmpv6(CLIENTS[6], VIPS[6], 128, 0, bytes(8))
    return ethernet(ipv6(CLIENTS[6], VIPS[6], 58, body), 0x86DD, NIC_MACS[0], CLIENT_MAC)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("limit", "make", "sent", "suppressed"),
    [
        ("reset_limit", _stray, "resets_sent", "resets_suppressed"),
        ("echo_limit", _ping, "echo_replies", "echo_replies_suppressed"),
    ],
)
def test_answers_are_limited(limit: str, make: Callable[[int], bytes], sent: str, suppressed: str, family: int) -> None:
    lab = Dual()
    lab.settle()
    setattr(lab.engine.engine(), limit, 40)

    def counts(packets: int) -> tuple[int, int, int]:
        before = lab.engine.totals()
        for _ in range(packets):
            lab.inject(0, make(family))
        changed = lab.engine.totals().minus(before)
        return changed.get(sent, 0), changed.get(suppressed, 0), changed.get("sent_packets", 0)

    assert counts(30) == (20, 10, 20)
    lab.engine.now += 100_000
    assert counts(6) == (4, 2, 4)
    check_accounts(lab.engine.totals())


def test_by_default_nobody_meets_a_limit() -> None:
    lab = Dual()
    for _ in range(100):
        lab.inject(0, _ping(4))
        lab.inject(0, _stray(4))
    values = lab.engine.totals().values
    assert (values["echo_replies"], values["resets_sent"]) == (100, 100)
