"""A scene whose people are before another background, or before none.

The people are cut out of the photo once (:mod:`portrait_anim.face.cutout`). The scene underneath draws them alone, as
colours times opacity and the opacity beside them; here they are laid over what is behind them.

Convention:
    * Without a background frames are (H, W, 4) uint8, R, G, B and opacity. The colours are the people's own, not
      multiplied by opacity ("straight"), and run on where the opacity is 0: programs that reduce or blur a frame mix
      them in at the edge, and the invisible mark needs a picture to lie in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numba
import numpy as np

from portrait_anim.face.cutout import Cutout
from portrait_anim.face.state import FaceState
from portrait_anim.render.group import Group
from portrait_anim.render.layers import filled
from portrait_anim.render.morph import Morph
from portrait_anim.render.pixels import seen_behind
from portrait_anim.render.scene import Box, Image
from portrait_anim.system.opencv import cv2

BLUR = 0.02  # Gaussian deviation of ``blur`` over the picture's diagonal
BLUR_REDUCED = 4  # px of deviation that it is blurred with, in a picture reduced to that
FILL_PX = 400  # diagonal of the reduced picture in which the background is filled
FAINT = 16  # opacity of 255 below which a colour cannot be told well any more, and goes over into ``around``
BEHIND = 0.02  # opacity from which on a pixel is filled before the background is blurred


class Backed:
    """People before another background. Safe to share between threads.

    Args:
        scene: the people alone, made with ``cut.person``.
        cut: the people.
        background: (H, W, 3) uint8, what is behind them; or a function that returns that for a time in seconds, from
            several threads; None: nothing is, and frames are (H, W, 4).
        origin: what the background was made from, for the film's manifest; None: nothing of the user's.

    Attributes:
        size, still, facts, sights: see :class:`portrait_anim.render.scene.Scene`.
    """

    def __init__(
        self,
        scene: Group | Morph,
        cut: Cutout,
        background: Image | Callable[[float], Image] | None,
        origin: Any = None,
    ) -> None:
        self._scene, self._around = scene, cut.around
        self.size, self.sights = scene.size, scene.sights
        more = {} if origin is None else {"background": (origin,)}
        self.facts = replace(scene.facts, more={**scene.facts.more, **more})
        self._moving = background if callable(background) else None
        self._fixed = background(0.0) if callable(background) else background
        self.still: Image = np.empty((*cut.person.shape[:2], 4 if background is None else 3), np.uint8)
        self._lay(scene.still, _opacity(scene), self._fixed, (0, 0, *self.size), self.still)

    def draw(self, states: Sequence[FaceState], time_s: float, out: Image) -> Box:
        """Draw the people over the background of a time; see :class:`portrait_anim.render.scene.Scene`."""
        colours, opacity = self._scene.still.copy(), _opacity(self._scene).copy()
        box = self._scene.draw(states, time_s, colours, opacity)
        background = self._fixed
        if self._moving is not None:
            background, box = self._moving(time_s), (0, 0, *self.size)
        self._lay(colours, opacity, background, box, out)
        return box

    def _lay(self, colours: Image, opacity: Image, background: Image | None, box: Box, out: Image) -> None:
        rows, columns = slice(box[1], box[3]), slice(box[0], box[2])
        part = out[rows, columns]
        if background is None:
            _straight(colours[rows, columns], opacity[rows, columns], self._around[rows, columns], part)
        else:
            _over(colours[rows, columns], opacity[rows, columns], background[rows, columns], part)


def _opacity(scene: Group | Morph) -> Image:
    assert scene.still_opacity is not None, "the scene was made without a cut"  # noqa: S101
    return scene.still_opacity


def blurred(pixels: Image, cut: Cutout) -> Image:
    """Return a photo's own background (H, W, 3), filled behind the people and blurred."""
    height, width = pixels.shape[:2]
    diagonal = float(np.hypot(width, height))
    seen = cut.person[..., 3] <= BEHIND * 255
    whole = filled(pixels, seen, min(1.0, FILL_PX / diagonal))
    scale = min(1.0, BLUR_REDUCED / (BLUR * diagonal))
    size = max(4, round(width * scale)), max(4, round(height * scale))
    small = cv2.GaussianBlur(
        cv2.resize(whole, size, interpolation=cv2.INTER_AREA).astype(np.float32), (0, 0), BLUR * diagonal * scale
    )
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(np.rint(large), 0, 255), np.uint8)


def filling(pixels: Image, size: tuple[int, int]) -> Image:
    """Return a picture (h, w, 3) brought to ``size`` (width, height) so that it fills it; what is over is cut off."""
    scale = max(size[0] / pixels.shape[1], size[1] / pixels.shape[0])
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = max(size[0], round(pixels.shape[1] * scale)), max(size[1], round(pixels.shape[0] * scale))
    whole = cv2.resize(pixels, large, interpolation=kind)
    left, top = (large[0] - size[0]) // 2, (large[1] - size[1]) // 2
    return np.ascontiguousarray(whole[top : top + size[1], left : left + size[0]])


@numba.njit(cache=True, nogil=True)
def _over(colours: Image, opacity: Image, background: Image, out: Image) -> None:
    """Lay colours times opacity (h, w, 3) over a background into ``out``, in place."""
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            alpha = int(opacity[row, column])
            for k in range(3):
                value = int(colours[row, column, k])
                if alpha < 255:
                    value += seen_behind(alpha, background[row, column, k])
                out[row, column, k] = np.uint8(min(value, 255))


@numba.njit(cache=True, nogil=True)
def _straight(colours: Image, opacity: Image, around: Image, out: Image) -> None:
    """Put the colours themselves and their opacity into ``out`` (h, w, 4), in place."""
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            alpha = int(opacity[row, column])
            out[row, column, 3] = np.uint8(alpha)
            filled = max(FAINT - alpha, 0)
            for k in range(3):
                value = int(colours[row, column, k])
                if alpha < 255:
                    whole = alpha + filled
                    value = (value * 255 + filled * int(around[row, column, k]) + whole // 2) // whole
                out[row, column, k] = np.uint8(min(value, 255))
