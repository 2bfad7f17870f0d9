"""The appliance itself, and how its flows are distributed over the packet engines."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final

from ncore_ray.config.expect import Finding, shown
from ncore_ray.config.section import Section
from ncore_ray.config.units import (
    DAY,
    MIB,
    MILLISECOND,
    MINUTE,
    SECOND,
    TIB,
    Microseconds,
    Size,
    size_within,
    time_among,
    time_within,
)
from ncore_ray.config.words import Label, Switch, entries, none_is, whole, word


class Parallelism(StrEnum):
    """What is distributed."""

    FLOW = "flow"
    """Flows: every engine may have any."""
    VIP = "vip"
    """VIPs: every engine runs some."""
    NIC = "nic"
    """NICs: every engine has the flows whose first packet comes in on some."""
    FUNCTIONAL = "functional"
    """Functions: some engines terminate clients' TCP, others run the application."""


class Function(StrEnum):
    """What an engine does (parallelism `functional`)."""

    TRANSPORT = "transport"
    """It terminates the TCP of clients."""
    APPLICATION = "application"
    """It serves them: HTTP or the TCP proxy, and the connections to servers."""
    BOTH = "both"

    @property
    def transports(self) -> bool:
        """Whether it terminates the TCP of clients."""
        return self is not Function.APPLICATION

    @property
    def applies(self) -> bool:
        """Whether it serves them."""
        return self is not Function.TRANSPORT


class Placement(StrEnum):
    """Where the distributor runs."""

    CORE = "core"
    """An actor of its own, which NIC readers feed."""
    PER_CORE = "per-core"
    """Every engine reads a receive queue of each NIC and hands on what is not its own."""
    RSS = "rss"
    """Likewise, and each flow is brought to the queue of its engine, by a program in the kernel where there is one."""


class Fanout(StrEnum):
    """How packets are spread over the engines' receive queues (placement `per-core`)."""

    HASH = "hash"
    RANDOM = "random"
    """Each packet to any queue: the worst case, for tests."""


class Forwarding(StrEnum):
    """When and in which order the distributor hands packets to the engines."""

    STREAM = "stream"
    BATCH_FLOW = "batch-flow"
    BATCH_CORE = "batch-core"


class Algorithm(StrEnum):
    """How a new flow gets its engine."""

    HASH = "hash"
    ROUNDROBIN = "roundrobin"
    LEASTFLOWS = "leastflows"
    TWO_CHOICES = "two-choices"
    """Of two engines drawn at random, that with fewer flows."""
    WEIGHTED = "weighted"
    """That with the fewest flows for its weight."""
    LOAD = "load"
    """That which is least busy, as measured."""


class HashFunction(StrEnum):
    """How the key of a flow becomes a number."""

    TOEPLITZ = "toeplitz"
    """Microsoft's key: as network cards do."""
    SYMMETRIC = "symmetric"
    """Toeplitz with a key that gives both directions of a flow the same number."""


class KeyField(StrEnum):
    """A field of the packet that tells flows apart."""

    SRC_IP = "src-ip"
    SRC_PORT = "src-port"
    DST_IP = "dst-ip"
    DST_PORT = "dst-port"
    PROTOCOL = "protocol"


class Replication(StrEnum):
    """How the replicator learns by what engines work, and has them agree to a change."""

    MEMORY = "memory"
    """It reads shared memory."""
    MESSAGES = "messages"
    """By core-to-core messages."""
    CALLS = "calls"
    """By calls of their actors."""


TIMER_PERIODS: Final = tuple(period * MILLISECOND for period in (1, 2, 3, 5, 10, 25, 50, 100))
CoreNumber = Annotated[int, whole(0, 4095)]
EngineNumbers = Annotated[Annotated[tuple[Annotated[int, whole(0, 63)], ...], entries(1, 64)] | None, *none_is("auto")]
"""Some of the engines; None (`auto`): shared out evenly."""


