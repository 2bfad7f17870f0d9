"""Work inside a network namespace, in a thread of its own: a namespace belongs to a thread."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from ncore_ray.nic.driver import NicError

_CLONE_NEWNET: Final = 0x4000_0000
_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


def in_namespace(netns: str | None, work: Callable[[], T]) -> T:
    """Return ``work()``, run in the namespace of that name (or path), or in the caller's if it is None.

    Sockets and devices made by ``work`` stay in the namespace wherever they are used later.

    Raises:
        NicError: there is no such namespace, or this process may not enter it.
    """
    if netns is None:
        return work()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _enter(netns)
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name=f"netns-{netns}", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _enter(netns: str) -> None:
    path = Path("/run/netns") / netns  # an absolute path stays as it is
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NicError(f"network namespace {netns} cannot be opened: {error.strerror}") from error
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise NicError(f"network namespace {netns} cannot be entered: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)


def find_link(ip: Any, interface: str) -> Any:
    """Return the link message of an interface. Raises NicError if there is none."""
    indices = ip.link_lookup(ifname=interface)
    if not indices:
        raise NicError(f"there is no network interface {interface}")
    return ip.get_links(indices[0])[0]


def set_link(interface: str, **settings: Any) -> tuple[int, int]:
    """Bring an interface of this thread's namespace up with the given settings; return its MAC and MTU."""
    from pyroute2 import IPRoute  # here: it takes long to load, and few processes need it
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as ip:
            index = find_link(ip, interface)["index"]
            ip.link("set", index=index, state="up", **settings)
            link = find_link(ip, interface)
    except NetlinkError as error:
        raise NicError(f"network interface {interface} cannot be set up ({settings}): {error}") from error
    address = str(link.get_attr("IFLA_ADDRESS") or "00:00:00:00:00:00")
    return int(address.replace(":", ""), 16), int(link.get_attr("IFLA_MTU"))


def add_address(interface: str, cidr: str) -> None:
    """Give an interface of this thread's namespace an address like ``10.1.0.1/24``."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    address, _, length = cidr.partition("/")
    try:
        with IPRoute() as ip:
            ip.addr("add", index=find_link(ip, interface)["index"], address=address, prefixlen=int(length or 32))
    except (NetlinkError, ValueError, OSError) as error:
        raise NicError(f"{interface} cannot get the address {cidr}: {error}") from error
