"""The configuration of an appliance that works: its service, with the tables and the store that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ncore_ray.config.load import dump, parse
from ncore_ray.config.model import Configuration
from ncore_ray.management.configuration import ConfigurationService
from ncore_ray.management.live import LiveTables
from ncore_ray.management.parts import Parts, living
from ncore_ray.management.pulse import Tell
from ncore_ray.management.store import Store


def serve(
    parts: Parts, store: Store, wanted: Configuration, tell: Tell, hurry: Callable[[], None]
) -> ConfigurationService:
    """Return what keeps the versions of the configuration, and lets it be changed; it is yet to be started.

    ``hurry`` is called when it has changed.
    """
    built, blueprint, office = parts.built, parts.team.blueprint, parts.office

    def changed(wanted: Configuration) -> None:
        built.configuration = wanted
        if not store.lasts:
            office.note(wanted=dump(wanted))
        hurry()

    service = ConfigurationService(
        store,
        _tables(parts),
        blueprint.configuration,
        wanted=wanted,
        has_links=blueprint.links is not None,
        tell=tell,
        changed=changed,
        courier=parts.courier(),
    )
    built.configuration = wanted
    return service


def _tables(parts: Parts) -> LiveTables:
    built, blueprint = parts.built, parts.team.blueprint
    live = LiveTables(
        built.array,
        blueprint.configuration,
        blueprint.capacity,
        lambda: living(built.team),
        lambda: built.team.working(built.configuration.appliance.engines),
    )
    live.guard = parts.office.seat.check
    live.seated = lambda wanted: built.team.seats.seated(wanted)
    return live


def wanted_last(known: Mapping[str, Any], versions: Store, built: Configuration) -> Configuration:
    """Return the configuration that was wanted last: a version is stored before anything works by it.

    Args:
        known: what the former management noted.
        versions: its store.
        built: what the appliance was built with.
    """
    last = versions.latest()
    text = last.configuration if last is not None and versions.lasts else known.get("wanted")
    return built if text is None else parse(text, known["source"])
