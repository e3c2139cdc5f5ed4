"""Shut lids: what an open eye's photo does not show is painted, the skin of the lid and one line of lashes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import (
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
)
from portrait_anim.render.head import LID_MEET, LID_ROWS, LOWER_LID_ROWS
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

WIDTH_PX = (64, 400)  # an eye's width in its own raster
LEFT, RIGHT, ABOVE, BELOW = 0.25, 0.25, 0.9, 0.9  # the raster's reach beyond the eye's corners and its line, eye widths
PAINTED = (0.05, 0.55)  # closures between which the painted lid comes in over the stretched one
OPENING = (0.06, 0.14)  # height of an eye, eye widths, between which there is anything to paint
CHEEKS = ((50, 205, 101), (280, 425, 330))  # image-left first
SKIN_LIGHT = (0.35, 0.55)  # brightness round the eye over the cheek's between which it is believed to be skin
GLARE = 1.0  # brightness of an open eye's darkest 15 % over the cheek's, from which on it is a reflection
MEASURED_PX = 8  # an eye's width, below which it is not told from a reflection
GROWTH = (0.30, 0.14, 0.06)  # eye widths, Gaussians that skin is grown with, the widest first
LUMA = np.array([0.299, 0.587, 0.114])
LASH_CONTRAST = 0.30  # share of the skin's brightness that the line takes at least


def _ramp(x: npt.ArrayLike, ends: tuple[float, float]) -> Float:
    """Return a smooth step from 0 to 1 between two ends."""
    share = np.clip((np.asarray(x, np.float64) - ends[0]) / (ends[1] - ends[0]), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


@dataclass(frozen=True)
class _Lid:
    """One eye's painted lid, in a raster along the line through its corners (u right, v down, eye widths).

    Attributes:
        points: landmarks that carry it (no lid among them), the upper lid's edge.
        to_photo: (2, 3) from raster px to the photo's.
        u: (w,) of the raster's columns; ``v`` (h, 1) of its rows.
        skin: (h, w, 3) the lid's skin, RGB 0..255.
        cover: (h, w) 0..1, where it may cover the photo, but for the lid's edge.
        lash: (3,) RGB of the line.
        strength, thickness: (w,) its opacity and its half width in eye widths.
        share: 0..1, how much of all that is believed.
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


class LidPainter:
    """Paints the lids of a photo's eyes over a frame; safe to share between threads.

    Args:
        pixels: (H, W, 3) the photo.
        source: (478, 2) px, where its landmarks are.
    """

    def __init__(self, pixels: Image, source: Array) -> None:
        self._source = source.astype(np.float64)
        self._lids = [_lid(pixels, self._source, eye) for eye in (0, 1)]

    def paint(self, frame: Image, opened: Array, target: Array, blink: Array) -> None:
        """Paint the lids into (H, W, 3) ``frame``, in place.

        Args:
            frame: the photo, warped to ``target``.
            opened: (N, 2) px, where the landmarks would be without the blink.
            target: (N, 2) px, where they are.
            blink: (2,) closure, image-left first.
        """
        for lid, closure in zip(self._lids, blink, strict=True):
            share = 0.0 if lid is None else lid.share * float(_ramp(closure, PAINTED))
            if lid is not None and share > 0.01:
                self._paint(frame, lid, opened, target, share)

    def _paint(self, frame: Image, lid: _Lid, opened: Array, target: Array, share: float) -> None:
        carriers, edge = lid.points
        start = np.column_stack([self._source[carriers], np.ones(len(carriers))])
        moved = np.linalg.lstsq(start, opened[carriers].astype(np.float64), rcond=None)[0].T  # (2, 3) photo -> frame
        to_frame = np.vstack([moved, [0, 0, 1]]) @ np.vstack([lid.to_photo, [0, 0, 1]])  # raster -> frame
        back = np.linalg.inv(to_frame)
        pitch = lid.u[1] - lid.u[0]
        at = target[edge] @ back[:2, :2].T + back[:2, 2]  # raster px
        line = _curve(lid.u, at * pitch + [lid.u[0], lid.v[0, 0]])
        down = lid.v - line  # (h, w) below the lid's edge
        alpha = lid.cover * np.clip(0.5 - (down - 0.5 * lid.thickness) / (2 * pitch), 0, 1)
        width = np.where(down < 0, lid.thickness, 1.25 * lid.thickness)
        near = (down / width) ** 2
        lash = lid.strength * (0.75 * np.exp(-near) + 0.25 * np.exp(-near / 4))
        # lid first, lashes over it: colour and opacity of both together
        total = lash + alpha * (1 - lash)
        colour = lid.lash * lash[..., None] + lid.skin * (alpha * (1 - lash))[..., None]
        layer = np.dstack([colour, total]).astype(np.float32) * np.float32(share)
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
    """Whether both eyes of a photo are seen, not glass that mirrors a window or a lamp.

    An open eye has an iris and lashes: its darkest parts are darker than the cheek's skin. A reflection has none.

    Args:
        pixels: (H, W, 3) the photo.
        source: (N, 2) px, where its landmarks are.
    """
    return all(_darkest(pixels, source.astype(np.float64), eye) < GLARE for eye in (0, 1))


