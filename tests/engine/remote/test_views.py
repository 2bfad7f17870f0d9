"""What `ncore flows` and `ncore explain` say of clients that another engine serves."""

from __future__ import annotations

from ncore_ray.management.application import application_of
from ncore_ray.management.connections import ConnectionRow, find_connection, list_connections
from tests.engine.http.http_talk import begin
from tests.engine.remote.virtual_lab import FUNCTIONAL
from tests.support.http_lab import VIP, HttpLab, running


def rows(lab: HttpLab) -> dict[str, ConnectionRow]:
    """Return the connections by role."""
    found = list_connections(lab.array, lab.now)
    return {row.role: row for row in found}


def test_both_ends_of_a_client_are_listed() -> None:
    with running(engines=2, distribution=FUNCTIONAL) as lab:
        client, server = begin(lab)
        found = rows(lab)
        assert {role: (row.engine, row.far_engine) for role, row in found.items()} == {
            "relayed": (0, 1),
            "far": (0, 1),
            "client": (1, 0),
            "server": (1, None),
        }
        source, destination = f"{client.own[0]}:{client.own[1]}", f"{VIP}:80"
        assert {row.remote for role, row in found.items() if role != "server"} == {source}
        assert {role: row.state for role, row in found.items()} == {
            "relayed": "ESTABLISHED",
            "far": "VIRTUAL",
            "client": "VIRTUAL",
            "server": "ESTABLISHED",
        }
        assert (found["client"].service, found["client"].peer) == ("s0", "10.2.0.2:80")
        assert {(found[role].service, found[role].peer) for role in ("relayed", "far")} == {("", "")}
        one = find_connection(lab.array, lab.now, source, destination, "tcp")
        assert one is not None
        assert (one.role, one.engine, one.far_engine) == ("relayed", 0, 1)
        assert server.own[1] == 80


def test_explained_as_it_is_done() -> None:
    functions = "functions: [transport, application, application, both]"
    with running(engines=4, distribution=f"{FUNCTIONAL}, {functions}", connections=128) as lab:
        configuration = lab.blueprint.configuration
        vserver = configuration.vservers[0]
        for _ in range(20):
            client = lab.client().connect()
            said, reason = application_of(lab.array, vserver, 0, *client.own)
            source = f"{client.own[0]}:{client.own[1]}"
            row = find_connection(lab.array, lab.now, source, f"{VIP}:80", "tcp")
            assert row is not None
            assert row.far_engine == said
            assert reason.startswith(f"engine {said}, by a keyed hash")
        assert application_of(lab.array, vserver, 3, "10.1.0.2", 1)[0] == 3


def test_explained_by_key() -> None:
    with running(engines=2, key="parameter: user") as lab:
        configuration = lab.blueprint.configuration
        said, reason = application_of(lab.array, configuration.vservers[0], 1, "10.1.0.2", 1)
        assert said is None
        assert reason == "the engine that the parameter user of its first request names, or engine 1 if there is none"
