"""Cuts the people out of a whole picture: how much of each pixel they are, and their own colours there.

The segmenter sees a person best who fills its view, so it looks several times: at the whole picture, at each face with
the body below it, and at each face alone. Where views overlap the closer one counts more. Between what is surely a
person and what surely is none, the opacity is found from the colours (:mod:`portrait_anim.face.alpha`).

A pixel at the edge of hair shows hair and wall. What the wall adds is taken away: Forte 2021, "Approximate Fast
Foreground Colour Estimation", two rounds of blurred averages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.face.alpha import WORK_IOD, alpha_between
from portrait_anim.face.matte import MATTE_SIZE, REACH, face_mask, matte_of_view
from portrait_anim.face.normalise import normalise
from portrait_anim.face.types import Face
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

WORK_PX = 1_200_000  # of the picture in which the opacity is looked for, at most
BODY_REACH, BODY_BELOW = 3.2, 1.6  # of the view with the body: half its side, and how far below the face its middle is
FADING = 0.25  # of a view's side, within which it counts less and less towards its border
WHOLE_WEIGHT = 0.02  # of the view of the whole picture; any other's is 1 in its middle, times how close it is
LEAST_UNIT = 0.02  # IOD over the picture's longer side that the edge is made for at least: bodies of small faces
ROUNDS_IOD = (0.9, 0.08)  # reach of the two averages that tell a person's colours from the wall's
LEAST = 1e-4  # opacity that an average has at least
STRIP_PX = 256  # rows that are worked on at once
SPREAD_IOD = 1.5  # how far the people's colours run on beyond them
FACE_COVERED = 0.90  # share of a face that the matte must cover
FILLED, NOBODY = 0.985, 0.005  # shares of the picture: more is no background left, less is no person
FOG = 0.20  # share of what is not empty, between opaque and clear: a soft edge takes a few hundredths
CLEAR, OPAQUE = 0.1, 0.9  # opacities


@dataclass(frozen=True)
class Cutout:
    """The people of a picture.

    Attributes:
        person: (H, W, 4) uint8: R, G, B times opacity, and the opacity; see :mod:`portrait_anim.render.layers`.
        around: (H, W, 3) uint8, the people's colours, which run on smoothly beyond them; nothing of the background.
        doubt: why the people may be cut out wrongly, in words; None: no reason was seen.
    """

    person: Image
    around: Image
    doubt: str | None


def cut_out(pixels: Image, moving: Sequence[Face], found: Sequence[Face] = ()) -> Cutout:
    """Cut the people out of a picture.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        moving: the faces that move; what lies within their outlines is surely a person.
        found: all faces that are looked at closely; none: those that move.
    """
    height, width = pixels.shape[:2]
    iods = [normalise(face.landmarks)[1].scale for face in moving]  # px
    scale = min(1.0, WORK_IOD / min(iods), (WORK_PX / (width * height)) ** 0.5)
    size = max(4, round(width * scale)), max(4, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    coarse = whole_matte(pixels, found or moving, size)
    surely = np.zeros(size[::-1], np.uint8)
    doubt = None
    for face in moving:
        alone = face_mask((face.landmarks[:, :2] + 0.5) * (np.array(size) / (width, height)) - 0.5, size[::-1])
        if alone.any() and (coarse[alone > 0] > 0.5).mean() < FACE_COVERED:
            doubt = "a part of the face is taken for background"
        surely |= alone
    unit = max(float(np.median(iods)) * scale, LEAST_UNIT * max(size))
    alpha = alpha_between(small, coarse, surely, unit)
    return Cutout(*_colours(pixels, small, alpha, unit), doubt or _doubt(alpha))


def whole_matte(pixels: Image, faces: Sequence[Face], size: tuple[int, int]) -> Array:
    """Return the coarse matte (h, w) 0..1 of a whole picture, reduced to ``size`` (width, height)."""
    height, width = pixels.shape[:2]
    shrink = np.array(size) / (width, height)
    views = [(np.array([width - 1, height - 1]) / 2, max(width, height) / 2, WHOLE_WEIGHT)]
    for face in faces:
        low, high = face.landmarks[:, :2].min(0), face.landmarks[:, :2].max(0)
        middle, reach = (low + high) / 2, float((high - low).max())
        views.append((middle + np.array([0, BODY_BELOW * reach]), BODY_REACH * reach, 1.0))
        views.append((middle, REACH * reach, 1.0))
    closest = min(half for _, half, _ in views)
    inwards = np.minimum(np.arange(MATTE_SIZE) + 0.5, np.arange(MATTE_SIZE)[::-1] + 0.5) / (FADING * MATTE_SIZE)
    window = np.clip(inwards, 0, 1).astype(np.float32) ** 2
    window = window[:, None] * window
    total, weights = np.zeros(size[::-1], np.float32), np.zeros(size[::-1], np.float32)
    for middle, half, weight in views:
        matte, to_matte = matte_of_view(pixels, middle, half)
        shift = to_matte[:, 2] + to_matte[:, :2] @ (0.5 / shrink - 0.5)  # pixel centres at integers
        from_small = np.column_stack([to_matte[:, :2] / shrink, shift])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(matte, from_small, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        if weight == WHOLE_WEIGHT:
            share = np.full(size[::-1], WHOLE_WEIGHT * (closest / half) ** 2, np.float32)
        else:
            share = cv2.warpAffine(window, from_small, size, flags=flags) * np.float32((closest / half) ** 2)
        total += share * seen
        weights += share
    return np.asarray(total / weights, np.float32)


def _colours(pixels: Image, small: Image, alpha: Array, iod_px: float) -> tuple[Image, Image]:
    """Return ``person`` and ``around`` of :class:`Cutout`.

    Args:
        pixels: (H, W, 3) the picture.
        small: (h, w, 3) the same, reduced: what is smooth is found there.
        alpha: (h, w) 0..1, the opacity.
        iod_px: px an IOD of the reduced picture.
    """
    shown, opacity = small.astype(np.float32), alpha[..., None]
    own, behind = shown, shown
    for reach in ROUNDS_IOD:
        near, wall = _average(own, opacity, reach * iod_px), _average(behind, 1 - opacity, reach * iod_px)
        own, behind = _own(shown, opacity, near, wall), wall
    running_on = _average(own, opacity, SPREAD_IOD * iod_px)
    nearby, walls, around = (_enlarged(np.round(part).astype(np.uint8), pixels) for part in (near, wall, running_on))
    whole = _enlarged(np.round(alpha * 255).astype(np.uint8), pixels)
    person = np.empty((*whole.shape, 4), np.uint8)
    for first in range(0, len(whole), STRIP_PX):  # a large photo's floats would not fit into memory
        rows = slice(first, first + STRIP_PX)
        share = np.asarray(whole[rows, :, None] / np.float32(255), np.float32)
        person[rows, :, :3] = np.round(share * _own(pixels[rows], share, nearby[rows], walls[rows]))
        person[rows, :, 3] = whole[rows]
    return person, around


def _own(shown: Image | Array, opacity: Array, near: Image | Array, wall: Image | Array) -> Array:
    """Return (h, w, 3) the person's colours that explain what is shown, close to those that are near."""
    near, wall = near.astype(np.float32), wall.astype(np.float32)
    return np.asarray(np.clip(near + opacity * (shown - opacity * near - (1 - opacity) * wall), 0, 255), np.float32)


def _enlarged(part: Image, pixels: Image) -> Image:
    size = pixels.shape[1::-1]
    return part if part.shape[:2] == pixels.shape[:2] else np.asarray(cv2.resize(part, size), np.uint8)


def _average(values: Array, weights: Array, reach_px: float) -> Array:
    """Return (H, W, 3) the average of what lies around, by weights (H, W, 1); far from any, that of all."""
    side = 2 * max(1, round(reach_px)) + 1
    mean = (values * weights).sum((0, 1)) / max(float(weights.sum()), LEAST)
    total = cv2.blur(weights[..., 0], (side, side))[..., None]
    return np.asarray((cv2.blur(values * weights, (side, side)) + LEAST * mean) / (total + LEAST), np.float32)


def _doubt(alpha: Array) -> str | None:
    there = alpha > CLEAR
    if alpha.mean() > FILLED:
        return "nothing of the picture is taken for background"
    if alpha.mean() < NOBODY:
        return "hardly anything of the picture is taken for a person"
    if (there & (alpha < OPAQUE)).sum() > FOG * there.sum():
        return "much of the picture is half person, half background"
    return None
