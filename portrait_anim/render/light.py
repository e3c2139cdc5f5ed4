"""Reads from the photo how its mouth is lit: the colours of teeth, gums, tongue and cavity that fit the face.

Colours are found in CIELAB (L lightness 0..100, a redness, b yellowness), see :mod:`portrait_anim.render.lab`.
"""

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
from portrait_anim.render.lab import DIM_SKIN, gain_of, to_lab, to_rgb
from portrait_anim.render.scene import Image
from portrait_anim.render.sharpness import sharpness
from portrait_anim.system.opencv import cv2

Array = npt.NDArray[np.float32]

# where the photo is looked at
SKIN = (205, 425, 187, 411, 206, 426, 50, 280, 101, 330)  # landmarks on the cheeks
UPPER_LIP_SKIN = (164, 167, 393, 165, 391, 92, 322)  # between nose and lip: where a moustache grows
SKIN_PATCH, LIP_PATCH = 0.03, 0.01  # IOD, half the side of the squares round the landmarks
ROUND_MOUTH = 0.22  # IOD, how far round the lips the brightest skin is looked for
SKIN_PERCENTILE = 70  # of the cheeks' pixels, by channel: the skin's colour
LIGHTS = 95  # percentile of the lightness round the mouth that counts as the brightest skin
NEAR_LIGHTS = 80  # the same for a mouth in full shade
WHITE_PERCENTILE = 80  # of the lightness in an eye's opening that counts as the white of the eye

# teeth; a and b against the skin's are fitted to 19 people of av_multi's train split (docs/gallery.md)
TEETH_REDNESS = 0.63  # a of the teeth over the skin's
TEETH_LESS_YELLOW = 7.0  # b of the teeth below the skin's: coloured light or varnish lies on teeth too
YELLOW_SKIN = 14.0  # b of the skin from which on all of that is taken off; grey skin has grey teeth
TEETH_LIGHT = 1.09  # L of front teeth over the mean of skin and eye white
TEETH_LEAST = 0.95  # that mean over the skin's L, at least
WHITE_SHARE = 0.5  # weight of the eye white in that mean
WHITE_MOST = 35  # L above the skin's that the eye white counts for at most
TEETH_MOST = 90  # L

# the photo's own teeth, where its mouth is open
OWN_LEAST_PX = 8  # px that the opening holds at least
OWN_LIGHT = 0.6  # L over the skin's from which on a pixel may be a tooth
OWN_REDNESS = 10  # a tooth's a differs by less than this from what is expected
OWN_SHARE = 0.3  # share of the opening that such pixels fill at least
OWN_PERCENTILE = 60  # of their lightness from which on they count
OWN_TRUST = 0.75  # weight of their median; the rest is the expected colour's

# shade of moustache, nose and lip
SHADED = (0.80, 0.50)  # lightness round the mouth over the cheeks' at which the shade is 0, and at which it is 1
SHADED_TEETH, SHADED_FLESH = 0.70, 0.62  # share of their lightness that teeth and flesh keep in full shade

# flesh: L, a and b are a factor times light, redness and yellowness of the face, plus a number
LIT_SKIN = 75  # L of a skin whose light counts as 1
LIGHT_MOST = 1.1
REDNESS = (0.55, 0.45, 6.0)  # shares of the lip's and the skin's a, and the least there is
YELLOWNESS = (0.5, 0.35)  # shares of the lip's and the skin's b
GUM = ((50, 4), (1.1, 6), (0.8, 3))
TONGUE = ((48, 2), (1.08, 6), (0.8, 4))
CAVITY = ((9, 2), (0.6, 4), (0.35, 1))

# dark photos and pictures with one tint
NIGHT_SKIN = 30.0  # L of the skin from which down own teeth, too, are no brighter than the brightest skin
TINTED = (2.4, 3.6)  # spread of a and b that lightness does not explain: in a tinted grey picture, in one with colours
_FACE_PX = 48  # side of the reduced face in which that is measured

BEND_SHARE, BEND_MOST = 0.7, 1.5  # share of the lip line's bend that the teeth take on; its limit, IOD per IOD squared


