"""The protocol of a scene: a still picture in which faces can be drawn in any state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from portrait_anim.face.gaze import Sights
from portrait_anim.face.state import FaceState
from portrait_anim.system.facts import Facts

Image = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in px, ends exclusive


class Scene(Protocol):
    """One face or several in a picture.

    Attributes:
        size: (width, height) in px.
        still: (H, W, 3) uint8 RGB, the picture where nothing moves; (H, W, 4) with opacity where nothing is behind it.
        facts: the inputs and weight files it was made from.
        sights: how the photo of each face looks at its viewer.
    """

    size: tuple[int, int]
    still: Image
    facts: Facts
    sights: Sequence[Sights]

    def draw(self, states: Sequence[FaceState], time_s: float, out: Image) -> Box:
        """Draw the faces. Safe to call from several threads.

        Args:
            states: one for each face.
            time_s: of the frame, for scenes that change.
            out: of the shape of ``still``, changed in place; shows ``still`` when it comes in.

        Returns:
            the box outside which ``out`` still equals ``still``.
        """
        ...
