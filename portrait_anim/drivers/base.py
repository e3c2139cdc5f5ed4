"""Protocols of drivers. A driver is what moves faces: it makes the motion of every face of a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.sound import Sound
from portrait_anim.face.normalise import normalise
from portrait_anim.face.types import Face, Trial
from portrait_anim.motion.emotion import photo_smile
from portrait_anim.motion.space import Motion
from portrait_anim.options import MotionOptions
from portrait_anim.system.facts import Facts

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Target:
    """Everything a driver may know of a face that it moves.

    Attributes:
        shape: (478, 3) IOD, the photo's face with its pose removed.
        smile: how much the photo smiles, 0..1.
        number: which face, from 0; drivers that use chance add it to the seed.
        trial: shows a displacement on the photo and tracks it there; None: nothing can be tried.
    """

    shape: Array
    smile: float
    number: int
    trial: Trial | None = None

    @classmethod
    def of(cls, face: Face, number: int, trial: Trial | None = None) -> Target:
        """Return what a driver may know of a face in a picture."""
        shape, _ = normalise(face.landmarks)
        return cls(shape, photo_smile(shape), number, trial)


class Driver(Protocol):
    """A driver that is known from beginning to end, such as a recording.

    Attributes:
        sounds: what the film plays, mixed; none: a silent film.
        duration_s: of the longest sound.
    """

    sounds: Sequence[Sound]
    duration_s: float

    def facts(self, options: MotionOptions) -> Facts:
        """Return what it uses for a film with these options. Loads nothing."""
        ...

    def motion(self, target: Target, options: MotionOptions) -> Motion:
        """Return a face's motion at a rate of the driver's own (25 fps of a voice), round(duration_s x fps) frames."""
        ...


class LiveDriver(Protocol):
    """A driver whose sound still comes; each piece is analysed once, for all faces."""

    def facts(self) -> Facts:
        """Return what it uses; its source is the first piece."""
        ...

    def push(self, samples: Array, *, last: bool = False) -> list[Motion]:
        """Take a piece of sound (N,) at 16 kHz; return a motion for each face, equally long, maybe of no frames.

        Args:
            samples: -1..1, any number of them.
            last: no more will come.
        """
        ...
