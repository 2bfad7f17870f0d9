"""Where the payload of a packet lies that came in several frames.

Such a packet is read as if all its bytes followed the first frame's: lengths and addresses are those of one whole. Here
an address is turned into that of the bytes themselves, frame after frame. The packet remembers where it was looked at
last, so going on is one step; nobody goes back.
"""

from __future__ import annotations

from ncore_ray.arena.frame import FRAME_SIZE, frame_address, frame_meta
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import copy
from ncore_ray.wire.packet import Packet


@kernel
def piece_length(packet: Packet) -> int:
    """Return how many bytes lie in one place from the first byte of the payload on; some may be behind the packet."""
    return FRAME_SIZE - (packet.payload - packet.frame) % FRAME_SIZE


@kernel
def piece_address(base: int, packet: Packet) -> int:
    """Return where the first byte of the payload lies, which has not ended and never begins earlier than before."""
    while packet.payload - packet.chain_at >= FRAME_SIZE:
        packet.before = packet.chain
        packet.chain = frame_meta(base, packet.chain).next
        packet.chain_at += FRAME_SIZE
    return frame_address(base, packet.chain) + packet.payload - packet.chain_at


@kernel
def take_payload(base: int, packet: Packet, target: int, length: int) -> int:
    """Copy ``length`` bytes of the payload to one place and go on behind them; return their number."""
    done = 0
    while done < length:
        part = min(piece_length(packet), length - done)
        copy(target + done, piece_address(base, packet), part)
        packet.payload += part
        packet.payload_length -= part
        done += part
    return done
