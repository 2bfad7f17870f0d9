"""The HTTP server of the REST API (aiohttp)."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from ncore_ray.api.openapi import description
from ncore_ray.api.operations import OPERATIONS, Appliances, NotFoundError, Operation, Request
from ncore_ray.api.schemas import problems_of
from ncore_ray.blueprint.rows import TableFullError
from ncore_ray.config.change import ChangeError
from ncore_ray.config.problems import ConfigurationError
from ncore_ray.errors import NcoreError
from ncore_ray.management.configuration import RestartNeededError
from ncore_ray.management.live import LiveError
from ncore_ray.management.store import StoreError

_MOST_BYTES: Final = 4 << 20
_STATUS: Final[tuple[tuple[type[NcoreError], int], ...]] = (
    (NotFoundError, 404),
    (ChangeError, 422),
    (ConfigurationError, 422),
    (RestartNeededError, 409),
    (StoreError, 409),
    (TableFullError, 409),
    (LiveError, 409),
)
_OPEN: Final = ("/openapi.json",)
"""Paths that need no token."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _WrongRequestError(NcoreError):
    """A request that is not what the schema says."""


def application(appliances: Appliances, token: str) -> web.Application:
    """Return the server of the API for some appliances; every request has to carry the token."""
    made = web.Application(client_max_size=_MOST_BYTES, middlewares=[_guard(token)])
    made.router.add_get("/openapi.json", _describe)
    for operation in OPERATIONS:
        made.router.add_route(operation.method, operation.path, _handler(operation, appliances))
    return made


async def _describe(request: web.Request) -> web.Response:
    return web.json_response(description())


def _guard(token: str) -> Any:
    """Return the middleware that looks at the token, and gives every error the same form."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if request.path not in _OPEN and not hmac.compare_digest(given, f"Bearer {token}".encode()):
            answer = _error(401, "expected the header Authorization: Bearer TOKEN with this API's token")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        try:
            return await handler(request)
        except web.HTTPException as error:
            allowed = {key: value for key, value in error.headers.items() if key == "Allow"}
            return _error(error.status, error.reason, headers=allowed)

    return middleware


def _handler(operation: Operation, appliances: Appliances) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            asked = Request(appliances, request.match_info, _query(request, operation), await _body(request, operation))
            answer = await asyncio.to_thread(operation.run, asked)  # the management is asked by calls that wait
        except _WrongRequestError as error:
            return _error(400, str(error))
        except NcoreError as error:
            status = next((status for kind, status in _STATUS if isinstance(error, kind)), 503)
            return _error(status, str(error))
        return web.json_response(answer)

    return handle


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    lines = text.splitlines() or [""]
    return web.json_response({"error": lines[0], "problems": lines}, status=status, headers=headers)


def _query(request: web.Request, operation: Operation) -> dict[str, int]:
    values: dict[str, int] = {}
    for name, text in request.query.items():
        if name not in operation.query:
            raise _WrongRequestError(f"found the unknown parameter {name}")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 17 else None
        if name in values or problems_of(number, operation.query[name], name):
            raise _WrongRequestError(f"found {name}={text}, expected it once, and as the description says")
        assert number is not None
        values[name] = number
    return values


async def _body(request: web.Request, operation: Operation) -> dict[str, Any]:
    if operation.body is None:
        return {}
    if request.content_type != "application/json":
        raise _WrongRequestError("expected content of the type application/json")
    try:
        value = json.loads(await request.text())
    except (ValueError, LookupError, RecursionError):
        raise _WrongRequestError("the content is no JSON") from None
    if problems := problems_of(value, operation.body):
        raise _WrongRequestError("\n".join(problems))
    found: dict[str, Any] = value
    return found
