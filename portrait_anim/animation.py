"""The types of :func:`portrait_anim.animate`'s arguments and results."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import OptionError

if TYPE_CHECKING:
    from PIL import Image as PilImage

    from portrait_anim.motion.space import Motion

PathLike: TypeAlias = "str | os.PathLike[str]"
PhotoLike: TypeAlias = "PathLike | PilImage.Image | npt.NDArray[np.uint8]"
SoundLike: TypeAlias = "PathLike | tuple[npt.NDArray[Any], int]"
SoundsLike: TypeAlias = "SoundLike | list[SoundLike]"
MotionLike: TypeAlias = "PathLike | Motion"
MotionsLike: TypeAlias = "MotionLike | list[MotionLike]"
Image: TypeAlias = npt.NDArray[np.uint8]
Progress: TypeAlias = "Callable[[int, int], None] | Callable[[str, int, int], None]"

STEPS = ("reading", "listening", "drawing", "signing")


class Frame(NamedTuple):
    """One frame of a film.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, marked; (H, W, 4) with opacity where the background is none.
        time_s: when it is shown first.
        box: x0, y0, x1, y1 (px, ends exclusive): outside it the frame is the scene's still picture, marked.
    """

    pixels: Image
    time_s: float
    box: tuple[int, int, int, int]


class Steps:
    """Report progress to a callback that takes ``(step, done, total)``, or ``(done, total)`` of the frames alone.

    Args:
        progress: as the user gave it. It is told the step's name, one of :data:`STEPS`, when it has exactly three
            parameters without a default.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress: Any = progress
        self._named = progress is not None and _takes_three(progress)

    def __call__(self, step: str, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` parts of a step are done."""
        if self._named:
            self._progress(step, done, total)
        elif self._progress is not None and step == "drawing" and done:
            self._progress(done, total)


def _takes_three(progress: Callable[..., None]) -> bool:
    try:
        parameters = inspect.signature(progress).parameters.values()
    except (TypeError, ValueError):  # built in
        return False
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in places and p.default is inspect.Parameter.empty for p in parameters) == 3


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
        """The motion of the (first) face."""
        return self.motions[0]


def as_sounds(audio: SoundsLike | None) -> list[SoundLike]:
    """Return the sounds as a list; None are none: an actor or a motion file moves the face.

    Raises:
        OptionError: the list is empty.
    """
    if audio is None:
        return []
    sounds = audio if isinstance(audio, list) else [audio]
    if not sounds:
        raise OptionError("no sound is given: give one, or one for each face")
    return sounds
