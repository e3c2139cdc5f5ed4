"""Chooses which faces of a photo move."""

from __future__ import annotations

import logging

from portrait_anim.errors import NoFaceError
from portrait_anim.face.photo import Photo
from portrait_anim.face.types import Face, Landmarker
from portrait_anim.face.usable import remarks, trouble
from portrait_anim.options import Which
from portrait_anim.system.files import printable

logger = logging.getLogger(__name__)


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
    name = "the picture" if photo.source is None else f"photo {printable(photo.source)}"
    found = landmarker.detect(photo.pixels)
    if not found:
        raise NoFaceError(
            f"no face found in {name} (looked with {landmarker.name} for faces that turn both eyes to the camera): "
            "try a larger, sharper picture seen from the front, or crop it to the face"
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
