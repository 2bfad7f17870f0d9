"""IPv6 through a whole appliance: the kernel's stack and curl at the clients' end, nginx at the servers'."""

from __future__ import annotations

import hashlib
import json
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from ncore_ray.lab.host import Host
from ncore_ray.lab.pattern import patterned
from ncore_ray.lab.process import find_program
from tests.e2e.bed import Bed

pytestmark = pytest.mark.skipif(find_program("curl") is None, reason="curl is not installed")
CLIENT6: Final = "2001:db8:1::2"
SERVER6: Final = "2001:db8:2::2"
VIP6: Final = "2001:db8:1::100"
_NO_DUPLICATES: Final = 0x02
"""IFA_F_NODAD: the address can be used at once."""


def give_address(host: Host, address: str) -> None:
    host.namespace.sysctl({f"net/ipv6/conf/{device}/disable_ipv6": 0 for device in ("lo", "eth0")})

    def add(ip: Any) -> None:
        (index,) = ip.link_lookup(ifname="eth0")
        ip.addr("add", index=index, family=socket.AF_INET6, address=address, prefixlen=64, flags=_NO_DUPLICATES)

    host.namespace.netlink(add)


@pytest.fixture(scope="module")
def six(bed: Bed) -> Iterator[str]:
    """Both ends have IPv6 addresses, and there are vServers of both families; yields the IPv4 VIP of one."""
    give_address(bed.client, CLIENT6)
    server = bed.network.servers[0]
    give_address(server, SERVER6)
    folder = bed.folder / "six"
    folder.mkdir()
    (folder / "file").write_bytes(patterned(6, 3_000_000))
    line = [sys.executable, "-m", "http.server", "--bind", SERVER6, "--directory", str(folder), "8082"]
    server.start(line, name="six").wait_port(SERVER6, 8082)
    echo = "import socket; s = socket.socket(10, 2); s.bind(('%s', 9006))\nwhile True: s.sendto(*s.recvfrom(4096))"
    server.start([sys.executable, "-c", echo % SERVER6], name="echo")
    vip = bed.new_vip()
    with bed.changed(
        f"add service six address=[{SERVER6}]:8082 monitor.type=http monitor.interval=200ms monitor.timeout=200ms",
        f"add service echo6 address=[{SERVER6}]:9006 monitor=none",
        f"add vserver v6to4 address=[{VIP6}]:80 protocol=HTTP services=web1,web2",
        f"add vserver v6to6 address=[{VIP6}]:81 protocol=HTTP services=six",
        f"add vserver v6tcp address=[{VIP6}]:9000 protocol=TCP services=raw1",
        f"add vserver v6udp address=[{VIP6}]:9006 protocol=UDP services=echo6",
        f"add vserver v4to6 address={vip}:80 protocol=HTTP services=six",
    ):
        bed.site.wait_until_up()
        yield vip


def test_curl_over_ipv6_to_servers_of_ipv4(bed: Bed, six: str) -> None:
    reply = bed.curl("-6", "-g", f"http://[{VIP6}]/bytes/3000000?seed=4", timeout_s=20)
    assert (reply.status, reply.exit_status) == (200, 0), reply.log
    assert hashlib.sha256(reply.body).digest() == hashlib.sha256(patterned(4, 3_000_000)).digest()
    told = {
        name.lower(): value for name, value in json.loads(bed.curl("-g", f"http://[{VIP6}]/headers").body)["headers"]
    }
    assert told["x-forwarded-for"] == CLIENT6


def test_upload_over_ipv6(bed: Bed, six: str) -> None:
    path = bed.folder / "upload6"
    path.write_bytes(patterned(8, 2_000_000))
    reply = bed.curl("-g", "--data-binary", f"@{path}", f"http://[{VIP6}]/echo", timeout_s=20)
    assert json.loads(reply.body)["sha256"] == hashlib.sha256(patterned(8, 2_000_000)).hexdigest()


def test_servers_of_ipv6(bed: Bed, six: str) -> None:
    for url in (f"http://[{VIP6}]:81/file", f"http://{six}/file"):
        reply = bed.curl("-g", url, timeout_s=20)
        assert (reply.status, reply.exit_status) == (200, 0), reply.log
        assert reply.body == patterned(6, 3_000_000)


def test_datagrams_and_ping_over_ipv6(bed: Bed, six: str) -> None:
    with bed.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.connect((VIP6, 9006))
        for seed in range(3):
            client.send(patterned(seed, 1_000))
            assert client.recv(2048) == patterned(seed, 1_000)
    with bed.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as client:
        client.sendto(b"\x80\0\0\0\0\7\0\1" + patterned(1, 100), (VIP6, 0))
        while (answer := client.recv(4096))[0] != 129:
            pass
    assert answer[4:] == b"\0\7\0\1" + patterned(1, 100)


def test_connections_are_shown_with_brackets(bed: Bed, six: str) -> None:
    with bed.socket(socket.AF_INET6, socket.SOCK_STREAM) as client:
        client.connect((VIP6, 9000))
        client.send(b"x")
        port = client.getsockname()[1]
        remote = f"[{CLIENT6}]:{port}"

        def explained() -> Mapping[str, Any]:
            return dict(bed.appliance.ask("explain_flow", CLIENT6, port, VIP6, 9000, "tcp"))

        # The connection to the service is opened when the client's stands.
        bed.wait(lambda: (explained().get("connection") or {}).get("service") == "raw1", "the flow is explained")
        rows = [row for row in bed.appliance.ask("flows", 10_000) if row["vserver"] == "v6tcp"]
        assert remote in [row["remote"] for row in rows]
        found = explained()
    assert found["flow"] == f"tcp [{CLIENT6}]:{port} → [{VIP6}]:9000"
    assert found["connection"]["service"] == "raw1"
