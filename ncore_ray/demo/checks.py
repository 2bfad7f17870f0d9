"""What has to be so after a load. Pure functions: a report of the client, accounts and sightings in, checks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ncore_ray.demo.accounts import Accounts
from ncore_ray.demo.play import Acts
from ncore_ray.demo.sightings import Flow, Sightings
from ncore_ray.lab.look import count, size
from ncore_ray.lab.rows import Check
from ncore_ray.tables.port_owner import port_ranges

Report = Mapping[str, Any]

_RARE: Final = 0.001
"""Share of all packets that may come after the end of their connection, or outside a window, without a fault."""
_BREATH: Final = 512
"""Packets that a breath receives, or makes, at the most."""
_LATE_PER_CONNECTION: Final = 0.1
"""Likewise, packets per connection: on a machine with more to do than cores, ends of connections cross more often."""


def all_checks(
    report: Report,
    accounts: Accounts,
    sightings: Sightings,
    events: Sequence[Mapping[str, Any]],
    engines: int,
    acts: Acts | None = None,
) -> list[Check]:
    """Return every check, in the order of the report. ``engines`` is how many there is room for."""
    kills = int(bool(acts and acts.went_on))
    return [
        *([acts_check(acts)] if acts else []),
        bytes_check(report, acts.reset if acts else 0),
        one_engine_check(report, sightings, engines),
        connections_check(report, accounts),
        requests_check(report, accounts),
        frames_check(accounts),
        drops_check(accounts, kills),
        alive_check(accounts, events),
    ]


def acts_check(acts: Acts) -> Check:
    """Check that engines came, that one died and was replaced, and that engines went."""
    if not acts.all_done:
        return Check("engines came, died and went", False, acts.failure or "; ".join(acts.told) or "nothing was done")
    detail = (
        f"new ones took flows after {acts.more_s:.1f} s, those that went after {acts.fewer_s:.1f} s no more; "
        f"{acts.killed} was killed: {acts.went_on}"
    )
    return Check("engines came, died and went", True, detail)


def bytes_check(report: Report, reset: int = 0) -> Check:
    """Check that every request was answered, and every body byte-exact.

    ``reset`` is how many connections a killed engine was changing at that very instant: what was asked on them fails.
    """
    failures = sum(report["failures"].values())
    compared = size(report["received_bytes"] + report["sent_bytes"])
    detail = f"{count(report['requests'])} answers, {compared} compared"
    if failures:
        detail = f"{count(failures)} failures: " + "; ".join(report["examples"][:3])
    if 0 < failures <= reset:
        detail = f"{detail} (the killed engine was changing {reset} connections at that instant)"
    return Check("every body arrived byte-exact", failures <= reset and report["requests"] > 0, detail)


def flow_of(row: Sequence[Any]) -> Flow:
    """Return the flow of one row of the client's connections."""
    return f"{row[1]}:{row[2]}", f"{row[3]}:{row[4]}"


def engine_of_port(port: int, engines: int) -> int:
    """Return the engine whose connections to servers come from a port, or -1."""
    ranges = enumerate(port_ranges(engines))
    return next((engine for engine, (first, number) in ranges if first <= port < first + number), -1)


def _witnesses(row: Sequence[Any], engines: int) -> set[int]:
    """Return the engines through which the servers saw the requests of a connection come, by their source ports."""
    return {engine_of_port(int(peer.rpartition(":")[2]), engines) for peer in row[6] if peer}


def one_engine_check(report: Report, sightings: Sightings, engines: int) -> Check:
    """Check that every flow was worked on by one engine only.

    Two independent witnesses: the source port, by which every answer of a server tells through which engine its request
    had come, and samples of the engines' connection tables.
    """
    split, unseen, found = [], 0, 0
    for row in report["connections"]:
        seen = _witnesses(row, engines)
        held = sightings.engines.get(flow_of(row), set())
        found += bool(held)
        unseen += not seen and not held
        if len(seen | held) > 1 or -1 in seen:
            split.append(row)
    total = len(report["connections"])
    detail = (
        f"{count(total)} flows, each by the servers' witness on one engine; {count(found)} also found in a connection "
        f"table ({sightings.samples} samples)"
    )
    if split or unseen:
        detail = f"{count(len(split))} flows on several engines, {count(unseen)} on none, such as {split[:1]}"
    return Check("every flow was seen by exactly one engine", total > 0 and not split and not unseen, detail)


