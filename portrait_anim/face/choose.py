"""Which face of a photo moves."""

from __future__ import annotations

import logging

from portrait_anim.errors import NoFaceError
from portrait_anim.face.detect import Face, Landmarker
from portrait_anim.face.photo import Photo
from portrait_anim.files import shown

logger = logging.getLogger(__name__)


def choose_face(photo: Photo, landmarker: Landmarker, number: int | None = None) -> Face:
    """Return one face of a photo: the one called ``number``, counted from the left, from 1, or the largest.

    Raises:
        NoFaceError: there is none, or none of that number.
    """
    name = "the picture" if photo.source is None else f"photo {shown(photo.source)}"
    faces = landmarker.detect(photo.pixels)
    if not faces:
        raise NoFaceError(
            f"no face found in {name} (looked with {landmarker.name} for faces that turn both eyes to the camera): "
            "try a larger, sharper picture seen from the front, or crop it to the face"
        )
    from_left = sorted(faces, key=lambda face: float(face.bbox[0] + face.bbox[2]))
    if number is None:
        if len(faces) > 1:
            largest = 1 + next(i for i, face in enumerate(from_left) if face is faces[0])
            logger.info(
                "%s has %d faces, the largest moves, number %d from the left: --face N (face=N) takes another",
                name, len(faces), largest,
            )  # fmt: skip
        return faces[0]
    if number > len(faces):
        these = "1 face" if len(faces) == 1 else f"{len(faces)} faces, counted from the left"
        raise NoFaceError(f"{name} has no face number {number}: it has {these}")
    return from_left[number - 1]
