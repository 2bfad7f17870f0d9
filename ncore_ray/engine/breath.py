"""A breath: a bounded batch of packets in, timers, work, packets out (DESIGN.md §2)."""

from __future__ import annotations

from typing import Final

from ncore_ray.arena.core import Drain, Stage, core_of
from ncore_ray.arena.frame import IN_TRANSIT, descriptor_length, descriptor_queue, frame_meta
from ncore_ray.arena.header import arena_at, bank_in_force
from ncore_ray.arena.ring import Ring, ring_give_back, ring_place, ring_publish, ring_take, ring_waiting, ring_write
from ncore_ray.arena.rings import engine_ring, return_ring
from ncore_ray.engine.application import on_lost, on_pump, on_timeout
from ncore_ray.engine.change import begin_change, end_change
from ncore_ray.engine.connection import Role, Tcb, Work, index_of, mark, tcb_of
from ncore_ray.engine.flush import flush
from ncore_ray.engine.follow import follow_configuration
from ncore_ray.engine.http.drain import close_idle_clients
from ncore_ray.engine.http.leave import empty_pools
from ncore_ray.engine.ip.announce import announce
from ncore_ray.engine.ip.membership import answer_query
from ncore_ray.engine.ip.reassembly import expire_reassemblies
from ncore_ray.engine.monitor.probe import start_probes
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.engine.receive import receive_packet
from ncore_ray.engine.remote.exchange import exchange_in, exchange_out, has_exchange
from ncore_ray.engine.remote.output import virtual_output
from ncore_ray.engine.splice.join import try_join
from ncore_ray.engine.tcp.output import Output, tcp_output
from ncore_ray.engine.tcp.state import TcpState
from ncore_ray.engine.tcp.timeout import Expiry, tcp_expire
from ncore_ray.engine.timer import advance, arm
from ncore_ray.engine.transmit import needs_flush
from ncore_ray.machine.jit import kernel
from ncore_ray.machine.memory import load32
from ncore_ray.nic.direct import Sender
from ncore_ray.wire.packet import Packet

BATCH: Final = 128
"""Packets taken from one decider in one breath at the most."""


@kernel
def engine_breath(engine: Engine, packet: Packet, sender: Sender, now: int) -> int:
    """Do one breath at the time ``now`` (µs); return how much there was to do (0: nothing)."""
    core = core_of(base_of(engine), engine.actor)
    engine.now = now
    bank = bank_in_force(base_of(engine))
    if bank != engine.bank:
        follow_configuration(engine, bank)
    engine.draining = core.drain
    core.stage = Stage.RECEIVE
    done = _take_batches(engine, packet, sender)
    if engine.links:
        core.stage = Stage.EXCHANGE
        done += exchange_in(engine)
    core.stage = Stage.TIMERS
    done += advance(engine)
    if engine.announce_at and now >= engine.announce_at:
        announce(engine)
    if engine.report_at and now >= engine.report_at:
        answer_query(engine)
    if engine.reassembly_at and now >= engine.reassembly_at:
        expire_reassemblies(engine)
    if now >= engine.monitor_at and not engine.draining:
        start_probes(engine)
    if engine.draining == Drain.ALL:
        done += close_idle_clients(engine)
    elif engine.draining == Drain.LEAVE:
        done += empty_pools(engine)
    core.stage = Stage.WORK
    done += _work(engine, sender)
    core.stage = Stage.SEND
    flush(engine, sender)
    _send_frames_home(engine)
    if engine.links:
        exchange_out(engine)
    core.stage = Stage.ASLEEP
    return done


@kernel
def is_waiting(engine: Engine) -> int:
    """Return 1 if a decider has handed over packets, or another engine has said something."""
    base = base_of(engine)
    for decider in range(arena_at(base).decider_count):
        if ring_waiting(engine_ring(base, decider, engine.index)):
            return 1
    return has_exchange(engine) if engine.links else 0


@kernel
def _take_batches(engine: Engine, packet: Packet, sender: Sender) -> int:
    base = base_of(engine)
    count = 0
    for decider in range(arena_at(base).decider_count):
        count += _take_batch(engine, packet, sender, engine_ring(base, decider, engine.index))
    return count


@kernel
def _take_batch(engine: Engine, packet: Packet, sender: Sender, ring: Ring) -> int:
    base = base_of(engine)
    count = min(ring_waiting(ring), BATCH)
    for _ in range(count):
        descriptor = ring_take(ring)
        if needs_flush(engine, descriptor_length(descriptor)):
            flush(engine, sender)
        packet.word = ring_place(ring, ring.taken - 1)
        receive_packet(engine, packet, descriptor)
        queue = descriptor_queue(descriptor)
        home = return_ring(base, engine.actor, queue)
        frame = load32(packet.word)  # perhaps another one: see `offer`
        ring_write(home, frame)  # as large as the NIC's pool of frames: there is always room
        frame_meta(base, frame).owner = IN_TRANSIT
    ring_give_back(ring)
    return count


@kernel
def _send_frames_home(engine: Engine) -> int:
    """Publish the received frames that were used up; not before the flush, because replies may be sent from them."""
    base = base_of(engine)
    for queue in range(arena_at(base).queue_count):
        ring_publish(return_ring(base, engine.actor, queue))
    return 0


@kernel
def _work(engine: Engine, sender: Sender) -> int:
    """Do what is on the work list and what that brings about; a connection that found no slot goes on after a flush."""
    base = base_of(engine)
    done = 0
    while engine.work_head != engine.work_tail:
        place = engine.work_head & (engine.work_size - 1)
        engine.work_head += 1
        tcb = tcb_of(engine, load32(base + engine.work_list + 4 * place))
        work = tcb.work
        tcb.work = 0
        done += 1
        if tcb.role == Role.FREE:
            continue
        begin_change(engine, index_of(engine, tcb) + 1)
        blocked = _work_on(engine, tcb, work) == Output.BLOCKED
        end_change(engine)
        if blocked:
            flush(engine, sender)
            mark(engine, tcb, Work.OUTPUT)
    return done


@kernel
def _work_on(engine: Engine, tcb: Tcb, work: int) -> int:
    if work & Work.TIMER and _expire(engine, tcb):
        return Output.DONE
    if work & Work.PUMP:
        on_pump(engine, tcb)
        if tcb.role == Role.FREE:
            return Output.DONE
    if tcb.state >= TcpState.DATAGRAM:
        return _work_without_tcp(engine, tcb)
    result = tcp_output(engine, tcb)
    if engine.splices:
        try_join(engine, tcb)
    arm(engine, tcb)
    return result


@kernel
def _work_without_tcp(engine: Engine, tcb: Tcb) -> int:
    if tcb.state == TcpState.VIRTUAL:
        virtual_output(engine, tcb)
    if tcb.role != Role.FREE:
        arm(engine, tcb)
    return Output.DONE


@kernel
def _expire(engine: Engine, tcb: Tcb) -> int:
    """Do what the timers ask for; return 1 if the connection is gone."""
    expiry = tcp_expire(engine, tcb)
    if expiry == Expiry.FAILED:
        on_lost(engine, tcb)
    elif expiry == Expiry.APPLICATION:
        on_timeout(engine, tcb)
    return 1 if tcb.role == Role.FREE else 0
