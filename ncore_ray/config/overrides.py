"""What holds for one engine instead of what the appliance says for all."""

from __future__ import annotations

from typing import Annotated

from ncore_ray.config.appliance import TIMER_PERIODS, CoreNumber, Function
from ncore_ray.config.section import Section
from ncore_ray.config.units import Microseconds, time_among
from ncore_ray.config.words import matching, none_is, whole, word

EngineName = Annotated[str, matching("engine-(?:0|[1-9][0-9]?)", "the name of an engine, such as engine-2")]


class Override(Section):
    """Of one engine; what is left out is as for all."""

    name: EngineName
    core: Annotated[CoreNumber | None, *none_is("auto")] = None
    """The core that it is pinned to; None (`auto`): as `appliance.cores` says."""
    memory: Annotated[int, whole(10, 1_000)] = 100
    """Percent of what an engine would have if all had the same."""
    timer: Annotated[Annotated[Microseconds, time_among(*TIMER_PERIODS)] | None, *none_is("auto")] = None
    """µs from one breath to the next; None (`auto`): as `appliance.timer` says."""
    function: Annotated[Annotated[Function, *word(Function)] | None, *none_is("auto")] = None
    """With parallelism `functional`; None (`auto`): as `distribution.functions` says."""

    @property
    def engine(self) -> int:
        """The engine's number."""
        return int(self.name.removeprefix("engine-"))
