"""Segments as scripts write them, and as they are on the wire.

    PA 1:1461(1460) ack 1 win 1000 urg 5 ecn 3 <nop, nop, ts 7 ecr 0> {checksum bad}

Sequence numbers are relative to the initial ones of whoever sends, acknowledgments and blocks to the other's. ``ecn``
is the field of the IP header: 2 (ECT(0)) may be marked, 3 (CE) is marked.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field, replace
from typing import Final

FLAGS: Final = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "W": 128}
WRAP: Final = 1 << 32
ANY: Final = -1
"""A value that a script leaves open."""
FIRST, LAST = -2, -3
"""Timestamps to be echoed: of the first segment of the engine since the script's start, and of the last one."""
_WORDS: Final = {"*": ANY, "first": FIRST, "last": LAST}
_NAMES: Final = {"mss": 2, "wscale": 3, "sackOK": 4, "sack": 5, "ts": 8, "fo": 34}
_NUMBERS: Final = re.compile(r"(\d+)(?::(\d+)\((\d+)\))?")
_TAKES_VALUE: Final = ("ack", "win", "urg", "ecn")
_MODIFIERS: Final = {"checksum", "offset", "cut", "port"}


class SegmentError(ValueError):
    """A segment that is written wrongly; the message says how."""


@dataclass(frozen=True)
class Option:
    """One TCP option. ``values`` are numbers, relative where they are sequence numbers; ``raw`` is sent as it is.

    Of Fast Open ``raw`` is the cookie; with ANY as value it is the one that the engine told last.
    """

    name: str
    values: tuple[int, ...] = ()
    raw: bytes = b""

    def __str__(self) -> str:
        if self.name == "sack":
            pairs = zip(self.values[::2], self.values[1::2], strict=True)
            return "sack " + " ".join(f"{start}:{end}" for start, end in pairs)
        if self.name == "ts":
            return f"ts {_shown(self.values[0])} ecr {_shown(self.values[1])}"
        if self.name == "fo":
            return f"fo {'cookie' if self.values else self.raw.hex()}".strip()
        if self.name in ("bytes", "opt"):
            return f"bytes {self.raw.hex()}"
        return " ".join([self.name, *map(str, self.values)])


def _shown(value: int) -> str:
    return next((word for word, stands_for in _WORDS.items() if stands_for == value), str(value))


@dataclass(frozen=True)
class Segment:
    """A segment with relative numbers."""

    flags: str
    sequence: int
    length: int = 0
    ack: int | None = None
    window: int | None = None
    urgent: int = 0
    ecn: int = 0
    """The field of the IP header."""
    options: tuple[Option, ...] = ()
    modifiers: dict[str, str] = field(default_factory=dict)
    payload: bytes | None = None
    """What is on the wire; None in a script: the pattern of the stream."""

    def __str__(self) -> str:
        end = f":{self.sequence + self.length}({self.length})" if self.length or "S" in self.flags else ""
        text = f"{self.flags} {self.sequence}{end}"
        text += f" ack {self.ack}" if self.ack is not None else ""
        text += f" win {self.window}" if self.window is not None else ""
        text += f" urg {self.urgent}" if self.urgent else ""
        text += f" ecn {self.ecn}" if self.ecn else ""
        return text + (f" <{', '.join(map(str, self.options))}>" if self.options else "")


def parse_segment(text: str) -> Segment:
    """Read a segment of a script. Raises SegmentError."""
    text, modifiers = _braces(text)
    text, options = _options(text)
    words = text.split()
    if len(words) < 2:
        raise SegmentError("a segment begins with its flags and its sequence number, such as 'PA 1:11(10) ack 1'")
    flags = _flags(words[0])
    sequence, length = _numbers(words[1])
    values = _values(words[2:])
    if "A" in flags and "ack" not in values:
        raise SegmentError("the flag A needs 'ack NUMBER'")
    return Segment(
        flags,
        sequence,
        length,
        values.get("ack"),
        values.get("win"),
        values.get("urg", 0),
        values.get("ecn", 0),
        options,
        modifiers,
    )


