"""The path in user space: what it carries, and programs at both ends of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from benchmarks.kernel_path.bed import Bed
from benchmarks.kernel_path.shim import Shim
from benchmarks.kernel_path.transfers import download
from benchmarks.simulation.path import Link, Path

FRAME = bytes(12) + b"\x08\x00" + bytes(100)
DELAY_US = 20_000


@pytest.fixture
def ends() -> Iterator[tuple[Shim, socket.socket, socket.socket]]:
    """A shim between two pairs of sockets that keep frames apart, as TAP devices do."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    for _, inner in pairs:
        inner.setblocking(False)
    shim = Shim(pairs[0][1].detach(), pairs[1][1].detach())
    shim.start()
    yield shim, pairs[0][0], pairs[1][0]
    shim.stop()
    for outer, _ in pairs:
        outer.close()


def test_frames_arrive_after_the_delay_but_for_those_that_the_link_loses(
    ends: tuple[Shim, socket.socket, socket.socket],
) -> None:
    shim, near, far = ends
    path = Path(DELAY_US, loss=0.3)
    shim.change(path, 5)
    same = Link(path, 10, is_forward=True)
    expected = [number for number in range(50) if same.carry(0, len(FRAME) + 1)]
    began_at = time.monotonic()
    for number in range(50):
        near.send(FRAME + bytes([number]))
    far.settimeout(5)
    got = [far.recv(2048)[-1] for _ in expected]
    assert got == expected
    assert time.monotonic() - began_at >= DELAY_US / 1e6
    assert shim.links[0].dropped == 50 - len(expected) > 0


def test_what_is_not_ip_is_neither_delayed_nor_lost(ends: tuple[Shim, socket.socket, socket.socket]) -> None:
    shim, near, far = ends
    shim.change(Path(10_000_000, loss=1.0), 1)
    far.send(bytes(12) + b"\x08\x06" + bytes(28))
    near.settimeout(5)
    assert len(near.recv(2048)) == 42


class KernelOnly(Bed):
    """The test bed without the appliance, which other tests start."""

    def _start_appliance(self, stack: object) -> None:
        pass


@pytest.mark.network
def test_kernel_at_both_ends_of_a_path_of_a_hundred_ms_that_loses_segments() -> None:
    way = Path(50_000, 12_500_000, 256_000, losses=((5, 1), (12, 2)))
    with KernelOnly() as bed:
        bed.be(way, 1)
        transfer = download(bed, "kernel", 2.0)
    assert transfer.size > 50_000
    assert bed.shims["kernel"].links[0].dropped >= 3
