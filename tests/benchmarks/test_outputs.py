"""What the load generators print, and what is read from it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import tcp_stream, transfers, wrk
from benchmarks.memory import parse_smaps
from benchmarks.sink import body_length
from benchmarks.udp_packets import percentiles


def test_wrk_figures_are_read() -> None:
    line = '{"requests":300,"microseconds":2000000,"bytes":9,"errors":1,"p50":80,"p99":99,"p999":120,"max":500}'
    found = wrk.parse(f"Running 2s test\nFIGURES {line}\n", 0.5)
    assert (found.requests_per_s, found.errors, found.p999_us, found.cpu_seconds) == (150.0, 1, 120, 0.5)
    load = found.as_load()
    assert (load.units, load.seconds, load.errors, load.p99_us) == (300, 2.0, 1, 99)


def test_wrk_without_figures_is_an_error() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        wrk.parse("unable to connect to 10.1.0.100:80")


def _curl(**changes: object) -> str:
    usual = {"size_download": 5e8, "size_upload": 0, "time_total": 2.0, "exitcode": 0, "http_code": 200}
    return json.dumps({**usual, "errormsg": None, **changes})


def test_curl_figures_are_read() -> None:
    found = transfers.parse(_curl())
    assert (found.transferred_bytes, found.seconds, found.error) == (500_000_000, 2.0, "")


def test_a_transfer_that_ran_out_of_time_counts() -> None:
    found = transfers.parse("curl: (28) timed out\n" + _curl(exitcode=28, errormsg="Operation timed out"))
    assert (found.transferred_bytes, found.error) == (500_000_000, "")


def test_an_upload_that_ran_out_of_time_has_no_status() -> None:
    found = transfers.parse(_curl(exitcode=28, http_code=0, size_download=0, size_upload=7))
    assert (found.transferred_bytes, found.error) == (7, "")


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"exitcode": 56, "errormsg": "reset"}, "reset"), ({"http_code": 502}, "status 502")],
)
def test_a_transfer_that_failed_says_why(changes: dict[str, object], error: str) -> None:
    assert transfers.parse(_curl(**changes)).error == error


def test_curl_without_figures_is_an_error() -> None:
    with pytest.raises(ValueError, match="not found"):
        transfers.parse("curl: not found")


def test_iperf3_figures_are_read() -> None:
    text = json.dumps({"start": {}, "end": {"sum_received": {"bytes": 3_000_000, "seconds": 1.5}}})
    load = tcp_stream.parse("warning: something\n" + text, 0.25)
    assert (load.units, load.seconds, load.errors, load.cpu_seconds) == (3.0, 1.5, 0, 0.25)


@pytest.mark.parametrize("output", ['{"error": "the server is busy"}', "the server is busy"])
def test_iperf3_that_failed_is_an_error(output: str) -> None:
    with pytest.raises(ValueError, match="the server is busy"):
        tcp_stream.parse(output)


def test_percentiles_of_a_histogram() -> None:
    histogram = np.zeros(100, np.int64)
    histogram[[10, 20, 90]] = (50, 49, 1)
    assert percentiles(histogram, (0.5, 0.99, 0.999)) == [10.0, 20.0, 90.0]
    assert percentiles(np.zeros(4, np.int64), (0.5,)) == [0.0]


def test_length_of_a_body() -> None:
    assert body_length(b"PUT / HTTP/1.1\r\nHost: a\r\ncontent-length: 123\r\nAccept: */*") == 123
    assert body_length(b"GET / HTTP/1.1\r\nHost: a") == 0


SMAPS = """\
55d0c0a00000-55d0c0a28000 r--p 00000000 fe:01 1234   /usr/bin/python3
Size:                160 kB
Rss:                 160 kB
Pss:                  40 kB
7f0000000000-7f0010000000 rw-s 00000000 00:19 77   /dev/shm/plasmaXYZ (deleted)
Size:             262144 kB
Rss:                2048 kB
Pss:                 512 kB
7f0010000000-7f0010001000 rw-s 00001000 00:19 77   /dev/shm/plasmaXYZ (deleted)
Rss:                   4 kB
Pss:                   1 kB
7f0020000000-7f0020021000 rw-p 00000000 00:00 0
Rss:                   8 kB
Pss:                   8 kB
"""


def test_shared_memory_is_told_apart() -> None:
    assert parse_smaps(SMAPS) == (48 * 1024, {"00:19/77": 2052 * 1024})
    assert parse_smaps("") == (0, {})
