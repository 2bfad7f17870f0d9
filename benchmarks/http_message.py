"""What an HTTP/1.x head costs: scanning, parsing and rewriting it, in ns; and how long the kernels take to compile.

python benchmarks/http_message.py
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from ncore_ray.engine.http.message.body import Body, body_at, body_begin, body_step
from ncore_ray.engine.http.message.chunk_syntax import Phase
from ncore_ray.engine.http.message.framing import BodyKind
from ncore_ray.engine.http.message.head import FIELDS_SIZE, Head, head_at, scan_head
from ncore_ray.engine.http.message.request import parse_request
from ncore_ray.engine.http.message.response import parse_response
from ncore_ray.engine.http.message.rewrite import Rewrite, rewrite_at, write_request, write_response
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.record import new

ROUNDS = 200_000
VARIANTS = 16
STRIDE = 2048
REPEATS = 5

SCAN, REQUEST, RESPONSE, WRITE_REQUEST, WRITE_RESPONSE = 1, 2, 4, 8, 16

WRK = "GET / HTTP/1.1\r\nHost: 10.1.0.{n}\r\n\r\n"
BROWSER = (
    "GET /articles/{n}/index.html?from=front&page=2 HTTP/1.1\r\nHost: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate\r\nReferer: http://www.example.com/\r\nConnection: keep-alive\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; seen={n}\r\nUpgrade-Insecure-Requests: 1\r\n"
    "Pragma: no-cache\r\n\r\n"
)
RESPONSE_HEAD = (
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Type: text/html\r\n"
    "Content-Length: {n}\r\nLast-Modified: Sat, 21 Nov 2026 10:00:00 GMT\r\nConnection: keep-alive\r\n"
    'ETag: "6561c5a0-267"\r\nAccept-Ranges: bytes\r\n\r\n'
)


@entry_kernel
def run_heads(
    messages: int, lengths: int, rounds: int, work: int, head_address: int, fields: int, target: int, options: int
) -> int:
    """Do the chosen work for every message in turn; return the sum of its results, so that nothing is left out."""
    head, rewrite = head_at(head_address), rewrite_at(options)
    total = 0
    for i in range(rounds):
        source, length = messages + (i & (VARIANTS - 1)) * STRIDE, lengths
        if work & SCAN:
            total += scan_head(source, length, 0)[0]
        if work & REQUEST:
            total += parse_request(source, length, head, fields, 8192, 100)
        if work & RESPONSE:
            total += parse_response(source, length, head, fields, 100)
        if work & WRITE_REQUEST:
            total += write_request(head, fields, source, target, STRIDE, rewrite)
        if work & WRITE_RESPONSE:
            total += write_response(head, fields, source, target, STRIDE, rewrite)
    return total


@entry_kernel
def run_chunks(body_address: int, source: int, length: int, rounds: int) -> int:
    """Follow one chunked body again and again; return the content bytes of all."""
    body = body_at(body_address)
    total = 0
    for _ in range(rounds):
        body_begin(body, BodyKind.CHUNKED, 0)
        at = 0
        while at < length and body.phase != Phase.DONE and body.phase != Phase.ERROR:
            consumed, _data = body_step(body, source + at, length - at)
            at += consumed
        total += body.content
    return total


def _variants(template: str) -> tuple[npt.NDArray[np.uint8], int]:
    memory = np.zeros(VARIANTS * STRIDE, np.uint8)
    length = 0
    for i in range(VARIANTS):
        message = template.format(n=100 + i).encode()
        memory[i * STRIDE : i * STRIDE + len(message)] = np.frombuffer(message, np.uint8)
        length = len(message)
    return memory, length


class Bench:
    """Scratch records, and the clock."""

    def __init__(self) -> None:
        self._head_memory, _, self.head = new(Head)
        self._options_memory, options, self.options = new(Rewrite)
        options.client_low = 0xFFFF << 32 | 0xC0A8_010A
        options.forwarded_for = options.via = 1
        self._fields = np.zeros(FIELDS_SIZE, np.uint8)
        self._target = np.zeros(STRIDE, np.uint8)

    def head_ns(self, template: str, work: int) -> float:
        """Return ns per message, the best of some runs."""
        memory, length = _variants(template)
        best = float("inf")
        for _ in range(REPEATS):
            begin = time.perf_counter_ns()
            run_heads(
                memory.ctypes.data,
                length,
                ROUNDS,
                work,
                self.head,
                self._fields.ctypes.data,
                self._target.ctypes.data,
                self.options,
            )
            best = min(best, (time.perf_counter_ns() - begin) / ROUNDS)
        return best


def _chunk_ns(size: int, count: int) -> float:
    body = (f"{size:x}\r\n".encode() + b"x" * size + b"\r\n") * count + b"0\r\n\r\n"
    source = np.frombuffer(body, np.uint8).copy()
    memory, _, address = new(Body)
    rounds = 2_000
    best = float("inf")
    for _ in range(REPEATS):
        begin = time.perf_counter_ns()
        run_chunks(address, source.ctypes.data, source.size, rounds)
        best = min(best, (time.perf_counter_ns() - begin) / rounds / count)
    assert memory.size
    return best


def _compile_s() -> float:
    begin = time.perf_counter()
    Bench().head_ns(WRK, 0)
    _chunk_ns(16, 1)
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    console = Console()
    console.print(f"kernels compiled, or read from the cache, in {_compile_s():.1f} s")
    bench = Bench()
    table = Table("head", "bytes", "scan", "parse", "rewrite", "all", title="HTTP/1.x heads, ns each")
    for name, template, parse, write in (
        ("request of wrk, 1 field", WRK, REQUEST, WRITE_REQUEST),
        ("request of a browser, 10 fields", BROWSER, REQUEST, WRITE_REQUEST),
        ("response of nginx, 8 fields", RESPONSE_HEAD, RESPONSE, WRITE_RESPONSE),
    ):
        scan, parsed = bench.head_ns(template, SCAN), bench.head_ns(template, parse)
        written, every = bench.head_ns(template, parse | write) - parsed, bench.head_ns(template, SCAN | parse | write)
        table.add_row(name, str(_variants(template)[1]), *(f"{ns:.0f}" for ns in (scan, parsed, written, every)))
    console.print(table)
    console.print(f"chunked body: {_chunk_ns(1024, 64):.0f} ns per chunk")


if __name__ == "__main__":
    main()
