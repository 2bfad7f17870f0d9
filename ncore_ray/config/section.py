"""The base of every part of a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

from ncore_ray.config.expect import Finding, FindingsError, Source


class Section(BaseModel):
    """A frozen, hashable value; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_whole: ClassVar[bool] = False
    """Whether it is all sections together."""

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong between the values of this section, each of which is right by itself."""
        yield from ()

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        if self.is_whole and isinstance(info.context, Source) and info.context.apart:
            return self
        if findings := tuple(self.findings()):
            raise FindingsError(findings)
        return self
