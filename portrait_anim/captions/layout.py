"""Lays out a caption: which words go on which line, and in which order they stand there.

Words are drawn one by one (no script joins letters over a space), each with its script's font, so lines may mix scripts
and a word can have a colour of its own. Within a word raqm joins and orders the letters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from portrait_anim.captions.lines import Caption
from portrait_anim.captions.words import unspaced

Width = Callable[[str], float]

NO_START = (
    "、。，．！？」』）】〉》〕］・：；…ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ,.!?:;)]}%\"'"  # never begin a line
)
NO_END = "「『（【〈《〔［([{"  # never end one
_BALANCED = 12  # steps of the search for even lines


@dataclass(frozen=True)
class Atom:
    """What is drawn at once and never broken.

    Attributes:
        text: the letters.
        before: nothing, a space or a line break.
        start_s: when it is said.
    """

    text: str
    before: str
    start_s: float


def rtl(text: str) -> bool | None:
    """Whether a text runs from right to left, by its first letter that tells; None: no letter does."""
    for letter in text:
        kind = unicodedata.bidirectional(letter)
        if kind in ("L", "R", "AL"):
            return kind != "L"
    return None


def atoms_of(caption: Caption, width: Width, most: float) -> list[Atom]:
    """Split a caption, whose words all have a time, into what may not be broken; nothing is wider than ``most``."""
    found: list[Atom] = []
    for word, later in zip(caption.words, [*caption.words[1:], None], strict=True):
        start_s = word.start_s or 0.0
        end_s = caption.end_s if later is None else later.start_s or 0.0
        pieces = [part for piece in _pieces(word.text) for part in _fitting(piece, width, most)]
        done = 0
        for number, piece in enumerate(pieces):
            at_s = start_s + max(min(end_s - start_s, 30.0), 0.0) * done / len(word.text)
            found.append(Atom(piece, "" if number else word.before, at_s))
            done += len(piece)
    return found


def _pieces(word: str) -> list[str]:
    """Split a word where its script allows a line to end: between the letters of Chinese and Japanese."""
    pieces: list[str] = []
    for letter in word:
        mark = unicodedata.category(letter) in ("Mn", "Mc", "Me", "Cf")
        if pieces and (
            mark or letter in NO_START or pieces[-1][-1] in NO_END or not (unspaced(letter) or unspaced(pieces[-1][-1]))
        ):
            pieces[-1] += letter
        else:
            pieces.append(letter)
    return pieces


def _fitting(piece: str, width: Width, most: float) -> list[str]:
    """Break a piece that is wider than a line, not before a mark that belongs to a letter."""
    if width(piece) <= most or len(piece) == 1:
        return [piece]
    out = [""]
    for letter in piece:
        mark = unicodedata.category(letter) in ("Mn", "Mc", "Me", "Cf")
        if out[-1] and not mark and width(out[-1] + letter) > most:
            out.append("")
        out[-1] += letter
    return out


def lines_of(atoms: Sequence[Atom], width: Width, space: float, most: float) -> list[list[Atom]]:
    """Put atoms on as few lines as possible, none wider than ``most``, and make these about equally long."""
    out: list[list[Atom]] = []
    paragraphs: list[list[Atom]] = []
    for atom in atoms:
        if not paragraphs or atom.before == "\n":
            paragraphs.append([])
        paragraphs[-1].append(atom)
    for paragraph in paragraphs:
        lines = _greedy(paragraph, width, space, most)
        low, high = most / max(len(lines), 1) * 0.8, most
        for _ in range(_BALANCED if len(lines) > 1 else 0):
            middle = (low + high) / 2
            tried = _greedy(paragraph, width, space, middle)
            if len(tried) == len(lines) and max(line_width(line, width, space) for line in tried) <= most:
                lines, high = tried, middle
            else:
                low = middle
        out += lines
    return out


def _greedy(atoms: Sequence[Atom], width: Width, space: float, most: float) -> list[list[Atom]]:
    lines: list[list[Atom]] = []
    used = 0.0
    for atom in atoms:
        wide = width(atom.text)
        gap = space if atom.before == " " else 0.0
        if not lines or used + gap + wide > most:
            lines.append([])
            used, gap = 0.0, 0.0
        lines[-1].append(atom)
        used += gap + wide
    return lines


def line_width(line: Sequence[Atom], width: Width, space: float) -> float:
    """Return how wide a line is."""
    return sum(width(atom.text) for atom in line) + space * sum(atom.before == " " for atom in line[1:])


def in_order(line: Sequence[Atom], *, from_right: bool) -> list[tuple[Atom, bool]]:
    """Return a line's atoms as they stand from left to right, and whether each is drawn from right to left.

    Unicode's rules (UAX 9) for whole words: a run of words of the other direction is turned round; numbers go with the
    word before them, signs between two words of one direction with these, others with the line.
    """
    known: list[bool | None] = []
    for atom in line:
        own = rtl(atom.text)
        if own is None and any(letter.isdecimal() for letter in atom.text):
            own = next((one for one in reversed(known) if one is not None), from_right)
        known.append(own)
    ways: list[bool] = []
    for place, own in enumerate(known):
        if own is None:
            left = next((one for one in reversed(known[:place]) if one is not None), from_right)
            right = next((one for one in known[place + 1 :] if one is not None), from_right)
            own = left if left == right else from_right
        ways.append(own)
    placed = [
        (atom, from_right if rtl(atom.text) is None else _drawn_from_right(ways, place, from_right=from_right))
        for place, atom in enumerate(line)
    ]
    runs = [list(run) for _, run in groupby(range(len(line)), key=lambda place: ways[place])]
    if from_right:  # the whole line is turned round, and runs from left to right once more
        order = [place for run in reversed(runs) for place in (reversed(run) if ways[run[0]] else run)]
    else:
        order = [place for run in runs for place in (reversed(run) if ways[run[0]] else run)]
    return [placed[place] for place in order]


def _drawn_from_right(ways: Sequence[bool], place: int, *, from_right: bool) -> bool:
    """Whether a word's signs at its ends go with its own direction: inside a run they do, at its end with the line."""
    inside = place + 1 < len(ways) and ways[place + 1] == ways[place]
    return ways[place] if inside else from_right
