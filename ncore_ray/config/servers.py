"""Services (where servers are), their monitors, and vServers (where clients come to)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, WrapSerializer

from ncore_ray.config.addresses import EndpointAddress, ListenerAddress
from ncore_ray.config.appliance import EngineNumbers
from ncore_ray.config.expect import (
    Finding,
    FindingsError,
    alternatives,
    expected,
    shown,
    suggestion,
)
from ncore_ray.config.section import Section
from ncore_ray.config.transport import OwnCongestion, OwnTcp, TimeoutOverrides
from ncore_ray.config.units import (
    DAY,
    HOUR,
    KIB,
    MILLISECOND,
    SECOND,
    TIB,
    Microseconds,
    Size,
    format_size,
    format_time,
    size_within,
    time_within,
)
from ncore_ray.config.words import (
    HostField,
    Name,
    RequestPath,
    StatusRange,
    Switch,
    entries,
    matching,
    none_is,
    whole,
    word,
)

_TOKEN: Final = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}"
"""RFC 9110, section 5.6.2."""
_MONITOR_TYPES: Final = ("tcp", "http")


class Protocol(StrEnum):
    """What a vServer speaks with its clients."""

    HTTP = "HTTP"
    TCP = "TCP"
    UDP = "UDP"
    ANY = "ANY"
    """UDP to any port, ICMP echo, and every other IP protocol but TCP."""

    @property
    def transport(self) -> str:
        """The protocol below: TCP or UDP, or ANY."""
        return self.value if self in (Protocol.UDP, Protocol.ANY) else "TCP"


class Method(StrEnum):
    """How a vServer chooses a service."""

    ROUNDROBIN = "roundrobin"
    LEASTCONNECTION = "leastconnection"


class _Monitor(Section):
    interval: Annotated[Microseconds, time_within(10 * MILLISECOND, DAY)] = 2 * SECOND
    """µs from one probe to the next."""
    timeout: Annotated[Microseconds, time_within(MILLISECOND, HOUR)] = 1 * SECOND
    """µs after which a probe without answer has failed."""
    fall: Annotated[int, whole(1, 255)] = 2
    """Failures in a row until the service is down."""
    rise: Annotated[int, whole(1, 255)] = 1
    """Answers in a row until it is up again."""

    def findings(self) -> Iterator[Finding]:
        """Yield a timeout that would let two probes overlap."""
        if self.timeout > self.interval:
            found, interval = shown(format_time(self.timeout)), format_time(self.interval)
            yield Finding(("timeout",), f"found {found}, expected no more than the interval, {interval}")


class TcpMonitor(_Monitor):
    """A service is up when it accepts a connection."""

    type: Literal["tcp"] = "tcp"


class HttpMonitor(_Monitor):
    """A service is up when it answers a GET with an expected status code."""

    type: Literal["http"] = "http"
    path: RequestPath = "/"
    host: HostField | None = None
    """The probe's Host field; None: the service's address."""
    expect: StatusRange = (200, 399)
    """First and last status code that are an answer."""


def _read_monitor(value: object) -> object:
    """Turn the short form of a monitor into its mapping, and check its type."""
    if value == "none" or value is None or isinstance(value, _Monitor):
        return value if isinstance(value, _Monitor) else None
    if isinstance(value, str) and value in _MONITOR_TYPES:
        return {"type": value}
    if not isinstance(value, dict):
        what = f'"none", {alternatives(_MONITOR_TYPES)}, or a mapping with the key "type"'
        raise expected(what + suggestion(value, ("none", *_MONITOR_TYPES)))
    if "type" not in value:
        raise FindingsError([Finding((), 'found no "type", which is required here')])
    if value["type"] not in _MONITOR_TYPES:
        text = f"found {shown(value['type'])}, expected {alternatives(_MONITOR_TYPES)}"
        raise FindingsError([Finding(("type",), text + suggestion(value["type"], _MONITOR_TYPES))])
    return value


def _write_monitor(value: object, handler: SerializerFunctionWrapHandler) -> object:
    """Return the shortest form that reads as the same monitor."""
    if not isinstance(value, _Monitor):
        return "none"
    mapping = {"type": "tcp" if isinstance(value, TcpMonitor) else "http", **handler(value)}
    return mapping["type"] if len(mapping) == 1 else mapping


Monitor = Annotated[
    Annotated[TcpMonitor | HttpMonitor, Field(discriminator="type")] | None,
    BeforeValidator(_read_monitor),
    WrapSerializer(_write_monitor, when_used="json"),
]
"""How a service is watched; None: not at all, it counts as up."""


class Service(Section):
    """One server's address and port."""

    name: Name
    address: EndpointAddress
    weight: Annotated[int, whole(1, 255)] = 1
    """Its share of the load, compared with the other services of a vServer."""
    monitor: Monitor = TcpMonitor()
    congestion: OwnCongestion = None
    """Of the appliance's connections to it."""
    mss: Annotated[Annotated[int, whole(64, 65_495)] | None, *none_is("none")] = None
    """Bytes of a segment at the most, both ways; None: what the way lets through."""


