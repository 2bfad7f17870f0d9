"""Random configurations: plain data in the form of YAML, each value valid by itself and all of them together."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ncore_ray.config.model import KeyField

times = st.integers(1_000, 60_000_000).map(lambda us: f"{us}us")
shares = st.integers(0, 1_000_000).map(lambda ppm: f"{ppm / 10_000:.4f}%")
names = (
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,10}", fullmatch=True)
    | st.sampled_from(["on", "Null", "true", "e1.5", "first", "after", "none"])
    | st.sampled_from("abcdef")  # so that two configurations have some in common
)
switches = st.booleans()


def mappings(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return mappings with any of the keys."""
    return st.fixed_dictionaries({}, optional=keys)


monitors = st.sampled_from(["none", "tcp", "http"]) | st.fixed_dictionaries(
    {"type": st.just("http"), "interval": st.just("1min")},
    optional={
        "path": st.from_regex("/[!-~]{0,20}", fullmatch=True),
        "host": st.from_regex("[a-z0-9.-]{1,20}", fullmatch=True),
        "expect": st.sampled_from(["200", "200-204", "100-599"]),
        "timeout": times,
        "fall": st.integers(1, 255),
    },
)
timeouts = mappings(client_idle=times, header=times, connect=times, server=times, udp=times, keepalive=st.just("off"))
http = mappings(
    via=switches,
    x_forwarded_for=switches,
    max_body=st.just("none") | st.integers(0, 1 << 40),
    max_header=st.integers(4_096, 16_384),
    access_log=switches,
)
access_logs = st.fixed_dictionaries(
    {"file": st.just("/tmp/access.log")},
    optional={
        "format": st.sampled_from(["combined", "json"]),
        "sample": st.sampled_from(["100%", "0.5%", 0.25]),
        "buffer": st.sampled_from(["64KiB", 1 << 20]),
    },
)


overrides = st.fixed_dictionaries(
    {"name": st.just("engine-0")},
    optional={"core": st.integers(0, 63), "memory": st.just(100), "timer": st.sampled_from(["auto", "5ms"])},
)
logs = mappings(
    events=st.sampled_from(["auto", "none", "/tmp/events"]),
    audit=st.sampled_from(["auto", "none", "/tmp/a, b"]),
    size=st.integers(4_096, 1 << 30),
    keep=st.integers(0, 100),
)
keys = st.sampled_from(["none", {"cookie": "true"}, {"header": "X-1"}, {"parameter": "a,b"}, {"parameter": "12"}])
modes = mappings(mode=st.sampled_from(["proxy", "splice"]))
units = mappings(unit=st.sampled_from(["flow", "transaction"]))
controls = st.sampled_from(["cubic", "newreno", "vegas", "bbr"])
tcp = mappings(
    congestion=controls,
    sack=switches,
    retries=st.integers(1, 30),
    pacing=switches,
    ecn=st.sampled_from(["never", "accept", "offer"]),
    mtu_probing=st.sampled_from(["off", "black-hole", "always"]),
    nagle=switches,
    cork=st.sampled_from(["0ms", "5ms"]),
)


@st.composite
def nics(draw: st.DrawFn, count: int) -> list[dict[str, Any]]:
    entries = []
    for index in range(count):
        driver = draw(st.sampled_from(["af_packet", "tap", "pcap", "memory"]))
        extra = mappings(
            gateway=st.just(f"10.{index}.0.1"),
            mtu=st.integers(576, 2_034),
            mac=st.just("0e:00:00:00:00:0a"),
            faults=mappings(
                seed=st.integers(0, 99), loss=shares, corruption=shares, delay=st.just("5ms"), jitter=st.just("0s")
            ),
        )
        of_driver = {
            "af_packet": mappings(netns=st.sampled_from(["lab", "7"]), interface=st.just(f"eth{index}")),
            "tap": mappings(host=st.just(f"10.{index}.0.9/24")),
            "pcap": st.just({"input": f"/in {index}, 1.pcap", "output": f'/"out"{index}.pcap'}),
            "memory": st.just({}),
        }[driver]
        name = {
            "name": f"nc{index}",
            "driver": driver,
            "addresses": [f"10.{index}.0.10/24"] + [f"2001:db8:{index}::10/64"] * draw(st.integers(0, 1)),
        }
        entries.append(name | draw(extra) | draw(of_driver))
    return entries


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(1, 3))
    services = [
        {"name": name, "address": f"10.0.0.{100 + index}:{draw(st.integers(1, 65_535))}", "monitor": draw(monitors)}
        | draw(mappings(weight=st.integers(1, 255), congestion=controls))
        for index, name in enumerate(draw(st.lists(names, unique=True, max_size=4)))
    ]
    known = [service["name"] for service in services]
    vservers = [
        {
            "name": name,
            "address": f"{address}:{1_000 + index}" if protocol != "ANY" else f"10.0.0.{201 + index}:*",
            "protocol": protocol,
            "services": draw(st.lists(st.sampled_from(known), min_size=1, unique=True)),
            "timeouts": draw(timeouts),
        }
        | draw(mappings(method=st.sampled_from(["roundrobin", "leastconnection"])))
        | ({"http": draw(http)} | draw(mappings(key=keys) | units) if protocol == "HTTP" else {})
        | (draw(modes) if protocol in ("HTTP", "TCP") and "." in address else {})
        for index, name in enumerate(draw(st.lists(names, unique=True, max_size=4)) if known else [])
        for protocol in [draw(st.sampled_from(["HTTP", "TCP", "UDP", "ANY"]))]
        for address in [draw(st.sampled_from(["10.0.0.200", "[2001:db8:9::c8]"]))]
    ]
    cores = st.just("auto") | st.lists(st.integers(0, 63), min_size=1, unique=True)
    return {
        "appliance": {"name": "edge", "cores": draw(cores)},
        "distribution": {
            "key": draw(st.lists(st.sampled_from([key.value for key in KeyField]), min_size=1, unique=True))
        },
        "nics": draw(nics(count)),
        "services": services,
        "vservers": vservers,
        "timeouts": draw(timeouts),
        "tcp": draw(tcp),
        "limits": draw(mappings(connections=st.just("auto") | st.integers(16, 1_000_000))),
        "access_log": draw(st.just("none") | access_logs),
        "overrides": draw(st.lists(overrides, max_size=1)),
        "logs": draw(logs),
        "statistics": draw(mappings(source=st.sampled_from(["memory", "messages", "queue"]), period=st.just("50ms"))),
    }
