"""Lines of the access log, and the file that they are appended to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ncore_ray.management.access.entry import Entry, Request
from ncore_ray.management.access.file import LogFile
from ncore_ray.management.access.lines import Names, as_json, combined

NAMES = Names(["www"].__getitem__, ["web1"].__getitem__, lambda at: 1_795_000_000 + at / 1e6)
ADDRESS = (0, 0xFFFF_0A01_0007)


def entry(target: bytes = b"/a?b=1", status: int = 200, **changes: bytes) -> Entry:
    texts = {"method": b"GET", "target": target, "host": b"shop", "referer": b"http://x/", "agent": b"curl/8"} | changes
    request = Request(1, 500_000, ADDRESS, 4000, 0, 1, **texts)
    return Entry(0, request, 512_345, ADDRESS, 4000, 0, status, 42, 0, complete=True)


NO_REQUEST = Entry(1, None, 0, ADDRESS, 4000, 0, 400, 90, -1, complete=True)


def test_combined() -> None:
    line = combined(NAMES)
    assert line(entry()) == (
        b'10.1.0.7 - - [18/Nov/2026:11:06:40 +0000] "GET /a?b=1 HTTP/1.1" 200 42 "http://x/" "curl/8"\n'
    )
    assert line(NO_REQUEST) == b'10.1.0.7 - - [18/Nov/2026:11:06:40 +0000] "-" 400 90 "-" "-"\n'
    assert b'" - 42 "' in line(entry(status=0))


@pytest.mark.parametrize(("agent", "shown"), [(b'a"b', rb"a\x22b"), (b"a\\b\xff\n", rb"a\x5Cb\xFF\x0A"), (b"", b"-")])
def test_combined_lines_stay_lines(agent: bytes, shown: bytes) -> None:
    assert combined(NAMES)(entry(agent=agent)).endswith(b'"' + shown + b'"\n')


def test_json() -> None:
    assert json.loads(as_json(NAMES)(entry(agent=b"\xff\n"))) == {
        "time": "2026-11-18T11:06:40.500000+00:00",
        "client": "10.1.0.7",
        "port": 4000,
        "vserver": "www",
        "engine": 0,
        "method": "GET",
        "target": "/a?b=1",
        "host": "shop",
        "version": "1.1",
        "referer": "http://x/",
        "agent": "\xff\n",
        "status": 200,
        "bytes": 42,
        "ms": 12.345,
        "service": "web1",
        "complete": True,
    }
    refusal = json.loads(as_json(NAMES)(NO_REQUEST))
    assert (refusal["service"], refusal["status"], "target" in refusal) == (None, 400, False)


def test_file_is_followed_when_it_is_renamed(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    path = tmp_path / "a.log"
    file = LogFile(path, lambda *event: said.append(event))
    file.write([b"1\n"])
    file.follow()
    file.write([b"2\n"])
    path.rename(tmp_path / "b.log")
    file.write([b"3\n"])
    file.follow()
    file.write([b"4\n"])
    file.close()
    assert (tmp_path / "b.log").read_bytes() == b"1\n2\n3\n"
    assert path.read_bytes() == b"4\n"
    assert said == []


def test_trouble_is_told_once_and_its_end_too(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    folder = tmp_path / "gone"
    file = LogFile(folder / "a.log", lambda *event: said.append(event))
    file.write([b"1\n", b"2\n"])
    file.write([b"3\n"])
    folder.mkdir()
    file.write([b"4\n"])
    file.close()
    assert (folder / "a.log").read_bytes() == b"4\n"
    assert file.lost == 3
    assert [level for level, _ in said] == ["error", "info"]
    assert "No such file" in said[0][1]
    assert "3 lines are lost" in said[1][1]
