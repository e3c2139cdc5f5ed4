"""Draws captions into frames: white letters with a dark rim, at one place in the whole film."""

from __future__ import annotations

import math
import os
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from portrait_anim.captions.fonts import Fonts
from portrait_anim.captions.layout import Atom, atoms_of, in_order, line_width, lines_of, rtl
from portrait_anim.captions.lines import Caption, paced
from portrait_anim.captions.place import Box, Place, find_place
from portrait_anim.errors import OptionError
from portrait_anim.face.types import Face

Frame = npt.NDArray[np.uint8]
Coverage = npt.NDArray[np.float32]

SIZE = 0.062  # of the font, over the picture's shorter side
MIN_SIZE_PX = 12
SIZES = (1.0, 0.85, 0.7, 0.6)  # times that, tried in turn until there is room
LEVEL = 2.5  # sizes that a line gives way before it covers more of a face
WIDEST = 0.9  # line, over the picture's width
SPACING = 1.3  # from line to line, times the font's size
RIM = 0.09  # dark, round the letters, times the font's size
PLATE = 0.35  # opacity of the dark plate behind the letters
WHITE, SUNG, DARK = (255, 255, 255), (255, 214, 64), (12, 12, 12)


class Block(NamedTuple):
    """A caption as pixels.

    Attributes:
        ink: (h, w) 0..1, the letters.
        dark: (h, w) 0..1, rim and plate.
        starts_s: (h, w) when the word at a pixel is said.
        left, top: px in the film.
    """

    ink: Coverage
    dark: Coverage
    starts_s: Coverage
    left: int
    top: int


