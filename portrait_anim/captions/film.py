"""The captions of one film: read at the start, then a track of it or a painter of its frames."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from portrait_anim.captions.lines import as_srt, one_at_a_time, within
from portrait_anim.captions.place import Box
from portrait_anim.captions.read import CaptionFile, read_captions
from portrait_anim.face.types import Face
from portrait_anim.options import FilmOptions
from portrait_anim.system.facts import Facts

if TYPE_CHECKING:
    from portrait_anim.captions.draw import CaptionPainter

logger = logging.getLogger(__name__)

TOLD_LETTERS = 12  # that a note names


class FilmCaptions:
    """What is shown of a file of captions, and how.

    Args:
        file: the captions.
        options: of the film.

    Attributes:
        painter: draws them into frames; None: they are a track, or there are none.
        track: the text of an .srt file for the film's track; None: there is none.
    """

    def __init__(self, file: CaptionFile | None, options: FilmOptions) -> None:
        self._file, self._options = file, options
        self.painter: CaptionPainter | None = None
        self.track: str | None = None

    @classmethod
    def load(cls, options: FilmOptions) -> FilmCaptions:
        """Read the file, if the options name one.

        Raises:
            CaptionError: as of :func:`portrait_anim.captions.read.read_captions`.
        """
        return cls(None if options.captions is None else read_captions(options.captions), options)

    def facts(self, driver: Facts) -> Facts:
        """Return a driver's facts with the captions among its sources."""
        if self._file is None:
            return driver
        return replace(driver, more={**driver.more, "captions": (self._file.source,)})

    def fit(
        self, size: tuple[int, int], fps: float, duration_s: float, faces: Sequence[Face], label: Box | None
    ) -> None:
        """Make the painter or the track for a film.

        Args:
            size: (width, height) px.
            fps: frames/s.
            duration_s: of the film.
            faces: those that move.
            label: the visible label's box.

        Raises:
            OptionError: no font, or no place beside the mouths.
        """
        if self._file is None:
            return
        captions = one_at_a_time(within(self._file.captions, duration_s, self._file.name))
        if not captions:
            return
        if self._options.burned:
            from portrait_anim.captions.draw import CaptionPainter  # looks for fonts: only when they are drawn

            painter = CaptionPainter(
                captions, size, fps, faces, label, karaoke=self._options.karaoke, font=self._options.caption_font
            )
            if not painter.missing:
                self.painter = painter
                self._tell(painter.level, timed=all(each.timed for each in captions))
                return
            logger.warning(
                "%s: no font on this machine can draw %s: they become a track of the film instead, name a font with "
                "--caption-font FILE (caption_font=)", self._file.name, _shortened(painter.missing),
            )  # fmt: skip
        self.track = as_srt(captions)

    def _tell(self, level: int, *, timed: bool) -> None:
        assert self._file is not None  # noqa: S101
        if self._options.karaoke and not timed:
            logger.info("%s has no times of words: their colour changes evenly along each line", self._file.name)
        if level:
            logger.info("%s: the face fills the picture, the lines cover a part of it, not the mouth", self._file.name)


def _shortened(letters: str) -> str:
    return repr(letters if len(letters) <= TOLD_LETTERS else f"{letters[:TOLD_LETTERS]}...")
