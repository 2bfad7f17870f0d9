"""Which engine serves a client: all engines that ask come to the same answer, without asking each other.

Each engine draws a number from the keyed hash of what tells clients apart, and the highest wins (rendezvous hashing:
Thaler, Ravishankar 1998). So only the clients of an engine that is taken away get another one, whatever the set.
"""

from __future__ import annotations

from ncore_ray.arena.header import arena_at
from ncore_ray.flow.records import distributor_of, engine_slot
from ncore_ray.machine.hash import MASK32, hash_tuple, sip_begin, sip_end, sip_word
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load8


@kernel
def hash_value(base: int, vserver: int, address: int, length: int) -> int:
    """Return the keyed hash of a value, of one vServer, that a client has sent: it cannot choose its engine."""
    arena = arena_at(base)
    v0, v1, v2, v3 = sip_begin(arena.secret_0, arena.secret_1)
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, vserver)
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, length)
    word, bits = 0, 0
    for i in range(length):
        word |= load8(address + i) << bits
        bits += 8
        if bits == 32:
            v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, word)
            word, bits = 0, 0
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, word)
    return sip_end(v0, v1, v2, v3, 0)


@kernel
def hash_client(base: int, remote_high: int, remote_low: int, local_high: int, local_low: int, ports: int) -> int:
    """Return the keyed hash of a client's addresses and ports."""
    arena = arena_at(base)
    return hash_tuple(arena.secret_1, arena.secret_0, remote_high, remote_low, local_high, local_low, ports)


@kernel
def engine_of_hash(base: int, engines: int, value: int) -> int:
    """Return which of a set of engines (a bit for each) a hash names: of those that take new flows, if any does."""
    distributor = distributor_of(base, 0)
    best, most, best_is_active = 0, -1, 0
    for engine in range(arena_at(base).engine_count):
        if engines >> engine & 1:
            active = 1 if engine_slot(base, distributor, engine).active else 0
            draw = _draw(base, engine, value)
            if active > best_is_active or (active == best_is_active and draw > most):
                best, most, best_is_active = engine, draw, active
    return best


@kernel
def _draw(base: int, engine: int, value: int) -> int:
    arena = arena_at(base)
    v0, v1, v2, v3 = sip_begin(arena.secret_0, arena.secret_1)
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, value & MASK32)
    v0, v1, v2, v3 = sip_word(v0, v1, v2, v3, engine)
    return sip_end(v0, v1, v2, v3, 8)
