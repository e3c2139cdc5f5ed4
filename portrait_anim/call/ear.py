"""A microphone's sound on its way to a live face: what has piled up is left out where it is quiet.

A browser's clock and this machine's differ a little, and a connection that stood still delivers everything at once.
Both would make the face answer later and later.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.live.engine import LiveFace

Array = npt.NDArray[np.float32]

QUIET = 0.004  # RMS, full scale 1: pieces that may be left out
# s that wait, from which on quiet pieces are left out, and loud ones too
HEARD = (0.28, 0.6)  # sound that moves a face: some of it waits for what its nets look ahead
PASSED_ON = (0.05, 0.13)  # sound beside a camera's pictures, which wait for nothing


class Ear:
    """Feeds a face.

    Args:
        limits: :data:`HEARD` or :data:`PASSED_ON`.

    Attributes:
        left_out_s: sound that was left out.
    """

    def __init__(self, limits: tuple[float, float]) -> None:
        self._limits = limits
        self.left_out_s = 0.0

    def hear(self, face: LiveFace, samples: Array, sample_rate: int) -> None:
        """Pass a piece on, or leave it out.

        Args:
            face: what hears it.
            samples: (N,) mono.
            sample_rate: Hz.
        """
        waits = face.numbers.queued_s
        quiet = float(np.sqrt(np.mean(np.square(samples)))) < QUIET
        much, most = self._limits
        if waits > most or (waits > much and quiet):
            self.left_out_s += len(samples) / sample_rate
        else:
            face.feed(samples, sample_rate)