class CaptionPainter:
    """Draws a film's captions. Safe to call from several threads.

    Args:
        captions: in the order of time, not overlapping.
        size: (width, height) of the film in px.
        fps: frames/s.
        faces: those that move, which are kept free.
        label: the visible label's box, which is kept free too.
        karaoke: whether words change their colour when they are said.
        font: a font file that is tried before others.

    Attributes:
        missing: letters that no font on this machine has; they would be drawn as boxes.
        level: how little of the faces is kept free, see :func:`find_place`.

    Raises:
        OptionError: ``font`` is no font, or every place for the captions covers a mouth.
    """

    def __init__(
        self, captions: Sequence[Caption], size: tuple[int, int], fps: float, faces: Sequence[Face],
        label: Box | None = None, *, karaoke: bool = False, font: str | os.PathLike[str] | None = None,
    ) -> None:  # fmt: skip
        self._captions = [paced(each) for each in captions]
        self._starts = [each.start_s for each in self._captions]
        self._size, self._fps, self._karaoke = size, fps, karaoke
        self._fonts = Fonts((word.text for each in self._captions for word in each.words), font)
        self.missing = self._fonts.missing
        self._font_px, self._place, self.level = self._fit(faces, label)
        self._block = lru_cache(maxsize=8)(self._made)

    def draw(self, frame: Frame, index: int) -> Frame:
        """Return frame number ``index`` with the caption of its time, or the frame itself where there is none.

        Shape:
            frame: (H, W, 3) uint8 RGB; not changed.
        """
        time_s = (index + 0.5) / self._fps
        number = bisect_right(self._starts, time_s) - 1
        if number < 0 or self._captions[number].end_s <= time_s:
            return frame
        block = self._block(number)
        out = frame.copy()
        height, width = block.ink.shape
        region = out[block.top : block.top + height, block.left : block.left + width]
        letters = np.full((*block.ink.shape, 3), WHITE, np.float32)
        if self._karaoke:
            letters[block.starts_s <= time_s] = SUNG
        under = region + (np.array(DARK, np.float32) - region) * block.dark[..., None]
        region[:] = np.rint(under + (letters - under) * block.ink[..., None])
        return out

    def _fit(self, faces: Sequence[Face], label: Box | None) -> tuple[int, Place, int]:
        """Return the font's size, the place of all captions, and how little of the faces is kept free there."""
        found: list[tuple[int, int, int, Place]] = []
        for number, share in enumerate(SIZES):
            font_px = max(round(SIZE * share * min(self._size)), MIN_SIZE_PX)
            lines = [self._lines(each, font_px) for each in self._captions]
            widths = [self._line_width(line, font_px) for one in lines for line in one]
            pad = 2 * self._pad(font_px)
            block = (max(widths, default=0) + pad, max(map(len, lines), default=0) * SPACING * font_px + pad)
            if (place := find_place(self._size, block, faces, label)) is not None:
                found.append((place[1], number, font_px, place[0]))
        if not found:
            raise OptionError(
                "captions would cover a mouth wherever they stand: give shorter lines, or --caption-style track"
            )
        level, _, font_px, place_found = min(found, key=lambda one: one[1] + LEVEL * one[0])
        return font_px, place_found, level

    def _width(self, text: str, font_px: int) -> float:
        return float(self._fonts.font(text, font_px).getlength(text))

    def _line_width(self, line: Sequence[Atom], font_px: int) -> float:
        return line_width(line, partial(self._width, font_px=font_px), self._space(font_px))

    @staticmethod
    def _space(font_px: int) -> float:
        return 0.27 * font_px

    @staticmethod
    def _pad(font_px: int) -> int:
        return math.ceil(0.3 * font_px)

    def _lines(self, caption: Caption, font_px: int) -> list[list[Atom]]:
        width, most = partial(self._width, font_px=font_px), WIDEST * self._size[0] - 2 * self._pad(font_px)
        return lines_of(atoms_of(caption, width, most), width, self._space(font_px), most)

    def _made(self, number: int) -> Block:
        """Draw a caption."""
        font_px, caption = self._font_px, self._captions[number]
        pad, lines = self._pad(font_px), self._lines(caption, font_px)
        from_right = bool(rtl(caption.text))
        wide = math.ceil(max(self._line_width(line, font_px) for line in lines)) + 2 * pad
        tall = math.ceil(len(lines) * SPACING * font_px) + 2 * pad
        ink, rim = Image.new("L", (wide, tall)), Image.new("L", (wide, tall))
        starts_s = np.full((tall, wide), np.inf, np.float32)
        on_ink, on_rim = ImageDraw.Draw(ink), ImageDraw.Draw(rim)
        for row, line in enumerate(lines):
            x = (wide - self._line_width(line, font_px)) / 2
            top = round(pad + row * SPACING * font_px)
            baseline = top + (0.5 * SPACING + 0.36) * font_px
            placed = in_order(line, from_right=from_right)
            gaps = _gaps(line, placed)
            for (atom, reversed_), gap in zip(placed, gaps, strict=True):
                x += self._space(font_px) * gap
                font, end = self._fonts.font(atom.text, font_px), x + self._width(atom.text, font_px)
                joins = font.layout_engine == ImageFont.Layout.RAQM  # Pillow's own font needs none
                direction = ("rtl" if reversed_ else "ltr") if joins else None
                on_ink.text((x, baseline), atom.text, fill=255, font=font, anchor="ls", direction=direction)
                on_rim.text(
                    (x, baseline), atom.text, fill=255, font=font, anchor="ls",
                    stroke_width=max(round(RIM * font_px), 1), direction=direction,
                )  # fmt: skip
                until = round(top + SPACING * font_px) if row + 1 < len(lines) else tall
                starts_s[top:until, round(x) : math.ceil(end)] = atom.start_s
                x = end
        letters, around = (np.asarray(np.asarray(image, np.float32) / 255, np.float32) for image in (ink, rim))
        dark = np.maximum(around, PLATE * _plate(tall, wide, pad))
        left = (self._size[0] - wide) // 2
        top = round(self._place.y - tall) if self._place.below else round(self._place.y)
        return Block(letters, np.asarray(dark, np.float32), starts_s, left, top)


def _gaps(line: Sequence[Atom], placed: Sequence[tuple[Atom, bool]]) -> list[bool]:
    """Return whether a space stands to the left of each placed atom: between two, where the later one has a space."""
    number = {id(atom): place for place, atom in enumerate(line)}
    numbers = [number[id(atom)] for atom, _ in placed]
    later = [max(one, other) for one, other in pairwise(numbers)]
    return [False, *(line[place].before == " " for place in later)]


def _plate(height: int, width: int, pad: int) -> Coverage:
    """Return (h, w) 0..1, a plate whose border fades over ``pad`` px."""
    across, down = (np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) / pad for n in (width, height))
    return np.asarray(np.clip(np.outer(np.clip(down, 0, 1), np.clip(across, 0, 1)), 0, 1), np.float32)
