"""Which scene a film shows: of which shape, whose faces, whether they become others, and what is behind them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import UnidentifiedImageError

from portrait_anim.errors import OptionError, PhotoError
from portrait_anim.face.choose import choose_faces, face_at
from portrait_anim.face.cutout import Cutout, cut_out
from portrait_anim.face.photo import Photo, load_photo
from portrait_anim.face.reframe import LOAD, reframed
from portrait_anim.face.types import Face, Landmarker
from portrait_anim.options import PhotoOptions
from portrait_anim.options.background import BLUR, COLOUR, HELP, Background
from portrait_anim.render.backed import Backed, blurred, filling
from portrait_anim.render.group import Group
from portrait_anim.render.morph import Morph
from portrait_anim.render.scene import Image
from portrait_anim.render.swap import Guest
from portrait_anim.system.containers import open_picture
from portrait_anim.system.files import printable, readable_file

logger = logging.getLogger(__name__)

OTHER_FACE = "PHOTO#N in --morph (morph=)"


Video = Callable[[Path, tuple[int, int]], Any]  # see :class:`portrait_anim.video.looped.LoopedVideo`


def shown_photo(given: Any, landmarker: Landmarker, options: PhotoOptions) -> tuple[Photo, list[Face]]:
    """Load a photo, choose its faces that move, and bring both to the film's shape.

    Raises:
        PhotoError, NoFaceError: as of :func:`load_photo`, :func:`choose_faces` and :func:`face_at`.
        OptionError: the faces do not fit into a crop that was asked for.
    """
    limit = options.max_size
    photo = load_photo(given, limit * LOAD if limit is not None and options.format is not None else limit)
    if options.face_box is not None:
        faces = [face_at(photo, landmarker, options.face_box)]
    else:
        faces = choose_faces(photo, landmarker, options.face)
    return reframed(photo, faces, options.format, limit)


def make_scene(
    photo: Photo, faces: Sequence[Face], landmarker: Landmarker, options: PhotoOptions, video: Video
) -> Group | Morph | Backed:
    """Load what a scene needs beside its photo and make it.

    Args:
        photo: the picture.
        faces: those in it that move.
        landmarker: what found them.
        options: of the scene.
        video: opens a video that fills a size (width, height), for the background.

    Raises:
        OptionError: several faces move and one shall change.
        PhotoError: a photo of the changes cannot be used, or has no such face; the background cannot be used.
        VideoError: the background cannot be used.
    """
    if options.behind.kept:
        return _people(photo, faces, landmarker, options, None)
    behind, origin = _behind(options.behind, photo.size, video)
    cut = cut_out(photo.pixels, faces, landmarker.detect(photo.pixels))
    if cut.doubt is not None:
        logger.info(
            "the people may be cut out wrongly (%s): look at their edges; background keep shows the photo's own",
            cut.doubt,
        )
    if options.behind.kind == BLUR:
        behind = blurred(photo.pixels, cut)
    return Backed(_people(photo, faces, landmarker, options, cut), cut, behind, origin)


def _people(
    photo: Photo, faces: Sequence[Face], landmarker: Landmarker, options: PhotoOptions, cut: Cutout | None
) -> Group | Morph:
    """Return the scene of the photo itself, or of the people cut out of it alone."""
    person = None if cut is None else cut.person
    if not options.changes:
        return Group(photo, faces, landmarker, person)
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
    return Morph(photo, faces[0], options.changes, found, options.morph_style, landmarker, person)


def _behind(behind: Background, size: tuple[int, int], video: Video) -> tuple[Image | Any | None, Any]:
    """Return what :class:`Backed` shows behind the people, and what it was made from; None where that is not known yet.

    Raises:
        PhotoError, VideoError: the picture or video cannot be used.
    """
    if behind.kind == COLOUR:
        return np.full((size[1], size[0], 3), behind.colour, np.uint8), None
    given = behind.source
    if given is None:
        return None, None
    if isinstance(given, (str, os.PathLike)):
        if not Path(given).exists():
            raise PhotoError(f"background {printable(given)} not found: {HELP}")
        path = readable_file(given, PhotoError, "background")
        if not _is_picture(path):
            film = video(path, size)
            return film, film.origin
    picture = load_photo(given)
    return filling(picture.pixels, size), picture.origin


def _is_picture(path: Path) -> bool:
    try:
        with open_picture(path):
            return True
    except UnidentifiedImageError:
        return path.suffix.lower() in (".heic", ".heif")  # Pillow learns them when one is loaded
    except Exception:  # Pillow's readers raise nearly anything; load_photo tells what
        return True
