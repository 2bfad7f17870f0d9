"""docs/configuration.md names every key of every section, with the default that the model has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from ncore_ray.config import model
from ncore_ray.config.load import parse
from ncore_ray.config.units import format_time

TEXT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
SECTIONS: list[tuple[str, list[type[BaseModel]]]] = [
    ("(top level)", [model.Configuration]),
    ("appliance", [model.Appliance]),
    ("distribution", [model.Distribution]),
    ("overrides", [model.Override]),
    ("nics", [model.Nic]),
    ("nics[].faults", [model.Faults]),
    ("services", [model.Service]),
    ("services[].monitor", [model.TcpMonitor, model.HttpMonitor]),
    ("vservers", [model.VServer]),
    ("vservers[].tcp", [model.OwnTcp]),
    ("vservers[].key", [model.PayloadKey]),
    ("vservers[].http", [model.HttpOptions]),
    ("timeouts", [model.Timeouts]),
    ("tcp", [model.Tcp]),
    ("limits", [model.Limits]),
    ("access_log", [model.AccessLog]),
    ("logs", [model.Logs]),
    ("statistics", [model.Statistics]),
]
FULL = """
appliance: {name: edge}
nics: [{name: nc0, driver: memory, addresses: [10.1.0.10/24], faults: {seed: 1}}]
services: [{name: web1, address: "10.1.0.2:80", monitor: http}]
vservers: [{name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web1]}]
access_log: {file: access.log}
"""


def documented(title: str) -> dict[str, str]:
    """Return keys and defaults of a section's table."""
    section = TEXT.split(f"\n### `{title}`\n")[1].split("\n### ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE))


@pytest.mark.parametrize(("title", "sections"), SECTIONS)
def test_every_key_is_there_and_no_other(title: str, sections: list[type[BaseModel]]) -> None:
    fields = {name for section in sections for name in section.model_fields}
    assert documented(title).keys() == fields


@pytest.mark.parametrize(("title", "sections"), SECTIONS)
def test_defaults(title: str, sections: list[type[BaseModel]]) -> None:
    for key, default in documented(title).items():
        fields = [section.model_fields[key] for section in sections if key in section.model_fields]
        required = fields[0].is_required() or key == "type"
        assert (default == "–") == required, key


def test_default_values() -> None:
    """What the tables call a default reads as the value that the model has."""
    configuration = parse(FULL)
    nic, service, vserver = configuration.nics[0], configuration.services[0], configuration.vservers[0]
    instances = [
        ("appliance", configuration.appliance),
        ("distribution", configuration.distribution),
        ("overrides", configuration.override(0)),
        ("nics", nic),
        ("nics[].faults", nic.faults),
        ("services[].monitor", service.monitor),
        ("vservers", vserver),
        ("vservers[].http", vserver.http),
        ("timeouts", configuration.timeouts),
        ("tcp", configuration.tcp),
        ("limits", configuration.limits),
        ("access_log", configuration.access_log),
        ("logs", configuration.logs),
        ("statistics", configuration.statistics),
    ]
    for title, section in instances:
        assert isinstance(section, BaseModel)
        values = section.model_dump(mode="json")
        for key, default in documented(title).items():
            if default.startswith("`") and default != "`{}`":
                assert same(default.strip("`"), values[key]), (title, key)


def same(written: str, value: object) -> bool:
    """Return whether a default in a table is a value of the model, also when times have another unit."""
    if written == "60s":
        written = format_time(60_000_000)
    if written == "200-399" or not isinstance(value, bool | int | list):
        return written == value
    return bool(yaml.load(written, Loader=yaml.SafeLoader) == value)


def test_defaults_of_lists_and_words() -> None:
    assert documented("services")["monitor"] == "`tcp`"
    assert model.Service.model_fields["monitor"].default == model.TcpMonitor()
    assert documented("services")["weight"] == f"`{model.Service.model_fields['weight'].default}`"


def test_overrides_have_the_keys_of_the_timeouts() -> None:
    assert model.TimeoutOverrides.model_fields.keys() == model.Timeouts.model_fields.keys()


def test_the_example_is_right() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    configuration = parse(example)
    assert configuration.vservers[0].services == ("web1",)
