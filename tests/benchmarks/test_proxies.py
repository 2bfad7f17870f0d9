"""How the peers are set up."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.nginx import has_stream, stream_module
from benchmarks.peers import Protocol, Service
from benchmarks.proxies import HAProxy, Nginx

ADDRESSES = ("10.2.0.2:80", "10.2.0.3:80")


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.TCP])
@pytest.mark.parametrize("peer", [HAProxy(), Nginx()])
def test_proxies_name_every_server(peer: HAProxy | Nginx, protocol: Protocol) -> None:
    text = peer.configuration(Path("folder"), Service(protocol, ADDRESSES))
    for word in (*ADDRESSES, "10.1.0.100:80"):
        assert word in text
    keeps = "http-reuse always" in text or "keepalive 1024" in text
    assert keeps == (protocol is Protocol.HTTP)


def test_nginx_listens_for_datagrams_and_for_the_harness() -> None:
    text = Nginx().configuration(Path("folder"), Service(Protocol.UDP, ADDRESSES))
    assert "listen 10.1.0.100:80 udp;" in text
    assert "listen 10.1.0.100:80 backlog=65535;" in text


def test_haproxy_is_left_out_where_datagrams_are_balanced() -> None:
    assert HAProxy().missing(Protocol.UDP) == "HAProxy does not balance UDP"


def test_module_stream_is_found(tmp_path: Path) -> None:
    dynamic = f"--modules-path={tmp_path} --with-stream=dynamic --with-stream_ssl_module"
    assert not has_stream(dynamic)
    (tmp_path / "ngx_stream_module.so").touch()
    assert has_stream(dynamic)
    assert stream_module(dynamic) == tmp_path / "ngx_stream_module.so"
    assert has_stream("--with-stream --with-threads")
    assert stream_module("--with-stream --with-threads") is None
    assert not has_stream("--with-stream_ssl_module")
