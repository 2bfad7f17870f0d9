"""A fast service is relieved while a slow client still reads, within the limit of the vServer."""

from __future__ import annotations

import pytest

from tests.support.tcp_script import WINDOW, Script, established


def _send_all(s: Script) -> int:
    """Let the service send as long as its window lets it; return how many bytes went."""
    while s.service.edge - s.service.next >= 1024:
        s.service.sends("A", data=1024)
        s.settle()
        for _, segment in s.service.inbox:
            s.service._text(segment)
        s.service.inbox.clear()
    return s.service.next - 1


@pytest.mark.parametrize("limit", [WINDOW, WINDOW + 50_000, 3 * WINDOW])
def test_service_is_relieved_up_to_the_limit(limit: int) -> None:
    with established("service", frames=1024) as s:
        s.lab.vserver_record(0).send_limit = limit
        s.client.sends("A", window=0)
        assert limit - 2048 <= _send_all(s) <= limit
        assert s.client.live().send_chain_length <= limit
        s.client.inbox.clear()
        s.mark()


def test_service_is_not_relieved_beyond_its_share_of_a_full_pool() -> None:
    """While half of the frames are in use, nobody may hold more than 128 KiB."""
    with established("service", frames=256) as s:
        s.lab.vserver_record(0).send_limit = 8 * WINDOW
        s.client.sends("A", window=0)
        assert WINDOW - 2048 <= _send_all(s) <= (256 << 11) - WINDOW
        s.client.inbox.clear()
        s.mark()


def test_small_limit_holds_back_the_service() -> None:
    """The rest is held on the service's side, within its window."""
    with established("service", frames=1024) as s:
        s.lab.vserver_record(0).send_limit = 8192
        s.client.sends("A", window=0)
        assert _send_all(s) <= WINDOW
        assert s.client.live().send_chain_length <= 8192
        s.client.inbox.clear()
        s.mark()


def test_client_gets_all_that_waits_after_the_service_has_gone() -> None:
    with established("service", frames=1024) as s:
        s.lab.vserver_record(0).send_limit = 3 * WINDOW
        s.client.sends("A", window=0)
        sent = _send_all(s)
        assert sent > 2 * WINDOW
        s.service.sends("FA")
        s.settle()
        s.service.inbox.clear()
        got = 0
        for _ in range(400):
            s.client.inbox.clear()
            s.client.sends("A", ack=1 + got)
            s.settle()
            got = max([got, *(_end_of(s, segment) for _, segment in s.client.inbox)])
            if got >= sent:
                break
        assert got == sent
        s.client.inbox.clear()
        s.service.inbox.clear()
        s.mark()


def _end_of(s: Script, segment: object) -> int:
    sequence, payload = segment.sequence, segment.payload  # type: ignore[attr-defined]
    return int((sequence + len(payload) - s.client.engine_first) % (1 << 32)) - 1
