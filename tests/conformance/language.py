"""The language of conformance scripts: one rule of an RFC per file, as timed lines.

    # RFC 9293 §3.10.7.4: what lies outside the window is acknowledged and dropped.
    end client                                  # the end under test: the engine listens to it (service: connects)
    start established rtt 0.1 ecn <mss 1460>    # the handshake is done, in that time; else the script does it
    tcp min_rto: 1s                             # settings: tcp, timeouts, vserver (of the vServer itself)

    0.000 < PA 70000:70010(10) ack 1 win 1000   # to the engine
    0.000 > A 1 ack 1                           # from the engine, and nothing else before
    +0.500 quiet                                # nothing until then
    0.600 < icmp 3 4 seq 1 mtu 1400 length 1460 # an error about the engine's segment 1, of so much payload (or none)
    ~ counter drop_tcp_bad_sequence_packets 1   # since the script's start
    ~ tcb cwnd 14600 within 10                  # of the engine's connection; ~ cubic FIELD: what CUBIC keeps of it

``<<`` and ``>>`` stand for as many full segments as the bytes take: ``>> A 1:14601(14600) ack 1`` for ten.

Times are seconds, from the start or (+) from the line before; ``0.2..0.3`` is a span. What the application does:
``write N``, ``close``, ``abort``, ``pause`` and ``resume`` (reading), ``connect``; what it sees: ``received N`` (in
all), ``eof``, ``aborted``, ``open``. ``state NAME`` and the lines with ``~`` look into the engine: only where there is
no network between.

The script's end, where it is the client, may open further connections: ``anew`` goes on from another port, ``again``
from the same one, and all numbers are relative to new initial ones. ``isn-by-clock`` looks whether the engine's
initial sequence number is ahead of the one before by the time between, ``isn-elsewhere`` whether it has nothing to do
with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from ncore_ray.engine.tcp.state import TcpState
from tests.conformance.segment import Segment, SegmentError, parse_segment

_HEADING: Final = re.compile(r"# RFC (\d+)(?: §([\w.]+))?(?:,[^:]*)?: .+\.")
_TIME: Final = re.compile(r"(\+?)(\d+(?:\.\d+)?)(?:\.\.(\d+(?:\.\d+)?))?")
_WITH_NUMBER: Final = ("write", "received")
_ALONE: Final = (
    *("close", "abort", "pause", "resume", "connect", "eof", "aborted", "open", "quiet", "send-buffer-full"),
    *("anew", "again", "isn-by-clock", "isn-elsewhere"),
)
_SETTINGS: Final = ("tcp", "timeouts", "vserver")
_PACKETS: Final = ("<", ">", "<<", ">>")


class ScriptError(ValueError):
    """A script that cannot be read; the message begins with file and line."""


class Start(Enum):
    """What has happened before the first line."""

    CLOSED = "closed"
    ESTABLISHED = "established"


@dataclass(frozen=True)
class Step:
    """One timed line. Times are µs from the start, or from the step before."""

    line: int
    text: str
    relative: bool
    earliest_us: int
    latest_us: int | None
    """None: at `earliest_us`, within what the world calls the same time."""
    kind: str
    """'<', '>', '<<', '>>', 'icmp', a word of the application, 'state' or '~'."""
    segment: Segment | None = None
    words: tuple[str, ...] = ()


@dataclass
class Source:
    """A script that was read."""

    path: Path
    heading: str
    rfc: int
    section: str
    end: str = "client"
    start: Start = Start.CLOSED
    start_segment: Segment | None = None
    ecn: bool = False
    """Both ends agree on ECN in the handshake."""
    rtt_us: int = 0
    """Round-trip time of the handshake."""
    settings: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    @property
    def needs_inside(self) -> bool:
        """Return whether nothing is left of the script without its looks into the engine."""
        return not any(step.kind in _PACKETS for step in self.steps)

    @property
    def narrows(self) -> bool:
        """Return whether the engine may know afterwards that the way to the script's end is narrow."""
        return self.rfc == 4821 or any(step.kind == "icmp" and step.words[:2] == ("3", "4") for step in self.steps)


def read_script(path: Path) -> Source:
    """Read a script. Raises ScriptError."""
    return parse_script(path.read_text(), path)


def parse_script(text: str, path: Path) -> Source:
    """Read a script's text. Raises ScriptError."""
    lines = text.splitlines() or [""]
    heading = _HEADING.fullmatch(lines[0])
    if heading is None:
        raise ScriptError(f"{path}:1: the first line names the rule: '# RFC 9293 §3.10.7.4: a sentence.'")
    source = Source(path, lines[0].removeprefix("# "), int(heading[1]), heading[2] or "")
    for number, line in enumerate(lines[1:], 2):
        bare = _without_comment(line).strip()
        if not bare:
            continue
        try:
            _read_line(source, number, bare)
        except (ScriptError, SegmentError) as error:
            raise ScriptError(f"{path}:{number}: {error}") from error
    if not source.steps:
        raise ScriptError(f"{path}:{len(lines)}: the script does nothing: no line begins with a time")
    return source


