"""The tag of a VLAN on what an engine sends."""

from __future__ import annotations

import pytest

from ncore_ray.lab.dry.engine import NIC_MACS, EngineLab
from ncore_ray.lab.dry.packets import arp, ethernet, icmpv6, ip_frame
from tests.engine.ip.dual import CLIENT_MAC, CLIENTS, TEXT, VIPS


@pytest.mark.parametrize("vlan", [1, 10, 4094])
def test_every_packet_of_a_nic_has_its_tag(vlan: int) -> None:
    text = TEXT.replace("PROTOCOL", "HTTP").replace("MONITOR", "none")
    plain, tagged = EngineLab(text), EngineLab(text.replace("name: nc0, ", f"name: nc0, vlan: {vlan}, "))
    question = ethernet(arp(1, CLIENT_MAC, CLIENTS[4], 0, VIPS[4]), 0x0806, NIC_MACS[0], CLIENT_MAC)
    echo = icmpv6(CLIENTS[6], VIPS[6], 128, 0, bytes(300))
    answers = []
    for lab in (plain, tagged):
        lab.receive(0, question)
        lab.receive(0, ip_frame(CLIENTS[6], VIPS[6], 58, echo, NIC_MACS[0], CLIENT_MAC))
        lab.breathe()
        answers.append([frame for _, frame in lab.sent()])
    assert len(answers[0]) == 2
    assert answers[1] == [frame[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + frame[12:] for frame in answers[0]]
    assert tagged.counters().sent_bytes == plain.counters().sent_bytes + 8
