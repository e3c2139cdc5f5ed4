"""Joins parts of a film without encoding them again, and gives it its sound, captions and marks as any film."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from portrait_anim.errors import OutputError, VideoError
from portrait_anim.system import ffmpeg
from portrait_anim.system.files import hidden_name, printable
from portrait_anim.video.reader import probe
from portrait_anim.video.writer import Writer

PART_THREADS = 3  # of x264, what it takes by itself on two cores: its bytes depend on it, so it is the same everywhere
_US = 10**6  # the list of parts counts in microseconds


class Part(NamedTuple):
    """A silent film that holds some of a film's frames; it begins with a keyframe, and nothing in it looks outside."""

    path: Path
    n_frames: int


def borders(n_frames: int, fps: Fraction, longest_s: float) -> list[tuple[int, int]]:
    """Return where a film is cut: number of the first frame and of the one after the last, for parts of one length.

    They last whole microseconds, which may take longer parts than asked for at odd frame rates: no time is rounded.

    >>> borders(250, Fraction(25), 4.0)
    [(0, 84), (84, 168), (168, 250)]
    >>> borders(100, Fraction(25), 4.0)
    [(0, 100)]
    """
    count = math.ceil(n_frames / max(1, int(longest_s * fps)))
    step = fps.numerator // math.gcd(fps.numerator, fps.denominator * _US)
    length = math.ceil(n_frames / (count * step)) * step
    return [(first, min(first + length, n_frames)) for first in range(0, n_frames, length)]


class Joiner(Writer):
    """A writer that gets its picture from parts instead of frames; everything else is as in :class:`Writer`.

    Args:
        path, size, fps, audio: of the film.
        parts: in their order, in one folder, all of this size and frame rate, written with the same settings.
        keywords: as of :class:`Writer`.

    Raises:
        OutputError: also where the joined film has not all the frames of its parts.
    """

    fed = False

    def __init__(
        self, path: str | os.PathLike[str], size: tuple[int, int], fps: float | Fraction, audio: Any = None, *,
        parts: Sequence[Part], before_rename: Callable[[Path], None] | None = None, **keywords: Any,
    ) -> None:  # fmt: skip
        super().__init__(path, size, fps, audio, before_rename=self._checked, **keywords)
        self._parts, self._then = parts, before_rename
        self.n_frames = sum(part.n_frames for part in parts)
        self._list = hidden_name(parts[0].path).with_suffix(".ffconcat")

    def _picture_input(self) -> list[str]:
        lines = ["ffconcat version 1.0"]
        for part in self._parts:
            lines += [f"file {part.path.name}", f"duration {float(part.n_frames / self.fps):.6f}"]
        self._list.write_text("\n".join(lines) + "\n", "utf-8")
        return ffmpeg.parts_input(self._list)

    def _picture_output(self) -> list[str]:
        return ["-c:v", "copy"]

    def _checked(self, film: Path) -> None:
        """Go on to sign the film, if it has all frames: ffmpeg takes a part that it cannot open for the end."""
        try:
            found = probe(film).n_frames
        except VideoError:
            found = 0
        if found != self.n_frames:
            raise OutputError(
                f"cannot write {printable(self.path)}: its parts have {self.n_frames} frames, joined they are {found}: "
                "start it again"
            )
        if self._then is not None:
            self._then(film)

    def _abort(self) -> None:
        super()._abort()
        with contextlib.suppress(OSError):
            self._list.unlink(missing_ok=True)
