"""How a photo is lit and how sharp it is, read off the face, so that what is drawn into it matches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import (
    EYE_LEFT,
    EYE_RIGHT,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_OUTER_LOWER,
    LIPS_OUTER_UPPER,
)
from portrait_anim.opencv import cv2
from portrait_anim.render.warp import Image

Array = npt.NDArray[np.float32]

SKIN = (205, 425, 187, 411, 206, 426, 50, 280, 101, 330)  # cheeks
# teeth against skin in Lab, fitted to 19 people of av_multi's train split whose teeth are seen (docs/gallery.md)
TEETH_REDNESS = 0.63  # of the skin's a
TEETH_LESS_YELLOW = 7.0  # below the skin's b, which itself stays: the light or varnish lies on teeth too
YELLOW_SKIN = 14.0  # b from which on it is all taken off; grey skin has grey teeth


@dataclass(frozen=True)
class MouthLook:
    """How this photo's mouth is lit; colours are (3,) RGB 0..255.

    Attributes:
        teeth: of a front tooth in full light.
        gum, tongue, cavity: of the rest.
        blur: Gaussian sigma in px that matches the photo's sharpness.
        grain: standard deviation of the photo's noise, grey levels.
        monochrome: whether the photo has no colour.
        own_teeth: whether the photo shows teeth.
        bend: v of the resting line between the lips is about ``bend * u * u`` (IOD); teeth follow it in part.
    """

    teeth: Array
    gum: Array
    tongue: Array
    cavity: Array
    blur: float
    grain: float
    monochrome: bool
    own_teeth: bool
    bend: float


def _to_lab(rgb: Array) -> Array:
    return np.asarray(cv2.cvtColor(np.asarray(rgb / 255, np.float32).reshape(1, -1, 3), cv2.COLOR_RGB2LAB)[0])


def _to_rgb(lab: npt.NDArray[np.floating]) -> Array:
    rgb = cv2.cvtColor(np.asarray(lab, np.float32).reshape(1, 1, 3), cv2.COLOR_LAB2RGB)[0, 0]
    return np.asarray(np.clip(rgb, 0, 1) * 255, np.float32)


def _at(pixels: Image, xy: Array, radius: int) -> Array:
    """Return the (M, 3) pixels of squares round points (N, 2)."""
    height, width = pixels.shape[:2]
    found = []
    for x, y in np.clip(xy.round().astype(int), 0, [width - 1, height - 1]):
        found.append(pixels[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1].reshape(-1, 3))
    return np.concatenate(found).astype(np.float32)


def measure(
    pixels: Image, landmarks: Array, scale: float, rest: npt.NDArray[np.floating], *, monochrome: bool, mouth_open: bool
) -> MouthLook:
    """Read the light of a face.

    Args:
        pixels: (H, W, 3) the photo.
        landmarks: (478, 3) px.
        scale: px an IOD.
        rest: (478, 3) IOD, the resting face.
        monochrome: whether the photo has no colour.
        mouth_open: whether its mouth is open, so that its own teeth may be seen.
    """
    xy = landmarks[:, :2]
    skin = _to_lab(np.percentile(_at(pixels, xy[list(SKIN)], max(1, round(0.03 * scale))), 70, axis=0))[0]
    middles = [
        xy[[o, i]].mean(0)
        for outer, inner in ((LIPS_OUTER_LOWER, LIPS_INNER_LOWER), (LIPS_OUTER_UPPER, LIPS_INNER_UPPER))
        for o, i in zip(outer[3:8], inner[3:8], strict=True)
    ]
    lip = _to_lab(np.median(_at(pixels, np.array(middles), max(0, round(0.01 * scale))), axis=0))[0]
    white = max(_eye_white(pixels, xy[list(loop)]) for loop in (EYE_LEFT, EYE_RIGHT))
    brightness = 1.09 * max(0.95 * skin[0], 0.5 * skin[0] + 0.5 * min(white, skin[0] + 35))
    whiter = TEETH_LESS_YELLOW * float(np.clip(skin[2] / YELLOW_SKIN, 0, 1))
    teeth = np.array([np.clip(brightness, 30, 90), TEETH_REDNESS * skin[1], skin[2] - whiter])
    own = _own_teeth(pixels, xy, teeth, float(skin[0])) if mouth_open else None
    if own is not None:
        teeth = own
    dim = float(np.clip(skin[0] / 75, 0.35, 1.1))
    red, yellow = max(0.55 * lip[1] + 0.45 * skin[1], 6.0), 0.5 * lip[2] + 0.35 * skin[2]
    row = rest[list(LIPS_INNER_UPPER), :2] - rest[LIPS_INNER_UPPER[5], :2]
    u, v = row[:, 0], row[:, 1]
    blur, grain = _sharpness(pixels, xy, scale)
    return MouthLook(
        teeth=_to_rgb(teeth),
        gum=_to_rgb(np.array([50 * dim + 4, 1.1 * red + 6, 0.8 * yellow + 3])),
        tongue=_to_rgb(np.array([48 * dim + 2, 1.08 * red + 6, 0.8 * yellow + 4])),
        cavity=_to_rgb(np.array([9 * dim + 2, 0.6 * red + 4, 0.35 * yellow + 1])),
        blur=blur,
        grain=grain,
        monochrome=monochrome,
        own_teeth=own is not None,
        bend=float(np.clip(0.7 * (u * u @ v) / max(float((u**4).sum()), 1e-9), -1.5, 1.5)),
    )


def _eye_white(pixels: Image, loop: Array) -> float:
    """Return the lightness of the brightest calm part of an eye opening, 0..100."""
    x0, y0 = np.maximum(np.floor(loop.min(0)).astype(int), 0)
    x1, y1 = np.ceil(loop.max(0)).astype(int) + 1
    patch = pixels[y0:y1, x0:x1]
    if patch.size == 0:
        return 0.0
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(loop - [x0, y0]).astype(np.int32)], 1)
    return float(np.percentile(_to_lab(patch[mask > 0].astype(np.float32))[:, 0], 80)) if mask.any() else 0.0


def _own_teeth(
    pixels: Image, xy: Array, guess: npt.NDArray[np.floating], skin: float
) -> npt.NDArray[np.floating] | None:
    """Return the colour (Lab) of the teeth in an open mouth, None if it shows few bright, pale pixels."""
    loop = xy[list(LIPS_INNER_UPPER + LIPS_INNER_LOWER[-2:0:-1])]
    x0, y0 = np.maximum(np.floor(loop.min(0)).astype(int), 0)
    x1, y1 = np.ceil(loop.max(0)).astype(int) + 1
    patch = pixels[y0:y1, x0:x1]
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(loop - [x0, y0]).astype(np.int32)], 1)
    if mask.sum() < 8:
        return None
    lab = _to_lab(patch[mask > 0].astype(np.float32))
    pale = lab[(lab[:, 0] > 0.6 * skin) & (np.abs(lab[:, 1] - guess[1]) < 10)]
    if len(pale) < 0.3 * len(lab):
        return None
    bright = pale[pale[:, 0] >= np.percentile(pale[:, 0], 60)]
    return np.asarray(0.75 * np.median(bright, axis=0) + 0.25 * guess)


def _sharpness(pixels: Image, xy: Array, scale: float) -> tuple[float, float]:
    """Return the blur (Gaussian sigma, px) and the noise (standard deviation, grey levels) of the face."""
    height, width = pixels.shape[:2]
    x0, y0 = (int(np.clip(v, 0, limit - 8)) for v, limit in zip(xy.min(0), (width, height), strict=True))
    x1, y1 = int(min(width, max(xy[:, 0].max(), x0 + 8))), int(min(height, max(xy[:, 1].max(), y0 + 8)))
    grey = cv2.cvtColor(np.ascontiguousarray(pixels[y0:y1, x0:x1]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)  # Immerkaer 1996: blind to edges
    noise = float(np.median(np.abs(cv2.filter2D(grey, -1, kernel)))) / 0.6745 / 6
    # the strongest edges' width: a Gaussian edge of height h has slope h / (sigma sqrt(2 pi))
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(grey, cv2.CV_32F, 0, 1) / 8)
    size = 2 * max(2, round(0.03 * scale)) + 1
    kernel_box = np.ones((size, size), np.uint8)
    height_of = cv2.dilate(grey, kernel_box) - cv2.erode(grey, kernel_box)
    strong = slope >= np.percentile(slope, 98)
    sigma = float(np.median(height_of[strong] / np.maximum(slope[strong], 1e-3))) / 2.5066
    return float(np.clip(0.8 * sigma - 0.4, 0.35, max(0.02 * scale, 0.5))), min(noise, 6.0)
