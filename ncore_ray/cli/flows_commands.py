"""`ncore flows` and `ncore explain`: connections, and why a flow goes where it goes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ncore_ray.cli.options import AsJson, Name, appliance
from ncore_ray.cli.output import Row, Rows, print_json, print_line, print_rows
from ncore_ray.errors import NcoreError

_FLOW: Final = re.compile(r"\s*(?P<source>\S+?)\s*(?:->|→)\s*(?P<destination>[^\s/]+)\s*(?:/\s*(?P<protocol>\w+))?\s*")
_ENOUGH: Final = 1_000_000
_CLIENTS: Final = ("client", "udp_client", "arriving", "relayed", "split")


def register(root: typer.Typer) -> None:
    """Add these commands to `ncore`."""
    root.command()(flows)
    root.command()(explain)


def flows(
    name: Name = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
    vserver: Annotated[str | None, typer.Option("--vserver", "-v", help="Only those of this vServer.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Also our own connections to servers, and monitors' probes.")
    ] = False,
    dump: Annotated[
        Path | None,
        typer.Option("--dump", help="Write all that is known of them, bytes too, to this file: .json, else msgpack."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the clients' connections: their engine, state, vServer and service."""
    one = appliance(name)
    if dump is not None:
        print_line(_write_dump(one.ask("dump_flows", limit, vserver), dump))
        return
    found = [row for row in one.ask("flows", _ENOUGH) if _wanted(row, vserver, everything)]
    if as_json:
        print_json({"total": len(found), "flows": found[:limit]})
        return
    between_engines = any(row["far_engine"] is not None for row in found)
    print_rows([Rows("flows", [_row(row, everything, between_engines) for row in found[:limit]])])
    print_line(_count_line(len(found), limit))


def _write_dump(found: list[dict[str, Any]], path: Path) -> str:
    """Write flows to a file; return a line that says so. Raises NcoreError."""
    from ncore_ray.engine.handover.document import to_json, to_msgpack  # here: it brings numba along

    document = {"format": "ncore flows", "version": 1, "flows": found}
    raw = to_json(document).encode() if path.suffix == ".json" else to_msgpack(document)
    try:
        path.write_bytes(raw)
    except OSError as error:
        raise NcoreError(f"{path} cannot be written: {error.strerror}") from error
    return f"{len(found):,} flow{'' if len(found) == 1 else 's'} written to {path} ({len(raw):,} bytes)"


def _wanted(row: dict[str, Any], vserver: str | None, everything: bool) -> bool:
    return (vserver is None or row["vserver"] == vserver) and (everything or row["role"] in _CLIENTS)


def _count_line(total: int, limit: int) -> str:
    more = f", {limit:,} of them shown (--limit)" if total > limit else ""
    return f"{total:,} connection{'' if total == 1 else 's'}{more}"


def _row(row: dict[str, Any], everything: bool, between_engines: bool) -> Row:
    is_client = row["role"] in _CLIENTS
    cells: Row = {
        "engine": row["engine"],
        **({"role": row["role"].replace("_", " ")} if everything else {}),
        **({"with_engine": row["far_engine"]} if between_engines else {}),
        "remote" if everything else "client": row["remote"],
        "vserver": row["vserver"],
        "state": row["state"],
        "service": row["service"],
        "peer" if everything else "server": row["peer"] if is_client or everything else row["remote"],
        "bytes_in": row["received_bytes"],
        "bytes_out": row["sent_bytes"],
        "age_s": round(row["age_ms"] / 1000, 1),
    }
    return cells


def explain(
    flow: Annotated[
        str, typer.Argument(metavar="FLOW", help="'SOURCE:PORT->DESTINATION:PORT/PROTOCOL' (quoted for the shell).")
    ],
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Show which engine a flow goes to and why, and its connection if it lives.

    The real kernels are asked, over the live tables; nothing is changed. PROTOCOL is tcp (the default), udp, icmp
    (an echo request: the source's port is its identifier) or the number of another protocol:

        ncore explain '10.1.0.2:40000->10.1.0.100:80/tcp'
    """
    wanted = parse_flow(flow)
    found = appliance(name).ask("explain_flow", *wanted)
    if as_json:
        print_json(found)
        return
    for title, text in _lines(found):
        print_line(f"{title:<11} {text}")


def parse_flow(text: str) -> tuple[str, int, str, int, str]:
    """Return source, port, destination, port and protocol of ``10.1.0.2:40000->10.1.0.100:80/tcp``.

    Raises:
        NcoreError: it is written otherwise.
    """
    match = _FLOW.fullmatch(text)
    ends = [_end(match[side]) for side in ("source", "destination")] if match else [None]
    if match is None or None in ends:
        raise NcoreError(
            f"{text!r} is no flow: expected SOURCE:PORT->DESTINATION:PORT/PROTOCOL,"
            " such as '10.1.0.2:40000->10.1.0.100:80/tcp' (in quotes, as > means something to the shell)"
        )
    (source, source_port), (destination, port) = (end for end in ends if end is not None)
    return source, source_port, destination, port, (match["protocol"] or "tcp").lower()


def _end(text: str) -> tuple[str, int] | None:
    address, _, port = text.rpartition(":")
    if not address or not port.isascii() or not port.isdecimal():
        return None
    return address.removeprefix("[").removesuffix("]"), int(port)


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [
        ("flow", found["flow"]),
        ("engine", "none" if found["engine"] is None else str(found["engine"])),
        ("why", _why(found)),
        ("vServer", found["vserver"] or "none: nobody listens at the destination"),
    ]
    if found["application_reason"]:
        lines.append(("served by", found["application_reason"]))
    return [*lines, *_connection_lines(found["connection"])]


def _why(found: dict[str, Any]) -> str:
    reason = found["reason"].removeprefix(f"engine {found['engine']}, ").rstrip(".")
    return f"{reason} [rule: {found['rule'].replace('_', ' ')}]"


def _connection_lines(row: dict[str, Any] | None) -> list[tuple[str, str]]:
    if row is None:
        return [("connection", "none lives")]
    age = f"for {row['age_ms'] / 1000:,.1f} s"
    text = f"{row['state']} {age} on engine {row['engine']}, {row['received_bytes']:,} bytes in"
    if row["role"] == "relayed":
        return [("connection", f"{text}, {row['sent_bytes']:,} out, served by engine {row['far_engine']}")]
    if row["role"] == "split":
        return [("connection", f"{text}, {row['sent_bytes']:,} out, each request served by an engine of its own")]
    peer = f"{row['service']} at {row['peer']}" if row["peer"] else "none at this moment"
    return [("connection", f"{text}, {row['sent_bytes']:,} out"), ("service", peer)]