def connections_check(report: Report, accounts: Accounts) -> Check:
    """Check that the engines together accepted as many connections as the client had: none twice, none unseen."""
    made, accepted = len(report["connections"]), accounts.total("engine-", "connections_accepted")
    detail = f"{count(made)} by the client, {count(accepted)} accepted by the engines together"
    return Check("every connection was accepted once", made == accepted, detail)


def requests_check(report: Report, accounts: Accounts) -> Check:
    """Check that client and engines counted the same HTTP requests (those given back by a closed connection aside)."""
    asked = sum(row[5] for row in report["connections"] if row[0] == "http")
    served = accounts.total("engine-", "http_requests")
    reopened, retried = report["reopened"], accounts.total("engine-", "http_retried_requests")
    detail = f"{count(asked)} HTTP requests by the client, {count(served)} by the engines"
    if reopened or retried:
        detail += f" ({count(reopened)} asked again by the client, {count(retried)} by the appliance)"
    return Check("every request was counted once", asked - reopened <= served <= asked, detail)


def frames_check(accounts: Accounts) -> Check:
    """Check that every frame was sent or freed exactly once."""
    uneven = [f"{name}: {count(left)} and {count(right)}" for name, left, right in accounts.sums() if left != right]
    held = accounts.held_frames()
    if held:
        uneven.append(f"{count(held)} frames not given back")
    received, made = accounts.total("nic-", "received_packets"), accounts.total("engine-", "made_packets")
    detail = f"{count(received)} received and freed, {count(made)} made and sent; the kernel's device counters agree"
    return Check("every frame is accounted for", not uneven, "; ".join(uneven) or detail)


def allowed_drops(accounts: Accounts, kills: int = 0) -> dict[str, float]:
    """Return how many packets of each cause a load without faults may lose.

    A host that waited too long for an acknowledgment sends again what had arrived: dropped, but no more often than the
    hosts' kernels say that they did so. An acknowledgment that one core of a host sends may be overtaken by data that
    another core sends. An engine that is killed loses the packets of one breath.
    """
    received = accounts.total("nic-", "received_packets")
    connections = accounts.total("engine-", "connections_accepted")
    return {
        "drop_tcp_no_connection_packets": max(_RARE * received, _LATE_PER_CONNECTION * connections),
        "drop_tcp_out_of_window_packets": _RARE * received,
        "drop_tcp_bad_sequence_packets": accounts.sent_again,
        "drop_tcp_old_acknowledgment_packets": accounts.sent_again + _RARE * received,
        "drop_takeover_packets": _BREATH * kills,
        "drop_send_takeover_packets": _BREATH * kills,
    }


def drops_check(accounts: Accounts, kills: int = 0) -> Check:
    """Check that nothing was dropped that a load without faults does not explain."""
    found, allowed = accounts.drops(), allowed_drops(accounts, kills)
    bad = {name: value for name, value in found.items() if value > allowed.get(name, 0)}
    detail = ", ".join(f"{name} {count(value)}" for name, value in (bad or found).items())
    return Check("no packet was dropped without need", not bad, detail or "no drop counter moved")


def alive_check(accounts: Accounts, events: Sequence[Mapping[str, Any]]) -> Check:
    """Check that no actor failed and no service went down."""
    errors = [str(event["text"]) for event in events if event["level"] == "error"]
    services = accounts.after.status["services"]
    down = [f"{name} is {word}" for name, word in services.items() if word != "up"]
    words = f"{len(accounts.after.status['actors']) + 1} actors, {len(services)} services"
    return Check("every actor and service stayed up", not errors and not down, "; ".join([*errors, *down]) or words)