def _darkest(pixels: Image, source: Float, eye: int) -> float:
    """Return how bright the darkest parts of an open eye are over the cheek's skin; 0 for one that is hardly open."""
    upper, lower = ((EYE_LEFT_UPPER, EYE_LEFT_LOWER), (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER))[eye]
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
    cheek = np.median([_patch(pixels, source[i], length / 16) for i in CHEEKS[eye]], axis=0) @ LUMA
    return float(np.percentile(light, 15)) / max(float(cheek), 1) if len(light) else 0.0


def _curve(u: Float, points: Float) -> Float:
    """Return v (w,) of a cubic through (N, 2) points (u, v), as near as it can; level beyond its ends."""
    terms = np.polynomial.polynomial.polyfit(points[:, 0], points[:, 1], 3)
    ends = points[:, 0].min(), points[:, 0].max()
    return np.asarray(np.polynomial.polynomial.polyval(np.clip(u, *ends), terms))


def _skin(raster: Array, known: Float, pitch: float) -> Array:
    """Return the skin (h, w, 3) as it would go on over the eye: what is known round it, grown inwards.

    Args:
        raster: (h, w, 3) the photo.
        known: (h, w) 0..1, where it shows skin; dark lines and brows among that are outvoted.
        pitch: eye widths a px.
    """
    weight, skin = known.astype(np.float32), raster
    luma = LUMA.astype(np.float32)
    for _ in range(3):
        for k, sigma in enumerate(GROWTH):
            mass = cv2.GaussianBlur(weight, (0, 0), sigma / pitch, borderType=cv2.BORDER_REPLICATE)
            grown = cv2.GaussianBlur(raster * weight[..., None], (0, 0), sigma / pitch, borderType=cv2.BORDER_REPLICATE)
            grown /= np.maximum(mass, 1e-6)[..., None]
            sure = (mass / (mass + 0.05))[..., None]
            skin = grown if k == 0 else skin + sure * (grown - skin)
        off = (raster @ luma) / np.maximum(skin @ luma, 1) - 1
        weight = (known / (1 + (off / np.where(off < 0, 0.10, 0.25)) ** 2)).astype(np.float32)
    return skin


