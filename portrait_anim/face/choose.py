"""Chooses which faces of a photo move, or takes one where the user says it is."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from portrait_anim.errors import NoFaceError
from portrait_anim.face.photo import Photo
from portrait_anim.face.types import Face, Landmarker
from portrait_anim.face.usable import remarks, trouble
from portrait_anim.options import Which
from portrait_anim.options.which import MIN_BOX_PX
from portrait_anim.system.files import printable

logger = logging.getLogger(__name__)

SEEN = 0.5  # least presence, 0..1, of a face in its box, without a note


def choose_faces(
    photo: Photo, landmarker: Landmarker, which: Which = None, other: str = "--face N (face=N)"
) -> list[Face]:
    """Return the faces of a photo that move, in the order asked for.

    Args:
        photo: the picture.
        landmarker: what finds them.
        which: a number or several, counted from the left, from 1; ``"all"``; None: the largest.
        other: how another face than the largest is asked for, for a note.

    Raises:
        NoFaceError: there is no face, none that can be animated, or none of that number.
    """
    name = _name(photo)
    found = landmarker.detect(photo.pixels)
    if not found:
        raise NoFaceError(
            f"no face found in {name} (looked with {landmarker.name} for faces that turn both eyes to the camera): "
            "try a larger, sharper picture seen from the front, crop it to the face, or say where it is with --face-box"
        )
    troubles = [trouble(landmarker.nets, photo.pixels, face) for face in found]
    faces = [face for face, reason in zip(found, troubles, strict=True) if reason is None]
    if not faces:
        more = "" if len(found) == 1 else f" (the largest of {len(found)}, none can be used)"
        raise NoFaceError(f"the face in {name}{more} {troubles[0]}")
    if which is None and troubles[0] is not None:
        logger.info("the largest face in %s %s; another one moves", name, troubles[0])
    chosen = _numbered(faces, which, name, other)
    for face in chosen:
        for remark in remarks(photo.pixels, face):
            logger.info("the face in %s %s", name, remark)
    return chosen


def face_at(photo: Photo, landmarker: Landmarker, box: Sequence[float]) -> Face:
    """Return the face in a box of a photo, whether one is seen there or not; what is odd about it becomes a note.

    Args:
        photo: the picture.
        landmarker: what places the points.
        box: x, y, width, height, px of the picture as it was given (upright, before ``max_size``).

    Raises:
        NoFaceError: the middle of the box lies outside the picture, or it is too small after ``max_size``.
    """
    name, (width, height) = _name(photo), photo.size
    x, y, across, down = (value * photo.scale for value in box)
    told = ",".join(f"{value:g}" for value in box)
    full = f"{width / photo.scale:.0f}x{height / photo.scale:.0f} px"
    if not (0 <= x + across / 2 < width and 0 <= y + down / 2 < height) or max(across, down) > 2 * max(width, height):
        raise NoFaceError(f"face_box {told} does not lie in {name}, which has {full}: give x,y,width,height in its px")
    if min(across, down) < MIN_BOX_PX:
        raise NoFaceError(
            f"face_box {told} of {name} is left with {min(across, down):.0f} px by max_size: give a larger max_size"
        )
    face = landmarker.at(photo.pixels, np.array([x, y, x + across, y + down], np.float32))
    if face.score < SEEN:
        logger.info("no face is seen in face_box %s of %s: the film shows what moves there anyway", told, name)
    elif (odd := trouble(landmarker.nets, photo.pixels, face)) is not None:
        logger.info("the face in %s %s", name, odd)
    for remark in remarks(photo.pixels, face):
        logger.info("the face in %s %s", name, remark)
    return face


def _name(photo: Photo) -> str:
    return "the picture" if photo.source is None else f"photo {printable(photo.source)}"


def _numbered(faces: list[Face], which: Which, name: str, other: str) -> list[Face]:
    """Return the faces asked for out of those that can move, largest first; see :func:`choose_faces`."""
    from_left = sorted(faces, key=lambda face: float(face.bbox[0] + face.bbox[2]))
    if which is None:
        if len(faces) > 1:
            largest = 1 + next(i for i, face in enumerate(from_left) if face is faces[0])
            logger.info(
                "%s has %d faces, the largest moves, number %d from the left: %s takes another",
                name, len(faces), largest, other,
            )  # fmt: skip
        return faces[:1]
    if isinstance(which, str):
        return from_left
    numbers = [which] if isinstance(which, int) else list(which)
    for number in numbers:
        if number > len(faces):
            these = "1 face" if len(faces) == 1 else f"{len(faces)} faces, counted from the left"
            raise NoFaceError(f"{name} has no face number {number}: it has {these}")
    return [from_left[number - 1] for number in numbers]
