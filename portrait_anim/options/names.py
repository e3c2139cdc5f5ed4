"""The names of a film's options, read off their classes: what jobs files and other lists of options go by."""

from __future__ import annotations

from dataclasses import fields

from portrait_anim.options.film import FilmOptions, PhotoOptions

_FIELDS = {part.name: part for options in (PhotoOptions, FilmOptions) for part in fields(options) if part.init}

OPTION_NAMES = tuple(_FIELDS)
SWITCHES = tuple(name for name, part in _FIELDS.items() if part.type == "bool")
OUTPUT_OPTIONS = ("save_motion", "audit_log")  # files that are written, not read
INPUT_OPTIONS = (  # files that are read; ``morph`` names photos too, within its own text
    *(name for name, part in _FIELDS.items() if "PathLike" in str(part.type) and name not in OUTPUT_OPTIONS),
    "motion",
)
