"""A test bed with an appliance in it, and the programs at both ends."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ncore_ray.appliance import session
from ncore_ray.config.load import parse
from ncore_ray.demo.accounts import Accounts, Snapshot, take_still
from ncore_ray.demo.site import Site
from ncore_ray.lab.__main__ import start_origins
from ncore_ray.lab.host import Host
from ncore_ray.lab.network import VIP, Layout, Network
from ncore_ray.lab.process import Process
from tests.e2e.driver import create_and_die

_numbers = itertools.count(1)
_beds = itertools.count(1)
_hosts = itertools.count(110)
"""Last bytes of the addresses that tests take for VIPs of their own, each once."""

TEMPLATE = """\
appliance:
  {{name: {name}, engines: {engines}{scaling}, standbys: {standbys}, backup: {backup}, arena: {arena}, timer: {timer},
   replication: {replication}}}
distribution: {{{distribution}}}
nics:
  - {{name: nc0, driver: af_packet, netns: {netns}, addresses: [10.1.0.10/24, "2001:db8:1::10/64"]{faults}}}
  - {{name: nc1, driver: af_packet, netns: {netns}, addresses: [10.2.0.10/24, "2001:db8:2::10/64"]{faults}}}
services:
  - {{name: web1, address: "10.2.0.2:80", monitor: {monitor}}}
  - {{name: web2, address: "10.2.0.3:80", monitor: {monitor}}}
  - {{name: raw1, address: "10.2.0.2:9000"}}
  - {{name: raw2, address: "10.2.0.3:9000"}}
  - {{name: udp1, address: "10.2.0.2:9000", monitor: none}}
  - {{name: udp2, address: "10.2.0.3:9000", monitor: none}}
  - {{name: ws1, address: "10.2.0.2:8080", monitor: none}}
  - {{name: ngx1, address: "10.2.0.2:8081", monitor: none}}
vservers:
  - {{name: www, address: "10.1.0.100:80", protocol: HTTP, services: [web1, web2]}}
  - {{name: raw, address: "10.1.0.100:9000", protocol: TCP, services: [raw1, raw2], method: leastconnection}}
  - {{name: udp, address: "10.1.0.100:9000", protocol: UDP, services: [udp1, udp2]}}
  - {{name: ws, address: "10.1.0.100:8080", protocol: HTTP, services: [ws1]}}
  - {{name: turns, address: "10.1.0.101:80", protocol: HTTP, services: [web1, web2], unit: {unit}}}
  - {{name: ngx, address: "10.1.0.100:8081", protocol: HTTP, services: [ngx1], unit: {unit}}}
access_log: {access_log}
statistics: {{source: {source}}}
"""
MONITOR = "{type: http, path: /health, interval: 250ms, timeout: 200ms, fall: 2}"


@dataclass(frozen=True)
class Reply:
    """What curl got."""

    status: int
    headers: str
    body: bytes
    log: str
    """What curl said with ``-v``."""
    figures: Mapping[str, str]
    exit_status: int


class Bed:
    """One appliance with its surroundings."""

    def __init__(self, site: Site, folder: Path, origins: list[Process], driver: int) -> None:
        self.driver = driver
        """The process that built it and was killed then; 0: this one, and it lives."""
        self.site = site
        self.network = site.network
        self.appliance = site.appliance
        self.folder = folder
        self.origins = origins
        self.accountable = all(nic.faults is None for nic in site.configuration.nics)
        """Whether the counters have to come out even: no faults are put in, no actor is killed."""

    @property
    def client(self) -> Host:
        """The client's host."""
        return self.network.client

    def curl(self, *options: str, timeout_s: float = 30.0) -> Reply:
        """Run curl on the client's host; the URL's first part may be left out."""
        number = next(_numbers)
        body, head, log = (self.folder / f"curl-{number}.{part}" for part in ("body", "head", "log"))
        written = "%{http_code} %{num_connects} %{size_download}"
        line = ["curl", "-sSv", "-m", str(timeout_s), "-o", str(body), "-D", str(head), "-w", written + "\\n"]
        line += [f"http://{VIP}{option}" if option.startswith("/") else option for option in options]
        name = f"curl-{number}"
        process = self.client.start(line, name=name, lifetime_s=timeout_s + 5, read_output=True)
        figures = [text.split() for text in process.lines()][-1:] or [["0", "0", "0"]]
        status = process.wait(5)
        log.write_text(process.log_tail(200))
        content = body.read_bytes() if body.exists() else b""
        headers = head.read_text("latin-1") if head.exists() else ""
        names = ("status", "connects", "size")
        values = dict(zip(names, figures[0], strict=True))
        return Reply(int(values["status"]), headers, content, log.read_text(), values, status)

    def connect(self, port: int, address: str = VIP, *, receive_buffer: int = 0) -> socket.socket:
        """Return a TCP connection from the client's host. Raises OSError."""

        def make() -> socket.socket:
            made = socket.socket()
            if receive_buffer:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            made.settimeout(20)
            made.connect((address, port))
            return made

        return self.client.namespace.call(make)

    def socket(self, *arguments: int, host: Host | None = None) -> socket.socket:
        """Return a socket of the client's, or another, host."""

        def make() -> socket.socket:
            made = socket.socket(*arguments)
            made.settimeout(5)
            return made

        return (host or self.client).namespace.call(make)

    def run(self, line: list[str], host: Host | None = None, timeout_s: float = 60.0) -> str:
        """Run a program on the client's, or another, host; return its output. It has to succeed."""
        process = (host or self.client).start(line, lifetime_s=timeout_s, read_output=True)
        text = "\n".join(process.lines())
        assert process.wait(5) == 0, f"{text}\n{process.log_tail()}"
        return text

    def wait(self, ready: Callable[[], Any], what: str, timeout_s: float = 10.0) -> None:
        """Poll until ``ready()``."""
        end = time.monotonic() + timeout_s
        while not ready():
            assert time.monotonic() < end, f"{what}: not within {timeout_s:g} s"
            time.sleep(0.02)

    def new_vip(self) -> str:
        """Return an address in the clients' network that nobody else uses, for a vServer that a test adds."""
        return f"10.1.0.{next(_hosts)}"

    def configure(self, *commands: str) -> dict[str, Any]:
        """Make changes as `ncore add`, `set`, `bind` … do; return what was done. All engines have to take it."""
        done: dict[str, Any] = self.appliance.ask("configure", "change", list(commands), "tester", "a test", "/")
        assert done["late"] == []
        return done

    @contextlib.contextmanager
    def changed(self, *commands: str) -> Iterator[dict[str, Any]]:
        """Make changes, and take them and all that follow back at the end: the next test finds what this one found."""
        before = self.appliance.ask("configure", "versions", 1)[0]["number"]
        try:
            yield self.configure(*commands)
        finally:
            self.appliance.ask("configure", "rollback", before, "tester", "the end of a test")
            self.site.wait_until_up()

    def snapshot(self) -> Snapshot:
        """Return everything counted up to now."""
        return Snapshot.with_witnesses(self.site)

    def still_snapshot(self) -> Snapshot:
        """Return everything counted up to an instant when no packet was on its way."""
        return take_still(self.snapshot)

    def check_accounts(self, before: Snapshot) -> None:
        """Check that every frame since was sent or freed, as soon as none is on its way."""
        end = time.monotonic() + 10
        while not (accounts := Accounts(before, self.snapshot())).balanced and time.monotonic() < end:
            time.sleep(0.05)
        uneven = [row for row in accounts.sums() if row[1] != row[2]]
        if uneven:
            print("uneven; what has happened:", *self.appliance.ask("events")[-20:], sep="\n")
            print(accounts.actors("nic-"), accounts.before.links, accounts.after.links)
        assert (uneven, accounts.held_frames()) == ([], 0)


