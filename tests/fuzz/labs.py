"""Labs that begin anew for each input, at the price of a copy."""

from __future__ import annotations

from typing import Any

from ncore_ray.lab.dry.engine import EngineLab


class Rewound:
    """An engine's arena as it was at one instant, to which it is taken back."""

    def __init__(self, lab: EngineLab) -> None:
        self.lab = lab
        self._spans = [(span.offset, span.offset + span.size) for span in lab.blueprint.layout.spans.values()]
        self._saved: list[Any] = [lab.array[start:end].copy() for start, end in self._spans]
        self._now, self._frames = lab.now, [list(frames) for frames in lab._nic_frames]

    def rewind(self) -> EngineLab:
        """Return the lab as it was."""
        for (start, end), saved in zip(self._spans, self._saved, strict=True):
            self.lab.array[start:end] = saved
        self.lab.now = self._now
        for frames, saved in zip(self.lab._nic_frames, self._frames, strict=True):
            frames.clear()
            frames.extend(saved)
        return self.lab