def _flags(word: str) -> str:
    if word == "-":
        return ""
    unknown = set(word) - set(FLAGS)
    if unknown or len(set(word)) != len(word):
        raise SegmentError(f"flags {word!r}: letters of {''.join(FLAGS)}, each once, or - for none")
    return "".join(letter for letter in "SFRPAUEW" if letter in word)


def _numbers(word: str) -> tuple[int, int]:
    match = _NUMBERS.fullmatch(word)
    if match is None:
        raise SegmentError(f"{word!r} is no sequence number: expected NUMBER or FIRST:END(LENGTH), such as 1:11(10)")
    first = int(match[1])
    if match[2] is None:
        return first, 0
    end, length = int(match[2]), int(match[3])
    if end - first != length:
        raise SegmentError(f"{word}: from {first} to {end} are {end - first} bytes, not {length}")
    return first, length


def _values(words: list[str]) -> dict[str, int]:
    values: dict[str, int] = {}
    for name, value in zip(words[::2], [*words[1::2], ""], strict=False):
        if name not in _TAKES_VALUE:
            raise SegmentError(f"unknown word {name!r} in a segment: expected one of {', '.join(_TAKES_VALUE)}")
        if not value.isdecimal():
            raise SegmentError(f"{name} needs a number, not {value!r}")
        values[name] = int(value)
    return values


def _braces(text: str) -> tuple[str, dict[str, str]]:
    """Take the modifiers off a segment's text."""
    if "{" not in text:
        return text, {}
    before, _, rest = text.partition("{")
    inside, brace, after = rest.partition("}")
    if not brace or after.strip():
        raise SegmentError("modifiers stand at the end, in {}")
    found = {}
    for part in inside.split(","):
        name, _, value = part.strip().partition(" ")
        if name not in _MODIFIERS:
            raise SegmentError(f"unknown modifier {name!r}: expected one of {', '.join(sorted(_MODIFIERS))}")
        found[name] = value
    return before, found


def _options(text: str) -> tuple[str, tuple[Option, ...]]:
    """Take the options off a segment's text."""
    if "<" not in text:
        return text, ()
    before, _, rest = text.partition("<")
    inside, bracket, after = rest.partition(">")
    if not bracket or after.strip():
        raise SegmentError("options stand at the end, in <>")
    return before, tuple(_option(part.strip()) for part in inside.split(",") if part.strip())


def _option(text: str) -> Option:
    name, *values = text.split()
    try:
        if name in ("mss", "wscale"):
            (value,) = values
            return Option(name, (int(value),))
        if name in ("sackOK", "nop", "eol") and not values:
            return Option(name)
        if name == "sack":
            return Option(name, tuple(int(edge) for block in values for edge in block.split(":", 1)))
        if name == "ts":
            stamp, word, echo = values
            if word == "ecr":
                return Option(name, tuple(_WORDS[value] if value in _WORDS else int(value) for value in (stamp, echo)))
        if name == "fo":
            return Option(name, (ANY,)) if values == ["cookie"] else Option(name, (), bytes.fromhex("".join(values)))
        if name == "bytes":
            return Option(name, (), bytes.fromhex("".join(values)))
        if name == "opt":
            data = bytes.fromhex("".join(values[1:]))
            return Option(name, (), bytes([int(values[0]), 2 + len(data)]) + data)
    except (ValueError, IndexError) as error:
        raise SegmentError(f"option {text!r}: {error}") from error
    known = "mss N, wscale N, sackOK, sack A:B …, ts N ecr N, fo, fo cookie, fo HEX, nop, eol, opt KIND HEX, bytes HEX"
    raise SegmentError(f"unknown option {text!r}: expected one of {known}")


def encode_options(options: tuple[Option, ...], other_first: int) -> bytes:
    """Return options as they are sent, filled up to a multiple of 4; ``other_first``: what blocks are relative to."""
    raw = b"".join(_encoded(option, other_first) for option in options)
    return raw + bytes(-len(raw) % 4)


