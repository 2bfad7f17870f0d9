"""A WebSocket server that sends every message back: ``python -m tests.e2e.websocket ADDRESS PORT``."""

from __future__ import annotations

import sys

from aiohttp import web


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Serve one connection."""
    answer = web.WebSocketResponse(max_msg_size=1 << 24)
    await answer.prepare(request)
    async for message in answer:
        await answer.send_bytes(message.data)
    return answer


if __name__ == "__main__":
    application = web.Application()
    application.add_routes([web.get("/", echo)])
    web.run_app(application, host=sys.argv[1], port=int(sys.argv[2]), print=None)
