"""Which faces a photo takes on when: ``second.jpg@12.5,third.jpg@20:1.5``, or a file of times and names (.lrc)."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from portrait_anim.errors import OptionError
from portrait_anim.options import lrc
from portrait_anim.options.checks import check_range

MorphLike: TypeAlias = str | os.PathLike[str] | Sequence[tuple[Any, ...]] | None

STYLES = ("face", "photo")
DEFAULT_LENGTH_S = 0.8
MIN_LENGTH_S, MAX_LENGTH_S = 0.04, 60.0  # of one change; the shortest is a cut
MAX_START_S = 1000 * 3600.0
MAX_LRC_BYTES = 1 << 20
HELP = "give PHOTO@SECOND or PHOTO@SECOND:LENGTH, several with commas, or an .lrc file"

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
# A comma ends a photo only after @SECOND: commas, @ and colons within names are told from those that separate.
_ENTRY = re.compile(
    rf"\s*(?P<photo>.+?)@(?P<start>{_NUMBER})(?::(?P<length>{_NUMBER}))?\s*(?:,|$)", re.ASCII | re.DOTALL
)
_NUMBERED = re.compile(r"(?P<photo>.+)#(?P<face>[1-9]\d{0,3})", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class MorphChange:
    """One change of the face.

    Attributes:
        photo: whose face it becomes: a path, a PIL image or an array, as :func:`portrait_anim.animate` takes them.
        start_s: when the change begins, seconds of the film.
        length_s: how long it takes.
        face: which face of the photo, counted from the left, from 1; None: the largest.
    """

    photo: Any
    start_s: float
    length_s: float = DEFAULT_LENGTH_S
    face: int | None = None

    @property
    def end_s(self) -> float:
        """When the new face is there."""
        return self.start_s + self.length_s


def parse_morph(given: MorphLike) -> tuple[MorphChange, ...]:
    r"""Read changes of the face, in the order of time.

    >>> parse_morph("a@home, 2.jpg@12.5,C:\\b.jpg#2@20:1.5")[1]
    MorphChange(photo='C:\\b.jpg', start_s=20.0, length_s=1.5, face=2)

    Args:
        given: ``PHOTO@SECOND[:LENGTH]`` with commas; the path of an .lrc file, whose photos lie relative to it; or
            ``(photo, second[, length])`` tuples, for pictures in memory and names that cannot be told otherwise.
            ``#N`` at the end of a photo's name is its face number N, unless a file of exactly that name is there.

    Raises:
        OptionError: it cannot be read, times are out of order or out of range, or changes overlap.
    """
    if given is None:
        return ()
    if isinstance(given, (str, os.PathLike)):
        text = os.fspath(given)
        lrc = text.lower().endswith(".lrc") and (not isinstance(given, str) or not _ENTRY.fullmatch(text))
        changes = _from_lrc(Path(text)) if lrc else _from_text(text)
    elif isinstance(given, Sequence):
        changes = [_from_tuple(entry) for entry in given]
    else:
        raise OptionError(f"morph {type(given).__name__} cannot be read: {HELP}")
    if not changes:
        raise OptionError(f"morph names no photo: {HELP}")
    for before, after in itertools.pairwise(changes):
        if after.start_s < before.start_s:
            raise OptionError(
                f"morph: {after.start_s:g} s comes after {before.start_s:g} s: give the changes in the order of time"
            )
        if after.start_s < before.end_s - 1e-9:
            raise OptionError(
                f"morph: the change at {before.start_s:g} s takes {before.length_s:g} s and the next begins at "
                f"{after.start_s:g} s: make it shorter, as in photo.jpg@{before.start_s:g}:0.4"
            )
    return tuple(changes)


def check_end(changes: Sequence[MorphChange], duration_s: float, first: Any = None) -> None:
    """Raise OptionError if a change begins when the film is over.

    Args:
        changes: of the film.
        duration_s: of the film.
        first: the photo it begins with, if it is a loop: then it must end with that, too.
    """
    for change in changes:
        if change.start_s >= duration_s:
            raise OptionError(
                f"morph: the film ends at {duration_s:.2f} s, before the change at {change.start_s:g} s: "
                "give earlier times, or what lasts longer"
            )

    if first is not None and changes:
        last, paths = changes[-1], (str, os.PathLike)
        both = isinstance(last.photo, paths) and isinstance(first, paths)
        same = os.path.abspath(last.photo) == os.path.abspath(first) if both else last.photo is first  # noqa: PTH100
        if not same or last.end_s > duration_s:
            raise OptionError(
                f"morph: a loop must end with the photo it begins with: let it come back before {duration_s:.2f} s"
            )


def _from_text(text: str) -> list[MorphChange]:
    changes, at = [], 0
    while at < len(text):
        found = _ENTRY.match(text, at)
        if found is None:
            rest = text[at:].strip()
            raise OptionError(f"morph {rest if len(rest) <= 60 else rest[:57] + '...'!r} cannot be read: {HELP}")
        changes.append(_change(found["photo"].strip(), found["start"], found["length"]))
        at = found.end()
    return changes


def _from_tuple(entry: Any) -> MorphChange:
    if not isinstance(entry, tuple) or len(entry) not in (2, 3):
        raise OptionError("morph: give (photo, second) or (photo, second, length) tuples")
    return _change(*entry)


def _from_lrc(path: Path) -> list[MorphChange]:
    """Read ``[mm:ss.xx]name`` lines; several times before one name, tags such as [ti:...] and [offset:ms] may be there.

    A positive offset makes everything come earlier, as players take it.
    """
    name = str(path)
    try:
        if path.stat().st_size > MAX_LRC_BYTES:
            raise OptionError(f"morph file {name!r} is too long for a list of photos: give an .lrc file")
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as e:
        raise OptionError(f"morph file {name!r} is not UTF-8 text: save it as UTF-8") from e
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise OptionError(f"morph file {name!r} cannot be read ({reason}): check the path") from e
    offset = next((found for line in lines if (found := lrc.offset_ms(line.strip())) is not None), 0)
    changes = []
    for number, line in enumerate(lines, 1):
        times, photo = lrc.timed(line.strip())
        if not times and (not photo or lrc.is_tag(photo)):
            continue
        if not times or not photo:
            raise OptionError(f"line {number} of morph file {name!r} cannot be read: give [00:12.50]photo.jpg")
        changes += [_change(path.parent / photo, max(0.0, time - offset / 1000), None) for time in times]
    return sorted(changes, key=lambda change: change.start_s)


def _change(photo: Any, start: Any, length: Any = None) -> MorphChange:
    """Return a change with its numbers checked and the face's number taken off the photo's name."""
    start_s = check_range("morph second", _number(start), 0, MAX_START_S)
    length_s = DEFAULT_LENGTH_S if length is None else _number(length)
    length_s = check_range("morph length", length_s, MIN_LENGTH_S, MAX_LENGTH_S)
    face = None
    if isinstance(photo, (str, os.PathLike)):
        found = _NUMBERED.fullmatch(os.fspath(photo))
        if found is not None and not _is_file(photo):
            photo, face = type(photo)(found["photo"]) if isinstance(photo, Path) else found["photo"], int(found["face"])
    return MorphChange(photo, float(start_s), float(length_s), face)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) and re.fullmatch(_NUMBER, value, re.ASCII) else value


def _is_file(path: Any) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False
