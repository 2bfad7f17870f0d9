"""May this program make network namespaces? If not as it is, then inside a user namespace of its own?"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyroute2 import IPRoute

from ncore_ray.lab.host import Host
from ncore_ray.lab.process import find_program

_MARK: Final = "NCORE_LAB_USER_NAMESPACE"
_UNSHARE: Final = ["--user", "--map-root-user", "--mount", "--net"]
_SWITCHES: Final = {  # kernel settings that forbid unprivileged user namespaces, with the value that does
    "kernel.unprivileged_userns_clone": "0",
    "kernel.apparmor_restrict_unprivileged_userns": "1",
    "user.max_user_namespaces": "0",
}
_PROBE_TIMEOUT_S: Final = 20


def probe() -> str | None:
    """Make and remove two joined namespaces. Return None when that works, else what went wrong."""
    prefix = f"ncore-probe{os.getpid()}"
    left, right = (Host(prefix, role, Path()) for role in ("left", "right"))
    try:
        left.create()
        right.create()
        left.connect("eth0", right, "eth0", mtu=1500, macs=("02:00:00:00:00:01", "02:00:00:00:00:02"))
    except OSError as error:
        return error.strerror or str(error)
    except Exception as error:  # pyroute2's own errors do not derive from OSError
        return str(error)
    finally:
        for host in (left, right):
            host.namespace.remove()
    return None


def enter_or_explain(argv: Sequence[str]) -> str | None:
    """Return None when namespaces can be made here; otherwise run the program again where they can.

    ``argv`` is the complete command line of this program (``[sys.executable, "-m", …]``). As an ordinary user the
    program is executed anew inside a user + mount + network namespace, and this call does not return there. When no way
    is open, one sentence is returned that says what is missing. To be called first thing, before threads and files.
    """
    if os.environ.get(_MARK):
        return _settle_in()
    if os.geteuid() == 0 and probe() is None:
        return None
    obstacle = _try_user_namespace()
    if obstacle is None:
        os.environ[_MARK] = "1"
        os.execvp(unshare := _unshare_program(), [unshare, *_UNSHARE, *argv])
    return explanation(obstacle)


def explanation(obstacle: str) -> str:
    """Return one sentence that says why no namespaces can be made here, and what would help."""
    for name, forbidding in _SWITCHES.items():
        if _setting(name) == forbidding:
            wanted = {"0": "1", "1": "0"}[forbidding] if name.startswith("kernel.") else "10000"
            return (
                "Network namespaces cannot be made here: this needs root, or unprivileged user namespaces, "
                f"which {name}={forbidding} forbids (an administrator allows them with `sysctl -w {name}={wanted}`)."
            )
    return (
        "Network namespaces cannot be made here: this needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN), "
        f"or a kernel that lets ordinary users make user namespaces; it answered: {obstacle}."
    )


def _setting(name: str) -> str | None:
    try:
        return Path("/proc/sys", name.replace(".", "/")).read_text(encoding="ascii").strip()
    except OSError:
        return None


def _unshare_program() -> str:
    return find_program("unshare") or "unshare"


def _try_user_namespace() -> str | None:
    """Return None when a fresh user namespace can hold the test bed, else what went wrong."""
    line = [_unshare_program(), *_UNSHARE, sys.executable, "-m", "ncore_ray.lab.capability"]
    try:
        done = subprocess.run(
            line, env={**os.environ, _MARK: "1"}, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    words = (done.stderr or done.stdout).strip().splitlines()
    return words[-1] if words else f"status {done.returncode}"


def _settle_in() -> str | None:
    """Inside the user namespace: a loopback, and a /run of our own where names of namespaces can be kept."""
    if not Path("/run/netns").is_dir() or not os.access("/run/netns", os.W_OK):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"tmpfs", b"/run", b"tmpfs", 0, b"mode=755") != 0:
            return explanation(f"mount on /run: {os.strerror(ctypes.get_errno())}")
        os.mkdir("/run/netns")
    with IPRoute() as ip:
        ip.link("set", index=1, state="up")  # loopback, for whoever stays outside the test bed's hosts
    obstacle = probe()
    return explanation(obstacle) if obstacle else None


def can_make_namespaces() -> bool:
    """Tell whether this very process can make namespaces, without changing anything: for tests that skip."""
    return probe() is None


if __name__ == "__main__":
    sys.exit(enter_or_explain([]))
