"""Whether a Ray lets us in: asked once before Ray tries for a minute and more, and talks all the while.

The question is the first that Ray itself asks of an address, with the token that it would send.
"""

from __future__ import annotations

import os
from typing import Final

import grpc
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError

from ncore_ray.errors import NcoreError, first_line

_QUESTION: Final = "/ray.rpc.NodeInfoGcsService/GetClusterId"
_ANSWER_S: Final = 5.0
_OPTIONS: Final = (("grpc.enable_http_proxy", 0),)
_ENTERED: Final = (grpc.StatusCode.OK, grpc.StatusCode.UNIMPLEMENTED)
"""The second: a Ray of another version; that is told when we attach."""
_TOKEN_PLACES: Final = "in RAY_AUTH_TOKEN, in ~/.ray/auth_token, or in a file that RAY_AUTH_TOKEN_PATH names"
CLIENT_SCHEME: Final = "ray://"


def check_door(address: str) -> None:
    """See that the Ray at HOST:PORT answers and takes our token.

    Raises:
        NcoreError: it does not; the sentence says what to set.
    """
    if address.startswith(CLIENT_SCHEME):
        raise NcoreError(
            f"RAY_ADDRESS={address} leads to Ray Client, which has no shared memory: set it to HOST:PORT of `ray start`"
        )
    token = _token(address)
    status = _ask(address, token)
    if status is grpc.StatusCode.UNAUTHENTICATED:
        raise NcoreError(_refusal(address, token))
    if status not in _ENTERED:
        raise NcoreError(f"no Ray answers at {address}" + (" (RAY_ADDRESS)" if _is_named() else ""))


def _is_named() -> bool:
    return os.environ.get("RAY_ADDRESS") not in (None, "", "auto")


def _mode() -> str:
    return os.environ.get("RAY_AUTH_MODE", "").lower()


def _token(address: str) -> dict[str, str]:
    """Return the header that Ray would send: without RAY_AUTH_MODE, only to a Ray that it has found by itself."""
    if _mode() != "token" and (_mode() or _is_named()):
        return {}
    try:
        found: dict[str, str] = AuthenticationTokenLoader.instance().get_token_for_http_header(ignore_auth_mode=True)
    except AuthenticationError as error:
        raise NcoreError(f"the token for the Ray at {address} cannot be read: {first_line(error)}") from None
    if not found and _mode() == "token":
        raise NcoreError(f"RAY_AUTH_MODE is token, but there is none: put it {_TOKEN_PLACES}")
    return found


def _ask(address: str, token: dict[str, str]) -> grpc.StatusCode:
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        call = channel.unary_unary(_QUESTION, request_serializer=bytes, response_deserializer=bytes)
        try:
            call(b"", timeout=_ANSWER_S, metadata=[(key.lower(), value) for key, value in token.items()])
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def _refusal(address: str, token: dict[str, str]) -> str:
    if token:
        return f"the Ray at {address} does not take our token: put its own {_TOKEN_PLACES}"
    return f"the Ray at {address} asks for a token: set RAY_AUTH_MODE=token, and put its token {_TOKEN_PLACES}"
