"""Paints shut lids over a photo's open eyes: the lid's skin, and one dark line of lashes along its edge.

The warp already stretches the upper lid over the eye (:mod:`portrait_anim.render.head`). Stretched skin looks smeared,
so a painted lid is faded in over it: skin continued from round the eye, with the photo's own fine texture.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.render.lid_texture import (
    CHEEKS,
    EYES,
    LUMA,
    OPENING,
    PATCH,
    Lid,
    curve,
    measure_lid,
    median_colour,
    ramp,
)
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

# when a lid is painted
PAINTED = (0.05, 0.55)  # blink values 0..1 over which the painted lid fades in
LEAST_SHARE = 0.01  # opacity below which none is painted

# when an eye is taken for a reflection
GLARE = 1.0  # brightness of an open eye's darkest pixels over the cheek's, from which on it is a reflection
GLARE_PERCENTILE = 15  # of an eye's pixels that count as its darkest
MEASURED_PX = 8  # px of the photo; of eyes less wide than that a reflection cannot be told

# the line of lashes
LASH_BELOW = 1.25  # width below the lid's edge over that above it
LASH_CORE, LASH_WIDE = 0.75, 0.25  # shares of a line of that width and of one twice as wide


class LidPainter:
    """Paints the lids of a photo's eyes over a frame; safe to share between threads.

    Args:
        pixels: (H, W, 3) the photo.
        source: (478, 2) px, where its landmarks are.
    """

    def __init__(self, pixels: Image, source: Array) -> None:
        self._source = source.astype(np.float64)
        self._lids = [measure_lid(pixels, self._source, eye) for eye in (0, 1)]

    def paint(self, frame: Image, opened: Array, target: Array, blink: Array) -> None:
        """Paint the lids into (H, W, 3) ``frame``, in place.

        Args:
            frame: the photo, warped to ``target``.
            opened: (N, 2) px, where the landmarks would be without the blink.
            target: (N, 2) px, where they are.
            blink: (2,) closure, image-left first.
        """
        for lid, closure in zip(self._lids, blink, strict=True):
            share = 0.0 if lid is None else lid.share * float(ramp(closure, PAINTED))
            if lid is not None and share > LEAST_SHARE:
                self._paint(frame, lid, opened, target, share)

    def _paint(self, frame: Image, lid: Lid, opened: Array, target: Array, share: float) -> None:
        """Paint one lid into ``frame``, in place, with an opacity of ``share``; see :meth:`paint`."""
        # how the surroundings of the eye have moved: one affine map
        carriers, edge = lid.points
        start = np.column_stack([self._source[carriers], np.ones(len(carriers))])
        moved = np.linalg.lstsq(start, opened[carriers].astype(np.float64), rcond=None)[0].T  # (2, 3) photo -> frame
        to_frame = np.vstack([moved, [0, 0, 1]]) @ np.vstack([lid.to_photo, [0, 0, 1]])  # raster -> frame
        # the lid's edge in the raster
        back = np.linalg.inv(to_frame)  # frame -> raster
        pitch = lid.u[1] - lid.u[0]
        at = target[edge] @ back[:2, :2].T + back[:2, 2]  # (9, 2) raster px
        line = curve(lid.u, at * pitch + [lid.u[0], lid.v[0, 0]])  # (w,)
        down = lid.v - line  # (h, w) eye widths below the lid's edge
        # the lid above it, and the lashes along it
        alpha = lid.cover * np.clip(0.5 - (down - 0.5 * lid.thickness) / (2 * pitch), 0, 1)
        width = np.where(down < 0, lid.thickness, LASH_BELOW * lid.thickness)
        near = (down / width) ** 2
        lash = lid.strength * (LASH_CORE * np.exp(-near) + LASH_WIDE * np.exp(-near / 4))
        # both together, lashes over the lid: colours times opacity, and opacity
        total = lash + alpha * (1 - lash)
        colour = lid.lash * lash[..., None] + lid.skin * (alpha * (1 - lash))[..., None]
        layer = np.dstack([colour, total]).astype(np.float32) * np.float32(share)  # (h, w, 4)
        # over the frame
        h, w = total.shape
        corners = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]]) @ to_frame[:2].T
        limit = np.array(frame.shape[1::-1])
        x0, y0 = np.clip(np.floor(corners.min(0)).astype(int), 0, limit)
        x1, y1 = np.clip(np.ceil(corners.max(0)).astype(int) + 1, 0, limit)
        if x1 <= x0 or y1 <= y0:
            return
        placed = to_frame[:2] - [[0, 0, x0], [0, 0, y0]]
        laid = cv2.warpAffine(layer, placed, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_LINEAR)
        view = frame[y0:y1, x0:x1]
        view[...] = np.clip(view * (1 - laid[..., 3:]) + laid[..., :3] + 0.5, 0, 255).astype(np.uint8)


def eyes_seen(pixels: Image, source: Array) -> bool:
    """Return whether both eyes of a photo are seen; False where glasses mirror a window or a lamp before one of them.

    An open eye has an iris and lashes: its darkest parts are darker than the cheek's skin. A reflection has neither.

    Args:
        pixels: (H, W, 3) the photo.
        source: (N, 2) px, where its landmarks are.
    """
    return all(_darkest(pixels, source.astype(np.float64), eye) < GLARE for eye in (0, 1))


def _darkest(pixels: Image, source: Float, eye: int) -> float:
    """Return the brightness of an open eye's darkest parts over the cheek's; 0 for one that is hardly open or tiny."""
    upper, lower = EYES[eye]
    loop = source[list(upper + lower[-2:0:-1])]
    length = float(np.hypot(*(source[upper[-1]] - source[upper[0]])))
    middle = len(upper) // 2
    if float(np.hypot(*(source[upper[middle]] - source[lower[middle]]))) < OPENING[1] * length or length < MEASURED_PX:
        return 0.0
    low = np.clip(np.floor(loop.min(0)).astype(int), 0, np.array(pixels.shape[1::-1]) - 1)
    high = np.ceil(loop.max(0)).astype(int) + 1
    part = pixels[low[1] : high[1], low[0] : high[0]]
    inside = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(inside, [(loop - low).round().astype(np.int32)], 1)
    light = part[inside > 0] @ LUMA
    cheek = np.median([median_colour(pixels, source[i], length * PATCH) for i in CHEEKS[eye]], axis=0) @ LUMA
    return float(np.percentile(light, GLARE_PERCENTILE)) / max(float(cheek), 1) if len(light) else 0.0
