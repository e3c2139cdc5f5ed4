"""Reads captions: .srt, .vtt, .lrc, and .json with a time for every word.

The four formats are a few lines each. They are read here, not by a library, so that an error can name the line, and
for the times of words that .vtt and .lrc may hold within a line.
"""

from __future__ import annotations

import html
import itertools
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from portrait_anim.captions.lines import Caption, Word, words_of
from portrait_anim.captions.words import captions_of_words
from portrait_anim.errors import CaptionError
from portrait_anim.options import lrc
from portrait_anim.system.files import printable, readable_file
from portrait_anim.system.fingerprint import Fingerprint, fingerprint

FORMATS = (".srt", ".vtt", ".lrc", ".json")
MAX_BYTES = 8 << 20

_STAMP = r"(?:(?:(\d{1,6}):)?(\d{1,2}):)(\d{1,2}(?:[.,]\d{1,3})?)"
_TIMES = re.compile(rf"{_STAMP}\s*-->\s*{_STAMP}(?:\s.*)?", re.ASCII)
_WITHIN = re.compile(rf"<{_STAMP}>", re.ASCII)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")  # of .srt and .vtt: <i>, <c.red>, <v Ann>, {\an8}
_LRC_WITHIN = re.compile(r"<(\d{1,6}):(\d{1,2}(?:[.:]\d{1,3})?)>", re.ASCII)


@dataclass(frozen=True)
class CaptionFile:
    """A file of captions.

    Attributes:
        captions: in the order of their starts.
        source: the file as it was when it was read.
    """

    captions: tuple[Caption, ...]
    source: Fingerprint

    @property
    def name(self) -> str:
        """For messages."""
        return f"captions {printable(self.source.path)}"


def read_captions(path: str | os.PathLike[str]) -> CaptionFile:
    """Read a file of captions; docs/formats.md describes the formats.

    Raises:
        CaptionError: another ending, not to be read, not UTF-8, no lines, times that cannot be read or go backwards.
    """
    file = readable_file(path, CaptionError, "captions")
    name = f"captions {printable(path)}"
    kind = file.suffix.lower()
    if kind not in FORMATS:
        raise CaptionError(f"{name}: the name must end in {', '.join(FORMATS)}")
    if file.stat().st_size > MAX_BYTES:
        raise CaptionError(f"{name} has more than {MAX_BYTES >> 20} MB: that is no list of lines")
    source = fingerprint(file, CaptionError, "captions")
    text = _text(file, name)
    if kind == ".json":
        captions = captions_of_words(text, name)
    else:
        captions = list(_lrc(text, name) if kind == ".lrc" else _cues(text, name))
    if not captions:
        raise CaptionError(f"{name} holds no line with a time: {_help(kind)}")
    return CaptionFile(tuple(captions), source)


def _text(file: Path, name: str) -> str:
    data = file.read_bytes()
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as e:
        raise CaptionError(f"{name} is not UTF-8 text: save it as UTF-8") from e


def _help(kind: str) -> str:
    lines = {".lrc": "[00:12.50]words", ".srt": "00:00:12,500 --> 00:00:15,000 and the words below it"}
    return f"give {lines.get(kind, '00:12.500 --> 00:15.000 and the words below it')}"


def _cues(text: str, name: str) -> Iterator[Caption]:
    """Read .srt and .vtt: blocks of a line with two times and the words below it."""
    lines = text.splitlines()
    before_s, at = -math.inf, 0
    while at < len(lines):
        line = lines[at].strip()
        if "-->" not in line:
            at += 1
            continue
        where = f"line {at + 1} of {name}"
        found = _TIMES.fullmatch(line)
        if found is None:
            raise CaptionError(f"{where} cannot be read: give 00:00:12,500 --> 00:00:15,000")
        start_s, end_s = _seconds(*found.groups()[:3]), _seconds(*found.groups()[3:])
        if end_s <= start_s:
            raise CaptionError(f"{where}: it ends at {end_s:g} s, not after its start at {start_s:g} s")
        if start_s < before_s:
            raise CaptionError(f"{where}: {start_s:g} s comes after {before_s:g} s, put the lines in the order of time")
        before_s = start_s
        body = list(itertools.takewhile(str.strip, lines[at + 1 :]))
        at += 1 + len(body)
        if words := _timed_words("\n".join(body), start_s, _WITHIN, where):
            yield Caption(start_s, end_s, words)


def _timed_words(text: str, start_s: float, stamp: re.Pattern[str], where: str) -> tuple[Word, ...]:
    """Split a text into words, each with the time that stands before it; without any such time the words have none."""
    parts = stamp.split(text)
    n_groups = stamp.groups
    plain = parts[:: n_groups + 1]
    if len(plain) == 1:
        return words_of(_plain(text))
    times = [parts[i + 1 : i + 1 + n_groups] for i in range(0, len(parts) - 1, n_groups + 1)]
    starts = [start_s, *(_seconds(*((None, *time) if n_groups == 2 else time)) for time in times)]
    if any(late < early for early, late in itertools.pairwise(starts)):
        raise CaptionError(f"{where}: the times of its words go backwards, put them in the order of time")
    found: list[Word] = []
    joined = False  # to the word before it: no space between them
    for part, time_s in zip(plain, starts, strict=True):
        for number, word in enumerate(words_of(_plain(part))):
            before = "\n" if not number and part.lstrip(" \t").startswith("\n") and found else word.before
            touching = not number and joined and not part[:1].isspace()
            found.append(replace(word, start_s=time_s, before="" if touching else before))
        if part.strip():
            joined = not part[-1:].isspace()
        elif part:
            joined = False
    return tuple(found)


def _plain(text: str) -> str:
    return html.unescape(_TAG.sub("", text)).replace("\u200b", "")


def _lrc(text: str, name: str) -> list[Caption]:
    """Read .lrc; a line lasts until the next one, also an empty one."""
    offset_s, found = 0.0, []
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if (offset := lrc.offset_ms(line)) is not None:
            offset_s = offset / 1000
            continue
        times, said = lrc.timed(line)
        if not times:
            if line and not lrc.is_tag(line):
                raise CaptionError(f"line {number} of {name} cannot be read: give [00:12.50]words")
            continue
        where = f"line {number} of {name}"
        words = _timed_words(said, times[0], _LRC_WITHIN, where)
        found += [(time_s, words, time_s - times[0]) for time_s in times]
    if not found:
        return []
    found.sort(key=lambda line: line[0])
    starts = [max(time_s - offset_s, 0.0) for time_s, _, _ in found]
    ends = [*starts[1:], math.inf]
    return [
        Caption(start_s, end_s, tuple(_moved(word, later_s - offset_s) for word in words))
        for (_, words, later_s), start_s, end_s in zip(found, starts, ends, strict=True)
        if words and end_s > start_s
    ]


def _moved(word: Word, by_s: float) -> Word:
    return word if word.start_s is None else replace(word, start_s=max(word.start_s + by_s, 0.0))


def _seconds(hours: Any, minutes: Any, seconds: str) -> float:
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds.replace(",", ".").replace(":", "."))
