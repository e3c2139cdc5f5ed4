"""Decides where a film is written: the default name, and what may not be overwritten."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from portrait_anim.errors import OutputError
from portrait_anim.system.files import printable
from portrait_anim.video.formats import SUFFIX, WEBM, check_output

NAME_BYTES = 255  # of a file's name on nearly every file system, in bytes and not in letters


def default_output(photo: Any, sounds: Sequence[Any], suffix: str = SUFFIX) -> Path:
    """Return PHOTO_AUDIO.mp4 (or with another suffix) in the working directory; what is in memory has plain names.

    A name that the file system would not take is cut, the longest part first.
    """
    stems = [
        Path(given).stem if isinstance(given, (str, os.PathLike)) else name
        for given, name in ((photo, "photo"), *((sound, "audio") for sound in sounds))
    ]
    return Path(f"{_cut(stems, _name_bytes() - len(suffix))}{suffix}")


def _name_bytes() -> int:
    """Return how many bytes a name may have in the working directory."""
    with suppress(OSError, ValueError, AttributeError):  # Windows has no pathconf
        return min(os.pathconf(".", "PC_NAME_MAX"), NAME_BYTES)
    return NAME_BYTES


def _cut(parts: list[str], limit: int) -> str:
    """Join ``parts`` with underscores, in at most ``limit`` bytes; no letter is cut in two.

    >>> _cut(["Ümläut", "song"], 9)
    'Üml_song'
    """
    parts = list(parts)
    while len(os.fsencode("_".join(parts))) > limit:
        longest = max(range(len(parts)), key=lambda i: len(os.fsencode(parts[i])))
        if len(parts[longest]) > 1:
            parts[longest] = parts[longest][:-1]
        else:  # a crowd of sounds
            parts.pop()
    return "_".join(part.rstrip() or part for part in parts)


def film_target(
    photo: Any,
    sounds: Sequence[Any],
    output: str | os.PathLike[str] | None,
    *,
    overwrite: bool = False,
    actor: str | os.PathLike[str] | None = None,
    motions: Sequence[Any] = (),
    otherwise: str | None = None,
    transparent: bool = False,
) -> Path:
    """Return the path to write, checked before long work.

    Without a sound it is named after the actor's video or the motion files, or ``otherwise``. A transparent film is a
    WebM if no name is given.

    Raises:
        OutputError: as :func:`portrait_anim.video.writer.check_output`, or it is one of the inputs itself.
    """
    acting = [] if actor is None else [actor]
    suffix = WEBM.suffix if transparent else SUFFIX
    named = sounds or acting or motions or [otherwise] * (otherwise is not None)
    given = default_output(photo, named, suffix) if output is None else output
    target = Path(given)
    kinds = {"photo": [photo], "sound": sounds, "actor's video": acting, "motion file": motions}
    for what, source in ((what, source) for what, group in kinds.items() for source in group):
        with suppress(OSError, ValueError):  # one of them is not there
            if not isinstance(source, (str, os.PathLike)):
                continue
            if transparent and target.is_dir() and target.samefile(Path(source).parent):
                raise OutputError(f"the {what} lies in {printable(target)}: choose another name for the film")
            if target.samefile(source):
                raise OutputError(f"{printable(target)} is the {what} itself: choose another name for the film")
    return check_output(given, overwrite=overwrite, transparent=transparent)
