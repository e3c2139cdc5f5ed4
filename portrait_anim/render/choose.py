"""Which scene a film shows: of which shape, the faces of one photo, or one face that becomes others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portrait_anim.errors import OptionError
from portrait_anim.face.choose import choose_faces
from portrait_anim.face.photo import Photo, load_photo
from portrait_anim.face.reframe import LOAD, reframed
from portrait_anim.face.types import Face, Landmarker
from portrait_anim.options import PhotoOptions
from portrait_anim.render.group import Group
from portrait_anim.render.morph import Morph
from portrait_anim.render.swap import Guest

OTHER_FACE = "PHOTO#N in --morph (morph=)"


def shown_photo(given: Any, landmarker: Landmarker, options: PhotoOptions) -> tuple[Photo, list[Face]]:
    """Load a photo, choose its faces that move, and bring both to the film's shape.

    Raises:
        PhotoError, NoFaceError: as of :func:`load_photo` and :func:`choose_faces`.
        OptionError: the faces do not fit into a crop that was asked for.
    """
    limit = options.max_size
    photo = load_photo(given, limit * LOAD if limit is not None and options.format is not None else limit)
    faces = choose_faces(photo, landmarker, options.face)
    return reframed(photo, faces, options.format, limit)


def make_scene(photo: Photo, faces: Sequence[Face], landmarker: Landmarker, options: PhotoOptions) -> Group | Morph:
    """Load what a scene needs beside its photo and make it.

    Args:
        photo: the picture.
        faces: those in it that move.
        landmarker: what found them.
        options: of the scene.

    Raises:
        OptionError: several faces move and one shall change.
        PhotoError: a photo of the changes cannot be used, or has no such face.
    """
    if not options.changes:
        return Group(photo, faces, landmarker)
    if len(faces) > 1:
        raise OptionError(f"morph changes one face, and {len(faces)} move: name one with --face N (face=N)")
    guests: dict[tuple[str, int | None], Guest] = {}
    found = []
    for change in options.changes:
        key = (str(change.photo) if isinstance(change.photo, str) else f"{id(change.photo)}", change.face)
        if key not in guests:
            picture = load_photo(change.photo, options.max_size)
            guests[key] = Guest(picture, choose_faces(picture, landmarker, change.face, OTHER_FACE)[0])
        found.append(guests[key])
    return Morph(photo, faces[0], options.changes, found, options.morph_style, landmarker)
