"""What a face in a conversation does beside speaking: it nods while it listens, looks aside while it thinks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.config import FPS
from portrait_anim.motion.action_units import TRACKS
from portrait_anim.motion.emotion import emotion_activations
from portrait_anim.options import parse_emotion
from portrait_anim.system.easing import eased

Array = npt.NDArray[np.float32]

STATES = ("idle", "listening", "thinking", "speaking")
NOD_S, NOD_RAD = 0.56, np.deg2rad(4.5)  # length and depth of a nod
NOD_AFTER_S = (0.3, 0.9)  # s after the user has paused
ASIDE_RAD = np.array([0.24, 0.10])  # where eyes go that think: aside and up
ASIDE_S = 0.5  # to get there and back
FELT_S = 0.6  # to go from one emotion to another


class Manner:
    """Nods, gaze and emotion of one face, frame by frame.

    Args:
        smile: how much the photo smiles, 0..1.
        seed: of when and how.
    """

    def __init__(self, smile: float, seed: int) -> None:
        self._smile, self._rng = smile, np.random.default_rng([seed, 23])
        self._nod_in: int | None = None  # frames until it begins
        self._nod_at: int | None = None  # frames since it began
        self._aside, self._side = 0.0, 1.0  # share of the way; which side
        self._felt = self._wanted = np.zeros(len(TRACKS), np.float32)
        self._step = np.zeros(len(TRACKS), np.float32)

    def user_paused(self) -> None:
        """Nod soon."""
        self._nod_in = round(self._rng.uniform(*NOD_AFTER_S) * FPS)

    def no_nod(self) -> None:
        """Drop a nod that has not begun: the face speaks now, or the user does again."""
        self._nod_in = None

    def feel(self, emotion: str | None) -> None:
        """Go over to an emotion: a name, with a strength as ``"happy:0.7"``; None: neutral.

        Raises:
            OptionError: no such emotion, or one with times.
        """
        segments = parse_emotion(emotion).segments
        self._wanted = np.zeros(len(TRACKS), np.float32)
        if segments:
            self._wanted = emotion_activations(segments[0].label, segments[0].strength, self._smile)
        self._step = np.abs(self._wanted - self._felt) / (FELT_S * FPS)

    def next(self, state: str) -> tuple[Array, Array, Array]:
        """Return what the next frame adds: rotation (3,), gaze (2,) radians, and activations (A,)."""
        rotation = np.zeros(3, np.float32)
        if self._nod_in is not None:
            self._nod_in -= 1
            if self._nod_in < 0:
                self._nod_in, self._nod_at = None, 0
        if self._nod_at is not None:
            done = (self._nod_at + 1) / (NOD_S * FPS)
            rotation[0] = NOD_RAD * np.sin(np.pi * min(done, 1.0)) ** 2
            self._nod_at = None if done >= 1 else self._nod_at + 1
        if state == "thinking" and self._aside == 0:
            self._side = float(self._rng.choice([-1.0, 1.0]))
        way = 1 / (ASIDE_S * FPS)
        self._aside = float(np.clip(self._aside + (way if state == "thinking" else -way), 0, 1))
        gaze = eased(np.array(self._aside)) * ASIDE_RAD * [self._side, 1.0]
        self._felt = self._felt + np.clip(self._wanted - self._felt, -self._step, self._step)
        return rotation, np.asarray(gaze, np.float32), np.asarray(self._felt, np.float32)
