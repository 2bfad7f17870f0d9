"""Where a program's time goes, from the call stacks that perf sampled: shares by stage, not by thousands of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

_KERNEL: Final = "kernel.kallsyms"
_COPIES: Final = ("_copy_from_iter", "_copy_to_iter", "copy_page", "copy_user", "memcpy", "rep_movs")
_USER_COPIES: Final = ("memmove", "memcpy")
_CALLS: Final = (
    ("sending", ("sendmmsg", "sys_sendmsg", "sys_sendto", "sys_write", "splice")),
    ("receiving", ("recvmsg", "recvfrom", "sys_read", "do_readv", "packet_recv")),
    ("waiting", ("poll", "futex", "nanosleep", "select")),
)
_SOFTIRQ: Final = ("softirq", "__local_bh_enable_ip")
SOFTIRQ: Final = "softirq within system calls: the other hosts' stacks and the wire"
INTERRUPTS: Final = "interrupts"


def stacks(text: str) -> Iterator[Sequence[str]]:
    """Yield the stacks of ``perf script -F comm,ip,sym,dso``, each from its innermost function outwards."""
    for block in text.split("\n\n"):
        lines = [" ".join(line.split()[1:]) for line in block.strip().splitlines()[1:]]
        if lines:
            yield lines


def _named(names: Sequence[str], text: str) -> bool:
    return any(name in text for name in names)


def stage(stack: Sequence[str]) -> str:
    """Return what was being done when a stack was sampled."""
    top, whole = stack[0], " ".join(stack)
    if _KERNEL not in top:
        return _user_stage(top)
    if _named(_SOFTIRQ, whole):
        return SOFTIRQ if "do_syscall" in whole else INTERRUPTS
    for name, calls in _CALLS:
        if _named(calls, whole):
            return f"{name}: copies" if _named(_COPIES, top) else f"{name}: the rest"
    return "the rest of the kernel"


def _user_stage(top: str) -> str:
    if "libpython" in top or "_raylet" in top:
        return "Python and Ray"
    if _named(_USER_COPIES, top):
        return "copies in the program"
    return "the program"


def shares(text: str) -> list[tuple[str, float]]:
    """Return each stage's share of all samples, the largest first. Raises ValueError when there are none."""
    counts = Counter(map(stage, stacks(text)))
    if not counts:
        raise ValueError("perf sampled nothing")
    return [(name, count / counts.total()) for name, count in counts.most_common()]