class Appliance(Section):
    """The actors of one appliance, and the memory that they share."""

    name: Label
    engines: Annotated[int, whole(1, 64)] = 1
    """How many packet engines; may change while the appliance runs."""
    max_engines: Annotated[Annotated[int, whole(1, 64)] | None, *none_is("auto")] = None
    """For how many engines the arena has room; None (`auto`): for `engines`."""
    max_nics: Annotated[Annotated[int, whole(1, 64)] | None, *none_is("auto")] = None
    """For how many NICs the arena has room; None (`auto`): for those that there are."""
    drain_time: Annotated[Microseconds, time_within(0, DAY)] = 30 * SECOND
    """How long an engine that is not wanted any more goes on by itself, µs; then another one takes its flows over."""
    cores: Annotated[Annotated[tuple[CoreNumber, ...], entries(1, 4_096)] | None, *none_is("auto")] = None
    """The cores that actors are pinned to; None (`auto`): the appliance chooses."""
    management_core: CoreNumber | None = None
    """The core of the control actors; None: any."""
    management_memory: Annotated[Annotated[Size, size_within(256 << 10, 1 << 30)] | None, *none_is("auto")] = None
    """Bytes of the arena for the management core; None (`auto`): what it needs."""
    standbys: Annotated[Annotated[int, whole(0, 8)] | None, *none_is("auto")] = None
    """Processes that wait to take the place of an actor that dies; None (`auto`): one, from three engines on two."""
    backup: Switch = True
    """Whether a second management waits to take over from the first, where the appliance is detached."""
    replication: Annotated[Replication, *word(Replication)] = Replication.MEMORY
    """How the replicator talks with the engines."""
    arena: Annotated[Size, size_within(32 * MIB, TIB)] = 256 * MIB
    """Bytes of the shared memory."""
    timer: Annotated[Annotated[Microseconds, time_among(*TIMER_PERIODS)] | None, *none_is("adaptive")] = None
    """µs from one breath of an engine to the next; None (`adaptive`): it breathes as soon as there is work."""

    @property
    def engine_room(self) -> int:
        """How many engines the arena has a partition for."""
        return max(self.engines, self.max_engines or 0)

    def findings(self) -> Iterator[Finding]:
        """Yield more engines than there is to be room for."""
        if self.max_engines is not None and self.max_engines < self.engines:
            yield Finding(("max_engines",), f"found {self.max_engines}, expected at least engines, {self.engines}")


class Distribution(Section):
    """How flows come to engines."""

    parallelism: Annotated[Parallelism, *word(Parallelism)] = Parallelism.FLOW
    functions: Annotated[
        Annotated[tuple[Annotated[Function, *word(Function)], ...], entries(1, 64, once=False)] | None, *none_is("auto")
    ] = None
    """A function for each engine (parallelism `functional`); None (`auto`): the first transports, the others apply."""
    placement: Annotated[Placement, *word(Placement)] = Placement.CORE
    fanout: Annotated[Fanout, *word(Fanout)] = Fanout.HASH
    """With placement `per-core`: how packets are spread over the engines' receive queues."""
    forwarding: Annotated[Forwarding, *word(Forwarding)] = Forwarding.BATCH_CORE
    """When packets are handed to the engines: each at once, or a batch together, sorted by flow or not."""
    algorithm: Annotated[Algorithm, *word(Algorithm)] = Algorithm.HASH
    weights: Annotated[
        Annotated[tuple[Annotated[int, whole(1, 255)], ...], entries(1, 64, once=False)] | None, *none_is("none")
    ] = None
    """A weight for each engine (algorithm `weighted`)."""
    key: Annotated[tuple[Annotated[KeyField, *word(KeyField)], ...], entries(1, len(KeyField))] = tuple(KeyField)
    hash: Annotated[HashFunction, *word(HashFunction)] = HashFunction.SYMMETRIC
    flows: Annotated[int, whole(1_024, 1 << 24)] = 65_536
    """Entries of the flow table."""
    flow_timeout: Annotated[Microseconds, time_within(SECOND, 7 * DAY)] = 5 * MINUTE
    """µs without a packet after which a flow may get another engine."""

    def findings(self) -> Iterator[Finding]:
        """Yield weights without the algorithm that they are for, and the algorithm without them."""
        if self.weights is not None and self.algorithm is not Algorithm.WEIGHTED:
            text = f'found weights, which belong to algorithm "weighted" only, not {shown(self.algorithm)}'
            yield Finding(("weights",), text)
        if self.weights is None and self.algorithm is Algorithm.WEIGHTED:
            yield Finding(("algorithm",), 'found "weighted", which needs "weights": a number for each engine')
        by_vserver = self.parallelism in (Parallelism.VIP, Parallelism.FUNCTIONAL)
        if by_vserver and not {KeyField.DST_IP, KeyField.DST_PORT} <= set(self.key):
            found = shown(self.parallelism)
            text = f'found {found}, which needs "dst-ip" and "dst-port" in the key: a flow has to be of one vServer'
            yield Finding(("parallelism",), text)
        yield from self._function_findings()

    def _function_findings(self) -> Iterator[Finding]:
        """Yield functions that belong to another parallelism, or one that no engine has."""
        if self.functions is None:
            return
        if self.parallelism is not Parallelism.FUNCTIONAL:
            text = f'found functions, which belong to parallelism "functional" only, not {shown(self.parallelism)}'
            yield Finding(("functions",), text)
        if not any(function.transports for function in self.functions):
            yield Finding(("functions",), 'found no "transport" and no "both", expected an engine that clients reach')
        if not any(function.applies for function in self.functions):
            yield Finding(("functions",), 'found no "application" and no "both", expected an engine that serves')

    def functions_of(self, engines: int) -> tuple[Function, ...]:
        """Return the function of each engine."""
        if self.parallelism is not Parallelism.FUNCTIONAL or engines == 1:
            return (Function.BOTH,) * engines
        return self.functions or (Function.TRANSPORT, *(Function.APPLICATION,) * (engines - 1))
