"""Several faces of one photo in one frame."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
import numpy.typing as npt

from portrait_anim.face import matte, mesh
from portrait_anim.face.photo import Photo
from portrait_anim.face.state import FaceState
from portrait_anim.face.types import Face
from portrait_anim.render.portrait import Portrait
from portrait_anim.render.warp import Box
from portrait_anim.system.weights import digests

Image = npt.NDArray[np.uint8]


class Group:
    """The faces of a photo that move; safe to share between threads.

    Args:
        photo: the picture.
        faces: those that move, at least one.
    """

    def __init__(self, photo: Photo, faces: Sequence[Face]) -> None:
        self.photo = photo
        self.portraits = [Portrait(photo, face) for face in faces]
        boxes = [portrait.box for portrait in self.portraits]
        self._meets = [any(_overlap(box, other) for other in boxes[:i]) for i, box in enumerate(boxes)]

    @staticmethod
    def models() -> dict[str, str]:
        """Return name -> SHA-256 of the weight files that drawing uses."""
        return digests(mesh.WEIGHTS, matte.WEIGHTS)

    def render(self, states: Sequence[FaceState]) -> Image:
        """Return the frame (H, W, 3) uint8 that shows each face in its state.

        The photo is copied once; each face then costs its own box alone. Where two faces change the same pixel the
        later one wins.
        """
        frame = self.photo.pixels.copy()
        for portrait, state, meets in zip(self.portraits, states, self._meets, strict=True):
            if meets:
                self._draw_over(frame, portrait, state)
            else:
                portrait.draw(frame, state)
        return frame

    def _draw_over(self, frame: Image, portrait: Portrait, state: FaceState) -> None:
        """Draw a face whose box an earlier face's box overlaps, in place: what it leaves as in the photo stays."""
        x0, y0, x1, y1 = portrait.box
        view, photo = frame[y0:y1, x0:x1], self.photo.pixels[y0:y1, x0:x1]
        before = view.copy()
        view[...] = photo
        portrait.draw(frame, state)
        _put_back(view, photo, before)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@numba.njit(cache=True, nogil=True)
def _put_back(view: Image, photo: Image, before: Image) -> None:
    """Where (h, w, 3) ``view`` equals ``photo`` give it the pixels of ``before``, in place."""
    for row in range(view.shape[0]):
        for column in range(view.shape[1]):
            same = True
            for k in range(3):
                same = same and view[row, column, k] == photo[row, column, k]
            if same:
                for k in range(3):
                    view[row, column, k] = before[row, column, k]
