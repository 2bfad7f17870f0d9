"""Local ports dealt out in order, so that within a run a four-tuple names one flow only."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os

from ncore_ray.lab.http1 import Endpoint

_PORTS = range(12_000, 64_000)
_ATTEMPTS = 200
_STRIDE = 4099  # so that runs one after the other begin at other ports: the last run's may be in TIME-WAIT still


class LocalPorts:
    """Connects from the given addresses of this host; no port comes twice before all others of its address."""

    def __init__(self, sources: tuple[str, ...]) -> None:
        self._sources = sources or ("0.0.0.0",)
        first = os.getpid() * _STRIDE % len(_PORTS)
        self._ports = {source: itertools.cycle((*_PORTS[first:], *_PORTS[:first])) for source in self._sources}

    async def connect(self, remote: Endpoint, index: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect on behalf of worker number ``index``; a port that is in use is skipped. Raises OSError."""
        source = self._sources[index % len(self._sources)]
        for _ in range(_ATTEMPTS):
            try:
                return await asyncio.open_connection(*remote, local_addr=(source, next(self._ports[source])))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, f"{_ATTEMPTS} local ports in a row are in use")
