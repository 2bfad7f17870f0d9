"""Every check of the demo passes on even books, and fails on each way in which they can be wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ncore_ray.demo import checks
from ncore_ray.demo.accounts import Accounts, Snapshot
from ncore_ray.demo.links import LinkCount
from ncore_ray.demo.peers import counters_of
from ncore_ray.demo.play import Acts
from ncore_ray.demo.sightings import Sightings
from ncore_ray.tables.port_owner import port_ranges

VIP = ["10.1.0.100", 80]
FIRST, SECOND = (f"10.2.0.10:{first}" for first, _ in port_ranges(2))


def engine(received: int, sent: int, connections: int, requests: int) -> dict[str, int]:
    return {
        "received_packets": received,
        "used_tcp_packets": received,
        "drop_tcp_bad_checksum_packets": 0,
        "drop_tcp_no_connection_packets": 0,
        "made_packets": sent,
        "sent_packets": sent,
        "drop_send_nic_packets": 0,
        "connections_accepted": connections,
        "http_requests": requests,
        "http_retried_requests": 0,
        "frame_capacity": 100,
        "free_frames": 100,
    }


def books() -> dict[str, Any]:
    """Books that are even: everything twice what it was, and once before."""
    nic = {"received_packets": 30, "returned_frames": 30, "drop_nic_runt_packets": 0}
    distributor = {"received_packets": 60, "forwarded_packets": 60, "drop_unknown_packets": 0}
    actors = {"nic-nc0": nic, "nic-nc1": dict(nic), "distributor": distributor}
    actors |= {"engine-0": engine(40, 20, 2, 5), "engine-1": engine(20, 10, 1, 1)}
    return {"actors": actors, "links": {"nc0": LinkCount(30, 10), "nc1": LinkCount(30, 20)}}


def accounts(change: Callable[[dict[str, Any]], object] | None = None) -> Accounts:
    made = books()
    if change:
        change(made)
    empty = copy.deepcopy(books()["actors"])
    for numbers in empty.values():
        for name in numbers:
            numbers[name] = 0
    status = {"actors": [], "services": {"web1": "up"}}
    links = {name: LinkCount(0, 0) for name in made["links"]}
    before = Snapshot(0, {"actors": empty}, status, links)
    return Accounts(before, Snapshot(1_000_000, {"actors": made["actors"]}, made.get("status", status), made["links"]))


def report(**changes: Any) -> dict[str, Any]:
    connections = [
        ["http", "10.1.0.2", 40000, *VIP, 4, [FIRST]],
        ["http", "10.1.0.2", 40001, *VIP, 2, [SECOND]],
        ["tcp", "10.1.0.2", 40002, "10.1.0.100", 9000, 1, [FIRST]],
    ]
    known = {"requests": 7, "failures": {}, "examples": [], "received_bytes": 5, "sent_bytes": 5, "reopened": 0}
    return {**known, "connections": connections, **changes}


def rows(*ends: tuple[int, str]) -> list[dict[str, Any]]:
    return [{"engine": e, "role": "client", "remote": remote, "local": "10.1.0.100:80"} for e, remote in ends]


def seen(*ends: tuple[int, str]) -> Sightings:
    sightings = Sightings()
    sightings.take(rows(*ends))
    return sightings


def test_even_books_pass_every_check() -> None:
    found = checks.all_checks(report(), accounts(), seen((0, "10.1.0.2:40000")), [], 2)
    assert [check for check in found if not check.passed] == []


def test_wrong_bodies_fail() -> None:
    assert not checks.bytes_check(report(failures={"body differs": 1}, examples=["at 5"])).passed
    assert not checks.bytes_check(report(requests=0)).passed


def changed_flow(upstreams: list[str]) -> dict[str, Any]:
    made = report()
    made["connections"][0][6] = upstreams
    return made


@pytest.mark.parametrize(
    ("upstreams", "sightings"),
    [
        ([FIRST, SECOND], []),
        ([FIRST], [(1, "10.1.0.2:40000")]),
        ([FIRST], [(0, "10.1.0.2:40000"), (1, "10.1.0.2:40000")]),
        ([], []),
        ([""], []),
        (["10.2.0.10:1000"], []),
    ],
    ids=["two by port", "port and table", "two tables", "none", "unknown", "a port of no engine"],
)
def test_flow_on_several_engines_or_on_none_fails(upstreams: list[str], sightings: list[tuple[int, str]]) -> None:
    assert not checks.one_engine_check(changed_flow(upstreams), seen(*sightings), 2).passed


def test_flow_known_from_a_table_only_passes() -> None:
    assert checks.one_engine_check(changed_flow([]), seen((1, "10.1.0.2:40000")), 2).passed


@pytest.mark.parametrize("count", [1, 3])
def test_connection_accepted_twice_or_never_fails(count: int) -> None:
    wrong = accounts(lambda made: made["actors"]["engine-0"].update(connections_accepted=count))
    assert not checks.connections_check(report(), wrong).passed


@pytest.mark.parametrize(("reopened", "count", "passes"), [(0, 5, True), (0, 4, False), (1, 4, True), (0, 6, False)])
def test_requests_are_counted_alike(reopened: int, count: int, passes: bool) -> None:
    found = accounts(lambda made: made["actors"]["engine-0"].update(http_requests=count))
    assert checks.requests_check(report(reopened=reopened), found).passed is passes


@pytest.mark.parametrize(
    ("actor", "counter"),
    [
        ("nic-nc0", "received_packets"),
        ("nic-nc1", "returned_frames"),
        ("distributor", "received_packets"),
        ("distributor", "forwarded_packets"),
        ("distributor", "drop_unknown_packets"),
        ("engine-0", "received_packets"),
        ("engine-0", "used_tcp_packets"),
        ("engine-1", "drop_tcp_bad_checksum_packets"),
        ("engine-1", "made_packets"),
        ("engine-1", "sent_packets"),
        ("engine-1", "drop_send_nic_packets"),
        ("engine-0", "free_frames"),
    ],
)
def test_every_lost_or_doubled_frame_fails(actor: str, counter: str) -> None:
    for step in (-1, 1):
        wrong = accounts(lambda made, step=step: _add(made, actor, counter, step))  # type: ignore[misc]
        assert not checks.frames_check(wrong).passed
        assert not wrong.balanced


def _add(made: dict[str, Any], actor: str, counter: str, step: int) -> None:
    made["actors"][actor][counter] += step


@pytest.mark.parametrize("link", [LinkCount(31, 10), LinkCount(30, 9)])
def test_other_count_of_the_kernel_fails(link: LinkCount) -> None:
    assert not checks.frames_check(accounts(lambda made: made["links"].update(nc0=link))).passed


def test_unexpected_drop_fails_and_an_expected_one_passes_while_it_is_rare() -> None:
    bad = accounts(lambda made: _add(made, "engine-0", "drop_tcp_bad_checksum_packets", 1))
    assert not checks.drops_check(bad).passed

    def many(made: dict[str, Any], drops: int) -> None:
        made["actors"]["nic-nc0"]["received_packets"] = 10_000
        made["actors"]["engine-0"]["drop_tcp_no_connection_packets"] = drops

    assert checks.drops_check(accounts(lambda made: many(made, 10))).passed
    assert not checks.drops_check(accounts(lambda made: many(made, 11))).passed


def test_packets_that_the_hosts_sent_twice_may_be_dropped_as_often() -> None:
    def dropped(made: dict[str, Any]) -> None:
        made["actors"]["engine-0"]["drop_tcp_bad_sequence_packets"] = 3

    def with_witness(sent_again: int) -> Accounts:
        uneven = accounts(dropped)
        return Accounts(uneven.before, replace(uneven.after, sent_again=sent_again))

    assert checks.drops_check(with_witness(3)).passed
    assert not checks.drops_check(with_witness(2)).passed


def test_acknowledgments_that_data_overtook_may_be_dropped_now_and_then() -> None:
    def overtaken(made: dict[str, Any], drops: int) -> None:
        made["actors"]["nic-nc0"]["received_packets"] = 2_000
        made["actors"]["engine-0"]["drop_tcp_old_acknowledgment_packets"] = drops

    assert checks.drops_check(accounts(lambda made: overtaken(made, 2))).passed
    assert not checks.drops_check(accounts(lambda made: overtaken(made, 3))).passed


def test_counters_of_the_kernel_are_read_by_name() -> None:
    text = "Tcp: RetransSegs OutRsts\nTcp: 4 5\nUdp: InErrors\nUdp: 0\n"
    assert dict(counters_of(text)) == {"RetransSegs": 4, "OutRsts": 5, "InErrors": 0}


def test_failed_actor_or_service_fails() -> None:
    assert not checks.alive_check(accounts(), [{"level": "error", "text": "engine-0 died"}]).passed
    down = {"actors": [], "services": {"web1": "down"}}
    assert not checks.alive_check(accounts(lambda made: made.update(status=down)), []).passed
    assert checks.alive_check(accounts(), [{"level": "info", "text": "the appliance runs"}]).passed


def test_what_a_killed_engine_was_changing_is_forgiven_and_nothing_else() -> None:
    one = report(failures={"small GET: ConnectionResetError": 1}, examples=["reset"])
    assert not checks.bytes_check(one).passed
    found = checks.bytes_check(one, reset=2)
    assert found.passed
    assert "the killed engine was changing 2 connections" in found.detail
    assert not checks.bytes_check(report(failures={"small GET: AnswerError": 3}, examples=["x"]), reset=2).passed


def test_acts_tell_what_was_reset() -> None:
    acts = Acts(1.0, "engine-1", "engine-1 goes on in process 7, after 9 ms: 5 connections go on, 2 were reset", 0.1)
    assert (acts.reset, acts.all_done) == (2, True)
    assert checks.acts_check(acts).passed
    assert not checks.acts_check(Acts(failure="4 engines: not in time")).passed


def test_packets_of_the_breath_in_which_an_engine_was_killed() -> None:
    def lose(made: dict[str, Any]) -> None:
        made["actors"]["engine-0"] |= {"drop_takeover_packets": 3, "used_tcp_packets": 37}

    assert not checks.drops_check(accounts(lose)).passed
    assert checks.drops_check(accounts(lose), kills=1).passed
