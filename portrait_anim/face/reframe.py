"""Brings a photo and its faces to the film's shape: cropped, or whole on a larger canvas.

It is done before anything else sees the photo, so that marks, labels, changes of the face and captions need not know.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import OptionError
from portrait_anim.face.mesh import CHIN, OUTER_EYE_CORNERS
from portrait_anim.face.photo import Photo
from portrait_anim.face.types import Face, Image
from portrait_anim.options.format import AUTO, CROP, Format
from portrait_anim.system.files import printable
from portrait_anim.system.opencv import cv2

logger = logging.getLogger(__name__)

EYES = 1 / 3  # of the film's height, from the top
SMALLEST = 0.75  # of the largest possible crop's height, to which it shrinks to bring the eyes there
FOREHEAD = 10  # mesh point at the hairline
HAIR = 0.4  # above it, as a share of the way from it to the chin
SIDES = 0.12  # of the face's box, beside it and below
LEAST = 0.04  # the same, of what a crop that was asked for leaves of a face
SAME = 0.005  # shapes that differ by less are the same
LOAD = 3  # times ``max_size`` a photo may have that is cropped to it: the smallest crop's longer side is over a third
SMALL_PX = 360  # shorter side of a film, below which the note says why
BLUR_SMALL_PX = 96  # longer side of the picture that is blurred and enlarged
BLUR_SIGMA_PX = 3.0  # there
BLUR_LIGHT = 0.65  # of its brightness, so that the photo stands out


@dataclass(frozen=True)
class Window:
    """What a film shows of a photo's plane, in whole px of the photo; it may reach beyond the photo."""

    left: int
    top: int
    width: int
    height: int


def reframed(
    photo: Photo, faces: Sequence[Face], shape: Format | None, max_size: int | None = None
) -> tuple[Photo, list[Face]]:
    """Return a photo and its faces in the film's shape; the same ones where there is nothing to do.

    No face is cut and nothing is enlarged. One note says what was done.

    Args:
        photo: the picture.
        faces: those that move; all of them stay in.
        shape: of the film; None is the photo's own.
        max_size: limit of the film's longer side in px.

    Raises:
        OptionError: a crop was asked for and a face does not fit into it.
    """
    if shape is None:
        return photo, list(faces)
    width, height = photo.size
    pixels, landmarks = photo.pixels, [face.landmarks for face in faces]
    if abs(width / height / shape.ratio - 1) > SAME:
        window, cropped = _window(photo, faces, shape)
        pixels = _cut(pixels, window) if cropped else _canvas(pixels, window, shape.fill)
        corner = np.array([window.left, window.top, 0], np.float32)
        landmarks = [points - corner for points in landmarks]
    longest = max(pixels.shape[:2])
    if max_size is not None and longest > max_size:
        pixels, landmarks = _reduced(pixels, landmarks, max_size / longest)
    if pixels is photo.pixels:
        return photo, list(faces)
    if pixels.shape != photo.pixels.shape:
        kind = "cropped" if pixels.shape[0] * pixels.shape[1] < width * height else "the whole photo on a larger canvas"
        name = "the picture" if photo.source is None else f"photo {printable(photo.source)}"
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        more = "; nothing is enlarged, a larger photo gives a larger film" if min(pixels.shape[:2]) < SMALL_PX else ""
        logger.info("%s is shown as %s: %s, %s of %dx%d px%s", name, shape.name, kind, size, width, height, more)
    moved = [Face.from_landmarks(points, face.score) for points, face in zip(landmarks, faces, strict=True)]
    return replace(photo, pixels=pixels), moved


def crop_window(size: tuple[int, int], keep: npt.NDArray[np.floating], eyes_y: float, ratio: float) -> Window | None:
    """Return the part of a photo that a film of another shape shows; None where ``keep`` does not fit into any.

    It is as large as the photo allows, or down to three quarters of that where this brings the eyes to a third of the
    height from the top.

    Args:
        size: (width, height) of the photo in px.
        keep: (4,) px, x0 y0 x1 y1, what must be in it.
        eyes_y: px, height of the eyes in the photo.
        ratio: width over height.
    """
    width, height = size
    most = min(float(height), width / ratio)
    x0, y0, x1, y1 = keep
    if y1 - y0 > most or x1 - x0 > most * ratio:
        return None
    ideal = min(eyes_y / EYES, (height - eyes_y) / (1 - EYES))  # the tallest with the eyes just there
    least = max(SMALLEST * most, (x1 - x0) / ratio, (eyes_y - y0) / EYES, (y1 - eyes_y) / (1 - EYES))
    tall = 2 * int(min(max(ideal, least), most) / 2)
    wide = _even(tall * ratio, width)
    top = np.clip(np.clip(eyes_y - EYES * tall, y1 - tall, y0), 0, height - tall)
    left = np.clip((x0 + x1 - wide) / 2, 0, width - wide)
    return Window(round(left), round(top), wide, tall)


