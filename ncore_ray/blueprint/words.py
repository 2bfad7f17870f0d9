"""What the configuration's words are called in the tables of the arena, and back."""

from __future__ import annotations

from typing import Final

from ncore_ray.config.model import Method as ConfiguredMethod
from ncore_ray.config.model import Protocol
from ncore_ray.config.transport import CongestionControl, EcnChoice, MtuProbes, SynCookies
from ncore_ray.engine.http.message.key import KeyKind
from ncore_ray.tables.service import Congestion, CookieMode, Method, VserverProtocol
from ncore_ray.tables.settings import EcnUse, MtuProbing

PROTOCOLS: Final = {
    Protocol.TCP: VserverProtocol.TCP,
    Protocol.HTTP: VserverProtocol.HTTP,
    Protocol.UDP: VserverProtocol.UDP,
    Protocol.ANY: VserverProtocol.ANY,
}
CONGESTION: Final = {
    CongestionControl.CUBIC: Congestion.CUBIC,
    CongestionControl.NEWRENO: Congestion.NEWRENO,
    CongestionControl.VEGAS: Congestion.VEGAS,
    CongestionControl.BBR: Congestion.BBR,
}
ECN: Final = {
    EcnChoice.NEVER: EcnUse.NEVER,
    EcnChoice.ACCEPT: EcnUse.ACCEPT,
    EcnChoice.OFFER: EcnUse.OFFER,
}
MTU_PROBING: Final = {
    MtuProbes.OFF: MtuProbing.OFF,
    MtuProbes.BLACK_HOLE: MtuProbing.BLACK_HOLE,
    MtuProbes.ALWAYS: MtuProbing.ALWAYS,
}
COOKIES: Final = {
    SynCookies.AUTO: CookieMode.AUTO,
    SynCookies.ALWAYS: CookieMode.ALWAYS,
    SynCookies.OFF: CookieMode.OFF,
}
KEY_KINDS: Final = {"cookie": KeyKind.COOKIE, "parameter": KeyKind.PARAMETER, "header": KeyKind.HEADER}
METHODS: Final = {
    ConfiguredMethod.ROUNDROBIN: Method.ROUND_ROBIN,
    ConfiguredMethod.LEASTCONNECTION: Method.LEAST_CONNECTION,
}