PER_CORE: Final[dict[str, Any]] = {
    "engines": 3,
    "distribution": "placement: per-core",
    "unit": "transaction",
    "standbys": 1,
    "arena": "128MiB",
    "scaling": ", max_engines: 4, drain_time: 1s",
    "replication": "calls",
}
"""Engines that read and distribute themselves, linked with each other by virtual connections. Each is called when the
configuration changes, and has to agree."""
BAD_NICS: Final[dict[str, Any]] = {
    "engines": 2,
    "distribution": "parallelism: nic, placement: per-core, algorithm: two-choices, forwarding: batch-flow",
    "faults": ", faults: {seed: 7, loss: 1%, duplication: 1%, reordering: 1%}",
}
"""Each engine serves one NIC and injects faults in its own queues; engine 0 also in what is sent."""
TIMER: Final[dict[str, Any]] = {"engines": 2, "timer": "5ms"}
"""Engines that breathe every 5 ms: the timer's histogram is there, too."""
RSS: Final[dict[str, Any]] = {
    "engines": 3,
    "distribution": "placement: rss",
    "standbys": "auto",
    "arena": "128MiB",
    "scaling": ", max_engines: 4, drain_time: 1s",
}
"""A program in the kernel brings each flow to its engine."""


def unique(purpose: str) -> str:
    """Return a name of this test run's own."""
    return f"nce{os.getpid() % 100_000}{purpose}"


def configuration_text(name: str, netns: str, **options: Any) -> str:
    """Return the YAML of a bed's appliance."""
    known = {"engines": 2, "arena": "96MiB", "timer": "adaptive", "faults": "", "monitor": MONITOR}
    known |= {"unit": "flow", "distribution": "placement: core", "standbys": 0, "scaling": ""}
    known |= {"backup": "false", "replication": "memory", "source": "memory"}
    return TEMPLATE.format(name=name, netns=netns, **{**known, **options})


@contextlib.contextmanager
def make_bed(folder: Path, *, detached: bool = False, **options: Any) -> Iterator[Bed]:
    """Build a network with two servers and an appliance; every service is up.

    One that is ``detached`` is built by another process, which is dead before the first test begins.
    """
    name = unique(f"b{next(_beds)}")
    options.setdefault("access_log", f"{{file: {folder}/access.log, format: json}}")
    with Network(Layout(prefix=name, servers=2)) as network:
        origins = start_origins(network)
        text = configuration_text(name, network.appliance.namespace.name, **options)
        configuration, driver = parse(text), 0
        if detached:
            appliance, driver = create_and_die(text, name, folder / f"{name}.sqlite")
        else:
            appliance = session.create(configuration, name, detached=False)
        try:
            site = Site(network, appliance, configuration)
            site.wait_until_up()
            yield Bed(site, folder, origins, driver)
        finally:
            appliance.take_down()
