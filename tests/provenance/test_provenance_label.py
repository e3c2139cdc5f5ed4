"""The visible label: size, time, legibility."""

from __future__ import annotations

import math

import numpy as np
import pytest

from portrait_anim.errors import OptionError
from portrait_anim.provenance.label import CN_TEXT, EU_TEXT, Label, Style, _letters

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("option", "text"), [("auto", EU_TEXT), ("eu", EU_TEXT), ("cn", CN_TEXT), ("Made up", "Made up")]
)
def test_styles(option: str, text: str) -> None:
    assert Style.parse(option).text == text


def test_the_eu_label_stays_and_the_chinese_one_is_there_for_two_seconds() -> None:
    frame = np.full((300, 400, 3), 128, np.uint8)
    eu, cn = (Label(Style.parse(option), (400, 300), 25) for option in ("eu", "cn"))
    assert math.isinf(eu.n_frames)
    assert (eu.draw(frame, 10**6) != frame).any()
    for i in range(50):
        assert (cn.draw(frame, i) != frame).any()
    assert cn.draw(frame, 75) is frame


@pytest.mark.parametrize("size", [(512, 512), (1920, 1080), (360, 640)])
@pytest.mark.parametrize("text", [EU_TEXT, CN_TEXT])
def test_letters_are_a_twentieth_of_the_short_side(size: tuple[int, int], text: str) -> None:
    ink = _letters(text, math.ceil(0.055 * min(size)))
    rows = np.flatnonzero(ink.max(axis=1) > 0.5)
    assert rows[-1] - rows[0] + 1 >= 0.05 * min(size)


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_legible_on_any_ground(ground: int) -> None:
    label = Label(Style.parse("eu"), (640, 480), 25)
    frame = np.full((480, 640, 3), ground, np.uint8)
    drawn = label.draw(frame, 0)
    assert (frame == ground).all()
    left, top, right, bottom = label.box
    region = drawn[top:bottom, left:right].astype(float) / 255
    light = np.where(region <= 0.04045, region / 12.92, ((region + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
    contrast = (light.max() + 0.05) / (np.median(light) + 0.05)
    assert contrast >= 4.5  # WCAG AA for text
    outside = drawn.copy()
    outside[top:bottom, left:right] = ground
    assert (outside == ground).all()


def test_chinese_letters_differ_from_each_other() -> None:
    shapes = {_letters(letter, 40).tobytes() for letter in CN_TEXT}
    assert len(shapes) == len(CN_TEXT)


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "x" * 61, "Σχόλιο ☃ ☂", "AI 生成"])
def test_texts_that_cannot_be_shown_are_told(text: str) -> None:
    with pytest.raises(OptionError):
        Style.parse(text)


def test_a_text_too_long_for_the_film_is_told() -> None:
    with pytest.raises(OptionError, match="too long"):
        Label(Style.parse("x" * 60), (200, 200), 25)
