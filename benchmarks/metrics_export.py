"""What it costs to export the metrics once a second, by the number of engines.

    python -m benchmarks.metrics_export [--engines 1 4 8] [--seconds 10]

An actor on a Ray of this program's own exports an arena without traffic, once with no counter growing and once with all
of them growing between two exports. Prints the processor time per second of the exporting thread, and that of the whole
process, Ray's own threads in it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
import ray

from ncore_ray.arena.layout import PAGE, aligned
from ncore_ray.blueprint.build import build, draw
from ncore_ray.config.load import parse
from ncore_ray.demo.ray_node import own_ray
from ncore_ray.management.directory import names_by_row, service_rows, vserver_rows
from ncore_ray.metrics.exporter import Exporter, Vital
from ncore_ray.metrics.metric import Kind
from ncore_ray.metrics.ray_instruments import RayInstruments
from ncore_ray.metrics.thread import PERIOD_S
from ncore_ray.metrics.words import Names, plan_series

_SERVICES: Final = 8
_OPEN_S: Final = 60


def _text(engines: int) -> str:
    names = [f"web{number}" for number in range(_SERVICES)]
    services = [f"{{name: {name}, address: '10.2.0.{2 + place}:80'}}" for place, name in enumerate(names)]
    vservers = [
        f"{{name: www{number}, address: '10.1.0.{100 + number}:80', protocol: HTTP, services: [{', '.join(names)}]}}"
        for number in range(4)
    ]
    return f"""
appliance: {{name: lab, engines: {engines}, arena: 128MiB}}
nics:
  - {{name: nc0, driver: memory, addresses: [10.1.0.10/24]}}
  - {{name: nc1, driver: memory, addresses: [10.2.0.10/24]}}
services: [{", ".join(services)}]
vservers: [{", ".join(vservers)}]
limits: {{connections: 1000}}
"""


class Subject:
    """An exporter over an arena of its own."""

    def __init__(self, engines: int) -> None:
        configuration = parse(_text(engines))
        blueprint = draw(configuration)
        self._array = aligned(np.zeros(blueprint.size + PAGE, np.uint8))
        build(self._array, blueprint)
        actors = {"distributor": 0, **{f"engine-{number}": 1 + number for number in range(engines)}}
        actors |= {f"nic-nc{number}": 1 + engines + number for number in range(2)}
        names = Names(
            "lab",
            [nic.name for nic in configuration.nics],
            names_by_row(vserver_rows(self._array)),
            names_by_row(service_rows(self._array)),
            actors,
        )
        self._actors = list(actors)
        self._exporter = Exporter(self._array, names, self._vitals)
        series = plan_series(self._array, names)
        self.counters = sum(one.metric.kind is not Kind.GAUGE for one in series)
        self.gauges = len(series) - self.counters
        words = [word for one in series if one.metric.kind is not Kind.GAUGE for word in one.words]
        self._places = np.unique([word.place // 8 for word in words])
        self._instruments = RayInstruments()

    def _vitals(self) -> Iterator[Vital]:
        yield Vital("vitals.start_time", {}, 1.0)
        yield from (Vital("vitals.actor_up", {"actor": name}, 1) for name in self._actors)

    def open(self) -> tuple[int, int]:
        """Export until counters are told; return the numbers of counters and gauges."""
        end = time.monotonic() + _OPEN_S
        while not self._instruments.is_open() and time.monotonic() < end:
            self._exporter.export(self._instruments)
            time.sleep(0.5)
        self._exporter.export(self._instruments)
        return self.counters, self.gauges

    def run(self, seconds: float, grow: bool) -> tuple[float, float]:
        """Export once a second; return the milliseconds of processor time per second: of the thread, of the process."""
        words = self._array[: self._array.size // 8 * 8].view(np.int64)
        thread_s, process_at, end = 0.0, time.process_time(), time.monotonic() + seconds
        while time.monotonic() < end:
            if grow:
                words[self._places] += 1
            began_at = time.thread_time()
            self._exporter.export(self._instruments)
            thread_s += time.thread_time() - began_at
            time.sleep(PERIOD_S)
        return 1000 * thread_s / seconds, 1000 * (time.process_time() - process_at) / seconds


def _measure(engines: int, seconds: float) -> None:
    subject = ray.remote(Subject).options(num_cpus=0).remote(engines)
    counters, gauges = ray.get(subject.open.remote())
    still = ray.get(subject.run.remote(seconds, False))
    moving = ray.get(subject.run.remote(seconds, True))
    ray.kill(subject)
    row = f"{engines:7} {counters:9,} {gauges:7,} {still[0]:13.1f} {still[1]:14.1f} {moving[0]:13.1f} {moving[1]:14.1f}"
    print(row, flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    with own_ray(64 << 20):
        print("ms of processor time per second:      nothing grows                all counters grow")
        print("engines  counters  gauges    the thread    the process    the thread    the process")
        for engines in arguments.engines:
            _measure(engines, arguments.seconds)


if __name__ == "__main__":
    main()