def canvas_window(size: tuple[int, int], eyes_y: float, ratio: float) -> Window:
    """Return the smallest window of a shape that holds the whole photo; arguments as of :func:`crop_window`."""
    width, height = size
    tall = 2 * int(np.ceil(max(float(height), width / ratio) / 2))
    wide = max(2 * round(tall * ratio / 2), width)
    top = np.clip(EYES * tall - eyes_y, 0, tall - height)
    return Window(-((wide - width) // 2), -round(top), wide, tall)


def _window(photo: Photo, faces: Sequence[Face], shape: Format) -> tuple[Window, bool]:
    """Return what is shown, and whether it is a crop."""
    eyes_y = float(np.mean([face.landmarks[list(OUTER_EYE_CORNERS), 1].mean() for face in faces]))
    if shape.fill in (AUTO, CROP):
        wanted = _heads(photo, faces, LEAST, 0.0) if shape.fill == CROP else _heads(photo, faces, SIDES, HAIR)
        window = crop_window(photo.size, wanted, eyes_y, shape.ratio)
        if window is not None:
            return window, True
        if shape.fill == CROP:
            what = "the face" if len(faces) == 1 else f"the {len(faces)} faces that move"
            raise OptionError(f"fill 'crop' at {shape.name} would cut {what}: give --fill blur or a colour")
    return canvas_window(photo.size, eyes_y, shape.ratio), False


def _heads(photo: Photo, faces: Sequence[Face], sides: float, hair: float) -> npt.NDArray[np.float64]:
    """Return the box (4,) px round the heads, with their hair, as far as it lies in the photo."""
    width, height = photo.size
    boxes = []
    for face in faces:
        forehead, chin = face.landmarks[FOREHEAD, :2], face.landmarks[CHIN, :2]
        points = np.vstack([face.landmarks[:, :2], forehead + hair * (forehead - chin)])
        low, high = points.min(0), points.max(0)
        room = sides * (face.bbox[2:] - face.bbox[:2])
        boxes.append([*(low - room), *(high + room)])
    found = np.array(boxes, np.float64)
    box = np.concatenate([found[:, :2].min(0), found[:, 2:].max(0)])
    return np.asarray(np.clip(box, 0, [width, height, width, height]), np.float64)


def _even(length: float, most: int) -> int:
    """Return the even number nearest to a length, not over ``most``, at least 2."""
    nearest = 2 * round(length / 2)
    return max(nearest if nearest <= most else 2 * (most // 2), 2)


def _cut(pixels: Image, window: Window) -> Image:
    rows, columns = slice(window.top, window.top + window.height), slice(window.left, window.left + window.width)
    return np.ascontiguousarray(pixels[rows, columns])


def _canvas(pixels: Image, window: Window, fill: str | tuple[int, int, int]) -> Image:
    """Return the photo on a larger canvas."""
    height, width = pixels.shape[:2]
    if isinstance(fill, str):
        out = _blurred(pixels, window.width, window.height)
    else:
        out = np.full((window.height, window.width, 3), fill, np.uint8)
    out[-window.top : height - window.top, -window.left : width - window.left] = pixels
    return out


def _blurred(pixels: Image, width: int, height: int) -> Image:
    """Return the photo's middle, in another shape, so blurred and dark that nothing in it is recognised."""
    own_height, own_width = pixels.shape[:2]
    share = min(own_width / width, own_height / height)
    wide, tall = round(width * share), round(height * share)
    left, top = (own_width - wide) // 2, (own_height - tall) // 2
    middle = pixels[top : top + tall, left : left + wide]
    scale = BLUR_SMALL_PX / max(width, height)
    small_size = (max(round(width * scale), 2), max(round(height * scale), 2))
    small = cv2.resize(middle, small_size, interpolation=cv2.INTER_AREA).astype(np.float32) * BLUR_LIGHT
    small = cv2.GaussianBlur(small, (0, 0), BLUR_SIGMA_PX, borderType=cv2.BORDER_REPLICATE)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(np.rint(large), 0, 255), np.uint8)


def _reduced(
    pixels: Image, landmarks: Sequence[npt.NDArray[np.float32]], scale: float
) -> tuple[Image, list[npt.NDArray[np.float32]]]:
    """Return picture and points in a smaller size."""
    height, width = pixels.shape[:2]
    size = (_even(width * scale, width), _even(height * scale, height))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    factor = np.array([size[0] / width, size[1] / height, scale], np.float32)
    half = np.array([0.5, 0.5, 0], np.float32)  # pixel centres: small = factor * (x + .5) - .5
    return small, [np.asarray((points + half) * factor - half, np.float32) for points in landmarks]
