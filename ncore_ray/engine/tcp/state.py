"""The states of a TCP connection (RFC 9293 §3.3.2) and what each of them allows."""

from __future__ import annotations

from enum import IntEnum

from ncore_ray.machine.jit import kernel


class TcpState(IntEnum):
    """States, ordered so that comparisons say what is allowed; LISTEN is the vServer table itself."""

    CLOSED = 0
    SYN_SENT = 1
    SYN_RECEIVED = 2
    ESTABLISHED = 3
    CLOSE_WAIT = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSING = 7
    LAST_ACK = 8
    TIME_WAIT = 9
    DATAGRAM = 10
    """A UDP session."""
    VIRTUAL = 11
    """No TCP at all: the other end is another engine of the appliance."""
    SPLICE_OPENING = 12
    """One side of a spliced pair (`engine/splice`): the client's SYN went on, and no service has answered yet."""
    SPLICE_ANSWERED = 13
    """The service's answer went on, and the client has not acknowledged it yet."""
    SPLICED = 14
    SPLICE_ENDED = 15
    """Both streams have ended and are acknowledged: what stands for TIME-WAIT."""


class Recovery(IntEnum):
    """Why bytes are sent again."""

    NONE = 0
    FAST = 1
    """What arrived says that something before it is lost (RFC 6675, RFC 6582)."""
    TIMEOUT = 2
    """Nothing arrived for so long that all seems lost, and the window begins anew. Only with SACK."""
    RESIZED = 3
    """Segments were too long for the way: their bytes go out again in smaller ones, and nothing was congested."""


class FastOpen(IntEnum):
    """What a client's SYN brought about beside the usual (RFC 7413)."""

    NOTHING = 0
    TAKEN = 1
    """Its data were taken, and its owner knows of the connection already."""
    TELL = 2
    """It is told a cookie for the next time."""


class Recheck(IntEnum):
    """What is to be done at `Tcb.recheck_at`."""

    NOTHING = 0
    REORDERING = 1
    """Look again for what is lost: by now reordering explains it no longer (RFC 8985 §6.2)."""
    TAIL = 2
    """Send a tail loss probe (RFC 8985 §7)."""


class Search(IntEnum):
    """What a connection does about the MTU of the way, at `Tcb.mtu_search` (RFC 4821 §7)."""

    NONE = 0
    """Segments are as long as both ends let in."""
    HELD = 1
    """They are shorter, until `probe_at`."""
    SUSPECTED = 2
    """They were made shorter because full ones got no answer; nothing has arrived since."""
    CEILING = 3
    """The next probe is of `mss_ceiling` bytes."""
    MIDDLE = 4
    """The next probe halves what is between `mss`, which the way takes, and `mss_ceiling`."""


class Wait(IntEnum):
    """Why something that the windows allow does not go out, at `Tcb.pace_waits`; positive: until `pace_at`."""

    CORK_OVER = -1
    """It has waited for company long enough."""
    NONE = 0
    PACED = 1
    CORKED = 2


class Sack(IntEnum):
    """What a connection makes of selective acknowledgments."""

    NONE = 0
    FULL = 1
    BLIND = 2
    """The peer says what it holds, but there is no memory to note it: losses are repaired as without SACK."""


@kernel
def can_receive(state: int) -> int:
    """Return 1 in the states in which the peer's data is still taken (RFC 9293 §3.10.7.4, seventh step)."""
    return 1 if state == TcpState.ESTABLISHED or state == TcpState.FIN_WAIT_1 or state == TcpState.FIN_WAIT_2 else 0


@kernel
def can_send(state: int) -> int:
    """Return 1 in the states in which bytes of the send chain, and the FIN, may go out."""
    return 1 if state >= TcpState.ESTABLISHED and state <= TcpState.LAST_ACK and state != TcpState.FIN_WAIT_2 else 0
