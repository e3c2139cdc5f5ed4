"""Tells a covered mouth (mask, microphone, hand, scarf, food) from visible lips.

The mesh net places a mouth even where none is seen. So eight measures of the face are summed with weights (logistic
regression). They ask: does the mesh net place the lips at the same place again when its crop changes? Is the line
between the lips darker than what lies beside it? Are the lips redder than the skin round them? Does that skin look
like the rest of the face's?

Fitted on 150 faces as they are (stills, paintings, first frames of training films) and 307 copies of them with a drawn
mask, microphone, hand, scarf, piece of food, flute or telephone over the mouth.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portrait_anim.face.crops import crop_of
from portrait_anim.face.mesh import (
    EYE_LEFT,
    EYE_RIGHT,
    LIPS_INNER,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_OUTER,
    MOUTH_CORNERS,
    OUTER_EYE_CORNERS,
    mirror,
)
from portrait_anim.face.second_look import REPEATS
from portrait_anim.face.types import Array, Crop, Face, FaceNets, Image
from portrait_anim.system.opencv import cv2

Float = npt.NDArray[np.float64]

PATCH_PX, PATCH_WIDTHS = 64, 1.4  # the raster that the mouth is looked at in, and its side in mouth widths
RING_PX, GAP_PX = 15, 5  # of the raster: how far round the lips the skin is looked at (a square), and how near not
SEAM_PX, BESIDE_PX = 4, 7  # how far from the mesh's line the darkest place is looked for, and from where on the skin
REACH_PX = 12  # how far the skin beside the line is looked at
SKIN_POINTS = (50, 280, 101, 330, 205, 425, 4, 5, 195, 6, 151, 9, 108, 337)  # cheeks, nose, forehead
LIPS = tuple(dict.fromkeys(LIPS_OUTER + LIPS_INNER))

RANGES = (
    (0.005, 0.1), (0.004, 0.05), (0.005, 0.2), (-0.6, 0.1), (-0.1, 0.4), (-0.1, 0.3), (0.0, 30.0), (-5.0, 10.0),
)  # fmt: skip
"""Limits of each measure; of the first three the logarithm is then taken."""
WEIGHTS = (6.68, -7.473, 0.194, 5.498, -19.17, 16.122, 0.218, -0.493)
OFFSET = -5.086
DARK = 9.0  # CIELAB lightness of the skin, 0..100, below which nothing can be said
COVERED = 3.0  # weighted sum above which a mouth is called covered


def covered(nets: FaceNets, image: Image, face: Face) -> float:
    """Return the evidence for a covered mouth, a weighted sum: below 0 it is seen, above ``COVERED`` it is not.

    Args:
        nets: the face nets.
        image: (H, W, 3) uint8 RGB.
        face: whose mouth.
    """
    if _skin(image, face.landmarks[:, :2].astype(np.float64))[0] < DARK:
        return 0.0
    placed = nets.place(image, crop_of(face.landmarks))  # other backends' points are compared with the mesh net's
    values = np.array(measures(nets, image, placed or face))
    low, high = np.array(RANGES).T
    values = np.clip(values, low, high)
    values[:3] = np.log(values[:3])
    return float(values @ WEIGHTS + OFFSET)


def measures(nets: FaceNets, image: Image, face: Face) -> tuple[float, ...]:
    """Return the eight measures.

    * How far the points of the lips, and of the eyes, move when the mesh is placed again in changed crops, and those of
      the lips in the mirrored picture (IOD).
    * How dark the darkest part of the lips is, and the line between them (median and fifth part of its columns), as a
      share of the face's brightness.
    * How much the skin round the lips differs in colour from the rest of the face (CIELAB), and how much redder the
      lips are than that skin.
    """
    return (*_shifts(nets, image, face), *_look(image, face.landmarks))


def _shifts(nets: FaceNets, image: Image, face: Face) -> tuple[float, float, float]:
    crop, xy = crop_of(face.landmarks), face.landmarks[:, :2]
    left, right = OUTER_EYE_CORNERS
    iod = max(float(np.linalg.norm(xy[right] - xy[left])), 1.0)
    lips, eyes = [], []
    for across, down, scale, turn in REPEATS:
        again = Crop(crop.cx + across * crop.side, crop.cy + down * crop.side, scale * crop.side, crop.angle + turn)
        found = nets.place(image, again)
        if found is not None:
            offset = np.linalg.norm(found.landmarks[:, :2] - xy, axis=1) / iod
            lips.append(float(np.sqrt((offset[list(LIPS)] ** 2).mean())))
            eyes.append(float(np.sqrt((offset[list(EYE_LEFT + EYE_RIGHT)] ** 2).mean())))
    last = image.shape[1] - 1
    seen = nets.place(np.ascontiguousarray(image[:, ::-1]), Crop(last - crop.cx, crop.cy, crop.side, -crop.angle))
    flipped = 1.0
    if seen is not None:
        back = seen.landmarks[mirror(), :2] * [-1, 1] + [last, 0]
        flipped = float(np.sqrt((((back - xy)[list(LIPS)] / iod) ** 2).sum(1).mean()))
    return float(np.median(lips or [1.0])), float(np.median(eyes or [1.0])), flipped


def _look(image: Image, landmarks: Array) -> tuple[float, float, float, float, float]:
    xy = landmarks[:, :2].astype(np.float64)
    to_image = _patch(xy)
    patch = cv2.warpAffine(
        image, to_image, (PATCH_PX, PATCH_PX), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    lab = cv2.GaussianBlur(_lab(patch), (0, 0), 1)
    inner = np.linalg.inv(to_image[:, :2])
    at = (xy - to_image[:, 2]) @ inner.T  # (478, 2) raster px
    lips = np.zeros((PATCH_PX, PATCH_PX), np.uint8)
    cv2.fillPoly(lips, [at[list(LIPS_OUTER)].round().astype(np.int32)], 1)
    wide, near = (cv2.dilate(lips, np.ones((size, size), np.uint8)) for size in (RING_PX, GAP_PX))
    ring = lab[(wide > 0) & (near == 0)]
    skin = _skin(image, xy)
    light = max(float(skin[0]), 1.0)
    around = np.median(ring, axis=0) if len(ring) else skin
    own = lab[lips > 0] if lips.any() else around[None]
    dark = float(np.percentile(own[:, 0], 5) - around[0]) / light
    line = _line(lab[..., 0], at) / light
    tint = float(np.hypot(*(around[1:] - skin[1:])))
    red = float(np.median(own[:, 1]) - around[1])
    return dark, float(np.median(line)), float(np.percentile(line, 20)), tint, red


def _lab(pixels: Image) -> Array:
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def _patch(xy: Float) -> Float:
    """Return the (2, 3) map from the mouth's raster to the picture: right along the corners, px at integers."""
    start, end = (xy[i] for i in MOUTH_CORNERS)
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1.0)
    step = max(float(np.linalg.norm(end - start)), 1.0) * PATCH_WIDTHS / PATCH_PX
    axes = np.column_stack([along, [-along[1], along[0]]]) * step
    middle = (start + end) / 4 + (xy[LIPS_INNER_UPPER[5]] + xy[LIPS_INNER_LOWER[5]]) / 4
    return np.column_stack([axes, middle - axes.sum(1) * (PATCH_PX / 2 - 0.5)])


