"""The metrics of an appliance, exported by Ray: what is needed for that, made in the thread that does it."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from ncore_ray.management.office import Office
from ncore_ray.management.report import Reporter
from ncore_ray.metrics.ledger import to_plain


def exporting(
    built: Reporter, office: Office, started_at: float, state: Callable[[], str], archived: dict[Hashable, int]
) -> Callable[[], None]:
    """Return what exports the metrics once. ``archived`` is what a former management counted before."""
    from ncore_ray.metrics.exporter import Exporter
    from ncore_ray.metrics.ray_instruments import RayInstruments
    from ncore_ray.metrics.vitals import Vitals

    vitals = Vitals(built, started_at, state)
    known, noted = vitals.names(), 0
    exporter, instruments = Exporter(built.array, known, vitals, archived), RayInstruments()

    def export() -> None:
        nonlocal known, noted
        if (names := vitals.names()) != known:  # the configuration has changed
            known = names
            exporter.follow(built.array, names)
        exporter.export(instruments)
        if exporter.ledger.changes != noted:
            noted = exporter.ledger.changes
            office.note(archived=to_plain(exporter.ledger.archived()))

    return export


def metrics_page() -> str:
    """Return where Ray shows the metrics of this process."""
    from ncore_ray.metrics.ray_instruments import own_page

    return own_page()
