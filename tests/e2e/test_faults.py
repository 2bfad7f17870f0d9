"""1 % loss, duplication and reordering on both NICs: slower, but every byte as it was sent."""

from __future__ import annotations

import hashlib

from ncore_ray.lab.pattern import patterned
from tests.e2e.bed import Bed
from tests.e2e.load import assert_bytes

OPTIONS = {"faults": ", faults: {seed: 7, loss: 1%, duplication: 1%, reordering: 1%}", "monitor": "tcp"}


def test_every_answer_is_right(bed: Bed) -> None:
    report = assert_bytes(bed, "--connections", "60", "--requests", "1500", "--seconds", "15")
    assert report["requests"] > 500


def test_faults_were_really_there(bed: Bed) -> None:
    nics = [numbers for name, numbers in bed.site.stat()["actors"].items() if name.startswith("nic-")]
    engines = [numbers for name, numbers in bed.site.stat()["actors"].items() if name.startswith("engine-")]
    assert sum(sum(value for name, value in numbers.items() if "fault" in name) for numbers in nics) > 0
    assert sum(numbers["retransmitted_segments"] for numbers in engines) > 0


def test_large_download_is_byte_exact(bed: Bed) -> None:
    reply = bed.curl("/bytes/5000000?seed=9", timeout_s=60)
    assert (reply.status, reply.exit_status) == (200, 0)
    assert hashlib.sha256(reply.body).digest() == hashlib.sha256(patterned(9, 5_000_000)).digest()
