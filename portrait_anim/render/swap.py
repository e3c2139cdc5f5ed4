"""Another person's face in a portrait: the picture of somebody with the hair, body and room of somebody else.

Made once a photo, as a still picture that is then posed like any photo. The face inside the oval of the mesh is warped
into the host's pose, its colours are brought to the host's, and it is laid in softly, over skin alone: the host's hair
stays in front of it, and its own hair is not taken along.

Convention: colours are OpenCV's float CIELAB (L 0..100, a and b about -128..128); maps are backward, absolute px of the
picture that is read, pixel centres at integers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import (
    EYE_LEFT,
    EYE_RIGHT,
    FACE_OVAL,
    IRIS_LEFT,
    IRIS_RIGHT,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_OUTER,
    topology,
)
from portrait_anim.face.normalise import Pose, normalise
from portrait_anim.face.photo import Photo
from portrait_anim.face.types import Array, Face, Image
from portrait_anim.render.raster import draw
from portrait_anim.system.easing import softened
from portrait_anim.system.opencv import cv2

SKIN_POINTS = (50, 280, 101, 330, 205, 425, 36, 266, 4, 5, 195, 6, 151, 9)  # cheeks, nose, between the brows
SKIN_PATCH_IOD = 0.05  # half the side of what is looked at there
FADE_IOD = 0.16  # width of the seam at cheeks and jaw
FOREHEAD = (54, 103, 67, 109, 10, 338, 297, 332, 284)  # the oval's upper part
BROW_LINE = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)  # upper row of both brows
TEMPLES = (132, 361)  # the oval beside the mouth: hair hangs down to there
FOREHEAD_FADE = 0.75  # of the way from the brows to the hair in which the face fades
HAIR_DARKER = 12.0  # L below the skin from which a forehead's pixels are hair
HAIR_SOFT = 8.0  # L over which that begins
HAIR_MARGIN_IOD = 0.035  # round hair that is left out too, and the width of its seam
SPREAD_LIMITS = (0.75, 1.35)  # of the contrast's change
SEAM_BLUR_IOD = 0.12  # how far the seam's colours are spread into the face
LIGHT_BLUR_IOD = 0.35  # what is larger than this is light, not features
LIGHT_SHARE = 0.5  # of the host's light that the guest's face takes on
LIGHT_LIMIT = 22.0  # L, a, b by which light and seam change it at most
PALEST = 0.5  # share of what is bluer than skin (eyes) that is left of it, at least, where the host's skin is paler
TINT = ((-8.0, -14.0), (22.0, 8.0))  # a, b beside the skin's, at least and at most, that a monochrome face takes on
MAX_ZOOM = 1.7  # by which a picture is enlarged to fill the frame
MAX_SHIFT_IOD = 0.8  # by which it is moved
FILL_EDGE_IOD, FILL_BLUR_IOD = 0.15, 0.35  # beyond its edges: over which they go over into their blur, and of that
SHARPER = 1.3  # a face with so many times the host's px an IOD is averaged first


@dataclass(frozen=True)
class Guest:
    """A face for somebody else's head.

    Attributes:
        photo: the picture.
        face: the face in it.
    """

    photo: Photo
    face: Face


def laid_in(host: Image, guest: Guest, pose: Pose, *, monochrome: bool) -> tuple[Image, Face]:
    """Return the host's picture with the guest's face in it.

    Args:
        host: (H, W, 3) uint8; its face already has the guest's shape, in ``pose``.
        guest: whose face.
        pose: of the face in the host's picture.
        monochrome: whether the host's picture has no colour.

    Returns:
        The picture (H, W, 3) and the face in it.
    """
    shape, _ = normalise(guest.face.landmarks)
    points = pose.to_image(shape)  # (478, 3) px of the host's picture
    height, width = host.shape[:2]
    low, high = np.floor(points[:, :2].min(0)) - 2, np.ceil(points[:, :2].max(0)) + 3
    x0, y0 = (int(v) for v in np.clip(low, 0, [width - 1, height - 1]))
    x1, y1 = (int(v) for v in np.clip(high, [x0 + 1, y0 + 1], [width, height]))
    place = points[:, :2] - np.array([x0, y0], np.float32)
    warped = _warped(guest, pose.scale, place, (y1 - y0, x1 - x0))
    ours, theirs = _lab(host[y0:y1, x0:x1]), _lab(warped)
    ours_skin, theirs_skin = (_skin(part, place, pose.scale) for part in (ours, theirs))
    alpha = _oval(place, ours.shape[:2], pose.scale)
    brows = _above_brows(place, ours.shape[:2], pose.scale)
    for part, skin in ((ours, ours_skin), (theirs, theirs_skin)):
        alpha = np.minimum(alpha, 1 - brows * _hair(part, skin, pose.scale))
    toned = _toned(theirs, ours, theirs_skin, ours_skin, plain=monochrome, grey=guest.photo.monochrome)
    toned = _relit(toned, ours, alpha, ours_skin, place, pose.scale)
    mixed = cv2.cvtColor(ours + alpha[..., None] * (toned - ours), cv2.COLOR_LAB2RGB)
    out = host.copy()
    inside = alpha > 0
    out[y0:y1, x0:x1][inside] = np.clip(np.rint(mixed * 255), 0, 255).astype(np.uint8)[inside]
    return out, Face.from_landmarks(points, guest.face.score)


def _warped(guest: Guest, scale: float, place: Array, size: tuple[int, int]) -> Image:
    """Return the guest's face warped so that its points lie at ``place`` (478, 2); pixels beyond it are any."""
    pixels, landmarks = guest.photo.pixels, guest.face.landmarks[:, :2].astype(np.float32)
    shrink = scale / normalise(guest.face.landmarks)[1].scale
    if shrink < 1 / SHARPER:
        pixels = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        ratio = np.array(pixels.shape[1::-1]) / np.array(guest.photo.pixels.shape[1::-1])
        landmarks = ((landmarks + 0.5) * ratio - 0.5).astype(np.float32)
    move = np.zeros((*size, 2), np.float32)
    draw(np.ascontiguousarray(place, np.float32), landmarks - place, _triangles(), move)
    x, y = np.meshgrid(np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32))
    mapping = move + np.stack([x, y], -1)
    return np.asarray(cv2.remap(pixels, mapping, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def _triangles() -> npt.NDArray[np.int32]:
    """Return (M, 3) triangles of the whole face, eyes and the gap between the lips filled."""
    strips = []
    for loop, iris in ((EYE_LEFT, IRIS_LEFT[0]), (EYE_RIGHT, IRIS_RIGHT[0])):
        edge = np.array(loop)
        strips.append(np.stack([np.full(len(edge), iris), edge, np.roll(edge, -1)], 1))
    upper, lower = np.array(LIPS_INNER_UPPER), np.array(LIPS_INNER_LOWER)
    strips.append(np.stack([upper[:-1], upper[1:], lower[1:]], 1))
    strips.append(np.stack([upper[:-1], lower[1:], lower[:-1]], 1))
    return np.concatenate([*strips, topology().triangles]).astype(np.int32)


def _lab(pixels: Image) -> Array:
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def _filled(points: Array, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    out = np.zeros(size, np.uint8)
    cv2.fillPoly(out, [np.round(points * 16).astype(np.int32)], 1, shift=4)
    return out


def _oval(place: Array, size: tuple[int, int], scale: float) -> Array:
    """Return (h, w) how much of the guest shows: 1 within, fading at the jaw and, further, on the forehead."""
    inside = cv2.copyMakeBorder(_filled(place[list(FACE_OVAL)], size), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    away = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] / scale
    edge = softened(away / FADE_IOD)
    return np.asarray(np.minimum(edge, 1 - _above_brows(place, size, scale, whole=True)), np.float32)


def _above_brows(place: Array, size: tuple[int, int], scale: float, *, whole: bool = False) -> Array:
    """Return (h, w): 0 at brows and temples to 1 towards the hair; ``whole``: 1 only at the oval's upper end."""
    line, top = place[list(BROW_LINE)], place[list(FOREHEAD)]
    up = (top - line.mean(0)).mean(0)
    length = max(float(np.linalg.norm(up)), 1.0)
    up /= length
    across = np.array([-up[1], up[0]])
    x, y = np.meshgrid(np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32))
    along, height = x * across[0] + y * across[1], x * up[0] + y * up[1]

    def curve(points: Array) -> Array:
        order = np.argsort(points @ across)
        return np.asarray(np.interp(along, (points @ across)[order], (points @ up)[order]), np.float32)

    low, high = curve(line if whole else np.concatenate([line, place[list(TEMPLES)]])), curve(top)
    share = (height - low) / np.maximum(high - low, 0.05 * scale)
    return softened(1 - (1 - share) / FOREHEAD_FADE) if whole else softened(share / 0.3)


@dataclass(frozen=True)
class _Skin:
    """Colour of a face's skin: (3,) median and spread, L, a, b."""

    colour: Array
    spread: Array


def _skin(lab: Array, place: Array, scale: float) -> _Skin:
    reach = max(1, round(SKIN_PATCH_IOD * scale))
    parts = []
    for x, y in place[list(SKIN_POINTS)].round().astype(int):
        part = lab[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        if part.size:
            parts.append(part.reshape(-1, 3))
    values = np.concatenate(parts) if parts else lab.reshape(-1, 3)
    colour = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - colour), axis=0)
    return _Skin(colour.astype(np.float32), np.maximum(spread, 1.0).astype(np.float32))


def _hair(lab: Array, skin: _Skin, scale: float) -> Array:
    """Return (h, w) how surely each place is hair and not skin, by its darkness."""
    smooth = cv2.GaussianBlur(lab[..., 0], (0, 0), max(0.5, 0.015 * scale))
    limit = skin.colour[0] - max(HAIR_DARKER, 1.5 * float(skin.spread[0]))
    hair = softened((limit - smooth) / HAIR_SOFT)
    margin = HAIR_MARGIN_IOD * scale
    size = 2 * round(margin) + 1
    grown = cv2.dilate(hair, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return np.asarray(cv2.GaussianBlur(grown, (0, 0), max(0.5, margin)), np.float32)


def _toned(theirs: Array, ours: Array, skin: _Skin, host: _Skin, *, plain: bool, grey: bool) -> Array:
    """Return the guest's (h, w, 3) colours as the host's: the mean of the skin, and half of its spread.

    Lightness goes along a power curve, so that black and white stay; colour is compared with what skin has at the same
    lightness, so that shadows do not become blue.
    """
    level, wanted = (float(np.clip(one.colour[0] / 100, 0.05, 0.95)) for one in (skin, host))
    power = np.log(wanted) / np.log(level)
    slope = power * wanted / level  # of the curve at the skin
    gain = float(np.clip((1 + host.spread[0] / (slope * skin.spread[0])) / 2, *SPREAD_LIMITS))
    light = np.clip(theirs[..., 0] / 100, 0, 1) ** power
    ends = 4 * light * (1 - light)  # the contrast changes between black and white, not there
    out = np.empty_like(theirs)
    out[..., 0] = 100 * (light + (gain - 1) * (light - wanted) * ends)
    line = _skin_line(out[..., 0], host)
    if plain:
        out[..., 1:] = cv2.GaussianBlur(ours[..., 1:], (0, 0), 1.0)
    elif grey:  # skin, and what the host's face, which has the same shape, has in the same place beside it: red lips
        other = softened((host.colour[0] - HAIR_DARKER - cv2.GaussianBlur(ours[..., 0], (0, 0), 1.0)) / HAIR_SOFT)
        red = np.clip(cv2.GaussianBlur(ours[..., 1:], (0, 0), 1.0) - host.colour[1:], *TINT)
        red = (host.colour[1:] + red) * np.clip(out[..., :1] / host.colour[0], 0, 1)
        out[..., 1:] = red + other[..., None] * (line - red)
    else:
        beside = theirs[..., 1:] - _skin_line(theirs[..., 0], skin)
        paler = float(np.clip(host.colour[2] / max(float(skin.colour[2]), 1.0), PALEST, 1))
        beside[..., 1] = np.where(beside[..., 1] < 0, paler * beside[..., 1], beside[..., 1])
        out[..., 1:] = line + beside
    return out


def _skin_line(light: Array, skin: _Skin) -> Array:
    """Return the (h, w, 2) colour a, b that skin has at a lightness (h, w)."""
    rising = light / skin.colour[0]
    falling = np.sqrt(np.clip((100 - light) / (100 - min(float(skin.colour[0]), 95.0)), 0, 1))  # highlights are white
    return np.asarray(skin.colour[1:] * np.clip(np.minimum(rising, falling), 0, 1)[..., None], np.float32)


def _relit(toned: Array, ours: Array, alpha: Array, host: _Skin, place: Array, scale: float) -> Array:
    """Bring the guest's colours (h, w, 3) to the host's light: wholly along the seam, half of it within the face."""
    inside = _filled(place[list(FACE_OVAL)], alpha.shape) > 0
    features = np.zeros(alpha.shape, np.uint8)
    for loop in (EYE_LEFT, EYE_RIGHT, LIPS_OUTER):
        cv2.fillPoly(features, [np.round(place[list(loop)]).astype(np.int32)], 1)
    far = np.abs(ours[..., 0] - host.colour[0]) > 3 * host.spread[0] + HAIR_DARKER  # hair, or something else
    skin = (inside & (features == 0) & ~far & (alpha > 0.02)).astype(np.float32)
    both = (ours - toned) * (np.abs(ours[..., :1] - toned[..., :1]) < 2 * LIGHT_LIMIT)
    near_seam = cv2.GaussianBlur(alpha, (0, 0), SEAM_BLUR_IOD / 2 * scale) < 0.98
    out = toned
    for weight, sigma, share in (
        (skin, LIGHT_BLUR_IOD * scale, LIGHT_SHARE), (skin * near_seam, SEAM_BLUR_IOD * scale, 1.0),
    ):  # fmt: skip
        total = cv2.GaussianBlur(weight, (0, 0), sigma)
        field = cv2.GaussianBlur(both * weight[..., None], (0, 0), sigma) / (total + 0.02)[..., None]
        change = share * np.clip(field, -LIGHT_LIMIT, LIGHT_LIMIT)
        out, both = out + change, both - change
    return np.asarray(out, np.float32)


def in_frame(guest: Guest, size: tuple[int, int], pose: Pose) -> tuple[Photo, Face]:
    """Return the guest's whole picture at a size, its face as large as ``pose`` says and in its place, not turned.

    A picture that would not fill the frame is shown larger, and its face gives way, both within limits; what lies
    beyond its edges then repeats them, blurred.

    Args:
        guest: the picture and its face.
        size: (width, height) px.
        pose: of the face that was in its place before.
    """
    pixels, landmarks = guest.photo.pixels, guest.face.landmarks
    _, own = normalise(landmarks)
    frame, given = np.array(size, np.float64), np.array(guest.photo.size, np.float64)
    scale = pose.scale / own.scale
    scale *= float(np.clip((frame / (scale * given)).max(), 1, MAX_ZOOM))
    shift = pose.origin[:2] - scale * own.origin[:2]  # px of the frame: where the picture's first pixel lies
    left = frame - scale * given
    wanted = np.where(left < 0, np.clip(shift, left, 0), left / 2)
    shift = shift + np.clip(wanted - shift, -MAX_SHIFT_IOD * pose.scale, MAX_SHIFT_IOD * pose.scale)
    reduced, ratio = pixels, 1.0
    if scale < 1 / SHARPER:
        reduced = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        ratio = reduced.shape[1] / pixels.shape[1]
    rest = scale / ratio
    to_frame = np.column_stack([np.eye(2) * rest, shift + (rest - scale) / 2])
    out = np.asarray(cv2.warpAffine(reduced, to_frame, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
    there = cv2.warpAffine(np.ones(reduced.shape[:2], np.uint8), to_frame, size, flags=cv2.INTER_NEAREST)
    if not there.all():
        away = cv2.distanceTransform(1 - there, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        soft = cv2.GaussianBlur(out, (0, 0), FILL_BLUR_IOD * pose.scale)
        share = softened(away / (FILL_EDGE_IOD * pose.scale))[..., None]
        out = np.clip(np.rint(out + share * (soft.astype(np.float32) - out)), 0, 255).astype(np.uint8)
    moved = landmarks * np.float32(scale)
    moved[:, :2] += shift.astype(np.float32)
    return replace(guest.photo, pixels=out), Face.from_landmarks(moved.astype(np.float32), guest.face.score)
