"""Changes of a configuration: found, written, read, made, refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncore_ray.config.apply import apply
from ncore_ray.config.change import Add, Bind, ChangeError, Move, Remove, Set, Unbind, Unset
from ncore_ray.config.diff import diff
from ncore_ray.config.language import parse_command, parse_script, to_text
from ncore_ray.config.live import restart_reasons
from ncore_ray.config.load import parse
from ncore_ray.config.model import Configuration, HttpMonitor
from tests.support.configurations import configurations

EDGE = """
appliance: {name: edge}
nics: [{name: nc0, driver: memory, addresses: [10.1.0.10/24]}]
services:
  - {name: web1, address: "10.1.0.2:80"}
  - {name: web2, address: "10.1.0.3:80", weight: 2, monitor: {type: http, path: /up}}
  - {name: web3, address: "10.1.0.4:80", monitor: none}
vservers:
  - {name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web1, web2]}
  - {name: raw, address: "10.1.0.100:81", protocol: TCP, services: [web1, web2, web3]}
"""


def edge() -> Configuration:
    return parse(EDGE)


def changed(*commands: str) -> Configuration:
    return apply(map(parse_command, commands), edge())


def commands_to(text: str) -> list[str]:
    return [to_text(change) for change in diff(edge(), parse(text))]


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(configurations(), configurations())
def test_the_difference_leads_from_one_to_the_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    a, b = Configuration.model_validate(one), Configuration.model_validate(other)
    changes = diff(a, b)
    assert apply(changes, a) == b
    assert parse_script("\n".join(map(to_text, changes))) == changes
    assert (changes == []) == (a == b)
    assert diff(b, b) == []


scalars = (
    st.text() | st.integers(-9, 10**17) | st.booleans() | st.sampled_from(["", "{}", "12", "true", "1.5", "#", "é"])
)
values = scalars | st.lists(scalars, min_size=2, max_size=4).map(tuple) | st.just(())
words = st.from_regex("[A-Za-z][A-Za-z0-9_.-]{0,9}", fullmatch=True) | st.sampled_from(["first", "after"])
places = st.none() | st.just("") | words
kinds = st.sampled_from(["service", "vserver", "nic"])
pairs = st.dictionaries(words.filter(lambda key: key != "name"), values, min_size=1, max_size=4).map(
    lambda found: tuple(found.items())
)
commands = st.one_of(
    st.builds(Add, kinds, words, pairs, places),
    st.builds(Set, kinds, words, pairs),
    st.builds(Set, st.sampled_from(["tcp", "limits", "timeouts"]), st.just(""), pairs),
    st.builds(Unset, kinds, words, st.lists(words, min_size=1, max_size=3).map(tuple)),
    st.builds(Remove, kinds, words),
    st.builds(Move, kinds, words, st.just("") | words),
    st.builds(Bind, words, words, places),
    st.builds(Unbind, words, words),
)


@settings(max_examples=300)
@given(commands)
def test_a_command_that_is_written_is_read_as_the_same(command: Any) -> None:
    text = to_text(command)
    read = parse_command(text)
    lists = [key for key, value in getattr(command, "values", ()) if isinstance(value, str | int)]
    if isinstance(read, Add | Set) and any(isinstance(dict(read.values)[key], tuple) for key in lists):
        return  # a key whose value is always a list, with a single value
    assert read == command
    assert to_text(read) == text


@pytest.mark.parametrize(
    "text",
    [
        "add vserver app address=10.1.0.101:80 protocol=HTTP services=web1,web2 timeouts.header=4s",
        "add service web9 address=10.1.0.9:80 weight=2 after web1",
        "set service web1 weight=3",
        'set nic nc0 netns="7"',
        "set distribution key=src-ip",
        "unset service web2 monitor.path weight",
        "rm service web3",
        "move vserver raw first",
        "bind www web3 after web1",
        "unbind www web2",
    ],
)
def test_commands_as_people_type_them(text: str) -> None:
    assert to_text(parse_command(text)) == text


def test_lists_of_one_and_words_in_their_place() -> None:
    assert parse_command("set vserver www services=web1") == Set("vserver", "www", (("services", ("web1",)),))
    assert parse_command("set appliance cores=auto") == Set("appliance", "", (("cores", "auto"),))
    assert parse_command("set appliance cores=3") == Set("appliance", "", (("cores", (3,)),))


def test_small_changes_are_small() -> None:
    assert commands_to(EDGE.replace("weight: 2", "weight: 5")) == ["set service web2 weight=5"]
    assert commands_to(EDGE.replace("path: /up", "path: /ok")) == ["set service web2 monitor.path=/ok"]
    assert commands_to(EDGE.replace("monitor: {type: http, path: /up}", "monitor: none")) == [
        "set service web2 monitor=none"
    ]
    assert commands_to(EDGE.replace("services: [web1, web2]", "services: [web2]")) == ["unbind www web1"]
    assert commands_to(EDGE.replace("services: [web1, web2]", "services: [web1, web3, web2]")) == [
        "bind www web3 after web1"
    ]
    assert commands_to(EDGE.replace("[web1, web2, web3]", "[web3, web1, web2]")) == ["bind raw web3 first"]
    assert commands_to(EDGE + "timeouts: {header: 4s}\n") == ["set timeouts header=4s"]


def test_what_goes_is_unused_before() -> None:
    text = EDGE.replace(", web3]", "]").replace('  - {name: web3, address: "10.1.0.4:80", monitor: none}\n', "")
    assert commands_to(text) == ["unbind raw web3", "rm service web3"]


def test_a_short_monitor_keeps_its_type_when_it_gets_a_key() -> None:
    monitor = changed("set service web1 monitor=http", "set service web1 monitor.path=/x").service("web1").monitor
    assert isinstance(monitor, HttpMonitor)
    assert monitor.path == "/x"


@pytest.mark.parametrize(
    ("commands", "told"),
    [
        (["set service web9 weight=1"], 'there is no service "web9"; did you mean'),
        (["set service web1 weight=0"], "service web1: weight: found 0, expected a whole number from 1 to 255"),
        (["set service web1 wieght=3"], 'service web1: wieght: found an unknown key; did you mean "weight"?'),
        (["set timeouts header=4"], "timeouts.header: found 4, expected a time with its unit"),
        (["unset service web1 wieght"], 'service has no key "wieght" that can be unset; did you mean "weight"?'),
        (["rm service web2"], 'vserver www: services[1]: found "web2", expected the name of a service'),
        (["unbind www web3"], 'vserver "www" has no service "web3"'),
        (["bind www web9"], 'there is no service "web9"'),
        (["add service web1 address=10.1.0.9:80"], 'there is a service "web1" already'),
        (["add service web9"], 'service web9: found no "address", which is required here'),
        (["move vserver www after www"], "cannot come after itself"),
        (["set vserver www address=10.1.0.100:81"], "expected an address and port of its own"),
    ],
)
def test_a_change_that_does_not_fit_is_told_in_the_words_of_the_command(commands: list[str], told: str) -> None:
    with pytest.raises(ChangeError) as raised:
        changed(*commands)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", 'found ""'),
        ("ad service x", 'did you mean "add"?'),
        ("add", "KIND is"),
        ("add servce x a=1", 'did you mean "service"?'),
        ("add tcp sack=false", "there is always one tcp"),
        ("add service address=1.2.3.4:5", "found no NAME"),
        ("set service web1", "found nothing more"),
        ("set service web1 weight", 'found "weight"'),
        ("set service web1 weight=1 weight=2", "found weight= twice"),
        ("set service web1 name=x", "a name cannot change"),
        ('set service web1 weight="1', "a quote that is not closed"),
        ('set nic nc0 netns=a"b"', "expected a value"),
        ("bind www", "found no SERVICE"),
        ("bind www web1 after", "found no NAME behind after"),
        ("unbind www web1 first", "expected unbind VSERVER SERVICE"),
        ("rm service web1 web2", "expected rm KIND NAME"),
    ],
)
def test_a_line_that_is_no_command_is_refused(text: str, told: str) -> None:
    with pytest.raises(ChangeError) as raised:
        parse_command(text)
    assert told in str(raised.value)


def test_a_script_has_comments_and_says_which_line_is_wrong() -> None:
    assert parse_script("# weights\n\nset service web1 weight=3\n") == [Set("service", "web1", (("weight", 3),))]
    with pytest.raises(ChangeError, match=r"line 2: expected rm KIND NAME"):
        parse_script("rm service web1\nrm service\n")


def reasons(text: str, *, links: bool = False, engines: int = 1, parallelism: str = "flow") -> list[str]:
    head = f"appliance: {{name: edge, engines: {engines}}}\ndistribution: {{parallelism: {parallelism}}}"
    running = parse(EDGE.replace("appliance: {name: edge}", head))
    return restart_reasons([parse_command(text)], running, has_links=links)


@pytest.mark.parametrize(
    "text",
    [
        "set service web1 weight=3 monitor.interval=5s address=10.1.0.9:80",
        "rm service web3",
        "add vserver app address=10.1.0.101:80 protocol=TCP services=web1",
        "set vserver www method=leastconnection timeouts.header=4s http.via=false address=10.1.0.7:80",
        "set timeouts connect=1s keepalive=60s",
        "set tcp retries=4",
        "bind www web3",
    ],
)
def test_what_a_running_appliance_takes(text: str) -> None:
    assert reasons(text) == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("set appliance max_engines=4", "appliance.max_engines needs a restart"),
        ("set timeouts time_wait=9s", "timeouts.time_wait needs a restart"),
        ("unset tcp receive_window", "tcp.receive_window needs a restart"),
        ("set nic nc0 mtu=1400", "nic nc0: mtu needs a restart"),
        ("move nic nc0 first", "nic nc0 needs a restart"),
        ("set vserver www engines=0", "vserver www: engines needs a restart"),
    ],
)
def test_what_needs_a_restart_is_named(text: str, key: str) -> None:
    (reason,) = reasons(text)
    assert reason.startswith(key)


def test_a_key_needs_virtual_connections_and_a_vip_its_engines() -> None:
    assert reasons("set vserver www key.cookie=sid", engines=2)[0].startswith("vserver www: key.cookie needs a restart")
    assert reasons("set vserver www key.cookie=sid", engines=2, links=True) == []
    assert reasons("rm vserver www", engines=2, parallelism="vip")[0].startswith("vserver www needs a restart")