def _encoded(option: Option, other_first: int) -> bytes:
    if option.name in ("bytes", "opt"):
        return option.raw
    if option.name in ("nop", "eol"):
        return b"\1" if option.name == "nop" else b"\0"
    kind = _NAMES[option.name]
    if option.name == "fo":
        return bytes([kind, 2 + len(option.raw)]) + option.raw
    if option.name == "sack":
        edges = [(edge + other_first) % WRAP for edge in option.values]
        return struct.pack(f">BB{len(edges)}I", kind, 2 + 4 * len(edges), *edges)
    layout = {"mss": ">H", "wscale": ">B", "sackOK": ">", "ts": ">II"}[option.name]
    value = struct.pack(layout, *option.values)
    return bytes([kind, 2 + len(value)]) + value


def decode_options(raw: bytes, other_first: int) -> tuple[Option, ...]:
    """Return the options of a segment without its padding. Raises SegmentError for what no end should send."""
    found = []
    while raw:
        if raw[0] in (0, 1):
            raw = raw[1:]
            continue
        if len(raw) < 2 or raw[1] < 2 or raw[1] > len(raw):
            raise SegmentError(f"options that are cut off: {raw.hex()}")
        found.append(_decoded(raw[0], raw[2 : raw[1]], other_first))
        raw = raw[raw[1] :]
    return tuple(found)


def _decoded(kind: int, value: bytes, other_first: int) -> Option:
    name = next((name for name, number in _NAMES.items() if number == kind), "")
    if name == "sack":
        edges = struct.unpack(f">{len(value) // 4}I", value)
        return Option(name, tuple((edge - other_first) % WRAP for edge in edges))
    if name == "fo":
        return Option(name, (), value)
    if not name:
        return Option("bytes", (), bytes([kind, 2 + len(value)]) + value)
    layout = {"mss": ">H", "wscale": ">B", "sackOK": ">", "ts": ">II"}[name]
    return Option(name, struct.unpack(layout, value))


def differs(expected: Segment, found: Segment, *, pushes: bool = True) -> bool:
    """Return whether a segment is another one than a script expects; a window that it does not name may be any.

    ``pushes``: whether PSH has to be the same, which in real time depends on how soon the next data comes.
    """
    flags = [text if pushes else text.replace("P", "") for text in (expected.flags, found.flags)]
    if flags[0] != flags[1] or (expected.sequence, expected.length) != (found.sequence, found.length):
        return True
    if expected.ack != (found.ack if "A" in found.flags else None):
        return True
    if (expected.urgent, expected.ecn) != (found.urgent, found.ecn):
        return True
    if expected.window is not None and expected.window != found.window:
        return True
    wanted = tuple(option for option in expected.options if option.name not in ("nop", "eol"))
    return len(wanted) != len(found.options) or any(map(_option_differs, wanted, found.options))


def _option_differs(expected: Option, found: Option) -> bool:
    if expected.name == "ts" == found.name:
        pairs = zip(expected.values, found.values, strict=True)
        return any(wanted not in (ANY, value) for wanted, value in pairs)
    if expected.name == "fo" == found.name and expected.values:
        return not found.raw
    return (expected.name, expected.values, expected.raw) != (found.name, found.values, found.raw)


def pieces_of(segment: Segment, mss: int) -> list[Segment]:
    """Cut a segment that is longer than an MSS as a device would; PSH and FIN go with the last piece, CWR the first."""
    if segment.length <= mss or segment.length == 0:
        return [segment]
    pieces = []
    for start in range(0, segment.length, mss):
        end = min(start + mss, segment.length)
        flags = segment.flags if end == segment.length else segment.flags.replace("P", "").replace("F", "")
        flags = flags if start == 0 else flags.replace("W", "")
        pieces.append(replace(segment, flags=flags, sequence=segment.sequence + start, length=end - start))
    return pieces
