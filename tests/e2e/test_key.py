"""Clients with the same cookie, parameter or header meet on one of three engines, wherever their packets come in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from ncore_ray.lab.pattern import patterned
from ncore_ray.lab.process import find_program
from tests.e2e.bed import PER_CORE, Bed
from tests.e2e.load import assert_bytes

pytestmark = pytest.mark.skipif(find_program("curl") is None, reason="curl is not installed")

OPTIONS = PER_CORE


@pytest.fixture(scope="module")
def vip(bed: Bed) -> Iterator[str]:
    """The address of a vServer that goes by a cookie."""
    address = bed.new_vip()
    add = f"add vserver keyed address={address}:80 protocol=HTTP services=web1,web2 key.cookie=session"
    with bed.changed(add):
        yield address


def engines(bed: Bed) -> list[dict[str, Any]]:
    """Return the counters of the engines."""
    actors = bed.site.stat()["actors"]
    return [actors[f"engine-{number}"] for number in range(3)]


def served_by(bed: Bed, vip: str, value: str) -> set[int]:
    """Do exchanges of ten clients with a value; return the engines that served them."""
    before = [engine["http_requests"] for engine in engines(bed)]
    for _ in range(10):
        assert bed.curl("-b", f"session={value}", f"http://{vip}/bytes/100").status == 200
    after = [engine["http_requests"] for engine in engines(bed)]
    return {number for number in range(3) if after[number] > before[number]}


def test_same_value_meets_on_one_engine_and_the_values_on_all(bed: Bed, vip: str) -> None:
    found = [served_by(bed, vip, value) for value in ("alice", "bob", "carol", "dave", "erin", "frank")]
    assert all(len(one) == 1 for one in found)
    assert len(set.union(*found)) > 1
    total = {name: sum(engine[name] for engine in engines(bed)) for name in engines(bed)[0]}
    assert total["keyed_connections"] >= 60
    assert total["virtual_connections_opened"] == total["virtual_connections_accepted"] > 20
    assert total["virtual_connections_refused"] == 0


@pytest.mark.parametrize("length", [0, 1, 100_000, 20_000_000])
def test_bodies_arrive_as_they_were_sent(bed: Bed, vip: str, length: int) -> None:
    for value in ("alice", "bob", "carol"):
        reply = bed.curl("-b", f"session={value}", f"http://{vip}/bytes/{length}?seed=3")
        assert (reply.status, reply.exit_status) == (200, 0)
        assert hashlib.sha256(reply.body).digest() == hashlib.sha256(patterned(3, length)).digest()


def test_load_without_a_value_is_served_where_it_comes(bed: Bed, vip: str) -> None:
    before = sum(engine["virtual_connections_opened"] for engine in engines(bed))
    assert_bytes(bed, "--seconds", "3", "--requests", "200", "--connections", "20", "--rate", "0", vip=vip)
    assert sum(engine["virtual_connections_opened"] for engine in engines(bed)) == before


def test_explain_says_what_decides(bed: Bed, vip: str) -> None:
    found = bed.appliance.ask("explain_flow", "10.1.0.2", 40_000, vip, 80, "tcp")
    assert "cookie session of its first request" in found["application_reason"]
