"""The rings that packets pass on their way through an appliance, and where their indices lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.arena.ring import Ring
from ncore_ray.machine.record import offset_of, size_of, view
from ncore_ray.tables.nic import Nic, Transmit


def ring_words(array: Bytes, nics: Sequence[str]) -> Iterator[tuple[str, int, int, int]]:
    """Yield each ring's name (FROM>TO) and the places of its tail, head and capacity.

    Rings that bring frames home are left out: they have room for all frames.
    """
    offsets = [offset_of(Ring, name) for name in ("tail", "head", "capacity")]
    for name, start in _rings(array, nics):
        tail, head, capacity = (start + offset for offset in offsets)
        yield name, tail, head, capacity


def _rings(array: Bytes, nics: Sequence[str]) -> Iterator[tuple[str, int]]:
    arena = view(Arena, array)
    for queue in range(arena.queue_count):
        decider, nic = divmod(queue, arena.nic_count)
        if not nics[nic]:
            continue  # nobody has had that place
        reader = f"engine-{decider}.{nics[nic]}" if arena.decides_itself else f"nic-{nics[nic]}"
        yield f"{reader}>{_decider(arena, decider)}", arena.inbound_rings + queue * arena.ring_stride
    for decider in range(arena.decider_count):
        for engine in range(arena.engine_count):
            place = arena.engine_rings + (decider * arena.engine_count + engine) * arena.ring_stride
            yield f"{_decider(arena, decider)}>engine-{engine}", place
    for engine in range(arena.engine_count):
        for nic, name in enumerate(nics):
            if name and view(Nic, array, arena.nics + nic * size_of(Nic)).transmit == Transmit.RING:
                place = arena.transmit_rings + (engine * arena.nic_count + nic) * arena.ring_stride
                yield f"engine-{engine}>nic-{name}", place


def _decider(arena: Arena, number: int) -> str:
    return f"engine-{number}" if arena.decides_itself else "distributor"
