"""The names of a film's options, read off their classes: what jobs files and other lists of options go by."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from portrait_anim.options.film import FilmOptions, PhotoOptions

_FIELDS = {part.name: part for options in (PhotoOptions, FilmOptions) for part in fields(options) if part.init}

OPTION_NAMES = tuple(_FIELDS)
SWITCHES = tuple(name for name, part in _FIELDS.items() if part.type == "bool")
OUTPUT_OPTIONS = ("save_motion", "audit_log")  # files that are written, not read
INPUT_OPTIONS = (  # files that are read; ``morph`` names photos too, within its own text
    *(name for name, part in _FIELDS.items() if "PathLike" in str(part.type) and name not in OUTPUT_OPTIONS),
    "motion",
)


def photo_choices(seen: PhotoOptions, n_movers: int) -> dict[str, Any]:
    """Return the keywords of a photo's options; several sounds or motions move as many faces, unless some are named."""
    choices = {part.name: getattr(seen, part.name) for part in fields(seen) if part.init}
    if seen.face is None and seen.face_box is None and n_movers > 1:
        choices["face"] = tuple(range(1, n_movers + 1))
    return choices
