"""The visible label: optional, drawn into the frames before they are marked.

Sizes and times follow what GB 45438-2025 is reported to ask (text at least 5 % of the short side high, at least 2 s
at the start) and the EU's guidance on Article 50 (clear, from the first moment on): see docs/provenance.md.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from portrait_anim.errors import OptionError
from portrait_anim.system.files import printable

Frame = npt.NDArray[np.uint8]

EU_TEXT = "AI-generated"
CN_TEXT = "人工智能生成"
HEIGHT = 0.055  # height of the tallest letter over the picture's short side; at least 5 % is asked for
CN_S = 3.0  # seconds; at least 2 are asked for
MAX_LENGTH = 60  # letters
_MARGIN = 0.03  # distance from the picture's border, as a share of its short side
_PADDING = 0.4  # space round the text, as a share of the letters' height
_PLATE = 0.65  # opacity of the black rectangle behind the white letters, for legibility
_FONT_FILE = "label_cjk.ttf"


@dataclass(frozen=True)
class Style:
    """The text of a label and how long it is shown.

    Attributes:
        text: one line.
        shown_s: seconds from the start, infinite for the whole film.
    """

    text: str
    shown_s: float = math.inf

    @staticmethod
    def parse(option: str) -> Style:
        """Return the style for ``auto``, ``eu``, ``cn`` or a text.

        ``cn`` is shown for the first three seconds, all others for the whole film.

        Raises:
            OptionError: an empty or too long text, line breaks, letters that the fonts here do not have.
        """
        if option in ("auto", "eu"):
            return Style(EU_TEXT)
        if option == "cn":
            return Style(CN_TEXT, CN_S)
        text = option.strip()
        if not text or len(text) > MAX_LENGTH or not text.isprintable():
            raise OptionError(f"label {printable(option)!r} must be one line of 1 to {MAX_LENGTH} letters")
        _font(text, 20)
        return Style(text)


class Label:
    """Draws one style on the frames of one film, at the lower left.

    Args:
        style: what to show.
        size: (width, height) of the frames in px.
        fps: frames/s.

    Raises:
        OptionError: the text is too wide for the film at the asked-for height.
    """

    def __init__(self, style: Style, size: tuple[int, int], fps: float) -> None:
        self.n_frames = math.inf if math.isinf(style.shown_s) else math.ceil(style.shown_s * fps)
        width, height = size
        short = min(size)
        letters = _letters(style.text, math.ceil(HEIGHT * short))  # (h, w) coverage 0..1
        padding = round(_PADDING * letters.shape[0])
        plate = np.pad(letters, padding)
        margin = round(_MARGIN * short)
        if plate.shape[1] + 2 * margin > width or plate.shape[0] + 2 * margin > height:
            raise OptionError(
                f"label {printable(style.text)!r} is too long for {width}x{height} px: choose a shorter one"
            )
        top, left = height - margin - plate.shape[0], margin
        self.box = (left, top, left + plate.shape[1], top + plate.shape[0])
        opacity = np.maximum(plate, _PLATE)[..., None]
        self._keep = (1 - opacity).astype(np.float32)
        self._paint = (255 * plate[..., None] * np.ones(3)).astype(np.float32)

    def draw(self, frame: Frame, index: int) -> Frame:
        """Return frame number ``index`` with the label, or the frame itself once the label's time is over.

        Shape:
            frame: (H, W, 3) uint8 RGB, or (H, W, 4) with opacity; not changed.
        """
        if index >= self.n_frames:
            return frame
        left, top, right, bottom = self.box
        drawn = frame.copy()
        region = drawn[top:bottom, left:right]
        if frame.shape[2] == 3:
            region[:] = np.rint(region * self._keep + self._paint)
            return drawn
        under = region[..., 3:] / np.float32(255) * self._keep  # the opacity of what is seen through the plate
        opacity = 1 - self._keep + under
        region[..., :3] = np.rint((region[..., :3] * under + self._paint) / opacity)
        region[..., 3:] = np.rint(255 * opacity)
        return drawn


def _letters(text: str, height: int) -> npt.NDArray[np.float32]:
    """Return the text as coverage 0..1, cropped to its ink, whose tallest letter is at least ``height`` px."""
    probe = 100
    tallest = max(_ink(_font(text, probe), letter)[1] for letter in text if not letter.isspace())
    font = _font(text, math.ceil(height * probe / tallest) + 1)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (math.ceil(right - left), math.ceil(bottom - top)))
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=font)
    return np.asarray(np.asarray(image, np.float32) / 255, np.float32)


def _ink(font: ImageFont.FreeTypeFont, letter: str) -> tuple[float, float]:
    left, top, right, bottom = font.getbbox(letter)
    return right - left, bottom - top


def _font(text: str, size: int) -> ImageFont.FreeTypeFont:
    for font in (_latin(size), _chinese(size)):
        if all(letter.isspace() or _has(font, letter) for letter in text):
            return font
    missing = "".join(c for c in text if not (_has(_latin(20), c) or _has(_chinese(20), c) or c.isspace()))
    what = f"the letters {missing!r} are in no font here" if missing else "Latin and Chinese letters cannot be mixed"
    raise OptionError(f"label {printable(text)!r}: {what}, use Latin letters, eu or cn")


@functools.cache
def _latin(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise OptionError("the label needs Pillow with FreeType: pip install --force-reinstall pillow")
    return font


@functools.cache
def _chinese(size: int) -> ImageFont.FreeTypeFont:
    with resources.as_file(resources.files(__package__) / _FONT_FILE) as path:
        return ImageFont.truetype(str(path), size)


def _has(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    """Return whether a font has a letter: what it draws is not what it draws for an unassigned one."""
    return bytes(font.getmask(letter)) != bytes(font.getmask("\U000effff"))
