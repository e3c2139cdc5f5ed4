"""Several faces of one photo in one frame."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from portrait_anim.face import matte, mesh
from portrait_anim.face.gaze import Sights
from portrait_anim.face.photo import Photo
from portrait_anim.face.state import FaceState
from portrait_anim.face.types import Face, Landmarker
from portrait_anim.render.portrait import Portrait
from portrait_anim.render.scene import Box, Image
from portrait_anim.render.seen import Seen
from portrait_anim.system.facts import Facts
from portrait_anim.system.weights import digests


class Group:
    """The faces of a photo that move: the scene of most films. Safe to share between threads.

    Args:
        photo: the picture.
        faces: those that move, at least one.
        landmarker: what found them; None: nothing did, and how far they turn is not measured.
        cut: (H, W, 4) uint8, the people cut out, see :class:`portrait_anim.render.portrait.Portrait`.

    Attributes:
        photo: the picture.
        portraits: the faces, ready to be drawn.
        seen: how each is seen to move.
        size, still, facts, sights: see :class:`portrait_anim.render.scene.Scene`.
    """

    def __init__(
        self, photo: Photo, faces: Sequence[Face], landmarker: Landmarker | None = None, cut: Image | None = None
    ) -> None:
        self.photo, self.size = photo, photo.size
        self.portraits = [Portrait(photo, face, cut) for face in faces]
        self.still, self.still_opacity = self.portraits[0].still, self.portraits[0].still_opacity
        self.seen = [Seen.of(*each, landmarker) for each in zip(self.portraits, faces, strict=True)]
        self.sights: Sequence[Sights] = [[(0.0, portrait.sight)] for portrait in self.portraits]
        models = {} if landmarker is None else landmarker.models()
        self.facts = Facts((photo.origin,), {**models, **digests(mesh.WEIGHTS, matte.WEIGHTS)})
        boxes = np.array([portrait.box for portrait in self.portraits])
        self._box: Box = (*map(int, boxes[:, :2].min(0)), *map(int, boxes[:, 2:].max(0)))  # type: ignore[assignment]
        self._meets = [any(_overlap(box, other) for other in boxes[:i]) for i, box in enumerate(boxes)]

    def draw(self, states: Sequence[FaceState], time_s: float, out: Image, opacity: Image | None = None) -> Box:
        """Draw each face in its state; the photo itself does not change with time.

        The time that a face takes depends on its own box alone. Where two faces change the same pixel the later one
        is shown. Of people who are cut out ``opacity`` (H, W) is changed, too.
        """
        for portrait, seen, state, meets in zip(self.portraits, self.seen, states, self._meets, strict=True):
            state = seen.shown(state)
            if meets:
                self._draw_over(out, opacity, portrait, state)
            else:
                portrait.draw(out, state, opacity=opacity)
        return self._box

    def _draw_over(self, frame: Image, opacity: Image | None, portrait: Portrait, state: FaceState) -> None:
        """Draw a face whose box overlaps an earlier face's, in place; pixels that it leaves alone keep that one."""
        x0, y0, x1, y1 = portrait.box
        view, photo = frame[y0:y1, x0:x1], self.still[y0:y1, x0:x1]
        before = view.copy()
        view[...] = photo
        if opacity is None or self.still_opacity is None:
            portrait.draw(frame, state)
            _put_back(view, photo, before)
            return
        alpha, still = opacity[y0:y1, x0:x1], self.still_opacity[y0:y1, x0:x1]
        alpha_before = alpha.copy()
        alpha[...] = still
        portrait.draw(frame, state, opacity=opacity)
        same = (view == photo).all(axis=2) & (alpha == still)
        view[same], alpha[same] = before[same], alpha_before[same]


def _overlap(a: Sequence[int], b: Sequence[int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@numba.njit(cache=True, nogil=True)
def _put_back(view: Image, photo: Image, before: Image) -> None:
    """Set the pixels of ``view`` (h, w, 3) that equal ``photo`` to those of ``before``, in place."""
    for row in range(view.shape[0]):
        for column in range(view.shape[1]):
            same = True
            for k in range(3):
                same = same and view[row, column, k] == photo[row, column, k]
            if same:
                for k in range(3):
                    view[row, column, k] = before[row, column, k]
