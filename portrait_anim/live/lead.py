"""Somebody else's motion in a live face's place: gone over to, and back, without a jump."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from portrait_anim.config import FPS
from portrait_anim.motion.space import Motion
from portrait_anim.system.easing import eased

EASE_S = 0.4  # to go over, and back


class Lead:
    """What leads, and how far it does."""

    def __init__(self) -> None:
        self._motion: Motion | None = None
        self._leads, self._share = False, 0.0

    def follow(self, motion: Motion | None) -> None:
        """Set what leads; None: nothing any more."""
        self._leads = motion is not None
        if motion is not None:
            self._motion = motion

    def led(self, own: Motion) -> Motion:
        """Return the next frame (T = 1) of a face that moves as ``own`` by itself."""
        step = 1 / (EASE_S * FPS)
        self._share = float(np.clip(self._share + (step if self._leads else -step), 0, 1))
        lead = self._motion
        if lead is None or not self._share:
            self._motion = None
            return own
        share = np.float32(eased(self._share))
        tracks: dict[str, Any] = {}
        for name, track in own.tracks().items():
            other = getattr(lead, name)
            size = max(track.shape[1:], other.shape[1:])
            tracks[name] = _wide(track, size) * (1 - share) + _wide(other, size) * share
        return replace(own, **tracks)


def _wide(track: Any, size: tuple[int, ...]) -> Any:
    """Return a track (1, ...) with zeros up to a size: of expressions or mesh points that it has none of."""
    room = [(0, 0), *((0, wanted - has) for wanted, has in zip(size, track.shape[1:], strict=True))]
    return np.pad(track, room)