class HttpOptions(Section):
    """What an HTTP vServer accepts and adds."""

    x_forwarded_for: Switch = True
    via: Switch = True
    access_log: Switch = True
    """Whether its requests are logged, where the appliance has an access log."""
    max_header: Annotated[Size, size_within(256, 16 * KIB)] = 8 * KIB
    """Bytes of a request line with its fields: 431."""
    max_request_line: Annotated[Size, size_within(64, 16 * KIB)] = 4 * KIB
    """Bytes of a request line: 414."""
    max_fields: Annotated[int, whole(1, 128)] = 100
    """Fields of a header: 431."""
    max_body: Annotated[Annotated[Size, size_within(0, TIB)] | None, *none_is("none")] = None
    """Bytes of a request's content: 413; None: any."""

    def findings(self) -> Iterator[Finding]:
        """Yield a request line that may be longer than the header that it belongs to."""
        if self.max_request_line > self.max_header:
            found, header = shown(format_size(self.max_request_line)), format_size(self.max_header)
            yield Finding(("max_request_line",), f"found {found}, expected no more than max_header, {header}")


class PayloadKey(Section):
    """A field of a client's first request: those whose value is the same are served by the same engine."""

    cookie: Annotated[str, matching(_TOKEN, "the name of a cookie")] | None = None
    parameter: Annotated[str, matching("[A-Za-z0-9_.~!*()$:@/?,'%+-]{1,64}", "the name of a parameter")] | None = None
    """In the query of the URL, as it stands there (percent-encoded or not)."""
    header: Annotated[str, matching(_TOKEN, "the name of a header field")] | None = None

    @property
    def kind(self) -> str:
        """Which of them is named."""
        return next(kind for kind in ("cookie", "parameter", "header") if getattr(self, kind) is not None)

    @property
    def name(self) -> str:
        """The name of the field."""
        name: str = getattr(self, self.kind)
        return name

    def findings(self) -> Iterator[Finding]:
        """Yield a key of no field, or of several."""
        named = [kind for kind in ("cookie", "parameter", "header") if getattr(self, kind) is not None]
        if len(named) != 1:
            found = " and ".join(map(shown, named)) or "none"
            yield Finding((), f'found {found}, expected one of "cookie", "parameter" and "header" with a name')


class Unit(StrEnum):
    """What of a vServer's traffic one engine serves as a whole."""

    FLOW = "flow"
    """A client's connection."""
    TRANSACTION = "transaction"
    """A request and its answer."""


class Mode(StrEnum):
    """What becomes of a client's connection."""

    PROXY = "proxy"
    """It ends at the appliance, and so does one of the appliance's to a service."""
    SPLICE = "splice"
    """It is one connection between client and service, whose packets are translated."""


class VServer(Section):
    """A VIP address and port, and the services behind it."""

    name: Name
    address: ListenerAddress
    protocol: Annotated[Protocol, *word(Protocol)]
    services: Annotated[tuple[Name, ...], entries(1, 1_024)]
    """Names of services."""
    method: Annotated[Method, *word(Method)] = Method.ROUNDROBIN
    timeouts: TimeoutOverrides = TimeoutOverrides()
    congestion: OwnCongestion = None
    """Of the clients' connections."""
    tcp: OwnTcp = OwnTcp()
    """Of the clients' connections."""
    http: HttpOptions = HttpOptions()
    """Of no meaning unless the protocol is HTTP."""
    engines: EngineNumbers = None
    """The engines that run it (parallelism `vip`)."""
    key: Annotated[PayloadKey | None, *none_is("none")] = None
    """The field of the first request that says which engine serves a client; None: the flow distributor says it."""
    unit: Annotated[Unit, *word(Unit)] = Unit.FLOW
    """With `transaction`, the requests of one connection are served by different engines."""
    mode: Annotated[Mode, *word(Mode)] = Mode.PROXY
    """With `splice`, packets of clients and services are translated and passed on; of HTTP after an upgrade."""

    def findings(self) -> Iterator[Finding]:
        """Yield HTTP options where no HTTP is spoken, and a port that does not go with the protocol."""
        if (self.address.port == 0) != (self.protocol is Protocol.ANY):
            what = 'no port but "*"' if self.protocol is Protocol.ANY else "a port from 1 to 65535"
            text = f'found {shown(str(self.address))}, expected {what}, as the protocol is "{self.protocol}"'
            yield Finding(("address",), text)
        if "http" in self.model_fields_set and self.protocol is not Protocol.HTTP:
            yield Finding(("http",), f'found HTTP options, which belong to protocol "HTTP" only, not "{self.protocol}"')
        if self.key is not None and self.protocol is not Protocol.HTTP:
            yield Finding(("key",), f'found a key, which belongs to protocol "HTTP" only, not "{self.protocol}"')
        if self.mode is Mode.SPLICE and self.protocol not in (Protocol.TCP, Protocol.HTTP):
            text = f'found "splice", which belongs to protocol "TCP" or "HTTP", not "{self.protocol}"'
            yield Finding(("mode",), text)
        yield from self._unit_findings()

    def _unit_findings(self) -> Iterator[Finding]:
        """Yield a unit that the protocol does not have, or one beside a key, which decides for a whole connection."""
        if self.unit is not Unit.TRANSACTION:
            return
        if self.protocol is not Protocol.HTTP:
            text = f'found "transaction", which belongs to protocol "HTTP" only, not "{self.protocol}"'
            yield Finding(("unit",), text)
        if self.key is not None:
            text = 'found "transaction" beside a key: the key names one engine for all requests of a connection'
            yield Finding(("unit",), text)
