"""Entry kernels through which tests call inner kernels of the engine one by one."""

from __future__ import annotations

from ncore_ray.engine.buffer import (
    chain_append,
    chain_at,
    chain_clear,
    chain_drop,
    chain_gather,
    chain_init,
    chain_move,
)
from ncore_ray.engine.connection import find_connection, index_connection, release_connection, take_connection, tcb_of
from ncore_ray.engine.partition import engine_at
from ncore_ray.engine.timer import advance, arm, disarm, time_to_next
from ncore_ray.machine.jit import entry_kernel

INIT, APPEND, DROP, CLEAR, GATHER, MOVE = range(6)


@entry_kernel
def chain_door(engine_address: int, chain_address: int, what: int, address: int, length: int) -> int:
    """Call one function of `buffer`; for MOVE the address is that of the chain that takes the frames."""
    engine = engine_at(engine_address)
    chain = chain_at(chain_address)
    if what == INIT:
        return chain_init(chain)
    if what == APPEND:
        return chain_append(engine, chain, address, length)
    if what == DROP:
        return chain_drop(engine, chain, length)
    if what == CLEAR:
        return chain_clear(engine, chain)
    if what == GATHER:
        return chain_gather(engine, chain, address, length)
    return chain_move(engine, chain, chain_at(address))


@entry_kernel
def arm_door(engine_address: int, index: int) -> int:
    engine = engine_at(engine_address)
    return arm(engine, tcb_of(engine, index))


@entry_kernel
def disarm_door(engine_address: int, index: int) -> int:
    engine = engine_at(engine_address)
    return disarm(engine, tcb_of(engine, index))


@entry_kernel
def advance_door(engine_address: int, now: int) -> int:
    """Turn the wheel to an instant; the work list names who came up."""
    engine = engine_at(engine_address)
    engine.now = now
    return advance(engine)


@entry_kernel
def time_to_next_door(engine_address: int, now: int) -> int:
    engine = engine_at(engine_address)
    engine.now = now
    return time_to_next(engine)


@entry_kernel
def open_door(engine_address: int, remote: int, local: int, ports: int) -> int:
    """Take a connection, give it addresses and enter it into the index; return its number plus 1, or 0."""
    engine = engine_at(engine_address)
    number = take_connection(engine)
    if number:
        tcb = tcb_of(engine, number - 1)
        tcb.role = 1
        tcb.remote_low = remote
        tcb.local_low = local
        tcb.ports = ports
        index_connection(engine, tcb)
    return number


@entry_kernel
def find_door(engine_address: int, remote: int, local: int, ports: int) -> int:
    return find_connection(engine_at(engine_address), 0, remote, 0, local, ports)


@entry_kernel
def release_door(engine_address: int, number: int) -> int:
    engine = engine_at(engine_address)
    return release_connection(engine, tcb_of(engine, number - 1))
