"""What is said of a Ray that does not let us in, by a server that answers as Ray does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
import pytest
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

from ncore_ray.appliance.ray_door import check_door
from ncore_ray.errors import NcoreError

TOKEN: Final = "0123456789abcdef0123456789abcdef"


class FakeRay(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every question, of those who know the token."""

    def service(self, handler_call_details: Any) -> Any:
        known = ("authorization", f"Bearer {TOKEN}") in handler_call_details.invocation_metadata
        return grpc.unary_unary_rpc_method_handler(self.answer if known else self.refuse)

    def answer(self, request: bytes, context: Any) -> bytes:
        return b""

    def refuse(self, request: bytes, context: Any) -> None:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a Ray with a token is, which RAY_ADDRESS names; this program knows no token."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    server = grpc.server(ThreadPoolExecutor(1), handlers=[FakeRay()])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    server.start()
    yield address
    server.stop(None).wait()
    monkeypatch.undo()
    AuthenticationTokenLoader.instance().reset_cache()


def know(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    AuthenticationTokenLoader.instance().reset_cache()


def refusal(address: str) -> str:
    with pytest.raises(NcoreError) as caught:
        check_door(address)
    return str(caught.value)


def test_the_right_token_opens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    know(monkeypatch, TOKEN)
    check_door(address)


def test_a_ray_that_was_found_gets_the_token_without_being_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS")
    know(monkeypatch, TOKEN)
    check_door(address)


def test_a_ray_that_was_named_gets_it_only_with_its_mode(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, TOKEN)
    text = refusal(address)
    assert text.startswith(f"the Ray at {address} asks for a token: set RAY_AUTH_MODE=token, and put its token in ")
    assert "\n" not in text


def test_a_wrong_token(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    know(monkeypatch, TOKEN[::-1])
    assert refusal(address).startswith(f"the Ray at {address} does not take our token: put its own in RAY_AUTH_TOKEN, ")


def test_no_token_at_all(address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    AuthenticationTokenLoader.instance().reset_cache()
    assert refusal(address).startswith("RAY_AUTH_MODE is token, but there is none: put it in RAY_AUTH_TOKEN, ")


def test_nobody_answers(address: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        silent = f"127.0.0.1:{taken.getsockname()[1]}"
        assert refusal(silent) == f"no Ray answers at {silent} (RAY_ADDRESS)"


def test_nonsense_for_an_address(address: str) -> None:
    assert refusal("nonsense") == "no Ray answers at nonsense (RAY_ADDRESS)"


def test_ray_client_has_no_shared_memory(address: str) -> None:
    text = refusal("ray://127.0.0.1:10001")
    assert text.startswith("RAY_ADDRESS=ray://127.0.0.1:10001 leads to Ray Client, which has no shared memory: set it")
