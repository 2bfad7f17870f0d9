"""What each actor of the data plane shows to the others: its doorbell, its heartbeat, and the wish that it stop."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.arena.header import arena_at
from ncore_ray.machine.atomic import fence, fetch_add, load_acquire, store_release
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load32
from ncore_ray.machine.record import CACHE_LINE, I64, Pad6, Pad7, Record, address_of, offset_of, pointer_to, size_of
from ncore_ray.machine.system import MSG_DONTWAIT, futex_wait, futex_wake, sendto


class CoreState(IntEnum):
    """Where an actor is in its life."""

    ABSENT = 0
    ATTACHED = 1
    READY = 2
    RUNNING = 3
    STOPPED = 4


class Drain(IntEnum):
    """Whether an engine is to come to an end."""

    NO = 0
    ALL = 1
    """The appliance ends: no new connections, and HTTP clients that wait between two requests are sent home."""
    LEAVE = 2
    """Others go on: what still comes is served, HTTP clients are told with their next response to connect anew."""


class Stage(IntEnum):
    """What an actor is doing; written as it begins, so that whoever finds it still knows where it stands."""

    NONE = 0
    ASLEEP = 1
    """Or about to sleep, or between two breaths."""
    READ = 2
    """Taking packets from a NIC."""
    DISTRIBUTE = 3
    RECEIVE = 4
    """Taking packets from the distributor."""
    EXCHANGE = 5
    """Taking what other engines say."""
    TIMERS = 6
    WORK = 7
    """Sending, and moving streams on."""
    SEND = 8
    """The packets of the breath leave."""
    REBUILD = 9
    """Taking over from a predecessor that died."""


class Core(Record):
    """One per actor. The first line is written by those who wake it, the rest by the actor itself."""

    bell: I64
    """Futex word (the low 32 bits): changes with every wake-up."""
    asleep: I64
    """1 while the actor sleeps on the bell, or is about to."""
    pad_0: Pad6

    stop: I64
    """Set by control code: return from the loop."""
    drain: I64
    """`Drain`; set by control code."""
    pad_1: Pad6

    state: I64
    process: I64
    """Process id on its node."""
    heartbeat_at: I64
    """Start of the latest breath, µs. An idle actor breathes too: it sleeps 20 ms at the most."""
    breaths: I64
    busy_us: I64
    """Time spent in breaths that had work to do."""
    sleeps: I64
    wakes_sent: I64
    """Doorbells of others that this actor rang."""
    restarts: I64
    """How often another process has taken the actor's place; written by control code."""

    wakes_received: I64
    """Rings of the bell that came by the socket."""
    bell_socket: I64
    """Of an actor that sleeps on file descriptors: its own datagram socket (a descriptor of its process), or 0."""
    bell_length: I64
    """Of an actor that sleeps on file descriptors: bytes of its socket's address; 0: it sleeps on the word `bell`."""
    bell_address_0: I64
    """The address: ``struct sockaddr_un`` with a name that is no file (unix(7))."""
    bell_address_1: I64
    bell_address_2: I64
    configuration: I64
    """`Settings.epoch` of the configuration that the actor works by: it looks at no other bank any more."""
    stage: I64
    """`Stage`"""

    thread: I64
    """Thread id of the loop on its node."""
    pad_2: Pad7


core_at = pointer_to(Core)
_ASLEEP: Final = 8
_STOP: Final = CACHE_LINE
_BELL_ADDRESS: Final = offset_of(Core, "bell_address_0")
_CONFIGURATION: Final = offset_of(Core, "configuration")
_CORE_SIZE: Final = size_of(Core)
assert _CORE_SIZE % CACHE_LINE == 0


class Actor(IntEnum):
    """Numbers of the actors in the tables that have one row for each: engine k is ENGINE + k, then the readers."""

    DISTRIBUTOR = 0
    ENGINE = 1


@kernel
def core_of(base: int, actor: int) -> Core:
    """Return the core record of an actor by its number."""
    return core_at(base + arena_at(base).cores + actor * _CORE_SIZE)


@kernel
def wake(core: Core) -> int:
    """Producer, after publishing: wake the core if it sleeps; return 1 if a system call was needed.

    The fence orders the publication before the look at ``asleep``; the sleeper orders its ``asleep`` before its last
    look at the rings. So one of the two always sees the other (Dekker's pattern).
    """
    fence()
    address = address_of(core)
    if load_acquire(address + _ASLEEP) == 0:
        return 0
    store_release(address + _ASLEEP, 0)
    fetch_add(address, 1)  # several may ring at once: each stroke changes the word, or one could be slept through
    futex_wake(address)
    return 1


@kernel
def wake_from(own: Core, core: Core) -> int:
    """Wake a core as `wake` does, also one that sleeps on file descriptors; ``own`` is the caller's core."""
    if core.bell_length == 0:
        return wake(core)
    fence()
    address = address_of(core)
    if load_acquire(address + _ASLEEP) == 0:
        return 0
    store_release(address + _ASLEEP, 0)
    name = address + _BELL_ADDRESS
    sendto(own.bell_socket, name, 1, MSG_DONTWAIT, name, core.bell_length)
    return 1


@kernel
def acknowledge(core: Core, epoch: int) -> int:
    """Say by which configuration the actor works, having read all that it wanted of the one before."""
    return store_release(address_of(core) + _CONFIGURATION, epoch)


@kernel
def prepare_sleep(core: Core) -> int:
    """Consumer: say that it will sleep and return the bell's word; the caller looks at its rings once more after it."""
    word = load32(address_of(core))
    store_release(address_of(core) + _ASLEEP, 1)
    fence()
    return word


@kernel
def sleep(core: Core, word: int, timeout_us: int, scratch: int) -> int:
    """Consumer: sleep until the bell rings or the time is over; ``scratch`` is the address of 16 private bytes."""
    core.sleeps += 1
    futex_wait(address_of(core), word, timeout_us, scratch)
    store_release(address_of(core) + _ASLEEP, 0)
    return 0


@kernel
def cancel_sleep(core: Core) -> int:
    """Consumer: found work after `prepare_sleep`."""
    store_release(address_of(core) + _ASLEEP, 0)
    return 0


@kernel
def should_stop(core: Core) -> int:
    """Return 1 when control code wants the loop to end."""
    return load_acquire(address_of(core) + _STOP)
