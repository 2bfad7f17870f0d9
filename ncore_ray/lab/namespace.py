"""Named network namespaces, and work done inside them.

A namespace belongs to a *thread*: code that has to run inside one gets a short-lived thread of its own, so that the
caller never changes its network by accident and no child process is forked.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import IPRoute, netns

RUN_DIRECTORY = Path("/run/netns")
"""Where named namespaces are kept, as iproute2 does it: ``ip netns`` shows those made here."""

_CLONE_NEWNET = 0x4000_0000
_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _in_own_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a new thread; return its result or raise what it raised."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="namespace", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class Namespace:
    """A network namespace that has a name. Creating the object does not create the namespace."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Namespace({self.name!r})"

    @property
    def path(self) -> Path:
        """The file that names it, for ``setns`` and ``nsenter --net=``."""
        return RUN_DIRECTORY / self.name

    def exists(self) -> bool:
        """Tell whether a namespace of this name is there."""
        return self.path.exists()

    def create(self) -> None:
        """Make the namespace and bring its loopback up. Raises OSError (EEXIST, EPERM …)."""

        def make() -> None:
            _check(_libc.unshare(_CLONE_NEWNET), f"cannot make network namespace {self.name}")
            netns.attach(self.name, threading.get_native_id())

        if self.exists():
            raise FileExistsError(f"network namespace {self.name} exists already")
        _in_own_thread(make)
        self.netlink(lambda ip: ip.link("set", index=1, state="up"))

    def remove(self) -> None:
        """Take the name away; the kernel frees the namespace when its last process ends. Harmless if absent."""
        if self.exists():
            netns.remove(self.name)

    def call(self, work: Callable[[], T]) -> T:
        """Run ``work`` inside, in a thread of its own, and return its result.

        Sockets made by ``work`` stay in this namespace wherever they are used later.
        """

        def inside() -> T:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _check(_libc.setns(descriptor, _CLONE_NEWNET), f"cannot enter network namespace {self.name}")
            finally:
                os.close(descriptor)
            return work()

        return _in_own_thread(inside)

    def netlink(self, work: Callable[[Any], T]) -> T:
        """Run ``work(ip)`` inside with an open ``pyroute2.IPRoute``."""

        def talk() -> T:
            with IPRoute() as ip:
                return work(ip)

        return self.call(talk)

    def sysctl(self, settings: Mapping[str, int | str]) -> None:
        """Write kernel settings of this namespace, named by path: ``{"net/ipv4/ip_forward": 1}``.

        A setting that this kernel does not have (or not per namespace) raises OSError.
        """

        def write() -> None:
            for name, value in settings.items():
                Path("/proc/sys", name).write_text(str(value), encoding="ascii")

        self.call(write)

    def processes(self) -> list[int]:
        """Return the ids of the processes that live in this namespace, except the calling one."""
        try:
            mine = os.stat(self.path)
        except FileNotFoundError:
            return []
        return [pid for pid in _all_pids() if pid != os.getpid() and _lives_in(pid, mine)]


def _all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _lives_in(pid: int, namespace: os.stat_result) -> bool:
    try:
        theirs = os.stat(f"/proc/{pid}/ns/net")
    except OSError:  # ended meanwhile, or another user's
        return False
    return (theirs.st_dev, theirs.st_ino) == (namespace.st_dev, namespace.st_ino)


def namespaces_of(prefix: str) -> list[Namespace]:
    """Return the namespaces named ``<prefix>-…``."""
    if not RUN_DIRECTORY.is_dir():
        return []
    return [Namespace(path.name) for path in sorted(RUN_DIRECTORY.glob(f"{prefix}-*"))]
