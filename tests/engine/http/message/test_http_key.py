"""The field of a request that tells flows apart, against an obviously correct reader of the same bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ncore_ray.engine.http.message.head import FIELDS_SIZE, Head, head_at, scan_head
from ncore_ray.engine.http.message.key import KeyKind, find_key
from ncore_ray.engine.http.message.request import parse_request
from ncore_ray.lab.dry.arena import GuardedBytes, mapped_bytes
from ncore_ray.machine.jit import entry_kernel
from ncore_ray.machine.memory import store64
from ncore_ray.machine.record import new

REQUEST, NAME = GuardedBytes(8192), GuardedBytes()
FIELDS = mapped_bytes(FIELDS_SIZE)
_memory, _, HEAD = new(Head)
FOUND = mapped_bytes(16)


@entry_kernel
def find_door(
    request: int, length: int, head_address: int, fields: int, kind: int, name: int, name_length: int, found: int
) -> int:
    """Parse a head and look for the key; store its address and length. Returns the parser's status."""
    head = head_at(head_address)
    end, _ = scan_head(request, length, 0)
    status = parse_request(request, end, head, fields, 8192, 100)
    value, value_length = find_key(head, fields, request, kind, name, name_length)
    store64(found, value)
    store64(found + 8, value_length)
    return status


def find(request: bytes, kind: KeyKind, name: bytes) -> bytes:
    """Return the value that the kernel finds, empty if there is none."""
    start, name_at = REQUEST.put(request), NAME.put(name)
    fields, found = FIELDS.ctypes.data, FOUND.ctypes.data
    assert find_door(start, len(request), HEAD, fields, int(kind), name_at, len(name), found) == 0
    value, length = FOUND.view("<i8")[:2].tolist()
    return request[value - start : value - start + length] if length else b""


def request_of(target: bytes = b"/", *lines: bytes) -> bytes:
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: a", *lines, b"", b""])


def test_cookie() -> None:
    request = request_of(b"/?session=no", b"session: no", b"COOKIE: xsession=1; session=ab=c ;session=2")
    assert find(request, KeyKind.COOKIE, b"session") == b"ab=c"
    assert find(request, KeyKind.COOKIE, b"xsession") == b"1"
    assert find(request, KeyKind.COOKIE, b"Session") == b""
    assert find(request, KeyKind.COOKIE, b"sessio") == b""


def test_cookie_in_the_second_field() -> None:
    request = request_of(b"/", b"Cookie: a=1", b"Cookies: s=3", b"Cookie: b=2; s=4")
    assert find(request, KeyKind.COOKIE, b"s") == b"4"


def test_parameter() -> None:
    request = request_of(b"/p?user&x=1&user=a%20b&user=c")
    assert find(request, KeyKind.PARAMETER, b"user") == b"a%20b"
    assert find(request, KeyKind.PARAMETER, b"x") == b"1"
    assert find(request, KeyKind.PARAMETER, b"USER") == b""
    assert find(request_of(b"/user=1"), KeyKind.PARAMETER, b"user") == b""
    assert find(request_of(b"/?"), KeyKind.PARAMETER, b"user") == b""


def test_parameter_of_a_target_in_absolute_form() -> None:
    assert find(request_of(b"http://a/p?user=1"), KeyKind.PARAMETER, b"user") == b"1"


def test_header() -> None:
    request = request_of(b"/", b"X-User:  alice ", b"x-user: bob", b"X-Users: no")
    assert find(request, KeyKind.HEADER, b"x-USER") == b"alice"
    assert find(request, KeyKind.HEADER, b"host") == b"a"
    assert find(request, KeyKind.HEADER, b"x-use") == b""


NAMES = st.sampled_from([b"a", b"b", b"ab", b"A", b""])
PAIRS = st.lists(st.tuples(NAMES, st.none() | st.sampled_from([b"", b"1", b"a=b", b"xyz"])), max_size=6)


def reference(pairs: list[tuple[bytes, bytes | None]], name: bytes) -> bytes:
    """Return the value of the first pair of a name."""
    return next((value for found, value in pairs if found == name and value is not None), b"")


@given(pairs=PAIRS, name=st.sampled_from([b"a", b"b", b"ab"]))
def test_pairs_as_a_plain_reader_reads_them(pairs: list[tuple[bytes, bytes | None]], name: bytes) -> None:
    written = [found if value is None else found + b"=" + value for found, value in pairs]
    query = request_of(b"/p?" + b"&".join(written))
    assert find(query, KeyKind.PARAMETER, name) == reference(pairs, name)
    cookies = request_of(b"/", b"Cookie: " + b"; ".join(written))
    assert find(cookies, KeyKind.COOKIE, name) == reference(pairs, name)
