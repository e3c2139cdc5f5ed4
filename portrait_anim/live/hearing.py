"""What a live face says next: speech that was fed, once the nets have made its mouth."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from portrait_anim.config import SAMPLES_PER_FRAME
from portrait_anim.live.speech import Piece, SpeechQueue
from portrait_anim.motion.streaming import LiveMouth

Array = npt.NDArray[np.float32]

SPARE = 2  # frames that are heard ahead beyond what the nets need
MISSED = 8  # ticks without speech after which a sentence that was not ended counts as ended


class Spoken(NamedTuple):
    """The speech of one frame: its sound, the mouth (K,) and the latents (C,)."""

    piece: Piece
    mouth: Array
    latents: Array


class Listener:
    """Speech in, frames of it out. Feed it from any thread; the other calls are for one thread at a time.

    Args:
        mouth: a new one.
        sample_rate: Hz of what is played, a multiple of 25.

    Attributes:
        queue: what was fed and not yet heard.
    """

    def __init__(self, mouth: LiveMouth, sample_rate: int) -> None:
        self.queue = SpeechQueue(sample_rate)
        self._mouth = mouth
        self._heard: deque[Piece | None] = deque()  # by the nets, its mouth not known yet; None: silence put in
        self._ready: deque[Spoken] = deque()
        self._ended, self._missed = True, 0

    def __len__(self) -> int:
        """Number of frames of speech that were fed and not yet returned."""
        return len(self.queue) + len(self._ready) + sum(piece is not None for piece in self._heard)

    @property
    def n_waiting(self) -> int:
        """Number of frames of speech that wait to be heard or played."""
        return len(self.queue) + len(self._ready)

    def more(self) -> None:
        """Say that speech was fed."""
        self._ended, self._missed = False, 0

    def end(self) -> None:
        """Say that the sentence is whole: its end is played without waiting for more."""
        self._ended = True

    def drop(self) -> None:
        """Drop all speech that was not played."""
        self._ready.clear()
        self._heard = deque([None] * len(self._heard))
        self._ended = True

    def next(self) -> Spoken | None:
        """Return the speech of the next frame; None: there is none, or its mouth is not known yet."""
        needed = self._mouth.nets.ahead + self._mouth.hop
        while len(self._ready) + sum(piece is not None for piece in self._heard) < needed + SPARE:
            piece = self.queue.take()
            if piece is None:
                break
            self._hear([piece], piece.heard)
        waits = any(piece is not None for piece in self._heard)
        if not self._ready and waits and not len(self.queue):
            self._missed += 1
            if self._ended or self._missed > MISSED:
                self._hear([None] * needed, np.zeros(needed * SAMPLES_PER_FRAME, np.float32))
        return self._ready.popleft() if self._ready else None

    def _hear(self, pieces: list[Any], samples: Array) -> None:
        self._heard.extend(pieces)
        for mouth, latents in zip(*self._mouth.push(samples), strict=True):
            piece = self._heard.popleft()
            if piece is not None:
                self._ready.append(Spoken(piece, mouth, latents))