def _without_comment(line: str) -> str:
    return line.split("#", 1)[0]


def _read_line(source: Source, number: int, line: str) -> None:
    word, _, rest = line.partition(" ")
    rest = rest.strip()
    if word == "~":
        source.steps.append(Step(number, line, True, 0, None, "~", words=_inside(rest)))
    elif word[0] in "+0123456789":
        source.steps.append(_step(number, line, word, rest))
    elif source.steps:
        raise ScriptError(f"{word!r}: behind the first timed line each begins with a time, or with ~")
    elif word in _SETTINGS:
        source.settings[word] = rest
    elif word == "end" and rest in ("client", "service"):
        source.end = rest
    elif word == "start":
        _read_start(source, rest)
    else:
        raise ScriptError(f"unknown line {line!r}: expected a time, ~, end, start, {' or '.join(_SETTINGS)}")


def _inside(rest: str) -> tuple[str, ...]:
    words = tuple(rest.split())
    if len(words) == 5 and words[3] == "within" and words[4].isdecimal():
        return (*_inside(" ".join(words[:3])), words[4])
    if len(words) == 3 and words[0] in ("counter", "tcb", "cubic") and words[2].lstrip("-").isdecimal():
        return words
    expected = "'~ counter NAME NUMBER', '~ tcb FIELD NUMBER' or '~ cubic FIELD NUMBER', maybe with 'within NUMBER'"
    raise ScriptError(f"~ {rest}: expected {expected}")


def _read_start(source: Source, rest: str) -> None:
    word, _, options = rest.partition(" ")
    if word not in [start.value for start in Start]:
        raise ScriptError(f"start {word!r}: expected one of {', '.join(start.value for start in Start)}")
    source.start = Start(word)
    if options.startswith("rtt "):
        _, time, *others = options.split(" ", 2)
        if _TIME.fullmatch(time) is None:
            raise ScriptError(f"rtt needs a time in seconds, not {time!r}")
        source.rtt_us, options = round(float(time) * 1e6), others[0] if others else ""
    if options.partition(" ")[0] == "ecn":
        source.ecn, options = True, options.partition(" ")[2]
    source.start_segment = parse_segment(f"S 0 {options}") if options else None


def _step(number: int, line: str, time: str, rest: str) -> Step:
    match = _TIME.fullmatch(time)
    if match is None:
        raise ScriptError(f"{time!r} is no time: expected seconds, such as 0.200, +0.200 or +0.200..0.250")
    earliest = round(float(match[2]) * 1e6)
    latest = round(float(match[3]) * 1e6) if match[3] else None
    if latest is not None and latest < earliest:
        raise ScriptError(f"{time}: the span ends before it begins")
    word, _, rest = rest.partition(" ")
    timed = (number, line, match[1] == "+", earliest, latest)
    if word in _PACKETS:
        return _packet_step(timed, word, rest.strip())
    if word in _WITH_NUMBER and rest.strip().isdecimal():
        return Step(*timed, word, words=(rest.strip(),))
    if word in _ALONE and not rest:
        return Step(*timed, word)
    if word == "state" and rest.upper().replace("-", "_") in TcpState.__members__:
        return Step(*timed, word, words=(rest.upper().replace("-", "_"),))
    raise ScriptError(
        f"unknown step {' '.join([word, rest]).strip()!r}: expected < or > and a segment, < icmp …, state NAME, "
        f"{', '.join(f'{one} N' for one in _WITH_NUMBER)}, {', '.join(_ALONE)}"
    )


def _packet_step(timed: tuple[int, str, bool, int, int | None], word: str, rest: str) -> Step:
    if rest.startswith("icmp "):
        words = rest.split()
        # icmp TYPE CODE seq NUMBER [mtu NUMBER] [length NUMBER]
        numbers = [*words[1:3], *words[4::2]]
        names = words[3::2]
        if (
            word != "<"
            or names not in (["seq"], ["seq", "mtu"], ["seq", "length"], ["seq", "mtu", "length"])
            or not all(one.isdecimal() for one in numbers)
            or len(words) % 2 == 0
        ):
            raise ScriptError(f"{rest!r}: expected '< icmp TYPE CODE seq NUMBER [mtu NUMBER] [length NUMBER]'")
        return Step(*timed, "icmp", words=tuple(words[1:]))
    return Step(*timed, word, parse_segment(rest))