@dataclass(frozen=True)
class MouthLook:
    """What the inside of the mouth looks like in this photo; colours are (3,) sRGB 0..255.

    Attributes:
        teeth: colour of a front tooth in full light.
        gum, tongue, cavity: colours of the rest.
        blur: Gaussian deviation in px that matches the photo's sharpness.
        grain: standard deviation of the photo's noise, grey levels.
        monochrome: whether the photo has no colour.
        own_teeth: whether the photo shows teeth.
        shade: 0..1, how much moustache, nose and lip keep the light from the mouth.
        flesh: 0..1, whether the face has colours: 0 in a tinted grey picture (such as sepia), where flesh gets the
            picture's one tint.
        brightest: grey level 0..255 that nothing in the mouth exceeds, the photo's own teeth included.
        bend: the teeth follow the line ``v = bend * u * u`` (mouth-local axes, IOD).
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


def _at(pixels: Image, xy: Array, radius: int) -> Array:
    """Return the (M, 3) pixels of squares round points (N, 2) px; a square is ``2 * radius + 1`` px wide."""
    height, width = pixels.shape[:2]
    found = []
    for x, y in np.clip(xy.round().astype(int), 0, [width - 1, height - 1]):
        found.append(pixels[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1].reshape(-1, 3))
    return np.concatenate(found).astype(np.float32)


def mouth_look(
    pixels: Image, landmarks: Array, scale: float, rest: npt.NDArray[np.floating], *, monochrome: bool, mouth_open: bool
) -> MouthLook:
    """Read from the photo how its mouth is lit.

    Args:
        pixels: (H, W, 3) the photo.
        landmarks: (478, 3) px.
        scale: px an IOD.
        rest: (478, 3) IOD, the resting face.
        monochrome: whether the photo has no colour.
        mouth_open: whether its mouth is open, so that its own teeth may be seen.
    """
    # skin and lips, as under enough light
    xy = landmarks[:, :2]
    radius = max(1, round(SKIN_PATCH * scale))
    cheeks = _at(pixels, xy[list(SKIN)], radius)
    bright_cheek = np.percentile(cheeks, SKIN_PERCENTILE, axis=0)
    as_it_is = float(to_lab(bright_cheek)[0, 0])
    gain = gain_of(as_it_is)
    skin = to_lab(bright_cheek, gain)[0]
    middles = [
        xy[[o, i]].mean(0)
        for outer, inner in ((LIPS_OUTER_LOWER, LIPS_INNER_LOWER), (LIPS_OUTER_UPPER, LIPS_INNER_UPPER))
        for o, i in zip(outer[3:8], inner[3:8], strict=True)
    ]
    lip = to_lab(np.median(_at(pixels, np.array(middles), max(0, round(LIP_PATCH * scale))), axis=0), gain)[0]
    # how bright the mouth's surroundings are
    ring = to_lab(_round_mouth(pixels, xy, scale), gain)[:, 0]
    lights = float(np.percentile(ring, LIGHTS))
    above = to_lab(_at(pixels, xy[list(UPPER_LIP_SKIN)], radius), gain)[:, 0]
    shade = _shade(to_lab(cheeks, gain)[:, 0], above, ring)
    # teeth: about as bright as skin and eye white, less red and yellow than skin
    white = max(_eye_white(pixels, xy[list(loop)], gain) for loop in (EYE_LEFT, EYE_RIGHT))
    mean = (1 - WHITE_SHARE) * skin[0] + WHITE_SHARE * min(white, skin[0] + WHITE_MOST)
    brightness = TEETH_LIGHT * max(TEETH_LEAST * skin[0], mean)
    near = lights + (float(np.percentile(ring, NEAR_LIGHTS)) - lights) * shade  # in the shade of a beard nothing gleams
    brightness = min(brightness * (1 - (1 - SHADED_TEETH) * shade), near)
    whiter = TEETH_LESS_YELLOW * float(np.clip(skin[2] / YELLOW_SKIN, 0, 1))
    teeth = np.array([min(max(brightness, 0), TEETH_MOST), TEETH_REDNESS * skin[1], skin[2] - whiter])
    own = _own_teeth(pixels, xy, teeth, float(skin[0]), gain) if mouth_open else None
    flesh = _flesh(pixels, xy, gain)

    # flesh: gums, tongue, cavity
    def tinted(lab: list[float]) -> Array:
        """Return a CIELAB colour as RGB; in the picture's one tint where it has but one."""
        tone = np.array([lab[0], *(skin[1:] * min(lab[0] / max(skin[0], 1.0), 1.0))])
        return to_rgb(tone + (np.asarray(lab) - tone) * flesh, gain)

    def flesh_colour(table: tuple[tuple[float, float], ...]) -> Array:
        return tinted([factor * value + more for (factor, more), value in zip(table, face, strict=True)])

    dim = min(float(skin[0]) / LIT_SKIN, LIGHT_MOST) * (1 - (1 - SHADED_FLESH) * shade)
    red = max(REDNESS[0] * lip[1] + REDNESS[1] * skin[1], REDNESS[2])
    face = dim, red, YELLOWNESS[0] * lip[2] + YELLOWNESS[1] * skin[2]
    # the curve of the line between the lips
    row = rest[list(LIPS_INNER_UPPER), :2] - rest[LIPS_INNER_UPPER[5], :2]
    u, v = row[:, 0], row[:, 1]
    blur, grain = sharpness(pixels, xy, scale)
    return MouthLook(
        teeth=to_rgb(teeth if own is None else own, gain),
        gum=flesh_colour(GUM),
        tongue=flesh_colour(TONGUE),
        cavity=flesh_colour(CAVITY),
        blur=blur,
        grain=grain,
        monochrome=monochrome,
        own_teeth=own is not None,
        shade=shade,
        flesh=flesh,
        brightest=_brightest(lights, gain, as_it_is),
        bend=float(np.clip(BEND_SHARE * (u * u @ v) / max(float((u**4).sum()), 1e-9), -BEND_MOST, BEND_MOST)),
    )


