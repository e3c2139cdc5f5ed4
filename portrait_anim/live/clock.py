"""Plays a live face at the clock: 25 frames a second, whatever the processor does. Sound is never dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from typing import Protocol

from portrait_anim.config import FPS
from portrait_anim.live.frame import LiveFrame

LATE_S = 1 / FPS  # behind the clock from which on a frame is not drawn


class Steps(Protocol):
    """A live face, or whatever else goes on by 40 ms at a time."""

    def step(self, *, draw: bool = True) -> LiveFrame:
        """Go on, as :meth:`portrait_anim.live.engine.LiveFace.step`."""
        ...


def played(face: Steps) -> Generator[LiveFrame, None, None]:
    """Yield frames when they are due, without end; close the generator to stop."""
    start, number = time.monotonic(), 0
    while True:
        ahead = start + number / FPS - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        yield face.step(draw=ahead > -LATE_S)
        number += 1


async def played_async(face: Steps) -> AsyncGenerator[LiveFrame, None]:
    """Yield frames when they are due, without end; they are drawn in a thread, so that the event loop goes on."""
    start, number = time.monotonic(), 0
    while True:
        ahead = start + number / FPS - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)
        yield await asyncio.to_thread(face.step, draw=ahead > -LATE_S)
        number += 1
