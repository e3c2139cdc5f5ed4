"""Measures the eyes of a photo and paints one lid for each: what :mod:`portrait_anim.render.lids` lays over frames.

The skin round the eye is continued over it, with the photo's own fine texture; the line of lashes gets the colour and
width that the open eye shows.

Convention:
    * Each eye has a raster of its own: u along the line from its image-left to its image-right corner, v at a right
      angle to it, downwards, both in eye widths; (0, 0) is the image-left corner, (1, 0) the other one.
    * ``to_photo`` is a (2, 3) matrix from raster (column, row, 1) to (x, y) px of the photo, pixel centres at integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import EYE_LEFT_LOWER, EYE_LEFT_UPPER, EYE_RIGHT_LOWER, EYE_RIGHT_UPPER
from portrait_anim.render.head import LID_MEET, LID_ROWS, LOWER_LID_ROWS
from portrait_anim.system.easing import eased
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

EYES = ((EYE_LEFT_UPPER, EYE_LEFT_LOWER), (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER))  # image-left first
CHEEKS = ((50, 205, 101), (280, 425, 330))  # landmarks on the cheek below each, image-left first
LUMA = np.array([0.299, 0.587, 0.114])  # R, G, B weights of brightness (ITU-R BT.601)

# Lengths are in eye widths unless a comment says otherwise. Pairs are the two ends of a smooth step.
# when a lid is painted
OPENING = (0.06, 0.14)  # height of an eye in the photo over which the painted lid gets its full opacity
SKIN_LIGHT = (0.35, 0.55)  # brightness of the lid's skin over the cheek's, likewise: dark glasses get no lid
SMALLEST_PX = 4  # px of the photo; eyes less wide than that get no painted lid
PATCH = 1 / 16  # half the side of the squares in which the cheek's colour is read

# the raster
WIDTH_PX = (64, 400)  # px that an eye is wide in it, at least and at most
LEFT, RIGHT, ABOVE, BELOW = 0.25, 0.25, 0.9, 0.9  # its reach beyond the corners, above and below their line
KEPT = 0.12  # its rows beyond the lid that are kept

# the lid's skin
LID_HEIGHT = (0.5, 0.10, 0.20)  # share of the way up to LID_ROWS[1] that is painted, and its least and most
HIDDEN = (0.02, 0.08, 0.16)  # reach of what is not used as skin: above the painted lid, below the eye, beside it
HIDDEN_BLUR = 0.02  # Gaussian deviation of that region's edge
TEMPLE_SHARE = 0.6  # factor on distances beyond the corner at the temple, where lashes reach further
GROWTH = (0.30, 0.14, 0.06)  # Gaussian deviations with which skin is continued over the eye, the widest first
GROWTH_ROUNDS = 3  # each gives pixels that differ from the result less weight
GROWTH_SURE = 0.05  # weight of the known skin near a pixel at which a narrower Gaussian counts half
DARKER, BRIGHTER = 0.10, 0.25  # difference in brightness, as a share, at which a pixel counts half
LID_BULGE, LASH_SHADE = 0.05, 0.07  # share of brightness that the lid's middle gains and that its edge loses
COVER_ASIDE = 0.08  # reach of the painted lid beside the eye
COVER_BLUR = 0.05  # Gaussian deviation of its edge
GRAIN_BELOW = 0.1  # below the row of skin under the eye: the line at which the texture is mirrored
GRAIN_BLUR, GRAIN_LIGHT_BLUR = 0.025, 0.1  # Gaussian deviations: texture is finer than that; brightness round it
GRAIN_MOST = 2 * 1.4826  # limit of the texture, in median absolute values (1.4826 of them: a standard deviation)
GRAIN_LEAST = 0.002  # least value used for that median, as a share of brightness

# the line of lashes
LASH_CONTRAST = 0.30  # share of the skin's brightness that the line takes away at least
LASH_STRIP = (0.08, 0.015, 0.2, 0.8)  # where it is looked for: above and below the lid's edge, from u to u
LASH_PERCENTILE = 85  # darkness in the strip from which on a pixel is a lash
LASH_HALF = 0.5  # share of that darkness from which on a pixel counts for the line's thickness
LASH_SEEN = 0.1  # darkness below which no line is seen
LASH_HEIGHT = 0.095  # height of the strip
LASH_OPACITY = 0.85
LASH_THICKNESS = (0.016, 0.034)  # half the line's width, at least and at most
LASH_NOSE, LASH_TEMPLE = (-0.02, 0.30), (0.85, 1.08)  # from the nose (0) to the temple (1): it fades in, and out
LASH_TAPER = (0.45, 0.55)  # share of the thickness at its ends, and what is added in its middle


@dataclass(frozen=True)
class Lid:
    """One eye's painted lid, in the eye's own raster (see the module).

    Attributes:
        points: the landmarks that it moves with (round the eye, none on a lid), and those of the upper lid's edge.
        to_photo: (2, 3) from raster px to the photo's.
        u: (w,) of the raster's columns.
        v: (h, 1) of its rows.
        skin: (h, w, 3) the lid's skin, RGB 0..255.
        cover: (h, w) opacity 0..1 of the lid, before it is cut off at the lid's edge.
        lash: (3,) RGB of the line of lashes.
        strength, thickness: (w,) its opacity, and half its width in eye widths.
        share: 0..1, opacity of lid and lashes together: low where the eye is nearly shut or its surroundings dark.
    """

    points: tuple[list[int], list[int]]
    to_photo: Float
    u: Float
    v: Float
    skin: Array
    cover: Array
    lash: Float
    strength: Float
    thickness: Float
    share: float


def measure_lid(pixels: Image, source: Float, eye: int) -> Lid | None:
    """Measure one eye of the photo and paint its lid; None where the eye is too small.

    Args:
        pixels: (H, W, 3) the photo.
        source: (478, 2) px, where its landmarks are.
        eye: 0 at image left, 1 at image right.
    """
    # the eye's own raster
    upper, lower = EYES[eye]
    brow = list(LID_ROWS[1][0][eye])
    below = list(LOWER_LID_ROWS[eye])
    start, along = source[upper[0]], source[upper[-1]] - source[upper[0]]
    length = float(np.hypot(*along))
    if length < SMALLEST_PX:
        return None
    wide = float(np.clip(length, *WIDTH_PX))
    pitch = 1 / wide  # eye widths a raster px
    u = np.arange(-LEFT, 1 + RIGHT, pitch)
    v = np.arange(-ABOVE, BELOW, pitch)[:, None]
    axes = np.column_stack([along, [-along[1], along[0]]])  # eye widths -> px
    to_photo = np.column_stack([axes * pitch, start + axes @ [u[0], v[0, 0]]])  # (2, 3)
    raster = cv2.warpAffine(
        pixels, to_photo, (len(u), len(v)),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)  # fmt: skip
    # (w,) v of the upper lid's edge, the lower lid's edge, the row of skin above and the row below
    lines = [curve(u, np.linalg.solve(axes, (source[list(row)] - start).T).T) for row in (upper, lower, brow, below)]
    edge, rim, top, bag = lines
    opening = float((rim - edge).max())
    to_brow, least, most = LID_HEIGHT
    height = np.clip(to_brow * (edge - top), least, most)  # (w,) of the painted lid above the open eye
    nose = u if eye else 1 - u  # 0 at the nose, 1 at the temple
    aside = np.maximum(np.maximum(-nose, TEMPLE_SHARE * (nose - 1)), 0)  # (w,) beyond the corners
    # the lid's skin: what is round the eye, continued over it
    above, beneath, beside = HIDDEN
    hidden = (v > edge - height - above) & (v < rim + beneath) & (aside < beside)  # (h, w)
    known = 1 - cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), HIDDEN_BLUR / pitch)
    known[hidden] = 0
    skin = _skin(raster, known, pitch)
    # its roundness: brighter in the middle, darker at the lashes
    shut = edge + LID_MEET * (rim - edge)  # (w,) where the lids meet
    depth = np.clip((v - edge + height) / np.maximum(shut - edge + height, 1e-3), 0, 1)[..., None]  # 1 at the lashes
    skin = (skin * (1 + LID_BULGE * np.sin(np.pi * depth) - LASH_SHADE * depth**4)).astype(np.float32)
    # whether this is an open eye with skin round it, not dark glasses
    opened = (v > edge) & (v < rim)
    cheek = np.median([median_colour(pixels, source[i], length * PATCH) for i in CHEEKS[eye]], axis=0) @ LUMA
    dark = float((skin[opened] @ LUMA).mean()) / max(float(cheek), 1) if opened.any() else 0.0
    share = float(ramp(opening, OPENING)) * float(ramp(dark, SKIN_LIGHT))
    # texture, opacity and lashes
    skin *= 1 + _grain(raster, v, bag + GRAIN_BELOW, pitch)
    cover = ((v > edge - height) & (aside < COVER_ASIDE)).astype(np.float64)
    cover = cv2.GaussianBlur(cover, (0, 0), COVER_BLUR / pitch)
    lash, strength, thickness = _lashes(raster, u, v, edge, skin)
    taper = ramp(nose, LASH_NOSE) * (1 - ramp(nose, LASH_TEMPLE))  # (w,)
    ends, middle = LASH_TAPER
    # only the rows that are painted are kept
    carriers = [upper[0], upper[-1], *brow, *below]
    first = int((v[:, 0] < (edge - height).min() - KEPT).sum())
    rows = slice(first, int((v[:, 0] < rim.max() + KEPT).sum()))
    to_photo[:, 2] += to_photo[:, 1] * first
    return Lid(
        (carriers, list(upper)), to_photo, u, v[rows], np.clip(skin[rows], 0, 255), cover[rows].astype(np.float32),
        lash, strength * taper, thickness * (ends + middle * taper), share,
    )  # fmt: skip


def _skin(raster: Array, known: Float, pitch: float) -> Array:
    """Return the skin (h, w, 3) round the eye, continued over it: averages of the known pixels, near ones first.

    The averages are robust: after each round, pixels that differ from the result, such as dark lines and brows, get a
    lower weight.

    Args:
        raster: (h, w, 3) the photo.
        known: (h, w) 0..1, where it may show skin.
        pitch: eye widths a px.
    """
    weight, skin = known.astype(np.float32), raster
    luma = LUMA.astype(np.float32)
    for _ in range(GROWTH_ROUNDS):
        for k, sigma in enumerate(GROWTH):
            mass = cv2.GaussianBlur(weight, (0, 0), sigma / pitch, borderType=cv2.BORDER_REPLICATE)
            grown = cv2.GaussianBlur(raster * weight[..., None], (0, 0), sigma / pitch, borderType=cv2.BORDER_REPLICATE)
            grown /= np.maximum(mass, 1e-6)[..., None]
            sure = (mass / (mass + GROWTH_SURE))[..., None]
            skin = grown if k == 0 else skin + sure * (grown - skin)
        off = (raster @ luma) / np.maximum(skin @ luma, 1) - 1
        weight = (known / (1 + (off / np.where(off < 0, DARKER, BRIGHTER)) ** 2)).astype(np.float32)
    return skin


def _grain(raster: Array, v: Float, mirror: Float, pitch: float) -> Array:
    """Return the skin's fine texture below the eye, mirrored upwards at a line (w,) of v.

    Returns:
        (h, w, 3), as a share of the brightness.
    """
    fine = raster - cv2.GaussianBlur(raster, (0, 0), GRAIN_BLUR / pitch)
    fine /= np.maximum(cv2.GaussianBlur(raster @ LUMA.astype(np.float32), (0, 0), GRAIN_LIGHT_BLUR / pitch), 4)[
        ..., None
    ]
    limit = GRAIN_MOST * max(float(np.median(np.abs(fine))), GRAIN_LEAST)
    rows = (2 * mirror - v - v[0, 0]) / pitch  # (h, w) row that each is taken from
    columns = np.broadcast_to(np.arange(raster.shape[1], dtype=np.float32), rows.shape)
    kept = cv2.remap(
        np.clip(fine, -limit, limit), np.ascontiguousarray(columns), rows.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    return np.asarray(kept)


def _lashes(raster: Array, u: Float, v: Float, edge: Float, skin: Array) -> tuple[Float, float, float]:
    """Return colour (3,), opacity and half width (eye widths) of the line of lashes, as the open eye shows it."""
    # how dark each pixel is against the skin, in a strip along the lid's edge
    light = np.maximum(skin @ LUMA, 1)
    dark = np.clip(1 - raster @ LUMA / light, 0, 1)  # (h, w)
    above, below, first, last = LASH_STRIP
    strip = (v > edge - above) & (v < edge + below) & (u > first) & (u < last)
    found = dark[strip]
    contrast = float(np.percentile(found, LASH_PERCENTILE))
    deep = strip & (dark >= contrast)
    colour = np.median(raster[deep], axis=0).astype(np.float64)
    seen = float((found > LASH_HALF * contrast).mean()) * LASH_HEIGHT if contrast > LASH_SEEN else 0.0
    if contrast < LASH_CONTRAST:
        colour = np.median(skin[strip], axis=0) * (1 - LASH_CONTRAST)
    return colour, LASH_OPACITY, float(np.clip(0.5 * seen, *LASH_THICKNESS))


def ramp(x: npt.ArrayLike, ends: tuple[float, float]) -> Float:
    """Return a smooth step from 0 to 1 between two ends."""
    share = np.clip((np.asarray(x, np.float64) - ends[0]) / (ends[1] - ends[0]), 0, 1)
    return np.asarray(eased(share))


def curve(u: Float, points: Float) -> Float:
    """Return v (w,) of the cubic that fits (N, 2) points (u, v) best; constant beyond the first and the last point."""
    terms = np.polynomial.polynomial.polyfit(points[:, 0], points[:, 1], 3)
    ends = points[:, 0].min(), points[:, 0].max()
    return np.asarray(np.polynomial.polynomial.polyval(np.clip(u, *ends), terms))


def median_colour(pixels: Image, xy: Float, radius: float) -> Float:
    """Return the median colour (3,) of a square round a point (2,) px; ``radius`` px is half its side, at least 1."""
    x, y = np.clip(xy.round().astype(int), 0, np.array(pixels.shape[1::-1]) - 1)
    reach = max(1, round(radius))
    part = pixels[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return np.asarray(np.median(part.reshape(-1, 3), axis=0))
