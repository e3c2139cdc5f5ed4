"""Plays a live face at the clock: 25 frames a second, whatever the processor does. Sound is never dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator

from portrait_anim.config import FPS
from portrait_anim.live.engine import LiveFace
from portrait_anim.live.frame import LiveFrame

LATE_S = 1 / FPS  # behind the clock from which on a frame is not drawn
STOOD_S = 1.0  # behind it from which on whoever takes the frames stood still: the clock goes on from there


class Clock:
    """Says when frames are due, the first one at once.

    Args:
        now: the time in s; by default the machine's own steady clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._start, self._number = now(), 0

    def next(self) -> float:
        """Return the s until the next frame is due; below 0 it is late by so much."""
        ahead = self._start + self._number / FPS - self._now()
        if ahead < -STOOD_S:
            self._start -= ahead
            ahead = 0.0
        self._number += 1
        return ahead


def played(face: LiveFace) -> Generator[LiveFrame, None, None]:
    """Yield frames when they are due, without end; close the generator to stop."""
    clock = Clock()
    while True:
        ahead = clock.next()
        if ahead > 0:
            time.sleep(ahead)
        yield face.step(draw=ahead > -LATE_S)


async def played_async(face: LiveFace) -> AsyncGenerator[LiveFrame, None]:
    """Yield frames when they are due, without end; they are drawn in a thread, so that the event loop goes on."""
    clock = Clock()
    while True:
        ahead = clock.next()
        if ahead > 0:
            await asyncio.sleep(ahead)
        yield await asyncio.to_thread(face.step, draw=ahead > -LATE_S)
