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
from portrait_anim.render.warp import Image
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]

SKIN = (205, 425, 187, 411, 206, 426, 50, 280, 101, 330)  # cheeks
# teeth against skin in Lab, fitted to 19 people of av_multi's train split whose teeth are seen (docs/gallery.md)
TEETH_REDNESS = 0.63  # of the skin's a
TEETH_LESS_YELLOW = 7.0  # below the skin's b, which itself stays: the light or varnish lies on teeth too
YELLOW_SKIN = 14.0  # b from which on it is all taken off; grey skin has grey teeth
UPPER_LIP_SKIN = (164, 167, 393, 165, 391, 92, 322)  # between nose and lip: where a moustache grows
DIM_SKIN = 40.0  # L of the skin below which a photo is dark: what is drawn is found as if it were lit up to that
DARKEST = 0.02  # share of the light that is still told from none
NIGHT_SKIN = 30.0  # L of the skin from which on own teeth, too, are no brighter than the skin's lights
ROUND_MOUTH = 0.22  # IOD, how far round the lips the skin's lights are looked for
LIGHTS = 95  # percentile of the skin's lightness that counts as its lights
SHADED = (0.80, 0.50)  # lightness round the mouth over the cheeks': no shade on the teeth, full shade
SHADED_TEETH, SHADED_FLESH = 0.70, 0.62  # lightness that full shade leaves
TINTED = (2.4, 3.6)  # spread of a and b in the face beyond what lightness explains: a tinted grey picture, a colour one
_FACE_PX = 48  # side of the reduced face in which that is looked for


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
        shade: 0..1, how much moustache, nose and lip keep the light from the mouth.
        flesh: 0..1, whether the face has colours: 0 in a tinted grey picture, where flesh has the print's tint.
        brightest: grey level that nothing in the mouth exceeds, the photo's own teeth included.
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
    shade: float
    flesh: float
    brightest: float
    bend: float


def _to_lab(rgb: Array, gain: float = 1.0) -> Array:
    """Return (N, 3) Lab of (N, 3) or (3,) RGB 0..255 lit ``gain`` times as brightly."""
    share = np.asarray(rgb / 255, np.float32).reshape(1, -1, 3)
    return np.asarray(cv2.cvtColor(share if gain == 1.0 else _lit(share, gain), cv2.COLOR_RGB2LAB)[0])


def _to_rgb(lab: npt.NDArray[np.floating], gain: float = 1.0) -> Array:
    """Return (3,) RGB 0..255 of a colour that was found lit ``gain`` times as brightly."""
    rgb = np.clip(cv2.cvtColor(np.asarray(lab, np.float32).reshape(1, 1, 3), cv2.COLOR_LAB2RGB), 0, 1)
    return np.asarray((rgb if gain == 1.0 else _lit(rgb, 1 / gain))[0, 0] * 255, np.float32)


def _lit(rgb: npt.NDArray[np.floating], gain: float) -> Array:
    """Return sRGB 0..1 under ``gain`` times the light."""
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) * gain
    light = np.clip(light, 0, 1)
    return np.asarray(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055), np.float32)


def _gain(lightness: float) -> float:
    """Return how many times the light has to be that brings skin of this lightness (L) to ``DIM_SKIN``; 1 at least."""

    def luminance(value: float) -> float:
        t = (value + 16) / 116
        return t**3 if value > 8 else value / 903.3

    return max(1.0, min(luminance(DIM_SKIN) / max(luminance(lightness), 1e-6), 1 / DARKEST**2))


def _at(pixels: Image, xy: Array, radius: int) -> Array:
    """Return the (M, 3) pixels of squares round points (N, 2)."""
    height, width = pixels.shape[:2]
    found = []
    for x, y in np.clip(xy.round().astype(int), 0, [width - 1, height - 1]):
        found.append(pixels[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1].reshape(-1, 3))
    return np.concatenate(found).astype(np.float32)


