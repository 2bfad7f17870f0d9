"""The base of every part of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from ncore_ray.config.expect import Finding, FindingsError


class Section(BaseModel):
    """A frozen, hashable value; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong between the values of this section, each of which is right by itself."""
        yield from ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if findings := tuple(self.findings()):
            raise FindingsError(findings)
        return self
