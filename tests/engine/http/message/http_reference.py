"""The same rules as the kernels, as regular expressions and lists: slow, and plain to read beside the RFCs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.engine.http.message.http_kit import Parsed

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
CONTENT = rb"[\t \x21-\x7e\x80-\xff]*"
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
END_TO_END = {
    *(b"content-length host expect via x-forwarded-for authorization cache-control content-encoding".split()),
    *(b"content-range content-type cookie date forwarded location set-cookie trailer".split()),
    *(b"x-forwarded-host x-forwarded-proto x-real-ip".split()),
    *(b"close chunked 100-continue h2c".split()),
}
HOST = re.compile(rb"(\[[0-9A-Fa-f:.]{2,}\]|[-._~!$&'()*+;=0-9A-Za-z]+)(:(\d{0,5}))?")


class Refused(Exception):  # noqa: N818
    def __init__(self, status: int) -> None:
        self.status = status


@dataclass
class Message:
    method: bytes = b""
    target: bytes = b""
    form: str = ""
    authority: bytes = b""
    path: bytes = b""
    minor: int = 1
    status: int = 0
    reason: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    options: list[bytes] = field(default_factory=list)
    content_length: int = -1
    codings: list[bytes] = field(default_factory=list)
    hosts: list[bytes] = field(default_factory=list)
    expectations: list[bytes] = field(default_factory=list)
    protocols: list[bytes] = field(default_factory=list)

    @property
    def chunked(self) -> bool:
        return self.codings == [b"chunked"]

    @property
    def persistent(self) -> bool:
        if b"close" in self.options:
            return False
        return self.minor == 1 or b"keep-alive" in self.options

    @property
    def upgrade(self) -> bool:
        offered = bool(self.protocols) and b"h2c" not in self.protocols
        return self.minor == 1 and b"upgrade" in self.options and offered

    @property
    def dropped(self) -> set[bytes]:
        """Names of fields that are not passed on as they are."""
        dropped = HOP_BY_HOP | (set(self.options) - END_TO_END)
        if self.minor == 0:
            dropped |= {b"expect"}
        if self.form == "absolute":
            dropped |= {b"host"}
        if self.status and (self.status < 200 or self.status == 204):
            dropped |= {b"content-length"}
        return dropped


def is_host(text: bytes) -> bool:
    match = HOST.fullmatch(text)
    return match is not None and int(match[3] or b"0") <= 65535


def _members(value: bytes) -> list[bytes]:
    return [member.strip(b" \t").lower() for member in value.split(b",")]


def _note(message: Message, name: bytes, value: bytes) -> None:
    known = name.lower()
    members = _members(value)
    if known == b"host" and not message.status:
        if message.hosts or not is_host(value):
            raise Refused(400)
        message.hosts.append(value)
    if known == b"connection":
        members = [member for member in members if member]
        if not all(re.fullmatch(TOKEN, member) for member in members):
            raise Refused(400)
        message.options += members
        names = [o for o in message.options if o not in {b"close", b"keep-alive", b"upgrade"}]
        if len([o for o in names if o not in HOP_BY_HOP | END_TO_END]) > 32:
            raise Refused(431)
    if known == b"content-length":
        if message.content_length >= 0 or not re.fullmatch(rb"[0-9]{1,16}", value) or int(value) > 2**53:
            raise Refused(400)
        message.content_length = int(value)
    if known == b"transfer-encoding":
        if not all(re.fullmatch(TOKEN, member) for member in members):
            raise Refused(400)
        message.codings += members
        if b"chunked" in message.codings[:-1]:
            raise Refused(400)
    if known == b"upgrade":
        message.protocols += [member for member in members if member]
    if known == b"expect":
        message.expectations.append(value.lower())


def _take_fields(message: Message, rest: bytes, max_fields: int) -> None:
    while not rest.startswith(b"\r\n"):
        if len(message.fields) == max_fields:
            raise Refused(431)
        line = re.match(rb"(%b):(%b)\r\n" % (TOKEN, CONTENT), rest)
        if not line:
            raise Refused(400)
        name, value = line[1], line[2].strip(b" \t")
        message.fields.append((name, value))
        _note(message, name, value)
        rest = rest[line.end() :]
    if rest != b"\r\n":
        raise Refused(400)


def _take_target(message: Message) -> None:
    if message.method == b"CONNECT":
        raise Refused(501)
    absolute = re.fullmatch(rb"(?i:http)://([^/?]+)(.*)", message.target)
    if message.target.startswith(b"/"):
        message.form, message.path = "origin", message.target
    elif message.target == b"*" and message.method == b"OPTIONS":
        message.form, message.path = "asterisk", message.target
    elif absolute and is_host(absolute[1]):
        message.form, message.authority, message.path = "absolute", absolute[1], absolute[2]
    else:
        raise Refused(400)


def read_request(raw: bytes, max_line: int, max_fields: int) -> Message:
    raw = re.sub(rb"^(\r\n)+", b"", raw)
    line = re.match(rb"(%b) ([\x21\x22\x24-\x7e]+) ([^\r\n]{8})\r\n" % TOKEN, raw)
    if not line or not re.fullmatch(rb"HTTP/[0-9]\.[0-9]", line[3]):
        raise Refused(400)
    if line[3] not in (b"HTTP/1.0", b"HTTP/1.1"):
        raise Refused(505)
    if len(line[0]) - 2 > max_line:
        raise Refused(414)
    message = Message(method=line[1], target=line[2], minor=int(line[3][-1:]))
    _take_target(message)
    _take_fields(message, raw[line.end() :], max_fields)
    if message.codings:
        if message.content_length >= 0 or message.minor == 0:
            raise Refused(400)
        if message.codings[-1] != b"chunked":
            raise Refused(400)
        if not message.chunked:
            raise Refused(501)
    if message.minor == 1 and not message.hosts:
        raise Refused(400)
    if any(expectation != b"100-continue" for expectation in message.expectations):
        raise Refused(417)
    if message.form != "absolute":
        message.authority = message.hosts[0] if message.hosts else b""
    return message


def read_response(raw: bytes, max_fields: int) -> Message:
    line = re.match(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: (%b))?\r\n" % CONTENT, raw)
    if not line:
        raise Refused(502)
    message = Message(minor=int(line[1]), status=int(line[2]), reason=line[3] or b"")
    try:
        _take_fields(message, raw[line.end() :], max_fields)
    except Refused:
        raise Refused(502) from None
    if message.codings and (message.content_length >= 0 or message.minor == 0 or not message.chunked):
        raise Refused(502)
    if (message.status < 200 or message.status == 204) and (message.codings or message.content_length > 0):
        raise Refused(502)
    return message


def _rewrite_fields(message: Message, client: bytes, forwarded_for: int, via: int) -> list[bytes]:
    dropped = message.dropped - ({b"upgrade"} if message.upgrade else set())
    ours = {b"via": b"1.%d ncore" % message.minor if via else b"", b"x-forwarded-for": client if forwarded_for else b""}
    last = {name.lower(): i for i, (name, _) in enumerate(message.fields)}
    lines = []
    for i, (name, value) in enumerate(message.fields):
        addition = ours.get(name.lower(), b"") if last[name.lower()] == i else b""
        if addition:
            value = value + b", " + addition if value else addition
        if name.lower() not in dropped:
            lines.append(name + b": " + value)
    titles = {b"via": b"Via", b"x-forwarded-for": b"X-Forwarded-For"}
    lines += [titles[name] + b": " + value for name, value in ours.items() if value and name not in last]
    return lines


def _connection_lines(message: Message, close: int, keep_alive: int, unchunk: int) -> list[bytes]:
    lines = [b"Transfer-Encoding: chunked"] if message.chunked and not unchunk else []
    if message.upgrade:
        lines.append(b"Connection: upgrade")
    if close or keep_alive:
        lines.append(b"Connection: close" if close else b"Connection: keep-alive")
    return lines


def rewritten_request(message: Message, host: bytes, client: bytes, **flags: int) -> tuple[bytes, list[bytes]]:
    """Return the request line and the field lines, in no order; space around values is left out."""
    path = message.path if message.path.startswith(b"/") or message.form != "absolute" else b"/" + message.path
    if message.form == "absolute" and not message.path and message.method == b"OPTIONS":
        path = b"*"
    lines = _rewrite_fields(message, client, flags.get("forwarded_for", 0), flags.get("via", 0))
    if message.form == "absolute" or not message.hosts:
        lines.append(b"Host: " + (message.authority or host))
    lines += _connection_lines(message, flags.get("close", 0), flags.get("keep_alive", 0), flags.get("unchunk", 0))
    return message.method + b" " + path + b" HTTP/1.1", lines


def rewritten_response(message: Message, **flags: int) -> tuple[bytes, list[bytes]]:
    lines = _rewrite_fields(message, b"", 0, flags.get("via", 0))
    lines += _connection_lines(message, flags.get("close", 0), flags.get("keep_alive", 0), flags.get("unchunk", 0))
    return b"HTTP/1.1 %d %b" % (message.status, message.reason), lines


def judged(read: Callable[..., Message], *arguments: object) -> tuple[int, Message | None]:
    """Return the status that a message is refused with, or 0 and the message."""
    try:
        return 0, read(*arguments)
    except Refused as refused:
        return refused.status, None


def agrees(parsed: Parsed, message: Message) -> None:
    """Assert that the records say what the reference found."""
    head = parsed.head
    assert [(line.name, line.value) for line in parsed.lines] == message.fields
    assert [bool(line.drop) for line in parsed.lines] == [name.lower() in message.dropped for name, _ in message.fields]
    assert head["content_length"] == message.content_length
    assert bool(head["chunked"]) == message.chunked
    assert bool(head["persistent"]) == message.persistent
    assert bool(head["upgrade"]) == message.upgrade
    assert head["version_minor"] == message.minor
