"""What the configuration says of engines as a whole, and which configuration it is."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.header import Arena, arena_at, bank_in_force
from ncore_ray.machine.atomic import store_release
from ncore_ray.machine.jit import entry_kernel, kernel
from ncore_ray.machine.record import I64, Record, offset_of, pointer_to


class EcnUse(IntEnum):
    """What is done of explicit congestion notification (RFC 3168)."""

    NEVER = 0
    ACCEPT = 1
    """What a peer offers is agreed to."""
    OFFER = 2
    """It is offered, too."""


class MtuProbing(IntEnum):
    """When segments of data try what the way takes (RFC 4821)."""

    OFF = 0
    BLACK_HOLE = 1
    """Where full segments got no answer, and nobody said why."""
    ALWAYS = 2


class Settings(Record):
    """One in each bank of the configured tables. Spans are µs; engines keep a copy of their own."""

    epoch: I64
    """Number of the change that wrote this bank, from 1 on."""
    initial_window: I64
    sack: I64
    pacing: I64
    ecn: I64
    """`EcnUse`"""
    mtu_probing: I64
    """`MtuProbing`"""
    nagle: I64
    cork_us: I64
    delayed_ack_us: I64
    min_rto_us: I64
    max_rto_us: I64
    syn_retries: I64
    retries: I64
    keepalive_us: I64
    user_us: I64
    challenge_limit: I64
    reset_limit: I64
    error_limit: I64
    echo_limit: I64
    fast_open_limit: I64
    splices: I64
    """1: some vServer splices."""
    idle_limit: I64
    has_streams: I64
    """1: there are vServers of TCP or HTTP."""
    any_vservers: I64
    """VServers of protocol ANY, draining ones included."""


settings_at = pointer_to(Settings)
_BANK: Final = offset_of(Arena, "bank")


@kernel
def settings_in(base: int, bank: int) -> Settings:
    """Return the settings of a bank."""
    return settings_at(base + arena_at(base).settings + bank)


@kernel
def forwards_any(base: int) -> int:
    """Return 1 if there is a vServer of protocol ANY."""
    return 1 if settings_in(base, bank_in_force(base)).any_vservers else 0


@kernel
def epoch_in_force(base: int) -> int:
    """Return the number of the configuration that is in force."""
    return settings_in(base, bank_in_force(base)).epoch


@entry_kernel
def put_in_force(base: int, bank: int) -> int:
    """Control code: let all actors look at a bank, with everything that was written to it before."""
    return store_release(base + _BANK, bank)
