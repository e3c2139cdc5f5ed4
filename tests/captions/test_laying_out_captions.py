"""Where words, lines and blocks stand: order from right to left, line breaks, places beside faces."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont

from portrait_anim.captions import fonts
from portrait_anim.captions.draw import CaptionPainter
from portrait_anim.captions.layout import Atom, atoms_of, in_order, lines_of
from portrait_anim.captions.lines import Caption, paced, words_of
from portrait_anim.captions.place import find_place
from portrait_anim.face.mesh import topology
from portrait_anim.face.types import Face

pytestmark = pytest.mark.unit

NAMES = {"a": "א", "b": "ב", "c": "ג"}  # a word of one Hebrew letter each


def visual(text: str) -> str:
    """Return the words of a line as they stand from left to right; a, b, c are Hebrew."""
    hebrew = "".join(NAMES.get(letter, letter) for letter in text)
    line = [Atom(word, " ", 0.0) for word in hebrew.split()]
    first = next(letter for letter in hebrew if letter in NAMES.values() or letter.isalpha())
    back = {value: key for key, value in NAMES.items()}
    placed = in_order(line, from_right=first in back)
    return " ".join("".join(back.get(letter, letter) for letter in atom.text) for atom, _ in placed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two three", "One two three"),
        ("a b c", "c b a"),
        ("a b ONE TWO c", "c ONE TWO b a"),
        ("a 10 20 b", "b 20 10 a"),
        ("ONE a b TWO", "ONE b a TWO"),
        ("ONE a - b TWO", "ONE b - a TWO"),
        ("ONE - a b", "ONE - b a"),
        ("ONE a 5 TWO", "ONE 5 a TWO"),
        ("a ONE - TWO b", "b ONE - TWO a"),
    ],
)
def test_words_stand_in_the_order_of_their_scripts(text: str, expected: str) -> None:
    assert visual(text) == expected


@pytest.mark.parametrize(
    "text",
    ["مرحبا بالعالم، هذا نص", "عربي طويل (رقم 25) مع", "كلمة English في الوسط.", "שלום עולם! זה משפט",
     "עם OpenCV ו-2024", "Say שלום עולם to him", "AVATAR Wave"],
)  # fmt: skip
def test_word_by_word_looks_like_the_whole_line(text: str) -> None:
    file = next((file for file in fonts._files() if Path(file).name == "DejaVuSans.ttf"), None)
    if file is None or not fonts.shapes():
        pytest.skip("no DejaVuSans.ttf or no raqm on this machine")
    painter = CaptionPainter([Caption(0, 1, words_of(text))], (1600, 300), 25, [], font=file)
    ink = painter._made(0).ink
    font = ImageFont.truetype(file, painter._font_px)
    image = Image.new("L", (ink.shape[1] + 99, ink.shape[0] + 30))
    first = next(letter for letter in text if letter.isalpha())
    direction = "ltr" if first.isascii() else "rtl"
    ImageDraw.Draw(image).text((20, 10), text, fill=255, font=font, direction=direction)
    whole = np.asarray(image, np.float32) / 255
    columns, expected = trimmed(ink), trimmed(whole)
    width = min(len(columns), len(expected))
    assert abs(len(columns) - len(expected)) <= 0.05 * len(expected)
    stretched = np.interp(np.linspace(0, 1, width), np.linspace(0, 1, len(columns)), columns)
    reference = np.interp(np.linspace(0, 1, width), np.linspace(0, 1, len(expected)), expected)
    assert np.corrcoef(stretched, reference)[0, 1] > 0.8
    if "rtl" in direction or "שלום" in text:  # a wrong order is seen so
        assert np.corrcoef(stretched[::-1], reference)[0, 1] < 0.6


def trimmed(ink: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the ink of each column, smoothed over a letter, without empty ones at the ends."""
    columns = np.convolve(ink.sum(0), np.ones(5) / 5, "same")
    full = np.flatnonzero(columns > 0.01)
    return np.asarray(columns[full[0] : full[-1] + 1], np.float64)


def laid(text: str, most: float) -> list[str]:
    """Return the lines of a text in letters of width 1."""
    caption = paced(Caption(0, 1, words_of(text)))
    lines = lines_of(atoms_of(caption, len, most), len, 1.0, most)
    return ["".join((atom.before if number else "") + atom.text for number, atom in enumerate(line)) for line in lines]


def test_lines_are_few_even_and_never_too_wide() -> None:
    assert laid("one two three four", 18) == ["one two three four"]
    assert laid("one two three four", 17) == ["one two", "three four"]
    assert laid("one\ntwo three", 20) == ["one", "two three"]
    assert laid("incomprehensible", 6) == ["incomp", "rehens", "ible"]
    rng = np.random.default_rng(0)
    for _ in range(200):
        text = " ".join("x" * n for n in rng.integers(1, 9, 12))
        most = int(rng.integers(8, 40))
        lines = laid(text, most)
        assert max(map(len, lines)) <= most
        assert " ".join(lines) == text


def test_chinese_and_japanese_break_between_letters_but_not_before_a_full_stop() -> None:
    assert laid("你好世界今天", 4) == ["你好世", "界今天"]
    for most in range(3, 12):
        lines = laid("これは「顔」です。はい、そうです。", most)
        assert all(line[0] not in "。、」" and line[-1] != "「" for line in lines)
        assert "".join(lines) == "これは「顔」です。はい、そうです。"


@cache
def face_at(x: float, y: float, iod: float) -> Face:
    """A face whose eyes' middle is at (x, y)."""
    points = topology().vertices * [1, -1, -1] * iod + [x, y, 0]
    full = np.concatenate([points, np.repeat(points[:1], 478 - len(points), 0)]).astype(np.float32)
    return Face.from_landmarks(full, 1.0)


def test_places_leave_faces_then_mouths_free() -> None:
    block = (300.0, 80.0)
    far, level = find_place((512, 512), block, [face_at(256, 120, 60)], None) or (None, 9)
    assert far is not None
    assert (far.below, level) == (True, 0)
    label = (10.0, 440.0, 300.0, 500.0)
    above, _ = find_place((512, 512), block, [face_at(256, 120, 60)], label) or (None, 9)
    assert above is not None
    assert above.y < 440
    low, level = find_place((512, 512), block, [face_at(256, 330, 60)], None) or (None, 9)
    assert low is not None
    assert (low.below, level) == (False, 0)
    beside, level = find_place((2000, 512), block, [face_at(400, 330, 200)], None) or (None, 9)
    assert beside is not None
    assert (beside.below, level) == (True, 0)  # the face is not where the block is
    close, level = find_place((512, 512), block, [face_at(256, 180, 220)], None) or (None, 9)
    assert close is not None
    assert level == 1
    assert find_place((512, 512), (300.0, 400.0), [face_at(256, 180, 220)], None) is None


def test_a_script_gets_one_font_and_missing_letters_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_files", lambda: ())
    assert fonts.Fonts(["Hello,", "world", "25", "-"]).missing == ""
    assert fonts.Fonts(["Hello", "wörld", "你好"]).missing == "ö你好"
    shipped = Path(fonts.__file__).parents[1] / "provenance" / "label_cjk.ttf"
    assert fonts.Fonts(["人工智能生成"], shipped).missing == ""
