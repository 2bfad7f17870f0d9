"""Timeouts, TCP's parameters and the capacities of tables."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from ncore_ray.config.expect import Finding, shown
from ncore_ray.config.section import Section
from ncore_ray.config.units import (
    DAY,
    HOUR,
    KIB,
    MIB,
    MILLISECOND,
    MINUTE,
    SECOND,
    Microseconds,
    MicrosecondsOrOff,
    Size,
    format_time,
    size_within,
    time_within,
)
from ncore_ray.config.words import Switch, none_is, whole, word

_Wait = Annotated[Microseconds, time_within(MILLISECOND, 7 * DAY)]
_KeepAlive = Annotated[MicrosecondsOrOff, time_within(SECOND, 7 * DAY, or_off=True)]
_TimeWait = Annotated[Microseconds, time_within(0, 4 * MINUTE)]
_User = Annotated[MicrosecondsOrOff, time_within(SECOND, 7 * DAY, or_off=True)]


class Timeouts(Section):
    """How long the appliance waits, in µs."""

    client_idle: _Wait = 60 * SECOND
    """Without a byte from or to the client: close."""
    header: _Wait = 10 * SECOND
    """From the first byte of a request until its header is complete: 408."""
    connect: _Wait = 3 * SECOND
    """For a service to accept a connection: 503."""
    server: _Wait = 60 * SECOND
    """Without a byte from the service while it owes one: 504."""
    keepalive: _KeepAlive = 0
    """Silence after which TCP asks the peer whether it is still there; 0: never."""
    time_wait: _TimeWait = 5 * SECOND
    """Length of TIME-WAIT; RFC 9293 says 4 minutes, see docs/configuration.md."""
    fin_wait: _Wait = 2 * SECOND
    """For the peer of a connection that the appliance has closed to close its own side (FIN-WAIT-2): reset."""
    user: _User = 0
    """How long sent data may stay unacknowledged (RFC 9293, section 3.8.3); 0: as many retransmissions as `retries`."""
    udp: _Wait = 30 * SECOND
    """Without a datagram: the session ends."""

    def overridden_by(self, overrides: TimeoutOverrides) -> Timeouts:
        """Return these timeouts, with the ones that the overrides name."""
        return Timeouts(**{**dict(self), **{key: value for key, value in overrides if value is not None}})


class TimeoutOverrides(Section):
    """A vServer's own timeouts, in µs; None: as in the appliance's `timeouts`."""

    client_idle: _Wait | None = None
    header: _Wait | None = None
    connect: _Wait | None = None
    server: _Wait | None = None
    keepalive: _KeepAlive | None = None
    time_wait: _TimeWait | None = None
    fin_wait: _Wait | None = None
    user: _User | None = None
    udp: _Wait | None = None


class CongestionControl(StrEnum):
    """How a sender keeps from congesting the way to the peer."""

    CUBIC = "cubic"
    """RFC 9438."""
    NEWRENO = "newreno"
    """RFC 5681, RFC 6582."""
    VEGAS = "vegas"
    """Brakmo, Peterson 1995: by the round-trip time."""
    BBR = "bbr"
    """Version 1: by a model of the way, always paced."""


class EcnChoice(StrEnum):
    """What is done of explicit congestion notification (RFC 3168)."""

    NEVER = "never"
    ACCEPT = "accept"
    """Agreed to where a peer offers it."""
    OFFER = "offer"
    """And offered to servers."""


class MtuProbes(StrEnum):
    """When segments of data try what a way takes (RFC 4821)."""

    OFF = "off"
    """Never: by what routers say alone (RFC 1191, RFC 8201)."""
    BLACK_HOLE = "black-hole"
    """Where full segments got no answer."""
    ALWAYS = "always"
    """Every connection begins with small segments."""


class SynCookies(StrEnum):
    """When a SYN is answered by a cookie (RFC 4987, section 3.6), so that it takes no memory."""

    AUTO = "auto"
    """When too many handshakes are under way."""
    ALWAYS = "always"
    OFF = "off"
    """Never: what is too much is dropped."""


OwnCongestion = Annotated[CongestionControl, *word(CongestionControl)] | None
"""A vServer's or service's own choice; None: as in `tcp`."""


class Tcp(Section):
    """Parameters of every TCP connection."""

    receive_window: Annotated[Size, size_within(4 * KIB, 16 * MIB)] = 4 * MIB
    """Bytes that a peer may send ahead of the reader at the most; 512 KiB unless a connection needs more."""
    send_buffer: Annotated[Size, size_within(4 * KIB, 16 * MIB)] = 4 * MIB
    """Bytes that may wait to be sent or acknowledged at the most; 512 KiB unless a connection needs more."""
    initial_window: Annotated[int, whole(1, 64)] = 10
    """Segments in flight at the start (RFC 6928)."""
    congestion: Annotated[CongestionControl, *word(CongestionControl)] = CongestionControl.CUBIC
    syn_cookies: Annotated[SynCookies, *word(SynCookies)] = SynCookies.AUTO
    """When SYNs are answered without memory of them (RFC 4987)."""
    challenge_acks: Annotated[int, whole(1, 1_000_000)] = 1_000
    """Challenge ACKs per engine and second at the most (RFC 5961, section 7)."""
    stray_resets: Annotated[int, whole(1, 1_000_000)] = 20_000
    """Resets that answer segments of no connection, per engine and second at the most."""
    fast_open: Annotated[Annotated[int, whole(1, 1 << 20)] | None, *none_is("off")] = None
    """Connections per engine whose client has sent data with its SYN and not proven yet that it is there (RFC 7413)."""
    sack: Switch = True
    """Selective acknowledgments, where the peer understands them too (RFC 2018)."""
    pacing: Switch = False
    """Segments at a rate instead of in bursts, for all congestion controls (BBR does so always)."""
    ecn: Annotated[EcnChoice, *word(EcnChoice)] = EcnChoice.ACCEPT
    mtu_probing: Annotated[MtuProbes, *word(MtuProbes)] = MtuProbes.BLACK_HOLE
    nagle: Switch = False
    """Small segments wait until all that was sent is acknowledged (RFC 9293, section 3.7.4)."""
    cork: Annotated[Microseconds, time_within(0, 200 * MILLISECOND)] = 0
    """µs that a small segment waits for company; 0: not at all."""
    timestamps: Switch = False
    """Timestamps, where the peer has them too (RFC 7323)."""
    delayed_ack: Annotated[Microseconds, time_within(0, 500 * MILLISECOND)] = 40 * MILLISECOND
    """µs that an acknowledgment may wait for company (RFC 9293, section 3.8.6.3: below 0.5 s)."""
    min_rto: Annotated[Microseconds, time_within(10 * MILLISECOND, MINUTE)] = 200 * MILLISECOND
    """Least retransmission timeout, µs (RFC 6298 says 1 s; Linux uses 200 ms)."""
    max_rto: Annotated[Microseconds, time_within(SECOND, HOUR)] = 60 * SECOND
    """Largest retransmission timeout, µs (RFC 6298, section 2.5)."""
    syn_retries: Annotated[int, whole(0, 20)] = 5
    """Retransmissions of a SYN or SYN-ACK before giving up."""
    retries: Annotated[int, whole(1, 30)] = 8
    """Retransmissions of data or FIN before giving up."""

    def findings(self) -> Iterator[Finding]:
        """Yield bounds of the retransmission timeout that cross."""
        if self.max_rto < self.min_rto:
            text = f"found {shown(format_time(self.max_rto))}, expected at least min_rto, {format_time(self.min_rto)}"
            yield Finding(("max_rto",), text)


class OwnTcp(Section):
    """A vServer's own parameters of its clients' connections; None: as in `tcp`."""

    syn_cookies: Annotated[SynCookies, *word(SynCookies)] | None = None
    half_open: Annotated[Annotated[int, whole(1, 1 << 24)] | None, *none_is("auto")] = None
    """Handshakes under way at one engine; None (`auto`): as many as the engine has room for."""
    connections: Annotated[Annotated[int, whole(1, 1 << 24)] | None, *none_is("none")] = None
    """Open connections at one engine; None: any number."""
    mss: Annotated[Annotated[int, whole(64, 65_495)] | None, *none_is("none")] = None
    """Bytes of a segment at the most, both ways; None: what the ways let through."""
    send_buffer: Annotated[Size, size_within(4 * KIB, 16 * MIB)] | None = None
    """Bytes that may wait for a client which is slower than the service."""


class Limits(Section):
    """Capacities; what is over them is refused and counted."""

    connections: Annotated[Annotated[int, whole(16, 1 << 24)] | None, *none_is("auto")] = None
    """Connections per engine, both sides counted; None (`auto`): what the arena has room for."""
    idle_server_connections: Annotated[int, whole(0, 65_535)] = 1_024
    """Idle connections to one service that one engine keeps for the next requests."""
    services: Annotated[Annotated[int, whole(1, 65_536)] | None, *none_is("auto")] = None
    """Services that there is room for while the appliance runs; None (`auto`): twice as many, 64 at least."""
    vservers: Annotated[Annotated[int, whole(1, 4_096)] | None, *none_is("auto")] = None
    """The same of vServers."""
    bindings: Annotated[Annotated[int, whole(1, 1 << 20)] | None, *none_is("auto")] = None
    """The same of services of vServers, all together; `auto`: twice as many, 256 at least."""
    neighbours: Annotated[int, whole(16, 65_536)] = 1_024
    """Entries of the neighbour (ARP) table."""
    fragments: Annotated[int, whole(0, 65_536)] = 1_024
    """Fragmented packets whose engine the distributor remembers at a time."""
    reassemblies: Annotated[int, whole(0, 1_024)] = 8
    """Fragmented packets that one engine puts together at a time; each takes 73 KiB of its memory."""
    icmp_errors: Annotated[int, whole(1, 1_000_000)] = 100
    """ICMP errors that one engine sends in a second at the most (RFC 4443, section 2.4 (f))."""
    echo_replies: Annotated[int, whole(1, 1_000_000)] = 10_000
    """The same of echo replies."""
