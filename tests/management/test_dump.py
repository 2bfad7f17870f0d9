"""Flows as documents: what `ncore flows --dump` writes."""

from __future__ import annotations

from pathlib import Path

from ncore_ray.cli.flows_commands import _write_dump
from ncore_ray.engine.handover.document import from_document, from_json, from_msgpack
from ncore_ray.engine.handover.run import Handover
from ncore_ray.lab.dry.engine import EngineLab
from ncore_ray.management.dump import dump_flows
from tests.support.tcp_script import configuration_text, established


def test_flows_are_dumped_and_live_again(tmp_path: Path) -> None:
    with established("client") as script:
        script.client.sends("PA", data=3)
        script.service.gets("PA 1+3 ack 1")
        found = dump_flows(script.lab.array, script.lab.now, 10)
        assert dump_flows(script.lab.array, script.lab.now, 10, "www") == []
        assert dump_flows(script.lab.array, script.lab.now, 0) == []
        assert [(flow["summary"]["remote"], flow["moving"]) for flow in found] == [("10.1.0.2:40000", False)]
        for name, read in (("flows.json", lambda raw: from_json(raw.decode())), ("flows.msgpack", from_msgpack)):
            line = _write_dump(found, tmp_path / name)
            assert line.startswith("1 flow written to ")
            document = read((tmp_path / name).read_bytes())
            assert document == {"format": "ncore flows", "version": 1, "flows": found}
        lab = EngineLab(configuration_text())
        Handover(lab.array).thaw(0, from_document(found[0]["flow"]), lab.now)
        assert len(lab.connections()) == 2
        script.wait(60)
        script.client.gets("A 1 ack 4")
        script.counted(delayed_acks=1)


def test_flows_that_cannot_be_frozen_say_why() -> None:
    from tests.engine.remote.virtual_lab import FUNCTIONAL
    from tests.support.http_lab import HttpLab, configuration

    lab = HttpLab(configuration(engines=2, distribution=FUNCTIONAL, protocol="TCP"), connections=16, frames=128)
    lab.client().connect()
    lab.settle()
    assert {flow.get("refused") for flow in dump_flows(lab.array, lab.now, 10)} == {"virtual"}
    lab.end()
