"""What `ncore flows`, `ncore explain` and the count of clients say of clients whose requests are shared out."""

from __future__ import annotations

from ncore_ray.management.application import application_of
from ncore_ray.management.connections import Clients, count_clients, find_connection, list_connections
from tests.engine.transaction.transaction_lab import answer_all, asked, pipeline, sharing
from tests.support.http_lab import VIP, HttpLab


def clients(lab: HttpLab) -> Clients:
    return count_clients(lab.array, lab.engine_indexes)


def test_the_client_its_legs_and_where_they_are_served_are_listed() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect().send(pipeline(range(2)))
        asked(lab)
        found = list_connections(lab.array, lab.now)
        assert sorted((row.role, row.engine, row.far_engine) for row in found if row.role != "server") == [
            ("client", 0, 0),
            ("client", 1, 0),
            ("leg", 0, 0),
            ("leg", 0, 1),
            ("split", 0, None),
        ]
        source, destination = f"{client.own[0]}:{client.own[1]}", f"{VIP}:80"
        one = find_connection(lab.array, lab.now, source, destination, "tcp")
        assert one is not None
        assert (one.role, one.service) == ("split", "")


def test_a_client_is_counted_once() -> None:
    with sharing(engines=2) as lab:
        client = lab.client().connect()
        assert clients(lab) == Clients(0, 1)
        client.send(pipeline(range(3)))
        asked(lab)
        assert clients(lab) == Clients(1, 0)
        answer_all(lab)
        assert clients(lab) == Clients(0, 1)
        client.close()
        lab.settle()
        assert clients(lab) == Clients(0, 0)


def test_explained() -> None:
    with sharing(engines=3) as lab:
        configuration = lab.blueprint.configuration
        said, reason = application_of(lab.array, configuration.vservers[0], 1, "10.1.0.2", 1)
        assert said is None
        assert reason == "for each request the next of the engines 0, 1, 2 (unit transaction, round robin)"
