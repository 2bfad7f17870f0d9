"""Origin servers and the load client, with nothing but the kernel's forwarding between them."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from ncore_ray.lab.__main__ import start_origins
from ncore_ray.lab.network import Network
from ncore_ray.lab.process import Process, find_program, python_module

pytestmark = pytest.mark.network


def run_client(network: Network, *options: str) -> tuple[Process, list[dict[str, Any]]]:
    line = python_module("ncore_ray.lab.client", *options)
    client = network.client.start(line, name="load", lifetime_s=100, read_output=True)
    lines = [json.loads(text) for text in client.lines()]
    client.wait(10)
    return client, lines


def test_every_byte_is_checked_and_reported(forwarding_network: Network) -> None:
    start_origins(forwarding_network)
    options = ["--connections", "40", "--requests", "1500", "--seconds", "30", "--seed", "7"]
    target = ["--http", "10.2.0.2:80", "--tcp", "10.2.0.3:9000"]
    sources = ["--sources", *forwarding_network.client_addresses]
    client, lines = run_client(forwarding_network, *target, *options, *sources)
    report = lines[-1]
    assert report["failures"] == {}, report["examples"]
    assert client.returncode == 0, client.log_tail()
    assert report["requests"] == 1500
    assert set(report["servers"]) == {"web1", "web2"}
    assert sum(report["servers"].values()) == 1500
    assert {row[1] for row in report["connections"]} == set(forwarding_network.client_addresses)
    assert len({tuple(row[:5]) for row in report["connections"]}) == len(report["connections"])
    assert sum(row[5] for row in report["connections"]) == 1500
    assert {row["name"] for row in report["latency_us"]} >= {"all", "small GET", "POST", "raw TCP"}
    assert all(line["type"] == "progress" for line in lines[:-1])


def test_unreachable_server_is_a_failure(forwarding_network: Network) -> None:
    options = ["--connections", "3", "--requests", "5", "--seconds", "5"]
    client, lines = run_client(forwarding_network, "--http", "10.2.0.2:80", *options)
    assert client.returncode == 1
    assert lines[-1]["failures"] == {"cannot connect: ConnectionRefusedError": 5}


def test_wrong_bodies_are_failures(forwarding_network: Network) -> None:
    line = [sys.executable, "-m", "http.server", "--bind", "10.2.0.2", "80"]
    forwarding_network.servers[0].start(line, name="other", lifetime_s=60).wait_port("10.2.0.2", 80)
    options = ["--connections", "2", "--requests", "20", "--seconds", "10"]
    client, lines = run_client(forwarding_network, "--http", "10.2.0.2:80", *options)
    assert client.returncode == 1
    assert any(reason.startswith("status 404") for reason in lines[-1]["failures"])


@pytest.mark.skipif(find_program("curl") is None, reason="curl is not installed")
def test_origin_answers_an_independent_client(forwarding_network: Network) -> None:
    start_origins(forwarding_network)

    def curl(*options: str) -> str:
        process = forwarding_network.client.start(["curl", "-sS", *options], read_output=True)
        text = "\n".join(process.lines())
        assert process.wait(10) == 0, process.log_tail()
        return text

    url = "http://10.2.0.2"
    assert curl(f"{url}/health") == "ok"
    assert json.loads(curl("-d", "abc", f"{url}/echo"))["bytes"] == 3
    assert curl("-d", "abc", f"{url}/echo?back=1") == "abc"
    told = json.loads(curl("-H", "X-Test: 1", f"{url}/headers"))
    assert ["X-Test", "1"] in told["headers"]
    assert told["peer"][0] == "10.1.0.2"
    assert "204" in curl("-i", f"{url}/status/204").splitlines()[0]
    assert "Connection: close" in curl("-i", f"{url}/close")
    assert json.loads(curl(f"{url}/stats"))["requests"] == 7
