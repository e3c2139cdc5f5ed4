"""What goes into :func:`portrait_anim.animate` and what comes out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import OptionError

if TYPE_CHECKING:
    from PIL import Image

    from portrait_anim.motion.space import Motion

PathLike: TypeAlias = "str | os.PathLike[str]"
PhotoLike: TypeAlias = "PathLike | Image.Image | npt.NDArray[np.uint8]"
SoundLike: TypeAlias = "PathLike | tuple[npt.NDArray[Any], int]"
SoundsLike: TypeAlias = "SoundLike | list[SoundLike]"
Frame = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Animation:
    """A finished film.

    Attributes:
        path: the file.
        n_frames: frames in it, round(duration of the sound x fps).
        duration_s: of the picture, ``n_frames / fps``.
        fps: frames/s.
        size: (width, height) of the frames in px; an odd side is padded by one pixel line in the file.
        motions: how each face moved, at ``fps``.
        seed: of blinks, gaze and head motion.
    """

    path: Path
    n_frames: int
    duration_s: float
    fps: float
    size: tuple[int, int]
    motions: tuple[Motion, ...] = field(repr=False)
    seed: int

    @property
    def motion(self) -> Motion:
        """How the (first) face moved."""
        return self.motions[0]


def as_sounds(audio: SoundsLike) -> list[SoundLike]:
    """Return the sounds as a list.

    Raises:
        OptionError: there is none.
    """
    sounds = audio if isinstance(audio, list) else [audio]
    if not sounds:
        raise OptionError("no sound is given: give one, or one for each face")
    return sounds
