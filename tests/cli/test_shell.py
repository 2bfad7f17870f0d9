"""The shell: what it completes, what it does with lines, and how it ends."""

from __future__ import annotations

import io
from typing import Any

import pytest

from ncore_ray.cli.completion import candidates, paths_of
from ncore_ray.cli.shell_command import Shell
from ncore_ray.config.load import dump, parse
from ncore_ray.errors import NcoreError

TEXT = """
appliance: {name: edge}
nics: [{name: nc0, driver: memory, addresses: [10.1.0.10/24]}]
services:
  - {name: web-1, address: "10.1.0.2:80"}
  - {name: web-2, address: "10.1.0.3:80"}
vservers:
  - {name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web-1]}
"""


class Asked:
    """Stands for an appliance."""

    name = "edge"

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def ask(self, method: str, *arguments: Any) -> Any:
        if method == "configuration":
            return dump(parse(TEXT))
        self.calls.append((method, *arguments))
        if "weight=0" in arguments[1][0]:
            raise NcoreError("that is no weight")
        return {"version": 2, "commands": arguments[1], "acknowledged_ms": 0.5, "total_ms": 2, "late": []}


def shell(text: str = "") -> Shell:
    made = Shell(Asked(), stdin=io.StringIO(text))  # type: ignore[arg-type]
    made.use_rawinput = False
    return made


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", ["add", "set", "unset", "rm", "move", "bind", "unbind"]),
        ("rm", ["override", "nic", "service", "vserver"]),
        ("rm service", ["web-1", "web-2"]),
        ("rm service web-1", []),
        ("add service", []),
        ("bind", ["www"]),
        ("bind www", ["web-2"]),
        ("bind www web-2", ["first", "after"]),
        ("bind www web-2 after", ["web-1"]),
        ("unbind www", ["web-1"]),
        ("unbind www web-1", []),
        ("move service web-1", ["first", "after"]),
        ("add service x address=1.2.3.4:5 after", ["web-1", "web-2"]),
        ("nonsense", []),
        ("set nonsense", []),
    ],
)
def test_what_may_come_next(before: str, expected: list[str]) -> None:
    assert candidates(before.split(), parse(TEXT)) == expected


def test_keys_come_with_their_paths() -> None:
    configuration = parse(TEXT)
    assert {"weight=", "monitor.path=", "congestion="} <= set(candidates(["set", "service", "web-1"], configuration))
    assert {"timeouts.header", "http.via", "key.cookie"} <= set(candidates(["unset", "vserver", "www"], configuration))
    assert "header=" in candidates(["set", "timeouts"], configuration)
    assert "name" not in candidates(["unset", "service", "web-1"], configuration)
    assert "faults.loss" in paths_of("nic")


@pytest.mark.parametrize(
    ("line", "text", "expected"),
    [
        ("rm service we", "we", ["web-1", "web-2"]),
        ("rm service web-", "", ["1", "2"]),  # a break of readline's is before the cursor
        ("set service web-1 wei", "wei", ["weight="]),
        ("set service web-1 monitor.pa", "pa", ["path="]),
    ],
)
def test_the_word_at_the_cursor_is_completed(line: str, text: str, expected: list[str]) -> None:
    assert shell().completedefault(text, line, len(line) - len(text), len(line)) == expected
    assert shell().completenames("un") == ["unset", "unbind"]


def test_lines_are_done_until_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    made = shell(
        'set service web-1 weight=3\n\nset service web-1 weight=0\nset nic nc0 netns="7"\nfly\nexit\nrm service x\n'
    )
    made.cmdloop()
    commands = [call[2] for call in made.one.calls]  # type: ignore[attr-defined]
    assert commands == [
        ["set service web-1 weight=3"],
        ["set service web-1 weight=0"],
        ['set nic nc0 netns="7"'],
    ]
    told = capsys.readouterr()
    assert "Version 2 is in force" in told.out
    assert told.err == "that is no weight\nthere is no command fly here (help lists them)\n"


def test_the_end_of_the_input_is_the_end() -> None:
    shell("").cmdloop()


def test_help_lists_the_forms(capsys: pytest.CaptureFixture[str]) -> None:
    shell("help\n").cmdloop()
    assert "bind VSERVER SERVICE [first | after SERVICE]\n" in capsys.readouterr().out
