"""A little HTTP server that plays the part of Grafana's API that dashboards are pushed by."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from aiohttp import web

TOKEN = "glsa_test"


class Grafana:
    """Keeps folders and dashboards; refuses whoever has not got the token."""

    def __init__(self, prefix: str = "") -> None:
        self.folders: dict[str, str] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, int] = {}
        self.prefix = prefix
        self.url = ""

    def application(self) -> web.Application:
        made = web.Application(middlewares=[self._check])
        made.router.add_get(f"{self.prefix}/api/folders/{{uid}}", self._get_folder)
        made.router.add_post(f"{self.prefix}/api/folders", self._make_folder)
        made.router.add_post(f"{self.prefix}/api/dashboards/db", self._store)
        return made

    @web.middleware
    async def _check(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"message": "Invalid API key"}, status=401)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _get_folder(self, request: web.Request) -> web.Response:
        uid = request.match_info["uid"]
        if uid not in self.folders:
            return web.json_response({"message": "folder not found"}, status=404)
        return web.json_response({"uid": uid, "title": self.folders[uid]})

    async def _make_folder(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if asked["uid"] in self.folders:
            return web.json_response({"message": "a folder with that uid exists"}, status=412)
        self.folders[asked["uid"]] = asked["title"]
        return web.json_response(asked)

    async def _store(self, request: web.Request) -> web.Response:
        asked = await request.json()
        board = asked["dashboard"]
        uid = board["uid"]
        if asked["folderUid"] not in self.folders:
            return web.json_response({"message": "folder not found"}, status=400)
        if uid in self.dashboards and not asked["overwrite"]:
            return web.json_response({"message": "a dashboard with that uid exists"}, status=412)
        if board.get("id") is not None:
            return web.json_response({"message": "no dashboard with that id"}, status=404)
        self.dashboards[uid] = board
        self.versions[uid] = self.versions.get(uid, 0) + 1
        return web.json_response({"uid": uid, "url": f"{self.prefix}/d/{uid}/x", "status": "success"})


@contextlib.contextmanager
def running(prefix: str = "") -> Iterator[Grafana]:
    """Let it answer on a port of its own, in a thread."""
    grafana = Grafana(prefix)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="grafana")
    thread.start()
    runner = web.AppRunner(grafana.application())

    async def start() -> str:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}{prefix}"

    try:
        grafana.url = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
        yield grafana
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
