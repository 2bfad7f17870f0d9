"""The syntax around chunks (RFC 9112 §7.1) as a table: state × class of character → state.

    chunk     = 1*HEXDIG [ chunk-ext ] CRLF chunk-data CRLF
    chunk-ext = *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )
    last      = "0" [ chunk-ext ] CRLF *( token ":" OWS value CRLF ) CRLF

CR and LF stand where the grammar has CRLF and nowhere else.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np

from ncore_ray.engine.http.message.text import FIELD_CONTENT, HEX_DIGITS, TOKEN


class Phase(IntEnum):
    """Where a body stands. From SIZE_FIRST on they are the rows of the table."""

    DATA = 0
    """The next bytes are content."""
    DONE = 1
    ERROR = 2

    SIZE_FIRST = 3
    SIZE = 4
    SIZE_SPACE = 5
    EXTENSION_START = 6
    EXTENSION_NAME = 7
    EXTENSION_NAME_SPACE = 8
    VALUE_START = 9
    VALUE_TOKEN = 10
    QUOTED = 11
    QUOTED_PAIR = 12
    QUOTED_END = 13
    SIZE_LF = 14
    SIZE_END = 15
    """The line with the size is complete."""
    DATA_CR = 16
    DATA_LF = 17
    TRAILER_START = 18
    TRAILER_NAME = 19
    TRAILER_COLON = 20
    """A trailer's name is complete."""
    TRAILER_VALUE = 21
    TRAILER_LF = 22
    LAST_LF = 23


class _Class(IntEnum):
    HEX = 0
    TOKEN = 1
    BLANK = 2
    SEMICOLON = 3
    EQUALS = 4
    QUOTE = 5
    BACKSLASH = 6
    COLON = 7
    CONTENT = 8
    """Other characters of field values, obs-text included."""
    CR = 9
    LF = 10
    CONTROL = 11


CLASSES: Final = 16
"""Columns of the table."""

_ONE_BYTE_CLASSES: Final = {
    ord(";"): _Class.SEMICOLON,
    ord("="): _Class.EQUALS,
    ord('"'): _Class.QUOTE,
    ord("\\"): _Class.BACKSLASH,
    ord(":"): _Class.COLON,
    ord("\r"): _Class.CR,
    ord("\n"): _Class.LF,
    ord(" "): _Class.BLANK,
    ord("\t"): _Class.BLANK,
}


def _class_of(byte: int) -> _Class:
    if byte in _ONE_BYTE_CLASSES:
        return _ONE_BYTE_CLASSES[byte]
    if byte in HEX_DIGITS:
        return _Class.HEX
    if byte in TOKEN:
        return _Class.TOKEN
    return _Class.CONTENT if byte in FIELD_CONTENT else _Class.CONTROL


_IN_TOKEN: Final = (_Class.HEX, _Class.TOKEN)
_IN_VALUE: Final = tuple(range(_Class.CONTENT + 1))
_IN_QUOTED: Final = tuple(kind for kind in _IN_VALUE if kind not in (_Class.QUOTE, _Class.BACKSLASH))
_AFTER_EXTENSION: Final[dict[tuple[int, ...], Phase]] = {
    (_Class.BLANK,): Phase.SIZE_SPACE,
    (_Class.SEMICOLON,): Phase.EXTENSION_START,
    (_Class.CR,): Phase.SIZE_LF,
}

TRANSITIONS: Final[dict[Phase, dict[tuple[int, ...], Phase]]] = {
    Phase.SIZE_FIRST: {(_Class.HEX,): Phase.SIZE},
    Phase.SIZE: {(_Class.HEX,): Phase.SIZE, **_AFTER_EXTENSION},
    Phase.SIZE_SPACE: {(_Class.BLANK,): Phase.SIZE_SPACE, (_Class.SEMICOLON,): Phase.EXTENSION_START},
    Phase.EXTENSION_START: {(_Class.BLANK,): Phase.EXTENSION_START, _IN_TOKEN: Phase.EXTENSION_NAME},
    Phase.EXTENSION_NAME: {
        _IN_TOKEN: Phase.EXTENSION_NAME,
        (_Class.EQUALS,): Phase.VALUE_START,
        **_AFTER_EXTENSION,
        (_Class.BLANK,): Phase.EXTENSION_NAME_SPACE,
    },
    Phase.EXTENSION_NAME_SPACE: {
        (_Class.BLANK,): Phase.EXTENSION_NAME_SPACE,
        (_Class.EQUALS,): Phase.VALUE_START,
        (_Class.SEMICOLON,): Phase.EXTENSION_START,
    },
    Phase.VALUE_START: {
        (_Class.BLANK,): Phase.VALUE_START,
        _IN_TOKEN: Phase.VALUE_TOKEN,
        (_Class.QUOTE,): Phase.QUOTED,
    },
    Phase.VALUE_TOKEN: {_IN_TOKEN: Phase.VALUE_TOKEN, **_AFTER_EXTENSION},
    Phase.QUOTED: {
        _IN_QUOTED: Phase.QUOTED,
        (_Class.BACKSLASH,): Phase.QUOTED_PAIR,
        (_Class.QUOTE,): Phase.QUOTED_END,
    },
    Phase.QUOTED_PAIR: {_IN_VALUE: Phase.QUOTED},
    Phase.QUOTED_END: _AFTER_EXTENSION,
    Phase.SIZE_LF: {(_Class.LF,): Phase.SIZE_END},
    Phase.DATA_CR: {(_Class.CR,): Phase.DATA_LF},
    Phase.DATA_LF: {(_Class.LF,): Phase.SIZE_FIRST},
    Phase.TRAILER_START: {_IN_TOKEN: Phase.TRAILER_NAME, (_Class.CR,): Phase.LAST_LF},
    Phase.TRAILER_NAME: {_IN_TOKEN: Phase.TRAILER_NAME, (_Class.COLON,): Phase.TRAILER_COLON},
    Phase.TRAILER_VALUE: {_IN_VALUE: Phase.TRAILER_VALUE, (_Class.CR,): Phase.TRAILER_LF},
    Phase.TRAILER_LF: {(_Class.LF,): Phase.TRAILER_START},
    Phase.LAST_LF: {(_Class.LF,): Phase.DONE},
}


def _build_next() -> Any:
    table = np.full((len(Phase), CLASSES), Phase.ERROR, np.int64)
    for phase, row in TRANSITIONS.items():
        for kinds, following in row.items():
            table[phase, list(kinds)] = following
    return table.reshape(-1)


CLASS_OF: Final[Any] = np.array([_class_of(byte) for byte in range(256)], np.int64)
NEXT_PHASE: Final = _build_next()
