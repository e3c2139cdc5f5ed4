"""Turns the eyes of a photo as wholes: the iris keeps its shape, the white of the eye gives way.

The mesh alone moves an iris's middle and leaves its rim behind, which is right for darts and wrong for another
direction. Here the pixels within the lids are moved in the photo, before the mesh moves the photo:

* along the eye, from corner to corner: a strip with the iris moves as it is, what lies beside it is stretched;
* across it, from lid to lid: the middle of the iris moves as it is, towards the lids it gives way, so that no skin is
  taken for an eye.

Convention: backward maps, px of the photo; see :mod:`portrait_anim.render.warp`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.face.gaze import direction
from portrait_anim.face.mesh import (
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    IRIS_LEFT,
    IRIS_RIGHT,
)
from portrait_anim.face.normalise import IMAGE_TO_FACE, Pose
from portrait_anim.face.state import EYEBALL
from portrait_anim.render.scene import Box, Image
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

RIM = 1.2  # of the iris's radius: the strip that moves as a whole
CORE = 0.7  # of it: what moves as a whole across the eye
ROOM = 0.04  # of the eye's width that stays at least between iris and corner
STRETCHED = (1.6, 2.6)  # times its length to which white is stretched: from here the other side's white is laid over it
OVERLAID = 0.5  # opacity of that in the middle between iris and corner; it fades out towards both
LID_FADE = 0.08  # of the opening, beyond the lids, over which the motion ends
SHUT, OPEN = 0.10, 0.16  # opening over width from which an eye turns, and from which it turns wholly
OUTSIDE = 0.05  # of the eye's width from a corner: no iris's middle is there
MARGIN_PX = 3


class EyeTurner:
    """Moves both irises of one photo. Safe to share between threads.

    Args:
        landmarks: (478, 3) px.
        pose: of the face in the photo.
        eyes: (2,) radians, how far they are turned in the head.
        box: the part of the photo that :meth:`turned` gets.
    """

    def __init__(self, landmarks: Array, pose: Pose, eyes: Float, box: Box) -> None:
        self._pose, self._eyes, self._box = pose, eyes, box
        points = landmarks[:, :2].astype(np.float64) - box[:2]
        size = box[2] - box[0], box[3] - box[1]
        self._sides = [
            _Eye(points[list(upper)], points[list(lower)], points[list(iris)], size)
            for upper, lower, iris in (
                (EYE_LEFT_UPPER, EYE_LEFT_LOWER, IRIS_LEFT), (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER, IRIS_RIGHT)
            )
        ]  # fmt: skip

    def turned(self, pixels: Image, gaze: npt.NDArray[np.floating], frame: Image) -> Image:
        """Return the photo's pixels in ``box`` with the eyes turned; draw them into ``frame`` too, in place.

        Args:
            pixels: (h, w, C) the photo's part, or the person's layer.
            gaze: (2,) radians; eyes that have no room for it turn less far, both alike.
            frame: (H, W, 3) that shows the photo.
        """
        way = direction(self._eyes + gaze) - direction(self._eyes)
        shift = (self._pose.scale * EYEBALL * (self._pose.rotation @ way) * IMAGE_TO_FACE)[:2]  # px of the photo
        share = min(eye.share(shift) for eye in self._sides)  # both alike: nobody squints
        out, (x0, y0, x1, y1) = pixels.copy(), self._box
        for eye in self._sides if share > 0 else ():
            eye.move(pixels, out, shift * share)
            rows, columns = eye.part
            frame[y0:y1, x0:x1][rows, columns] = out[rows, columns, :3]
        return out


class _Eye:
    """One eye: its outline and iris in px of the part that is moved.

    ``u`` runs from the image-left corner to the other one, ``w`` across, downwards; both in px.
    """

    def __init__(self, upper: Array, lower: Array, iris: Array, size: tuple[int, int]) -> None:
        self._corner = upper[0]
        self.width = max(float(np.linalg.norm(upper[-1] - upper[0])), 1e-6)
        along = (upper[-1] - upper[0]) / self.width
        self._axes = np.stack([along, [-along[1], along[0]]])  # rows: along, across
        self._upper, self._lower = ((row - self._corner) @ self._axes.T for row in (upper, lower))
        self._u0, self._w0 = (iris[0] - self._corner) @ self._axes.T
        self._radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
        opening = (np.interp(self._u0, *self._lower.T) - np.interp(self._u0, *self._upper.T)) / self.width
        within = OUTSIDE * self.width < self._u0 < (1 - OUTSIDE) * self.width  # else it was not found
        self._open = float(np.clip((opening - SHUT) / (OPEN - SHUT), 0, 1)) if within else 0.0
        # the pixels round the eye
        around = np.concatenate([upper, lower])
        low = np.clip(np.floor(around.min(0)).astype(int) - MARGIN_PX, 0, size)
        high = np.clip(np.ceil(around.max(0)).astype(int) + MARGIN_PX + 1, 0, size)
        self.part = slice(low[1], high[1]), slice(low[0], high[0])
        x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
        self._u, self._w = np.moveaxis((np.stack([x, y], -1) - self._corner) @ self._axes.T, -1, 0)
        self._top, self._bottom = self._lids(self._u)
        tall = np.maximum(self._bottom - self._top, 1e-6)
        beyond = np.maximum(self._top - self._w, self._w - self._bottom) / tall
        inside = (self._u > 0) & (self._u < self.width) & (tall > 0.5)
        self._edge = np.where(inside, np.clip(1 - beyond / LID_FADE, 0, 1), 0.0)

    def _lids(self, u: Float) -> tuple[Float, Float]:
        return np.interp(u, *self._upper.T), np.interp(u, *self._lower.T)

    def share(self, shift: npt.NDArray[np.floating]) -> float:
        """Return how much of a shift, (2,) px, this eye has room for, 0..1; it gets less softly."""
        way = float(self._axes[0] @ shift)
        limit = ROOM * self.width + self._radius
        room = max((self.width - limit - self._u0) if way > 0 else (self._u0 - limit), 0.0)
        if abs(way) < 1e-6:
            return self._open
        # up to half of the room all of it, then softly less
        half = room / 2
        reached = abs(way) if abs(way) <= half else half + half * np.tanh((abs(way) - half) / max(half, 1e-6))
        return self._open * float(reached) / abs(way)

    def move(self, pixels: Image, out: Image, shift: npt.NDArray[np.floating]) -> None:
        """Draw this eye, shifted by (2,) px, into ``out``."""
        if not self._u.size:
            return
        du, dw = self._axes @ shift
        from_u, mirrored_u, other = self._along(self._u, float(du))
        view = self._taken(pixels, from_u, float(dw)).astype(np.float32)
        if other.any():
            over = self._taken(pixels, mirrored_u, float(dw))
            view += other[..., None] * (over - view)
        here = out[self.part]
        share = self._edge[..., None]
        here[...] = np.clip(np.round(here + share * (view - here)), 0, 255).astype(np.uint8)

    def _along(self, u: Float, du: float) -> tuple[Float, Float, Float]:
        """Return for each u of the frame its u in the photo, one on the iris's other side, and the share of that."""
        left = min(RIM * self._radius, 0.85 * self._u0, 0.85 * (self._u0 + du))
        right = min(RIM * self._radius, 0.85 * (self.width - self._u0), 0.85 * (self.width - self._u0 - du))
        a0, b0 = self._u0 - left, self._u0 + right
        a1, b1 = a0 + du, b0 + du
        from_u = np.interp(u, [0, a1, b1, self.width], [0, a0, b0, self.width])
        # white that would be stretched too far is filled up with the other side's, near the iris
        white = (a0, self.width - b0)  # px on either side in the photo
        wanted = (a1, self.width - b1)
        low, high = STRETCHED
        if du > 0:
            away, near, beyond = a1 - u, wanted[0], b0 + (a1 - u) * min(1.0, white[1] / max(wanted[0], 1e-3))
            stretch = wanted[0] / max(white[0], 1e-3)
        else:
            away, near, beyond = u - b1, wanted[1], a0 - (u - b1) * min(1.0, white[0] / max(wanted[1], 1e-3))
            stretch = wanted[1] / max(white[1], 1e-3)
        share = (
            OVERLAID
            * np.clip((stretch - low) / (high - low), 0, 1)
            * np.sin(np.pi * np.clip(away / max(near, 1e-3), 0, 1))
        )
        return from_u, np.clip(beyond, 0, self.width), share

    def _taken(self, pixels: Image, from_u: Float, dw: float) -> Image:
        """Return the pixels that come from ``from_u``; across, the lids stay and the iris's core moves as a whole."""
        w, (top, bottom) = self._w, self._lids(from_u)
        middle, core = self._w0 + dw, CORE * self._radius
        above = np.minimum(core, 0.7 * np.minimum(middle - self._top, self._w0 - top)).clip(0)
        below = np.minimum(core, 0.7 * np.minimum(self._bottom - middle, bottom - self._w0)).clip(0)
        high, low = middle - above, middle + below
        upwards = top + (w - self._top) * (self._w0 - above - top) / np.maximum(high - self._top, 1e-3)
        downwards = bottom - (self._bottom - w) * (bottom - self._w0 - below) / np.maximum(self._bottom - low, 1e-3)
        from_w = np.where(w < high, upwards, np.where(w > low, downwards, w - dw))
        at = self._corner + np.stack([from_u, from_w], -1) @ self._axes
        return np.asarray(
            cv2.remap(pixels, at.astype(np.float32), None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        )
