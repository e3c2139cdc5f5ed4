"""Captions as values: words, what is shown from when to when, and what fits a film."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

logger = logging.getLogger(__name__)

UNENDED_S = 5.0  # over which the words of a line are spread that has neither end nor times
MAX_STAMP_S = 360_000.0  # what a subtitle track can say


@dataclass(frozen=True)
class Word:
    """A piece of a caption between spaces.

    Attributes:
        text: without spaces.
        before: what stands before it: nothing, a space or a line break.
        start_s: when it is said; None: the file does not tell.
    """

    text: str
    before: str = " "
    start_s: float | None = None


@dataclass(frozen=True)
class Caption:
    """What is shown from one moment to another.

    Attributes:
        start_s, end_s: seconds of the film; an infinite end: until the film's.
        words: at least one.
    """

    start_s: float
    end_s: float
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """All words as a text."""
        return "".join(word.before + word.text for word in self.words).strip()

    @property
    def timed(self) -> bool:
        """Whether the file says when each word is said."""
        return all(word.start_s is not None for word in self.words)


def words_of(text: str) -> tuple[Word, ...]:
    r"""Split a text at spaces and line breaks.

    >>> [word.before + word.text for word in words_of("one two\nthree")]
    [' one', ' two', '\nthree']
    """
    found = []
    for number, line in enumerate(part for part in text.splitlines() if part.strip()):
        for place, word in enumerate(line.split()):
            found.append(Word(word, "\n" if number and not place else " "))
    return tuple(found)


def paced(caption: Caption) -> Caption:
    """Return a caption whose words all have a time: those of the file, else spread over its length by their letters."""
    if caption.timed:
        return caption
    length_s = (caption.end_s if math.isfinite(caption.end_s) else caption.start_s + UNENDED_S) - caption.start_s
    total, done, words = sum(len(word.text) for word in caption.words), 0, []
    for word in caption.words:
        words.append(replace(word, start_s=caption.start_s + length_s * done / total))
        done += len(word.text)
    return replace(caption, words=tuple(words))


def within(captions: Sequence[Caption], duration_s: float, name: str) -> list[Caption]:
    """Return the captions that a film of this length shows, cut at its end; a note tells what is left out."""
    kept = [replace(each, end_s=min(each.end_s, duration_s)) for each in captions if each.start_s < duration_s]
    if late := len(captions) - len(kept):
        lines = "1 line begins" if late == 1 else f"{late} of {len(captions)} lines begin"
        logger.info("%s: %s after the film's end at %.2f s and %s left out", name, lines, duration_s,
                    "is" if late == 1 else "are")  # fmt: skip
    return kept


def one_at_a_time(captions: Sequence[Caption]) -> list[Caption]:
    """Return captions that do not overlap: where several are shown at once, one that has the lines of all."""
    moments = sorted({moment for each in captions for moment in (each.start_s, each.end_s)})
    shown: list[tuple[list[Caption], float, float]] = []
    for start_s, end_s in pairwise(moments):
        there = [each for each in captions if each.start_s <= start_s and each.end_s >= end_s]
        if shown and shown[-1][0] == there and there:
            shown[-1] = (there, shown[-1][1], end_s)
        elif there:
            shown.append((there, start_s, end_s))
    return [Caption(start_s, end_s, _joined(there)) for there, start_s, end_s in shown]


def _joined(captions: Sequence[Caption]) -> tuple[Word, ...]:
    if len(captions) == 1:
        return captions[0].words
    lines = [(replace(each.words[0], before="\n"), *each.words[1:]) for each in map(paced, captions)]
    return tuple(word for line in lines for word in line)


def as_srt(captions: Sequence[Caption]) -> str:
    """Return captions as the text of an .srt file."""
    blocks = [
        f"{number}\n{_stamp(each.start_s)} --> {_stamp(each.end_s)}\n{each.text}\n"
        for number, each in enumerate(captions, 1)
    ]
    return "\n".join(blocks)


def _stamp(time_s: float) -> str:
    ms = round(min(time_s, MAX_STAMP_S) * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d},{ms % 1000:03d}"
