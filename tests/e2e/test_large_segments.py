"""Hosts that leave the cutting of large segments to their devices, as the kernel does where nobody says otherwise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import pytest

from ncore_ray.lab.offload import KERNEL_DEFAULT, NO_LARGE_FRAMES
from ncore_ray.lab.pattern import patterned
from tests.e2e.bed import RSS, Bed
from tests.e2e.load import assert_all_checks

OPTIONS = RSS
LENGTH = 20_000_000


@pytest.fixture(scope="module", autouse=True)
def large_frames(bed: Bed) -> Iterator[None]:
    """All hosts leave the cutting to their devices, as long as the tests of this file run."""
    hosts = [bed.client, *bed.network.servers]
    for host in hosts:
        host.set_offloads("eth0", KERNEL_DEFAULT)
    yield
    for host in hosts:
        host.set_offloads("eth0", NO_LARGE_FRAMES)


def large_packets(bed: Bed, nic: str) -> int:
    return int(bed.site.stat()["actors"][nic]["received_large_packets"])


def test_load_passes_every_check(bed: Bed) -> None:
    assert_all_checks(bed)


def test_download_comes_and_goes_in_large_segments(bed: Bed) -> None:
    before = large_packets(bed, "nic-nc1")
    reply = bed.curl(f"/bytes/{LENGTH}?seed=3")
    assert hashlib.sha256(reply.body).digest() == hashlib.sha256(patterned(3, LENGTH)).digest()
    assert large_packets(bed, "nic-nc1") - before > 100
    engines = [numbers for name, numbers in bed.site.stat()["actors"].items() if name.startswith("engine-")]
    assert sum(numbers["sent_bytes"] for numbers in engines) > 5_000 * sum(n["sent_packets"] for n in engines)


@pytest.mark.parametrize("chunked", [False, True])
def test_upload_comes_in_large_segments(bed: Bed, chunked: bool) -> None:
    source = bed.folder / "upload"
    source.write_bytes(patterned(4, LENGTH))
    before = large_packets(bed, "nic-nc0")
    options = ["-H", "Transfer-Encoding: chunked"] if chunked else []
    reply = bed.curl(*options, "--data-binary", f"@{source}", "/echo")
    assert json.loads(reply.body)["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert large_packets(bed, "nic-nc0") - before > 100
