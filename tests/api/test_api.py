"""The REST API: every operation, every kind of error, and its description."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncore_ray.api.openapi import description
from ncore_ray.api.operations import OPERATIONS
from ncore_ray.api.running import read_token
from ncore_ray.api.schemas import problems_of
from ncore_ray.config.language import USAGE
from ncore_ray.config.load import to_data
from ncore_ray.errors import NcoreError
from tests.api.kit import TOKEN, Client, serving

LAB = "/v1/appliances/lab"


@pytest.fixture
def client() -> Iterator[Client]:
    with serving() as made:
        yield made


def test_what_there_is(client: Client) -> None:
    assert client.send("GET", "/v1/appliances") == (200, {"appliances": ["lab"]})
    assert client.send("GET", f"{LAB}/status") == (200, {"asked": "status"})
    assert client.send("GET", f"{LAB}/stat") == (200, {"asked": "stat"})
    assert client.send("GET", f"{LAB}/events?after=3") == (200, {"events": []})
    assert client.send("GET", f"{LAB}/sections/timeouts")[1]["timeouts"]["header"] == "10s"
    assert [row["name"] for row in client.send("GET", f"{LAB}/sections/services")[1]["services"]] == ["s0", "s1"]
    assert client.send("GET", f"{LAB}/sections/services/s1")[1]["weight"] == 1


def test_changes_versions_and_rollback(client: Client) -> None:
    before = client.send("GET", f"{LAB}/configuration")[1]
    status, done = client.send("POST", f"{LAB}/changes", {"commands": ["set service s1 weight=3"], "comment": "why"})
    assert (status, done["version"], done["commands"]) == (200, 2, ["set service s1 weight=3"])
    assert client.appliances.served.lab.of_engine().service("s1").weight == 3
    preview = client.send("POST", f"{LAB}/preview", {"configuration": before})
    assert preview == (200, {"commands": ["unset service s1 weight"], "restart": []})
    assert client.send("PUT", f"{LAB}/configuration", {"configuration": before})[1]["version"] == 3
    assert client.send("POST", f"{LAB}/versions/2/rollback", {})[1]["version"] == 4
    assert [row["number"] for row in client.send("GET", f"{LAB}/versions?limit=3")[1]["versions"]] == [4, 3, 2]
    assert client.send("GET", f"{LAB}/versions/2")[1]["comment"] == "why"
    assert client.send("GET", f"{LAB}/configuration")[1] == to_data(client.appliances.served.service.wanted)


@pytest.mark.parametrize("command", ["add", "set", "unset", "rm", "move", "bind", "unbind"])
def test_every_verb_of_the_command_language(client: Client, command: str) -> None:
    assert set(USAGE) == {"add", "set", "unset", "rm", "move", "bind", "unbind"}
    lines = {
        "add": ["add service s2 address=10.2.0.9:80"],
        "set": ["set service s0 weight=2"],
        "unset": ["set service s0 weight=2", "unset service s0 weight"],
        "rm": ["unbind v s1", "rm service s1"],
        "move": ["move service s1 first"],
        "bind": ["bind v s1 first"],
        "unbind": ["unbind v s0"],
    }[command]
    assert client.send("POST", f"{LAB}/changes", {"commands": lines})[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "told"),
    [
        ("GET", "/v1/nothing", None, 404, "Not Found"),
        ("DELETE", "/v1/appliances", None, 405, "Method Not Allowed"),
        ("GET", "/v1/appliances/x/status", None, 404, "there is no appliance x"),
        ("GET", f"{LAB}/versions/9", None, 404, "there is no version 9"),
        ("GET", f"{LAB}/versions/x", None, 404, "there is no version x"),
        ("GET", f"{LAB}/sections/x", None, 404, "there is no section x"),
        ("GET", f"{LAB}/sections/services/x", None, 404, "there is no x in services"),
        ("GET", f"{LAB}/sections/tcp/x", None, 404, "there is no list tcp"),
        ("GET", f"{LAB}/versions?limit=0", None, 400, "found limit=0"),
        ("GET", f"{LAB}/versions?x=1", None, 400, "found the unknown parameter x"),
        ("POST", f"{LAB}/changes", b"{", 400, "the content is no JSON"),
        ("POST", f"{LAB}/changes", [], 400, "the content is no object"),
        ("POST", f"{LAB}/changes", {"commands": []}, 400, "commands has 0 entries"),
        ("POST", f"{LAB}/changes", {"commands": [1]}, 400, "commands[0] is no text"),
        ("POST", f"{LAB}/changes", {"commands": ["x"], "coment": ""}, 400, "coment is unknown"),
        ("POST", f"{LAB}/changes", {"commands": ["x"]}, 422, 'found "x", expected "add"'),
        ("POST", f"{LAB}/changes", {"commands": ["rm service s1\nrm service s0"]}, 422, "a command is one line"),
        (
            "POST",
            f"{LAB}/changes",
            {"commands": ["set appliance engines=3"]},
            409,
            "appliance.engines=3 needs a restart",
        ),
        ("PUT", f"{LAB}/configuration", {"configuration": {}}, 422, 'found no "appliance"'),
    ],
)
def test_errors(client: Client, method: str, path: str, content: Any, status: int, told: str) -> None:
    found, answer = client.send(method, path, content)
    assert found == status
    assert told in answer["problems"][0]
    assert answer["error"] == answer["problems"][0]
    assert len(client.appliances.served.store.versions()) == 1


def test_without_the_token_nothing_is_told(client: Client) -> None:
    for token in ("", "x", TOKEN + "x", "é"):
        status, answer = client.send("GET", "/v1/appliances", token=token)
        assert (status, "appliances" in answer) == (401, False)
    assert client.send("GET", "/v1/nothing", token="x")[0] == 401
    assert client.send("GET", "/openapi.json", token="x")[0] == 200


def test_content_of_another_type_is_refused(client: Client) -> None:
    sent = {"commands": ["rm service s1"]}
    assert client.send("POST", f"{LAB}/changes", sent, **{"Content-Type": "text/plain"})[0] == 400


def test_the_description_has_every_operation(client: Client) -> None:
    found = client.send("GET", "/openapi.json")[1]
    assert found == description()
    assert {(method.upper(), path) for path, methods in found["paths"].items() for method in methods} == {
        (operation.method, operation.path) for operation in OPERATIONS
    }
    names = [one["operationId"] for methods in found["paths"].values() for one in methods.values()]
    assert len(set(names)) == len(names)
    for path, methods in found["paths"].items():
        for one in methods.values():
            in_path = [row["name"] for row in one["parameters"] if row["in"] == "path"]
            assert in_path == re.findall(r"\{(\w+)\}", path)


def test_answers_are_what_the_description_says(client: Client) -> None:
    for operation in OPERATIONS:
        if operation.method == "GET":
            path = operation.path.replace("{appliance}", "lab").replace("{version}", "1")
            path = path.replace("{section}", "services").replace("{entry}", "s0")
            status, answer = client.send("GET", path)
            assert status == 200
            schema = {**operation.answer, "properties": {}}
            assert problems_of(answer, schema) == []


def test_the_token_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCORE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("NCORE_API_TOKEN", raising=False)
    token = read_token()
    assert len(token) >= 32
    assert read_token() == token
    assert stat.S_IMODE((tmp_path / "state" / "api-token").stat().st_mode) == 0o600
    (tmp_path / "state" / "api-token").write_text("")
    with pytest.raises(NcoreError, match="is empty"):
        read_token()
    monkeypatch.setenv("NCORE_API_TOKEN", "mine")
    assert read_token() == "mine"
