"""An engine takes over a new configuration: once, at the start of a breath."""

from __future__ import annotations

from ncore_ray.arena.core import acknowledge, core_of
from ncore_ray.engine.ip.announce import begin_announcing
from ncore_ray.engine.partition import Engine, base_of
from ncore_ray.machine.jit import kernel
from ncore_ray.tables.settings import settings_in


@kernel
def follow_configuration(engine: Engine, bank: int) -> int:
    """Work by the configuration of a bank from now on, and say so: the other bank may be written again.

    Tables are looked up in the bank that is in force; here is what an engine keeps for itself.
    """
    base = base_of(engine)
    settings = settings_in(base, bank)
    engine.initial_window = settings.initial_window
    engine.sack = settings.sack
    engine.pacing = settings.pacing
    engine.ecn = settings.ecn
    engine.mtu_probing = settings.mtu_probing
    engine.nagle = settings.nagle
    engine.cork_us = settings.cork_us
    engine.delayed_ack_us = settings.delayed_ack_us
    engine.min_rto_us = settings.min_rto_us
    engine.max_rto_us = settings.max_rto_us
    engine.syn_retries = settings.syn_retries
    engine.retries = settings.retries
    engine.keepalive_us = settings.keepalive_us
    engine.user_us = settings.user_us
    engine.challenge_limit = settings.challenge_limit
    engine.reset_limit = settings.reset_limit
    engine.error_limit = settings.error_limit
    engine.echo_limit = settings.echo_limit
    engine.splices = settings.splices
    engine.fast_open_limit = settings.fast_open_limit
    engine.idle_limit = settings.idle_limit
    engine.has_streams = settings.has_streams
    engine.any_vservers = settings.any_vservers
    engine.forwards |= 1 if settings.any_vservers else 0  # what has begun goes on
    engine.bank = bank
    begin_announcing(engine)
    engine.monitor_at = engine.now  # it may have other services to probe
    return acknowledge(core_of(base, engine.actor), settings.epoch)
