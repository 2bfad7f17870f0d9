"""Stacks of perf are sorted into stages."""

from __future__ import annotations

import pytest

from benchmarks.stacks import INTERRUPTS, SOFTIRQ, shares, stage

KERNEL = "([kernel.kallsyms])"
SEND = [f"packet_sendmsg {KERNEL}", f"__sys_sendmmsg {KERNEL}", f"do_syscall_64 {KERNEL}", "__sendmmsg (libc.so.6)"]


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        (["[unknown] ([JIT] tid 9)"], "the program"),
        (["__memmove_avx_unaligned_erms (/usr/lib/libc.so.6)", "[unknown] ([JIT] tid 9)"], "copies in the program"),
        (["_PyEval_EvalFrameDefault (/usr/lib/libpython3.11.so.1.0)"], "Python and Ray"),
        ([f"_copy_from_iter {KERNEL}", *SEND], "sending: copies"),
        ([f"veth_xmit {KERNEL}", *SEND], "sending: the rest"),
        ([f"tcp_v4_rcv {KERNEL}", f"handle_softirqs {KERNEL}", *SEND], SOFTIRQ),
        ([f"tcp_v4_rcv {KERNEL}", f"handle_softirqs {KERNEL}", f"sysvec_apic_timer_interrupt {KERNEL}"], INTERRUPTS),
        ([f"_copy_to_iter {KERNEL}", f"packet_recvmsg {KERNEL}", f"do_readv {KERNEL}"], "receiving: copies"),
        ([f"schedule {KERNEL}", f"do_sys_poll {KERNEL}", f"do_syscall_64 {KERNEL}"], "waiting: the rest"),
        ([f"exc_page_fault {KERNEL}"], "the rest of the kernel"),
    ],
)
def test_stage(stack: list[str], expected: str) -> None:
    assert stage(stack) == expected


def test_shares() -> None:
    samples = ["ray 1:", "\t7f01 [unknown] ([JIT] tid 9)", "", "ray 1:", f"\tffff tcp_ack {KERNEL}", ""]
    samples += ["ray 1:", "\t7f02 [unknown] ([JIT] tid 9)", "\t7f01 [unknown] ([JIT] tid 9)", ""]
    found = dict(shares("\n".join(samples)))
    assert found == pytest.approx({"the program": 2 / 3, "the rest of the kernel": 1 / 3})
    with pytest.raises(ValueError, match="nothing"):
        shares("")
