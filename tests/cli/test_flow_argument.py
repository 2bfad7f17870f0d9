"""How a flow is written for `ncore explain`."""

from __future__ import annotations

import pytest

from ncore_ray.cli.flows_commands import parse_flow
from ncore_ray.errors import NcoreError


@pytest.mark.parametrize(
    "text",
    ["10.1.0.2:40000->10.1.0.100:80/tcp", "10.1.0.2:40000 → 10.1.0.100:80", " 10.1.0.2:40000 -> 10.1.0.100:80 / TCP "],
)
def test_ways_to_write_a_flow(text: str) -> None:
    assert parse_flow(text) == ("10.1.0.2", 40_000, "10.1.0.100", 80, "tcp")


def test_udp_and_brackets() -> None:
    assert parse_flow("[2001:db8::1]:53->[2001:db8::2]:5353/udp") == ("2001:db8::1", 53, "2001:db8::2", 5353, "udp")


@pytest.mark.parametrize("text", ["", "10.1.0.2:40000", "10.1.0.2->10.1.0.100:80", "a:b->c:d", "1.2.3.4:5->:80", "->"])
def test_what_is_no_flow(text: str) -> None:
    with pytest.raises(NcoreError, match=r"is no flow: expected SOURCE:PORT->DESTINATION:PORT/PROTOCOL"):
        parse_flow(text)
