"""`--fault` and `--trace`."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncore_ray.cli.overrides import overridden
from ncore_ray.config.load import parse
from ncore_ray.errors import NcoreError
from tests.support.ray_kit import plain_text

TWO_NICS = parse(
    plain_text("a").replace("\nservices:", "\n  - {name: nc1, driver: memory, addresses: [10.3.0.10/24]}\nservices:")
)


def test_faults_of_a_nic() -> None:
    changed = overridden(TWO_NICS, ["nc0:loss=1%,delay=5ms,jitter=1ms,seed=7,duplication=0.5%,corruption=0.02"], [])
    faults = changed.nics[0].faults
    assert faults is not None
    assert (faults.loss, faults.delay, faults.jitter, faults.seed) == (10_000, 5_000, 1_000, 7)
    assert (faults.duplication, faults.corruption, faults.reordering) == (5_000, 20_000, 0)
    assert changed.nics[1] == TWO_NICS.nics[1]


def test_trace_starts_from_the_working_folder() -> None:
    changed = overridden(TWO_NICS, [], ["nc1=x.pcap"])
    assert changed.nics[1].trace == Path.cwd() / "x.pcap"


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("nc7:loss=1%", "--fault nc7:loss=1%: there is no NIC 'nc7', only nc0, nc1"),
        ("nc0:loss=2", "--fault nc0:loss=2: loss: expected a share from 0% to 100%, such as 1% or 0.01"),
        ("nc0:lost=1%", "--fault nc0:lost=1%: there is no key 'lost'"),
        ("nc0", "--fault nc0: expected KEY=VALUE pairs behind the NIC's name, such as nc0:loss=1%,delay=5ms"),
        ("nc0:jitter=5ms", "--fault nc0:jitter=5ms: "),
    ],
)
def test_wrong_faults_are_told_in_a_sentence(option: str, sentence: str) -> None:
    with pytest.raises(NcoreError) as caught:
        overridden(TWO_NICS, [option], [])
    assert str(caught.value).startswith(sentence)


def test_wrong_traces_are_told_in_a_sentence() -> None:
    with pytest.raises(NcoreError, match="there is no NIC 'nc9', only nc0, nc1"):
        overridden(TWO_NICS, [], ["nc9=x"])
    with pytest.raises(NcoreError, match="expected NIC=FILE"):
        overridden(TWO_NICS, [], ["nc0"])


def test_two_nics_cannot_write_one_file() -> None:
    with pytest.raises(NcoreError, match="expected a file of its own"):
        overridden(TWO_NICS, [], ["nc0=x", "nc1=x"])
