"""Reads .json with a time for every word, as speech recognisers write it, and makes lines of the words."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Sequence
from typing import Any

from portrait_anim.captions.lines import Caption, Word
from portrait_anim.errors import CaptionError
from portrait_anim.options.checks import shown
from portrait_anim.options.film import LONGEST_S

EXAMPLE = '[{"word": "Hello", "start": 0.52, "end": 0.9}, ...]'
LONGEST = 42  # columns of a line; letters of Chinese, Japanese and Korean take two
PAUSE_S = 0.7  # between words, that ends a line
STAYS_S = 0.4  # a line stays at most so long after its last word, if no other comes
SENTENCE_ENDS = ".!?。！？…؟।"
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH", "THAI", "LAO", "KHMER", "MYANMAR")


def captions_of_words(text: str, name: str) -> list[Caption]:
    """Return the lines of a .json text: a list of words, or whisper's own object, whose segments are the lines.

    Raises:
        CaptionError: it is neither, a word lacks its text or times, or times go backwards.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise CaptionError(f"{name} is not JSON ({' '.join(str(e).split())[:80]}): give {EXAMPLE}") from e
    if isinstance(given, dict) and isinstance(given.get("segments"), list):
        groups = [part.get("words") if isinstance(part, dict) else None for part in given["segments"]]
        if not all(isinstance(group, list) for group in groups):
            raise CaptionError(f"{name} has segments without words: have the recogniser write times of words")
    elif isinstance(given, dict) and isinstance(given.get("words"), list):
        groups = [given["words"]]
    elif isinstance(given, list):
        groups = [given]
    else:
        raise CaptionError(f"{name} is no list of words: give {EXAMPLE}")
    return _lines(groups, name)


def _lines(groups: Sequence[Any], name: str) -> list[Caption]:
    """Return the lines: a group's words, ended at sentences, pauses and where they are too long."""
    found: list[tuple[list[Word], float]] = []  # words and the end of the last one
    number, before_s = 0, 0.0
    for group in groups:
        spaced = any(str(_text_of(entry))[:1].isspace() for entry in group)
        fresh = True
        for entry in group:
            number += 1
            text, start_s, end_s = _word(entry, f"word {number} of {name}")
            if start_s < before_s - 1e-9:
                told = f"word {number} of {name}: {start_s:g} s comes after {before_s:g} s"
                raise CaptionError(f"{told}, put the words in the order of time")
            before_s = start_s
            if not text.strip():
                continue
            if fresh or _ends(found[-1][0], found[-1][1], text, start_s):
                found.append(([], end_s))
            line = found[-1][0]
            apart = text[:1].isspace() if spaced else bool(line) and needs_space(line[-1].text, text)
            pieces = text.split()
            line.append(Word(pieces[0], " " if apart else "", start_s))
            line += [Word(piece, " ", start_s) for piece in pieces[1:]]
            found[-1] = (line, max(end_s, found[-1][1]))
            fresh = False
    nexts = [*(line[0].start_s for line, _ in found[1:]), math.inf]
    return [
        Caption(line[0].start_s or 0.0, max(min(end_s + STAYS_S, later_s or 0.0), end_s), tuple(line))
        for (line, end_s), later_s in zip(found, nexts, strict=False)
    ]


def _text_of(entry: Any) -> Any:
    return entry.get("word", entry.get("text", "")) if isinstance(entry, dict) else ""


def _word(entry: Any, where: str) -> tuple[str, float, float]:
    if not isinstance(entry, dict) or not isinstance(_text_of(entry), str):
        raise CaptionError(f"{where} cannot be read: give {EXAMPLE}")
    times: list[Any] = [entry.get("start"), entry.get("end")]
    if any(isinstance(time, bool) or not isinstance(time, (int, float)) for time in times):
        raise CaptionError(f"{where} has no start and end in seconds: give {EXAMPLE}")
    start_s, end_s = times
    if not 0 <= start_s <= end_s < LONGEST_S:  # not yet floats: whole numbers have any size
        raise CaptionError(f"{where}: start {shown(start_s)} and end {shown(end_s)} are no stretch of time")
    return _text_of(entry), float(start_s), float(end_s)


def _ends(line: Sequence[Word], end_s: float, text: str, start_s: float) -> bool:
    """Whether a line is over before the word ``text``."""
    columns = sum(map(_columns, [*(word.before + word.text for word in line), text]))
    return line[-1].text[-1] in SENTENCE_ENDS or start_s - end_s > PAUSE_S or columns > LONGEST


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def unspaced(letter: str) -> bool:
    """Whether a letter's script puts no spaces between words."""
    return unicodedata.name(letter, "").startswith(UNSPACED)


def needs_space(before: str, after: str) -> bool:
    """Whether a space stands between two words, judged by the letters that meet."""
    if not before or not after or unicodedata.category(after[0]).startswith("P"):
        return False
    return not (unspaced(before[-1]) or unspaced(after[0]))
