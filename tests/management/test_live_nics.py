"""Addresses and gateways of NICs change while flows go on: what is used stays, what is new is used from now on."""

from __future__ import annotations

from ncore_ray.tables.own_address import snips_in_force
from tests.engine.http.http_talk import GET, OK, passed_request, passed_response
from tests.management.live_lab import LiveLab, changing
from tests.support.http_lab import SECOND
from tests.support.tcp_peer import Peer


def snips(lab: LiveLab) -> set[str]:
    return {str(address) for address in snips_in_force(lab.array)}


def begin(lab: LiveLab) -> tuple[Peer, Peer]:
    client = lab.client().connect()
    client.send(GET)
    server = lab.servers[0].accept()
    assert server.read() == passed_request(GET)
    return client, server


def test_another_address_towards_the_servers() -> None:
    with changing() as lab:
        client, server = begin(lab)
        assert server.other[0] == "10.2.0.10"
        lab.change("set nic nc1 addresses=10.2.0.11/24")
        assert snips(lab) == {"10.1.0.10", "10.2.0.10", "10.2.0.11"}  # the former one is used still
        server.send(OK)
        client.expect(passed_response(OK))
        lab.wait(60 * SECOND)  # until the idle connection to the service has ended
        lab.look()
        assert snips(lab) == {"10.1.0.10", "10.2.0.11"}
        _, last = begin(lab)
        assert last.other[0] == "10.2.0.11"


def test_a_gateway_leads_to_services_elsewhere() -> None:
    with changing() as lab:
        client, server = begin(lab)
        gateway = lab.new_server("10.2.0.1")
        lab.change("set nic nc1 gateway=10.2.0.1", "add service far address=192.0.2.7:80 monitor=none", "bind v far")
        server.send(OK)
        client.expect(passed_response(OK))
        lab.change("unbind v s0", "rm service s0")
        far = lab.add_host(1, "192.0.2.7")
        far.mac = gateway.mac  # that is where its packets go to and come from
        other = lab.client().connect()
        other.send(GET)
        server = far.accept()
        server.expect(passed_request(GET))
        server.send(OK)
        other.expect(passed_response(OK))


def test_what_is_wanted_is_put_right() -> None:
    with changing() as lab:
        lab.look()
        lab.change("set nic nc1 addresses=10.2.0.11/24")
        lab.look()
        assert lab.look() is None
        assert snips(lab) == {"10.1.0.10", "10.2.0.11"}
