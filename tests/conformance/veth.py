"""The same scripts over veth devices, on a running appliance: `make conformance`, `python -m tests.conformance.veth`.

Both hosts are raw sockets in network namespaces, so no kernel's TCP takes part. Time is real, so all times may differ
by the tolerance; what looks into the engine (`state`, `~`) is left out. Scripts with the same settings are played one
after the other; for others the living appliance is changed, or another is made where the settings need one.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ncore_ray.appliance import session
from ncore_ray.config.load import parse
from ncore_ray.demo.ray_node import own_ray
from ncore_ray.engine.connection import Tcb
from ncore_ray.lab.dry.packets import internet_checksum, pseudo_header
from ncore_ray.lab.host import Host, mac_of
from ncore_ray.lab.network import CLIENT_SNIP, SERVER_SNIP, VIP, Layout, Network
from tests.conformance.language import Source, read_script
from tests.conformance.play import Player
from tests.conformance.world import Place, Take

CLIENT: Final = "10.1.0.77"
SERVICE: Final = "10.2.0.77"
PORT: Final = 9000
FOLDER: Final = Path(__file__).parent / "tcp"
_MACS: Final = (0x0200_0000_4D01, 0x0200_0000_4D02)
_SOL_PACKET, _AUXDATA, _SUM_NOT_READY = 263, 8, 8
_RAY_BYTES: Final = 512 << 20
_PORTS: Final = 8
"""Of one script: it may open a few connections."""
_PAUSE_S: Final = 1.1
_KINDS: Final = ("tcp", "timeouts", "vserver")
Settings = tuple[str, str, str]
"""What a group of scripts needs: keys of `tcp`, of `timeouts` and of the vServer."""
Sockets = tuple[socket.socket, socket.socket]
_TEXT: Final = """
appliance: {{name: {name}, engines: 1, standbys: 0, arena: 96MiB}}
nics:
  - {{name: nc0, driver: af_packet, netns: {netns}, addresses: [10.1.0.10/24]}}
  - {{name: nc1, driver: af_packet, netns: {netns}, addresses: [10.2.0.10/24]}}
services:
  - {{name: one, address: "10.2.0.77:9000", monitor: none}}
vservers:
  - {{name: raw, address: "10.1.0.100:9000", protocol: TCP, services: [one]{vserver}}}
tcp: {{{tcp}}}
timeouts: {{{timeouts}}}
"""


def packet_socket(host: Host) -> socket.socket:
    """Return a raw socket on the one device of a host."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        made.setsockopt(_SOL_PACKET, _AUXDATA, 1)
        made.bind((next(name for _, name in socket.if_nameindex() if name != "lo"), 0))
        made.setblocking(False)
        return made

    return host.namespace.call(make)


def summed(frame: bytes) -> bytes:
    """Return a frame with the TCP checksum that its sender had left to the device, where there is none on a veth."""
    if frame[12:14] != b"\x08\0" or frame[23] != 6:
        return frame
    body = frame[34:50] + b"\0\0" + frame[52:]
    source, destination = (".".join(map(str, frame[at : at + 4])) for at in (26, 30))
    total = internet_checksum(pseudo_header(source, destination, 6, len(body)) + body)
    return frame[:50] + struct.pack(">H", total) + frame[52:]


class VethWorld:
    """The sockets, and the time that goes by."""

    def __init__(self, sockets: Sockets, client: tuple[str, int], tolerance_s: float) -> None:
        macs = tuple(int(mac_of(address).replace(":", ""), 16) for address in (CLIENT_SNIP, SERVER_SNIP))
        self.place = Place(client, (VIP, PORT), (SERVICE, PORT), SERVER_SNIP, (macs[0], macs[1]), _MACS)
        self._sockets, self._tolerance_us = sockets, round(tolerance_s * 1e6)
        self._start = time.monotonic()
        for one in sockets:
            while select.select([one], [], [], 0)[0]:
                one.recv(65_536)

    @property
    def tolerance_us(self) -> int:
        return self._tolerance_us

    def now_us(self) -> int:
        return round((time.monotonic() - self._start) * 1e6)

    def send(self, nic: int, frame: bytes) -> None:
        self._sockets[nic].send(frame)

    def advance(self, until_us: int, take: Take, stop: Callable[[], bool]) -> None:
        while not stop():
            left = max(until_us - self.now_us(), 0) / 1e6
            ready, _, _ = select.select(self._sockets, [], [], left)
            for one in ready:
                frame, notes, _, address = one.recvmsg(65_536, 256)
                if any(
                    struct.unpack_from("I", note)[0] & _SUM_NOT_READY for _, kind, note in notes if kind == _AUXDATA
                ):
                    frame = summed(frame)
                if address[2] != socket.PACKET_OUTGOING:
                    take(self._sockets.index(one), frame, self.now_us())
            if not ready and left == 0:
                return

    def counter(self, name: str) -> int | None:
        return None

    def tcb(self, nic: int) -> Tcb | None:
        return None

    def sees_inside(self) -> bool:
        return False

    def end(self) -> None:
        """Let the engine end the connections by itself: each script has ports of its own."""


