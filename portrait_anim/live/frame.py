"""What a live face gives: frames with their sound, and numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.motion.space import Motion

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LiveFrame:
    """One tick.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, marked; None: the processor was too slow, and the frame before goes on being shown.
        samples: (N,) float32, the sound of these 40 ms at the engine's rate.
        time_s: its start.
        state: ``"idle"``, ``"listening"``, ``"thinking"``, ``"speaking"``, or ``"driven"`` by a camera.
        motion: of the face in this frame (T = 1), in the space of the engine.
        said: number of frames with speech up to this one, since the start.
        turn: how often the engine had been interrupted when it was made.
    """

    pixels: Image | None
    samples: Array
    time_s: float
    state: str
    motion: Motion
    said: int
    turn: int


@dataclass(frozen=True)
class LiveNumbers:
    """How the engine is doing, over the last ten seconds.

    Attributes:
        queued_s: speech that waits.
        delay_s: from the last sample of a frame's speech being fed to the frame, 95th percentile; speech that had to
            wait for its turn counts, too.
        draw_s: for a frame, mean.
        dropped: frames that were not drawn, since the start.
        frames: ticks since the start.
    """

    queued_s: float
    delay_s: float
    draw_s: float
    dropped: int
    frames: int
