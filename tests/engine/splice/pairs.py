"""Pairs by script, from where both ends have gone through their handshake."""

from __future__ import annotations

from tests.support.tcp_script import Script


def open_spliced(**ends: int) -> Script:
    """Return a spliced pair without options; the ends' segment sizes may be said."""
    script = Script(vserver="mode: splice")
    script.client.sends("S", 0, mss=ends.get("client", 1460), scale=0)
    script.settle()
    script.service.inbox.clear()
    script.service.engine_first = script.service.live().iss
    script.service.sends("SA", 0, ack=1, mss=ends.get("service", 1460), scale=0)
    script.settle()
    script.client.inbox.clear()
    script.client.engine_first = script.client.live().iss
    script.client.sends("A", 1, ack=1)
    script.settle()
    script.service.inbox.clear()
    for end in (script.client, script.service):
        end.received = 1
    script.mark()
    return script
