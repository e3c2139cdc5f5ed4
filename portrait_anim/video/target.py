"""Where a film goes: the default name, and what may not be written over."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from portrait_anim.errors import OutputError
from portrait_anim.files import shown
from portrait_anim.video.writer import check_output


def default_output(photo: Any, sounds: Sequence[Any]) -> Path:
    """Return PHOTO_AUDIO.mp4 in the working directory; pictures and waveforms from memory have plain names."""
    stems = [
        Path(given).stem if isinstance(given, (str, os.PathLike)) else name
        for given, name in ((photo, "photo"), *((sound, "audio") for sound in sounds))
    ]
    return Path(f"{'_'.join(stems)}.mp4")


def film_target(
    photo: Any, sounds: Sequence[Any], output: str | os.PathLike[str] | None, *, overwrite: bool = False
) -> Path:
    """Return the path to write, checked before long work.

    Raises:
        OutputError: as :func:`portrait_anim.video.writer.check_output`, or it is the photo or a sound itself.
    """
    target = Path(default_output(photo, sounds) if output is None else output)
    for what, given in (("photo", photo), *(("sound", sound) for sound in sounds)):
        with suppress(OSError, ValueError):  # one of them is not there
            if isinstance(given, (str, os.PathLike)) and target.samefile(given):
                raise OutputError(f"{shown(target)} is the {what} itself: choose another name for the film")
    return check_output(target, overwrite=overwrite)