def mouth_look(
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
    radius = max(1, round(0.03 * scale))
    cheeks = _at(pixels, xy[list(SKIN)], radius)
    bright_cheek = np.percentile(cheeks, 70, axis=0)
    as_it_is = float(_to_lab(bright_cheek)[0, 0])
    gain = _gain(as_it_is)
    skin = _to_lab(bright_cheek, gain)[0]
    middles = [
        xy[[o, i]].mean(0)
        for outer, inner in ((LIPS_OUTER_LOWER, LIPS_INNER_LOWER), (LIPS_OUTER_UPPER, LIPS_INNER_UPPER))
        for o, i in zip(outer[3:8], inner[3:8], strict=True)
    ]
    lip = _to_lab(np.median(_at(pixels, np.array(middles), max(0, round(0.01 * scale))), axis=0), gain)[0]
    ring = _to_lab(_round_mouth(pixels, xy, scale), gain)[:, 0]
    lights = float(np.percentile(ring, LIGHTS))
    above = _to_lab(_at(pixels, xy[list(UPPER_LIP_SKIN)], radius), gain)[:, 0]
    shade = _shade(_to_lab(cheeks, gain)[:, 0], above, ring)
    white = max(_eye_white(pixels, xy[list(loop)], gain) for loop in (EYE_LEFT, EYE_RIGHT))
    brightness = 1.09 * max(0.95 * skin[0], 0.5 * skin[0] + 0.5 * min(white, skin[0] + 35))
    brightness = min(brightness * (1 - (1 - SHADED_TEETH) * shade), lights)
    whiter = TEETH_LESS_YELLOW * float(np.clip(skin[2] / YELLOW_SKIN, 0, 1))
    teeth = np.array([min(max(brightness, 0), 90), TEETH_REDNESS * skin[1], skin[2] - whiter])
    own = _own_teeth(pixels, xy, teeth, float(skin[0]), gain) if mouth_open else None
    flesh = _flesh(pixels, xy, gain)

    def tinted(lab: list[float]) -> Array:
        """The colour as it is, or in the print's tint."""
        tone = np.array([lab[0], *(skin[1:] * min(lab[0] / max(skin[0], 1.0), 1.0))])
        return _to_rgb(tone + (np.asarray(lab) - tone) * flesh, gain)

    dim = min(float(skin[0]) / 75, 1.1) * (1 - (1 - SHADED_FLESH) * shade)
    red, yellow = max(0.55 * lip[1] + 0.45 * skin[1], 6.0), 0.5 * lip[2] + 0.35 * skin[2]
    row = rest[list(LIPS_INNER_UPPER), :2] - rest[LIPS_INNER_UPPER[5], :2]
    u, v = row[:, 0], row[:, 1]
    blur, grain = _sharpness(pixels, xy, scale)
    return MouthLook(
        teeth=_to_rgb(teeth if own is None else own, gain),
        gum=tinted([50 * dim + 4, 1.1 * red + 6, 0.8 * yellow + 3]),
        tongue=tinted([48 * dim + 2, 1.08 * red + 6, 0.8 * yellow + 4]),
        cavity=tinted([9 * dim + 2, 0.6 * red + 4, 0.35 * yellow + 1]),
        blur=blur,
        grain=grain,
        monochrome=monochrome,
        own_teeth=own is not None,
        shade=shade,
        flesh=flesh,
        brightest=_brightest(lights, gain, as_it_is),
        bend=float(np.clip(0.7 * (u * u @ v) / max(float((u**4).sum()), 1e-9), -1.5, 1.5)),
    )


def _flesh(pixels: Image, xy: Array, gain: float) -> float:
    """Return 0..1 whether the face has more than one tone: in a tinted grey picture lightness explains every colour."""
    height, width = pixels.shape[:2]
    x0, y0 = (int(np.clip(value, 0, limit - 2)) for value, limit in zip(xy.min(0), (width, height), strict=True))
    x1, y1 = (int(max(value + 1, start + 2)) for value, start in zip(xy.max(0), (x0, y0), strict=True))
    small = cv2.resize(pixels[y0:y1, x0:x1], (_FACE_PX, _FACE_PX), interpolation=cv2.INTER_AREA)
    lab = _to_lab(small.reshape(-1, 3).astype(np.float32), gain).astype(np.float64)
    of_lightness = np.stack([np.ones(len(lab)), lab[:, 0], lab[:, 0] ** 2], axis=1)  # (N, 3)
    fit = np.linalg.lstsq(of_lightness, lab[:, 1:], rcond=None)[0]
    spread = float((lab[:, 1:] - of_lightness @ fit).std(axis=0).sum())
    return float(np.clip((spread - TINTED[0]) / (TINTED[1] - TINTED[0]), 0, 1))


def _round_mouth(pixels: Image, xy: Array, scale: float) -> Array:
    """Return the (M, 3) pixels of the skin round the lips."""
    outline = np.concatenate([xy[list(LIPS_OUTER_UPPER)], xy[list(LIPS_OUTER_LOWER)][::-1]])
    reach = max(2, round(ROUND_MOUTH * scale))
    x0, y0 = (int(max(0, value)) for value in np.floor(outline.min(0)) - reach)
    x1, y1 = (int(value) for value in np.ceil(outline.max(0)) + reach + 1)
    patch = pixels[y0:y1, x0:x1]
    lips = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(lips, [np.round(outline - [x0, y0]).astype(np.int32)], 1)
    away = cv2.distanceTransform(1 - lips, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ring = (away > 1) & (away <= reach)
    return (patch[ring] if ring.any() else patch.reshape(-1, 3)).astype(np.float32)


def _shade(cheeks: Array, above: Array, ring: Array) -> float:
    """Return 0..1 how much less light falls on the mouth than on the cheeks.

    Args:
        cheeks: (N,) lightness.
        above: (N,) that of the place above the lip, under the nose; a moustache's own where there is one.
        ring: (N,) that of the skin round the lips.
    """
    round_mouth = (float(np.median(above)) + float(np.median(ring))) / 2
    none, full = SHADED
    return float(np.clip((none - round_mouth / max(float(np.median(cheeks)), 1.0)) / (none - full), 0, 1))


def _brightest(lights: float, gain: float, skin: float) -> float:
    """Return the grey level of the skin's lights (L) in a dark photo; in others nothing is held down."""
    t = float(np.clip((skin - NIGHT_SKIN) / (DIM_SKIN - NIGHT_SKIN), 0, 1))
    level = float(_to_rgb(np.array([lights, 0.0, 0.0]), gain)[1])
    return level + (255 - level) * t * t * (3 - 2 * t)


def _eye_white(pixels: Image, loop: Array, gain: float) -> float:
    """Return the lightness of the brightest calm part of an eye opening, 0..100."""
    x0, y0 = np.maximum(np.floor(loop.min(0)).astype(int), 0)
    x1, y1 = np.ceil(loop.max(0)).astype(int) + 1
    patch = pixels[y0:y1, x0:x1]
    if patch.size == 0:
        return 0.0
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(loop - [x0, y0]).astype(np.int32)], 1)
    return float(np.percentile(_to_lab(patch[mask > 0].astype(np.float32), gain)[:, 0], 80)) if mask.any() else 0.0


def _own_teeth(
    pixels: Image, xy: Array, guess: npt.NDArray[np.floating], skin: float, gain: float
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
    lab = _to_lab(patch[mask > 0].astype(np.float32), gain)
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
