"""Texts of people and files of other programs: what is wrong with them is said by errors of ours, and by no others."""

from __future__ import annotations

import contextlib
from functools import cache

from ncore_ray.config.language import parse_script
from ncore_ray.config.load import parse
from ncore_ray.engine.handover.document import from_document, from_json, to_document, to_json
from ncore_ray.engine.handover.frozen import Refusal
from ncore_ray.engine.handover.run import Handover
from ncore_ray.errors import NcoreError
from ncore_ray.lab.dry.engine import EngineLab
from tests.fuzz.labs import Rewound
from tests.support.tcp_script import configuration_text, established

_MOST = 3_000


def any_configuration(data: bytes) -> None:
    """Read a configuration."""
    with contextlib.suppress(NcoreError):
        parse(data[:_MOST].decode("utf-8", "replace"))


def any_commands(data: bytes) -> None:
    """Read a script of commands."""
    with contextlib.suppress(NcoreError):
        parse_script(data[:_MOST].decode("utf-8", "replace"))


@cache
def _frozen() -> tuple[bytes, Rewound]:
    script = established("client", sack=True)
    script.client.sends("PA", data=300)
    script.client.sends("PA", 601, data=50)
    script.settle()
    handover = Handover(script.lab.array)
    frozen = handover.freeze(0, next(iter(handover.flows(0))))
    assert isinstance(frozen, bytes)
    return frozen, Rewound(EngineLab(configuration_text(), connections=8, frames=32))


def any_frozen_flow(data: bytes) -> None:
    """Thaw a flow whose lengths are changed: three bytes each say where and what. All of it is taken, or nothing."""
    frozen, rewound = _frozen()
    changed = bytearray(frozen)
    for at in range(0, len(data[:60]) - 2, 3):
        changed[int.from_bytes(data[at : at + 2], "big") % len(changed)] = data[at + 2]
    lab = rewound.rewind()
    number = Handover(lab.array).thaw(0, bytes(changed), lab.now)
    sides = 0 if isinstance(number, Refusal) else changed[32]
    assert len(lab.connections()) == sides
    with contextlib.suppress(NcoreError):
        from_document(from_json(to_json(to_document(bytes(changed)))))