def _skin(image: Image, xy: Float) -> Float:
    """Return the median CIELAB colour (3,) of cheeks, nose and forehead."""
    height, width = image.shape[:2]
    left, right = OUTER_EYE_CORNERS
    radius = max(1, round(float(np.linalg.norm(xy[right] - xy[left])) / 40))
    colours = []
    for x, y in xy[list(SKIN_POINTS)].round().astype(int):
        x, y = int(np.clip(x, 0, width - 1)), int(np.clip(y, 0, height - 1))
        part = image[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
        colours.append(part.reshape(-1, 3).mean(0))
    return np.asarray(np.median(_lab(np.array([colours]).astype(np.uint8))[0], axis=0), np.float64)


def _line(light: Array, at: Float) -> Float:
    """Return (15,) how much darker the line between the lips is than what lies beside it, along the mouth."""
    middle = (at[list(LIPS_INNER_UPPER)] + at[list(LIPS_INNER_LOWER)]) / 2
    columns = np.linspace(middle[1, 0], middle[-2, 0], 15)
    rows = np.interp(columns, middle[:, 0], middle[:, 1])
    down = np.arange(-REACH_PX, REACH_PX + 1)
    y = np.clip((rows[:, None] + down).round().astype(int), 0, PATCH_PX - 1)
    x = np.clip(columns.round().astype(int), 0, PATCH_PX - 1)[:, None]
    profile = light[y, x].astype(np.float64)  # (15, 25)
    darkest = profile[:, np.abs(down) <= SEAM_PX].min(1)
    above, below = profile[:, down <= -BESIDE_PX].max(1), profile[:, down >= BESIDE_PX].max(1)
    return np.asarray(np.minimum(above, below) - darkest)
