"""Every kind of wrong configuration: the exact sentence, with file, line, column and key."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from ncore_ray.config.load import ConfigurationError, Problem, load, parse
from ncore_ray.config.model import HttpMonitor, Mode, Unit
from ncore_ray.config.tree import Dumper
from ncore_ray.errors import NcoreError

HERE = Path(__file__).parent
BASE = (HERE / "right.yaml").read_text()
CASES = yaml.safe_load((HERE / "errors.yaml").read_text())


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "edge.yaml")
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem).removeprefix("edge.yaml:") for problem in caught.value.problems]


def test_base_is_right() -> None:
    assert parse(BASE).appliance.name == "edge"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['change']} → {case['to']}")
def test_each_error_in_its_place(case: dict[str, Any]) -> None:
    assert BASE.count(case["change"]) == 1
    assert problems_of(BASE.replace(case["change"], case["to"])) == case["problems"]


def test_every_problem_is_listed() -> None:
    text = BASE
    for old, new in [("engines: 2", "engines: 0"), ("name: raw", "name: www"), ("[web1, web2]", "[web1, web5]")]:
        text = text.replace(old, new)
    assert problems_of(text.replace("retries: 8", "retrys: 8").replace("protocol: HTTP", "protocol: SMTP")) == [
        "1:34: appliance.engines: found 0, expected a whole number from 1 to 64",
        '11:53: vservers[0].protocol: found "SMTP", expected "HTTP", "TCP", "UDP" or "ANY"',
        '11:76: vservers[0].services[1]: found "web5", expected the name of a service; did you mean "web2"?',
        '12:12: vservers[1].name: found "www", which is the name of vservers[0] already',
        '14:7: tcp.retrys: found an unknown key; did you mean "retries"?',
    ]


def test_transactions_do_not_go_with_functions() -> None:
    text = BASE.replace("[web1, web2]", "[web1, web2], unit: transaction")
    assert parse(text).vservers[0].unit is Unit.TRANSACTION
    text = text.replace("algorithm: hash, key: [src-ip, dst-ip]", "parallelism: functional")
    found = 'found "transaction", which does not go together with distribution.parallelism "functional"'
    assert problems_of(text) == [f"11:89: vservers[0].unit: {found}"]


def test_splices_are_not_of_udp_and_of_one_family() -> None:
    text = BASE.replace("[web1, web2]", "[web1, web2], mode: splice")
    assert parse(text).vservers[0].mode is Mode.SPLICE
    found = 'found "splice", which belongs to protocol "TCP" or "HTTP", not "UDP"'
    assert problems_of(text.replace("protocol: HTTP", "protocol: UDP")) == [f"11:88: vservers[0].mode: {found}"]
    text = text.replace('"10.1.0.100:80"', '"[2001:db8::100]:80"')
    found = (
        'found "web1", an IPv4 service, expected one of IPv6, as the vServer: mode "splice" changes no packet\'s length'
    )
    assert problems_of(text)[0].endswith(f"vservers[0].services[0]: {found}")


def test_lines_of_a_block_with_comments() -> None:
    text = "# first\n\nappliance:\n  name: edge\n  # more\n\n  arena:\n    1MiB\nnics: []\n"
    assert problems_of(text) == [
        '8:5: appliance.arena: found "1MiB", expected a size from 32MiB to 1TiB',
        "9:7: nics: found an empty list, expected 1 to 64 entries",
    ]


def test_a_service_that_is_wrong_itself_is_known_by_its_name() -> None:
    assert problems_of(BASE.replace('"10.2.0.2:80"', '"10.2.0.2"')) == [
        '8:27: services[0].address: found "10.2.0.2", expected an IP unicast address and a port '
        'from 1 to 65535, such as "10.1.0.100:80" or "[2001:db8::100]:80"'
    ]


def test_long_values_are_cut() -> None:
    (problem,) = problems_of(BASE.replace("connect: 3s", f"connect: {'x' * 1000}"))
    assert f'found "{"x" * 60}…", expected' in problem


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_empty(text: str) -> None:
    if text == "---\n":
        assert problems_of(text)[0].startswith("2:1: found nothing")
    else:
        assert problems_of(text) == [" the file is empty, expected a configuration"]


@pytest.mark.parametrize(("text", "found"), [("5", "5"), ("- a", "a list"), ("hello", '"hello"')])
def test_not_a_mapping(text: str, found: str) -> None:
    assert problems_of(text) == [
        f"1:1: found {found}, expected a mapping with the keys "
        "appliance, distribution, overrides, nics, services, vservers, timeouts, tcp, limits, access_log, "
        "logs, statistics"
    ]


def test_deep_nesting() -> None:
    assert problems_of("[" * 5000) == [" not valid YAML: lists and mappings are nested too deeply"]


def test_an_alias_of_itself() -> None:
    text = BASE.replace("tcp: {retries: 8}", "tcp: &tcp {retries: *tcp}")
    assert problems_of(text) == ["14:6: tcp.retries: found an alias of the value that it stands in"]


def test_aliases_that_explode() -> None:
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdef", "bcdefg", strict=True)]
    assert problems_of("\n".join(lines)) == [" the file stands for more than 100,000 values, its aliases written out"]


def test_aliases_share_values() -> None:
    text = BASE.replace('"10.2.0.2:80"', '"10.2.0.2:80", monitor: &probe {type: http, path: /health}')
    configuration = parse(
        text.replace('"10.2.0.3:80", monitor: {type: http, path: /health}', '"10.2.0.3:80", monitor: *probe')
    )
    assert configuration.services[0].monitor == configuration.services[1].monitor == HttpMonitor(path="/health")


@pytest.mark.parametrize(
    "value", ["!!int eight", "!!float .inf", "!!bool maybe", "!!null 8", "!!binary aGk=", "!!set {a}"]
)
def test_tags(value: str) -> None:
    tag = value.split()[0]
    assert problems_of(BASE.replace("retries: 8", f"retries: {value}"))[0] == (
        f"14:16: tcp.retries: found the tag {tag}, expected a value without a tag"
    )


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "edge.yaml")
    assert str(caught.value) == f"{tmp_path}/edge.yaml: there is no such file"
    assert isinstance(caught.value, NcoreError)


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path}: this is a folder, expected a file"


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "edge.yaml"
    path.write_bytes(b"# good\n# b\xe4d\n")
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert caught.value.problems == (Problem(str(path), 2, 4, "", "the byte 0xe4 is not UTF-8, expected a text"),)


def test_name_with_a_null_byte() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load("edge\0.yaml")


def said_of(text: str) -> list[str]:
    """Return what is said of a text that may be right."""
    try:
        parse(text, "edge.yaml")
    except ConfigurationError as error:
        return [str(problem) for problem in error.problems] or ["nothing"]
    return []


@given(st.data())
def test_damaged_text_is_refused_or_right(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(BASE)))
    end = data.draw(st.integers(start, min(len(BASE), start + 40)))
    insertion = data.draw(st.text(max_size=10) | st.sampled_from(["{", "]", "&a ", "*a", "!t ", "? ", "- ", ": "]))
    for sentence in said_of(BASE[:start] + insertion + BASE[end:]):
        assert sentence.startswith("edge.yaml:")
        assert "\n" not in sentence


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = [
    *("appliance", "distribution", "nics", "services", "vservers", "timeouts", "tcp", "limits", "access_log"),
    *("logs", "statistics", "overrides"),
]


@example({"appliance": float("inf")})
@given(st.dictionaries(st.sampled_from(SECTIONS), ANYTHING | st.lists(ANYTHING, max_size=3)))
def test_any_data_is_refused_or_right(data: dict[str, object]) -> None:
    assert said_of(yaml.dump(data, Dumper=Dumper, allow_unicode=True)) != ["nothing"]


def test_an_error_travels_between_processes() -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse("appliance: {name: 1}")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.problems) == (str(raised.value), raised.value.problems)
