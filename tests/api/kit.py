"""A REST API over a made-up appliance, served by a thread."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiohttp import web

from ncore_ray.api.operations import NotFoundError
from ncore_ray.api.server import application
from ncore_ray.config.load import dump
from ncore_ray.config.model import Configuration
from ncore_ray.management.history import History
from tests.management.test_configuration import Served
from tests.support.http_lab import configuration

TOKEN: Final = "a-secret"


class MadeUp:
    """One appliance, `lab`, whose configuration is served by the real service over an arena without processes."""

    def __init__(self) -> None:
        self.served = Served(configuration(services=2, limits="services: 3"))

    def names(self) -> list[str]:
        return ["lab"]

    def ask(self, name: str, method: str, *arguments: Any) -> Any:
        if name != "lab":
            raise NotFoundError(f"there is no appliance {name}")
        if method == "configure":
            return getattr(self.served.service, arguments[0])(*arguments[1:])
        if method == "configuration":
            return dump(self.served.service.wanted)
        if method == "scaling":
            return {"wanted": 1, "taking_flows": 1, "engines": [], "settled": True}
        if method == "drain":
            return 0
        if method == "statistics":
            return History().since(*arguments)
        return [] if method in ("events", "flows") else {"asked": method}

    def deploy(self, configuration: Configuration) -> str:
        return configuration.appliance.name

    def shut_down(self, name: str) -> list[str]:
        return []


class Client:
    """Sends requests with the token."""

    def __init__(self, address: str, appliances: MadeUp) -> None:
        self.address = address
        self.appliances = appliances

    def send(self, method: str, path: str, content: Any = None, token: str = TOKEN, **headers: str) -> tuple[int, Any]:
        """Return status and answer."""
        raw = content if isinstance(content, bytes) else None if content is None else json.dumps(content).encode()
        sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.address + path, raw, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@contextmanager
def serving() -> Iterator[Client]:
    """Serve the API on a free port of localhost."""
    appliances, loop = MadeUp(), asyncio.new_event_loop()
    ready, end, port = threading.Event(), asyncio.Event(), []

    async def serve() -> None:
        runner = web.AppRunner(application(appliances, TOKEN))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.append(runner.addresses[0][1])
        ready.set()
        await end.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        assert ready.wait(30)
        yield Client(f"http://127.0.0.1:{port[0]}", appliances)
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()
        appliances.served.service.stop()