def sources(only: str, longest_s: float) -> dict[Settings, list[Source]]:
    """Return the scripts to be played, by the settings that they need."""
    found: dict[Settings, list[Source]] = defaultdict(list)
    for path in sorted(FOLDER.rglob("*.tcp")):
        source = read_script(path)
        if only in str(path.relative_to(FOLDER)) and _length_s(source) <= longest_s and not source.needs_inside:
            tcp, timeouts, vserver = (source.settings.get(name, "") for name in ("tcp", "timeouts", "vserver"))
            found[tcp, timeouts, vserver].append(source)
    for each in found.values():
        each.sort(key=lambda source: source.narrows)  # the service has one address
    return found


def _length_s(source: Source) -> float:
    at = 0
    for step in source.steps:
        at = (at if step.relative else 0) + step.earliest_us
    return at / 1e6


class Bench:
    """The appliance at hand, with the settings of the scripts at hand."""

    def __init__(self, network: Network) -> None:
        self._name, self._netns = network.layout.prefix, network.appliance.namespace.name
        self._running: session.Appliance | None = None

    def set_up(self, settings: Settings) -> None:
        """Change the living appliance, or make another one where that does not do."""
        tcp, timeouts, vserver = settings
        if "receive_window" not in tcp:
            tcp = "receive_window: 128KiB, send_buffer: 128KiB" + (tcp and f", {tcp}")
        own = vserver and f", {vserver}"
        text = _TEXT.format(name=self._name, netns=self._netns, tcp=tcp, timeouts=timeouts, vserver=own)
        if self._running is None or not self._changed(text):
            self.take_down()
            self._running = session.create(parse(text), self._name, detached=False)

    def _changed(self, text: str) -> bool:
        assert self._running is not None
        if self._running.ask("configure", "preview", text, "scripts")["restart"]:
            return False
        self._running.ask("configure", "apply", text, "scripts", "scripts", "")
        return True

    def take_down(self) -> None:
        """End the appliance, if there is one."""
        if self._running is not None:
            self._running.take_down()
        self._running = None


def play(source: Source, sockets: Sockets, client: tuple[str, int], tolerance_s: float) -> str:
    """Play a script, and reset what is left of its connections; return what was wrong, or nothing."""
    world = VethWorld(sockets, client, tolerance_s)
    player = Player(source, world)
    try:
        player.play()
    except AssertionError as error:
        return str(error) or "an assertion failed"
    finally:
        if player.far is not None:
            player.far.reset()
        for frame in player.near.resets():
            world.send(player.near.nic, frame)
    return ""


def play_all(groups: dict[Settings, list[Source]], bench: Bench, sockets: Sockets, tolerance_s: float) -> int:
    """Play groups of scripts, each script again if it fails: a busy machine is late now and then. Return the failures.

    The second try comes a while later, when limits by the second let more through. After some scripts a way is known
    to be narrow: these have clients of their own.
    """
    port, played, failed = 20_000, 0, 0
    hosts = (f"10.1.0.{number}" for number in range(110, 250))
    for settings, found in groups.items():
        bench.set_up(settings)
        for source in found:
            wrong = play(source, sockets, (next(hosts) if source.narrows else CLIENT, port), tolerance_s)
            if wrong:
                time.sleep(_PAUSE_S)
                client = next(hosts) if source.narrows else CLIENT, port + _PORTS
                wrong = play(source, sockets, client, tolerance_s)
            port += 2 * _PORTS
            played += 1
            if wrong:
                failed += 1
                print(f"FAILED {wrong}\n", flush=True)
        shown = "; ".join(f"{name}: {text}" for name, text in zip(_KINDS, settings, strict=True) if text)
        print(f"{played} played, {failed} failed ({shown or 'default settings'})", flush=True)
    return failed


def main() -> int:
    """Play all scripts that the command line names; return 1 if one failed twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.veth", description=__doc__)
    parser.add_argument("only", nargs="?", default="", help="only scripts with this in their path, such as rfc5961/")
    parser.add_argument("--longest", type=float, default=6, help="leave out scripts that take more seconds")
    parser.add_argument("--tolerance", type=float, default=0.04, help="seconds by which times may differ")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--default-settings", action="store_true", help="leave out scripts with settings of their own")
    which.add_argument("--own-settings", action="store_true", help="leave out all others")
    options = parser.parse_args()
    groups = sources(options.only, options.longest)
    if options.default_settings or options.own_settings:
        wanted = options.default_settings
        groups = {key: found for key, found in groups.items() if any(key) != wanted}
    layout = Layout(prefix=f"ncv{os.getpid() % 100_000}", servers=1)
    with own_ray(_RAY_BYTES), Network(layout) as network:
        sockets = packet_socket(network.client), packet_socket(network.servers[0])
        bench = Bench(network)
        try:
            failed = play_all(groups, bench, sockets, options.tolerance)
        finally:
            bench.take_down()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
