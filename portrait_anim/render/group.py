"""Several faces of one photo in one frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from portrait_anim.face import matte, mesh
from portrait_anim.face.detect import Face
from portrait_anim.face.photo import Photo
from portrait_anim.face.state import FaceState
from portrait_anim.render.portrait import Portrait
from portrait_anim.weights import digests


class Group:
    """The faces of a photo that move; safe to share between threads.

    Args:
        photo: the picture.
        faces: those that move, at least one.
    """

    def __init__(self, photo: Photo, faces: Sequence[Face]) -> None:
        self.photo = photo
        self.portraits = [Portrait(photo, face) for face in faces]

    @staticmethod
    def models() -> dict[str, str]:
        """Return name -> SHA-256 of the weight files that drawing uses."""
        return digests(mesh.WEIGHTS, matte.WEIGHTS)

    def render(self, states: Sequence[FaceState]) -> npt.NDArray[np.uint8]:
        """Return the frame (H, W, 3) uint8 that shows each face in its state.

        Each face changes what it moves; where two of them reach the same pixel the later one wins.
        """
        first, *others = zip(self.portraits, states, strict=True)
        frame = first[0].render(first[1])
        for portrait, state in others:
            moved = portrait.render(state)
            np.copyto(frame, moved, where=(moved != self.photo.pixels).any(axis=2, keepdims=True))
        return frame
