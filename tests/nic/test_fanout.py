"""Groups of sockets over a veth: who is in one hears the peer, and nothing of what the host itself sends."""

from __future__ import annotations

import contextlib
import errno
import socket

import pytest

from ncore_ray.nic.direct import open_sender
from ncore_ray.nic.fanout import Fanout, Joining, Spread
from tests.nic.conftest import Link

FRAME = bytes.fromhex("ffffffffffff 020000000002 0800") + bytes(46)
NO_OFFLOAD = bytes(10)
"""A virtio header that asks for nothing."""


def members(link: Link, count: int) -> list[socket.socket]:
    """Return sockets on `nic0` that share its packets."""

    def make() -> list[socket.socket]:
        made, group = [], 0
        for _ in range(count):
            packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            with Joining(packets, Fanout(Spread.RANDOM, group)) as joining:
                packets.bind(("nic0", 3))
            group = joining.group
            made.append(packets)
        return made

    return link.inside.call(make)


def take(packets: socket.socket) -> list[bytes]:
    """Return what a socket has got; on a veth, everything has arrived when it is sent."""
    got = []
    with contextlib.suppress(BlockingIOError):
        while True:
            got.append(packets.recv(2_048))
    return got


@pytest.mark.network
@pytest.mark.parametrize("is_old", [False, True])
def test_members_hear_nothing_of_what_the_host_sends(link: Link, is_old: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    join = Joining._join

    def by_an_older_kernel(self: Joining, fanout: Fanout, flags: int) -> None:
        if flags:
            raise OSError(errno.EINVAL, "no such flag")
        join(self, fanout, flags)

    if is_old:
        monkeypatch.setattr(Joining, "_join", by_an_older_kernel)
    link.inside.netlink(lambda ip: ip.link("set", index=ip.link_lookup(ifname="nic0")[0], state="up"))
    raw, group = link.raw(), members(link, 2)
    sender = socket.socket(fileno=open_sender("nic0", link.inside.name, offload=True))
    for number in range(20):
        sender.send(NO_OFFLOAD + FRAME + bytes([number]))
        raw.send(FRAME + bytes([100 + number]))
    assert sorted(packet[-1] for each in group for packet in take(each)) == list(range(100, 120))
    for each in (*group, sender, raw):
        each.close()
