"""The connections of all engines, read from the arena, as rows for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from ncore_ray.arena.header import Arena
from ncore_ray.arena.layout import Bytes
from ncore_ray.engine.connection import Role, Tcb
from ncore_ray.engine.http.exchange import Exchange, Phase
from ncore_ray.engine.partition import Engine
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.transaction.turn import Turn
from ncore_ray.flow.explain import protocol_number
from ncore_ray.machine.record import table, view
from ncore_ray.management.counters import engine_view
from ncore_ray.management.directory import RowNames
from ncore_ray.tables.service import Arrival, Vserver, VserverProtocol
from ncore_ray.wire.address import end_text

_CLOSED: Final = (TcpState.FIN_WAIT_1, TcpState.FIN_WAIT_2, TcpState.CLOSING, TcpState.LAST_ACK)
"""States after our FIN."""
_OVER: Final = (TcpState.TIME_WAIT, TcpState.SPLICE_ENDED)


@dataclass(frozen=True)
class ConnectionRow:
    """One connection of one engine."""

    engine: int
    number: int
    role: str
    state: str
    remote: str
    local: str
    vserver: str
    service: str
    peer: str
    """Remote end of the other side of the pair."""
    received_bytes: int
    sent_bytes: int
    held_bytes: int
    age_ms: int
    far_engine: int | None = None
    """The engine at the other end of a virtual connection: this one, or that which a relayed client is served by."""

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return asdict(self)


def _end(row: Any, side: str) -> str:
    port = int(row["ports"]) >> 24 if side == "remote" else (int(row["ports"]) >> 8) & 0xFFFF
    return end_text(int(row[f"{side}_high"]), int(row[f"{side}_low"]), port)


def _far_engine(row: Any, peer: Any, half_count: int) -> int | None:
    virtual = int(row["virtual"] or (0 if peer is None else peer["virtual"] * (row["role"] == Role.RELAYED)))
    return (virtual - 1) // half_count if virtual else None


def _row(names: RowNames, header: Engine, number: int, rows: Any, now: int) -> ConnectionRow:
    row = rows[number]
    role = Role(int(row["role"]))
    is_client = role in (Role.CLIENT, Role.UDP_CLIENT)
    is_ours = is_client or role in (Role.SERVER, Role.UDP_SERVER, Role.MONITOR)
    peer = rows[int(row["peer"]) - 1] if row["peer"] else None
    service_row = (peer if is_client else row) if is_ours else None
    return ConnectionRow(
        engine=header.index,
        number=number,
        role=role.name.lower(),
        state=TcpState(int(row["state"])).name.replace("_", "-"),
        remote=_end(row, "remote"),
        local=_end(row, "local"),
        vserver="" if role is Role.MONITOR else names.vserver(int(row["vserver"])),
        service="" if service_row is None else names.service(int(service_row["service"])),
        peer="" if peer is None or not is_ours else _end(peer, "remote"),
        received_bytes=int(row["received_bytes"]),
        sent_bytes=int(row["sent_bytes"]),
        held_bytes=int(row["hold_chain_length"]),
        age_ms=max(now - int(row["created_at"]), 0) // 1000,
        far_engine=_far_engine(row, peer, header.half_count),
    )


def list_connections(array: Bytes, now: int, limit: int = 1000) -> list[ConnectionRow]:
    """Return up to ``limit`` live connections, engine by engine; read while the engines go on, so a moment's view."""
    found: list[ConnectionRow] = []
    names = RowNames(array)
    names.refresh()
    for engine in range(view(Arena, array).engine_count):
        header = engine_view(array, engine)
        rows = table(Tcb, array, header.connections, header.connection_count).copy()
        for number in np.flatnonzero(rows["role"] != Role.FREE):
            if len(found) >= limit:
                return found
            found.append(_row(names, header, int(number), rows, now))
    return found


def find_connection(array: Bytes, now: int, source: str, destination: str, protocol: str) -> ConnectionRow | None:
    """Return the live connection whose packets come from ``source`` to ``destination`` (address:port), if there is one.

    Of several (an old one in TIME-WAIT beside its successor) the youngest. Not a virtual one: it has the addresses of
    the client that it is for.
    """
    wanted = protocol_number(protocol, source.startswith("["))
    if wanted is None:
        return None
    ports = int(source.rpartition(":")[2]) << 24 | int(destination.rpartition(":")[2]) << 8 | wanted
    found: list[ConnectionRow] = []
    names = RowNames(array)
    names.refresh()
    for engine in range(view(Arena, array).engine_count):
        header = engine_view(array, engine)
        rows = table(Tcb, array, header.connections, header.connection_count)
        for number in np.flatnonzero((rows["ports"] == ports) & (rows["role"] != Role.FREE) & (rows["virtual"] == 0)):
            row = _row(names, header, int(number), rows, now)
            if (row.remote, row.local) == (source, destination):
                found.append(row)
    return min(found, key=lambda row: row.age_ms, default=None)


def _awaiting(array: Bytes, header: Engine, rows: Any) -> Any:
    """Return which connections are of clients whose requests are worked on by other engines now."""
    if not header.turns:
        return np.zeros(len(rows), bool)
    turns = table(Turn, array, header.turns, header.connection_count)
    return (rows["role"] == Role.SPLIT) & (turns["outstanding"] != 0)


@dataclass(frozen=True)
class Clients:
    """How many clients' connections there are. One to which only the last word of a close is owed is none."""

    busy: int
    idle: int
    """Of HTTP, between two requests."""


def count_clients(array: Bytes, engines: Iterable[int]) -> Clients:
    """Count the clients' connections of these engines.

    One that another engine serves counts there, until nobody but its TCP has anything to do with it any more.
    """
    arena = view(Arena, array)
    vservers = table(Vserver, array, arena.vservers + arena.bank, arena.vserver_count)
    http = vservers["protocol"] == VserverProtocol.HTTP
    shared = vservers["arrival"] == Arrival.TRANSACTION
    clients = idle = 0
    for engine in engines:
        header = engine_view(array, engine)
        rows = table(Tcb, array, header.connections, header.connection_count)
        exchanges = table(Exchange, array, header.http, header.connection_count)
        quiet = (rows["peer"] == 0) & (rows["hold_chain_length"] == 0) & (rows["send_chain_length"] == 0)
        virtual = (rows["state"] == TcpState.VIRTUAL) & (rows["snd_nxt"] == rows["snd_una"])
        ended = np.isin(rows["state"], _CLOSED) | (virtual & (rows["fin_wanted"] != 0))
        over = np.isin(rows["state"], _OVER) | (quiet & ended)
        arriving = rows["role"] == Role.ARRIVING
        left = (rows["role"] == Role.RELAYED) & (rows["peer"] == 0)
        leg = (rows["state"] == TcpState.VIRTUAL) & shared[rows["vserver"]]  # its client is counted already
        roles = (Role.CLIENT, Role.UDP_CLIENT, Role.SPLIT)
        live = (np.isin(rows["role"], roles) | arriving | left) & ~over & ~leg
        clients += int(live.sum())
        reads = arriving | ((exchanges["phase"] == Phase.READ_HEAD) & ~_awaiting(array, header, rows))
        waiting = live & quiet & reads & ((rows["state"] == TcpState.ESTABLISHED) | virtual)
        idle += int(http[rows["vserver"][waiting]].sum())
    return Clients(clients - idle, idle)
