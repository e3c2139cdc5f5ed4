"""Plays a live face at the clock: 25 frames a second, whatever the processor does. Sound is never dropped.

A frame that is late is not drawn, but some are in any case: a picture that stands still is worse than a late one. Where
even that is too much, the clock is set back: what comes then comes later, sound and picture alike.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Protocol

from portrait_anim.config import FPS
from portrait_anim.live.frame import LiveFrame

LATE_S = 1 / FPS  # behind the clock from which on a frame is not drawn
AT_LEAST = 5  # frames of which one is drawn
FAR_BEHIND_S = 0.5  # behind the clock from which on it is set back


class Steps(Protocol):
    """A live face, or whatever else goes on by 40 ms at a time."""

    def step(self, *, draw: bool = True) -> LiveFrame:
        """Go on, as :meth:`portrait_anim.live.engine.LiveFace.step`."""
        ...


class Clock:
    """Says when frames are due, and which are drawn.

    Args:
        now: the time, s; by default the machine's own steady clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._start, self._number, self._undrawn = now(), 0, 0

    def ahead(self) -> float:
        """Return the time (s) until the next frame is due; below 0 it is late."""
        ahead = self._start + self._number / FPS - self._now()
        if ahead < -FAR_BEHIND_S:
            self._start -= ahead
            ahead = 0.0
        return ahead

    def draws(self, ahead: float) -> bool:
        """Count the frame, which was due in ``ahead``; return whether it is drawn."""
        drawn = ahead > -LATE_S or self._undrawn >= AT_LEAST - 1
        self._number, self._undrawn = self._number + 1, 0 if drawn else self._undrawn + 1
        return drawn


def played(face: Steps) -> Generator[LiveFrame, None, None]:
    """Yield frames when they are due, without end; close the generator to stop."""
    clock = Clock()
    while True:
        ahead = clock.ahead()
        if ahead > 0:
            time.sleep(ahead)
        yield face.step(draw=clock.draws(ahead))


async def played_async(face: Steps) -> AsyncGenerator[LiveFrame, None]:
    """Yield frames when they are due, without end; they are drawn in a thread, so that the event loop goes on."""
    clock = Clock()
    while True:
        ahead = clock.ahead()
        if ahead > 0:
            await asyncio.sleep(ahead)
        yield await asyncio.to_thread(face.step, draw=clock.draws(ahead))