def _lid(pixels: Image, source: Float, eye: int) -> _Lid | None:
    """Measure one eye of the photo; None where nothing can be painted."""
    upper, lower = ((EYE_LEFT_UPPER, EYE_LEFT_LOWER), (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER))[eye]
    brow = list(LID_ROWS[1][0][eye])
    below = list(LOWER_LID_ROWS[eye])
    start, along = source[upper[0]], source[upper[-1]] - source[upper[0]]
    length = float(np.hypot(*along))
    if length < 4:
        return None
    wide = float(np.clip(length, *WIDTH_PX))
    pitch = 1 / wide  # eye widths a raster px
    u = np.arange(-LEFT, 1 + RIGHT, pitch)
    v = np.arange(-ABOVE, BELOW, pitch)[:, None]
    axes = np.column_stack([along, [-along[1], along[0]]])  # eye widths -> px
    to_photo = np.column_stack([axes * pitch, start + axes @ [u[0], v[0, 0]]])
    raster = cv2.warpAffine(
        pixels, to_photo, (len(u), len(v)),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)  # fmt: skip
    lines = [_curve(u, np.linalg.solve(axes, (source[list(row)] - start).T).T) for row in (upper, lower, brow, below)]
    edge, rim, top, bag = lines
    opening = float((rim - edge).max())
    height = np.clip(0.5 * (edge - top), 0.10, 0.20)
    nose = u if eye else 1 - u  # 0 at the nose, 1 at the temple
    aside = np.maximum(np.maximum(-nose, 0.6 * (nose - 1)), 0)  # lashes reach further at the temple
    hidden = (v > edge - height - 0.02) & (v < rim + 0.08) & (aside < 0.16)
    known = 1 - cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 0.02 / pitch)
    known[hidden] = 0
    skin = _skin(raster, known, pitch)
    shut = edge + LID_MEET * (rim - edge)
    depth = np.clip((v - edge + height) / np.maximum(shut - edge + height, 1e-3), 0, 1)[..., None]  # 1 at the lashes
    skin = (skin * (1 + 0.05 * np.sin(np.pi * depth) - 0.07 * depth**4)).astype(np.float32)
    opened = (v > edge) & (v < rim)
    cheek = np.median([_patch(pixels, source[i], length / 16) for i in CHEEKS[eye]], axis=0) @ LUMA
    dark = float((skin[opened] @ LUMA).mean()) / max(float(cheek), 1) if opened.any() else 0.0
    share = float(_ramp(opening, OPENING)) * float(_ramp(dark, SKIN_LIGHT))  # not over dark glasses
    skin *= 1 + _grain(raster, v, bag + 0.1, pitch)
    cover = ((v > edge - height) & (aside < 0.08)).astype(np.float64)
    cover = cv2.GaussianBlur(cover, (0, 0), 0.05 / pitch)
    lash, strength, thickness = _lashes(raster, u, v, edge, skin)
    taper = _ramp(nose, (-0.02, 0.30)) * (1 - _ramp(nose, (0.85, 1.08)))
    carriers = [upper[0], upper[-1], *brow, *below]
    first = int((v[:, 0] < (edge - height).min() - 0.12).sum())  # only what is painted is kept
    rows = slice(first, int((v[:, 0] < rim.max() + 0.12).sum()))
    to_photo[:, 2] += to_photo[:, 1] * first
    return _Lid(
        (carriers, list(upper)), to_photo, u, v[rows], np.clip(skin[rows], 0, 255), cover[rows].astype(np.float32),
        lash, strength * taper, thickness * (0.45 + 0.55 * taper), share,
    )  # fmt: skip


def _patch(pixels: Image, xy: Float, radius: float) -> Float:
    """Return the median colour round a point."""
    x, y = np.clip(xy.round().astype(int), 0, np.array(pixels.shape[1::-1]) - 1)
    reach = max(1, round(radius))
    part = pixels[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return np.asarray(np.median(part.reshape(-1, 3), axis=0))


def _grain(raster: Array, v: Float, mirror: Float, pitch: float) -> Array:
    """Return the fine texture below the eye, mirrored at a line (w,): (h, w, 3), a share of the brightness."""
    fine = raster - cv2.GaussianBlur(raster, (0, 0), 0.025 / pitch)
    fine /= np.maximum(cv2.GaussianBlur(raster @ LUMA.astype(np.float32), (0, 0), 0.1 / pitch), 4)[..., None]
    limit = 2 * 1.4826 * max(float(np.median(np.abs(fine))), 0.002)
    rows = (2 * mirror - v - v[0, 0]) / pitch  # (h, w)
    columns = np.broadcast_to(np.arange(raster.shape[1], dtype=np.float32), rows.shape)
    kept = cv2.remap(
        np.clip(fine, -limit, limit), np.ascontiguousarray(columns), rows.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip
    return np.asarray(kept)


def _lashes(raster: Array, u: Float, v: Float, edge: Float, skin: Array) -> tuple[Float, float, float]:
    """Return colour (3,), opacity and half width (eye widths) of the line of lashes, as the open eye shows it."""
    light = np.maximum(skin @ LUMA, 1)
    dark = np.clip(1 - raster @ LUMA / light, 0, 1)
    strip = (v > edge - 0.08) & (v < edge + 0.015) & (u > 0.2) & (u < 0.8)
    found = dark[strip]
    contrast = float(np.percentile(found, 85))
    deep = strip & (dark >= contrast)
    colour = np.median(raster[deep], axis=0).astype(np.float64)
    rows = float((found > 0.5 * contrast).mean()) * 0.095 if contrast > 0.1 else 0.0
    if contrast < LASH_CONTRAST:
        colour = np.median(skin[strip], axis=0) * (1 - LASH_CONTRAST)
    return colour, 0.85, float(np.clip(0.5 * rows, 0.016, 0.034))
