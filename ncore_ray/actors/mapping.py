"""How an actor comes to see the arena, and the checks that what it sees is shared memory (Ray promises less)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import ray

from ncore_ray.arena.layout import ArenaError, Bytes, aligned, check_arena

SHARED_PREFIXES: Final = ("/dev/shm/plasma", "/dev/shm/")


def backing_file(address: int) -> str:
    """Return the path of the file that is mapped at an address of this process ("" for none)."""
    with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            first, last = (int(part, 16) for part in fields[0].split("-"))
            if first <= address < last:
                return fields[5].strip() if len(fields) > 5 else ""
    return ""


def writable(array: npt.NDArray[np.uint8]) -> Bytes:
    """Return a writable view of an array that Ray handed out read-only; the caller keeps the array itself.

    The pages are mapped for reading and writing; NumPy's flag is all that forbids it.
    """
    pointer = array.__array_interface__["data"][0]
    interface = {"shape": array.shape, "typestr": "|u1", "data": (pointer, False), "version": 3}

    class _Memory:
        __array_interface__ = interface

    return np.asarray(_Memory())


class Mapping:
    """The arena as this process sees it. Keep it for the life of the actor: it holds the pages."""

    def __init__(self, reference: list[Any], node: str) -> None:
        """Map the arena of an owner on this node.

        Raises:
            ArenaError: the owner is on another node, or the object does not lie in shared memory.
        """
        here = ray.get_runtime_context().get_node_id()
        if here != node:
            raise ArenaError(f"this actor runs on node {here[:8]}, but its arena lies on node {node[:8]}")
        self.reference, self.node = reference[0], node
        self._held: npt.NDArray[np.uint8] = ray.get(self.reference)
        file = backing_file(self._held.__array_interface__["data"][0])
        if not file.startswith(SHARED_PREFIXES):
            raise ArenaError(
                f"the arena lies in {file or 'private memory'}, not in shared memory: Ray's object store is too small"
                " (object_store_memory), or /dev/shm is"
            )
        self.array = aligned(writable(self._held))

    def check(self, epoch: int | None, digest: int) -> None:
        """Check that it holds the arena that is meant. Raises ArenaError."""
        check_arena(self.array, epoch, digest)
