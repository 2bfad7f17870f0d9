"""What a packet from the client does to the state of its flow.

| state       | OPEN (SYN)  | DATA (ACK)  | FIN      | RESET (RST) | OTHER       |
|-------------|-------------|-------------|----------|-------------|-------------|
| SYN_ONLY    | SYN_ONLY    | ESTABLISHED | FIN_SEEN | RESET       | SYN_ONLY    |
| ESTABLISHED | ESTABLISHED | ESTABLISHED | FIN_SEEN | RESET       | ESTABLISHED |
| FIN_SEEN    | SYN_ONLY    | FIN_SEEN    | FIN_SEEN | RESET       | FIN_SEEN    |
| RESET       | SYN_ONLY    | ESTABLISHED | FIN_SEEN | RESET       | RESET       |
| CLOSED      | SYN_ONLY    | ESTABLISHED | CLOSED   | CLOSED      | CLOSED      |

A flow keeps its engine through all of them: the engine alone knows whether a SYN, FIN or RST is a true one. It says
CLOSED when it has forgotten a connection; a SYN for the next one may have passed here just before, so an ACK after it
means that the flow lives again (and a datagram likewise). UDP flows
and shared entries (keys of less than five fields) have one state each; a shared entry is SYN_ONLY until its first ACK,
so that a flood of SYNs does not fill the table for long.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ncore_ray.flow.records import Distributor, FlowState
from ncore_ray.machine.jit import kernel
from ncore_ray.wire.tcp import ACK, FIN, RST, SYN


class Event(IntEnum):
    """What a packet says of its flow."""

    OPEN = 0
    DATA = 1
    FIN = 2
    RESET = 3
    OTHER = 4
    DATAGRAM = 5
    """UDP: opens a flow and keeps it."""
    QUOTED = 6
    """An ICMP error quotes a packet of the flow: says nothing of the flow's state."""


_SYN, _EST, _FIN = FlowState.SYN_ONLY, FlowState.ESTABLISHED, FlowState.FIN_SEEN
_RST, _CLO, _UDP, _SHA = FlowState.RESET, FlowState.CLOSED, FlowState.UDP, FlowState.SHARED

TRANSITIONS: Final = {
    _SYN: (_SYN, _EST, _FIN, _RST, _SYN, _SYN),
    _EST: (_EST, _EST, _FIN, _RST, _EST, _EST),
    _FIN: (_SYN, _FIN, _FIN, _RST, _FIN, _FIN),
    _RST: (_SYN, _EST, _FIN, _RST, _RST, _RST),
    _CLO: (_SYN, _EST, _CLO, _CLO, _CLO, _UDP),
    _UDP: (_UDP, _UDP, _UDP, _UDP, _UDP, _UDP),
    _SHA: (_SHA, _SHA, _SHA, _SHA, _SHA, _SHA),
}
"""State → state after each `Event`, in their order."""


def _packed(row: tuple[FlowState, ...]) -> int:
    return sum(int(state) << 4 * event for event, state in enumerate(row))


_ROWS: Final = tuple(_packed(TRANSITIONS.get(FlowState(state), (_EST,) * 6)) for state in range(8))


@kernel
def tcp_event(flags: int) -> Event:
    """Say what a segment's flags mean."""
    if flags & RST:
        return Event.RESET
    if flags & (SYN | ACK | FIN) == SYN:
        return Event.OPEN
    if flags & SYN:
        return Event.OTHER
    if flags & FIN:
        return Event.FIN
    return Event.DATA if flags & ACK else Event.OTHER


@kernel
def first_state(distributor: Distributor) -> int:
    """Return the state of a new flow that the latest event (OPEN or DATAGRAM) begins."""
    if distributor.event == Event.OPEN:
        return FlowState.SYN_ONLY
    return FlowState.SHARED if distributor.shared else FlowState.UDP


@kernel
def next_state(distributor: Distributor, state: int) -> int:
    """Return the state of a flow after the latest event."""
    event = distributor.event
    if distributor.shared:
        return FlowState.SHARED if event == Event.DATA or event == Event.DATAGRAM else state
    return (_ROWS[state & 7] >> 4 * event) & 15