def _flesh(pixels: Image, xy: Array, gain: float) -> float:
    """Return 0..1 whether the face has colours; 0 in a tinted grey picture.

    There a pixel's colour (a, b) follows from its lightness alone, so a fit of a and b on lightness leaves nothing.
    """
    height, width = pixels.shape[:2]
    x0, y0 = (int(np.clip(value, 0, limit - 2)) for value, limit in zip(xy.min(0), (width, height), strict=True))
    x1, y1 = (int(max(value + 1, start + 2)) for value, start in zip(xy.max(0), (x0, y0), strict=True))
    small = cv2.resize(pixels[y0:y1, x0:x1], (_FACE_PX, _FACE_PX), interpolation=cv2.INTER_AREA)
    lab = to_lab(small.reshape(-1, 3).astype(np.float32), gain).astype(np.float64)
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
    lit = float(np.percentile(cheeks, SKIN_PERCENTILE))  # where light falls from one side, the lit cheek's
    none, full = SHADED
    return float(np.clip((none - round_mouth / max(lit, 1.0)) / (none - full), 0, 1))


def _brightest(lights: float, gain: float, skin: float) -> float:
    """Return the grey level that nothing in the mouth exceeds.

    Args:
        lights: L of the brightest skin round the mouth, as under ``gain`` times the light.
        gain: see :mod:`portrait_anim.render.lab`.
        skin: L of the skin as it is in the photo.

    Returns:
        in a dark photo the grey level of that skin; in others up to 255.
    """
    t = float(np.clip((skin - NIGHT_SKIN) / (DIM_SKIN - NIGHT_SKIN), 0, 1))
    level = float(to_rgb(np.array([lights, 0.0, 0.0]), gain)[1])
    return level + (255 - level) * t * t * (3 - 2 * t)


def _eye_white(pixels: Image, loop: Array, gain: float) -> float:
    """Return the lightness 0..100 of the white of an eye; ``loop`` (N, 2) px is the outline of its opening."""
    x0, y0 = np.maximum(np.floor(loop.min(0)).astype(int), 0)
    x1, y1 = np.ceil(loop.max(0)).astype(int) + 1
    patch = pixels[y0:y1, x0:x1]
    if patch.size == 0:
        return 0.0
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(loop - [x0, y0]).astype(np.int32)], 1)
    if not mask.any():
        return 0.0
    lightness = to_lab(patch[mask > 0].astype(np.float32), gain)[:, 0]
    return float(np.percentile(lightness, WHITE_PERCENTILE))


def _own_teeth(
    pixels: Image, xy: Array, guess: npt.NDArray[np.floating], skin: float, gain: float
) -> npt.NDArray[np.floating] | None:
    """Return the CIELAB colour of the teeth that an open mouth shows, None where too few pixels look like teeth.

    Args:
        pixels: (H, W, 3) the photo.
        xy: (478, 2) px, the landmarks.
        guess: (3,) the expected colour, CIELAB.
        skin: L of the skin.
        gain: see :mod:`portrait_anim.render.lab`.
    """
    loop = xy[list(LIPS_INNER_UPPER + LIPS_INNER_LOWER[-2:0:-1])]
    x0, y0 = np.maximum(np.floor(loop.min(0)).astype(int), 0)
    x1, y1 = np.ceil(loop.max(0)).astype(int) + 1
    patch = pixels[y0:y1, x0:x1]
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(loop - [x0, y0]).astype(np.int32)], 1)
    if mask.sum() < OWN_LEAST_PX:
        return None
    lab = to_lab(patch[mask > 0].astype(np.float32), gain)
    pale = lab[(lab[:, 0] > OWN_LIGHT * skin) & (np.abs(lab[:, 1] - guess[1]) < OWN_REDNESS)]
    if len(pale) < OWN_SHARE * len(lab):
        return None
    bright = pale[pale[:, 0] >= np.percentile(pale[:, 0], OWN_PERCENTILE)]
    return np.asarray(OWN_TRUST * np.median(bright, axis=0) + (1 - OWN_TRUST) * guess)
