"""What may be chosen: ranges, numbers of any type, emotions over time; read once and kept as read."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from portrait_anim.errors import OptionError
from portrait_anim.options import FilmOptions, MotionOptions, PhotoOptions, parse_duration, parse_emotion
from portrait_anim.options.timeline import EmotionSegment

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("number", [np.float32(1.5), np.array(1.5), Fraction(3, 2), Decimal("1.5")])
def test_numbers_of_any_type_become_plain(number: Any) -> None:
    options = MotionOptions(head_motion=number, blinks=number, fps=number, seed=np.uint8(3))
    assert (options.head_motion, options.blinks, options.fps, options.seed) == (1.5, 1.5, 1.5, 3)
    assert {type(options.blinks), type(options.seed)} == {float, int}


@pytest.mark.parametrize(
    "wrong",
    [
        {"head_motion": 2.01}, {"blinks": -0.1}, {"blinks": math.nan}, {"fps": 0}, {"fps": 61}, {"seed": -1},
        {"seed": 1.5}, {"seed": True}, {"max_duration": -1}, {"emotion": "glad"}, {"emotion": ""},
        {"emotion": "happy@0-2,sad@1-3"}, {"emotion": "sad:1.6"}, {"gaze": "up"}, {"gaze": "actor"},
    ],
)  # fmt: skip
def test_out_of_range_is_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as error:
        MotionOptions(**wrong)
    assert "\n" not in str(error.value)


def test_an_actors_gaze_needs_an_actor() -> None:
    with pytest.raises(OptionError, match="--actor"):
        MotionOptions(gaze="actor")
    assert MotionOptions(gaze="actor", actor="acting.mp4").gaze == "actor"
    assert MotionOptions().gaze is None


def test_the_emotion_is_read_once_and_travels() -> None:
    options = FilmOptions(emotion="happy@0-4,sad:0.6@4-", label="auto")
    assert options.timeline == parse_emotion(options.emotion)
    assert options.timeline.segments[1] == EmotionSegment("sad", 0.6, 4.0, math.inf)
    assert MotionOptions().timeline.neutral
    with pytest.raises(FrozenInstanceError):
        options.seed = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("face", "kept"),
    [(None, None), (2, 2), (np.int64(2), 2), ("all", "all"), ((1, 3), (1, 3)), (np.array([3, 1]), (3, 1)), ([2], (2,))],
)
def test_faces_are_kept_as_plain_numbers(face: Any, kept: object) -> None:
    assert PhotoOptions(face=face).face == kept


@pytest.mark.parametrize(
    "wrong",
    [
        {"face": 0}, {"face": (1, 1)}, {"face": ()}, {"face": "left"}, {"max_size": 63}, {"weights": "best"},
        {"device": "tpu"}, {"landmarker": "dlib"},
    ],
)  # fmt: skip
def test_choices_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        PhotoOptions(**wrong)


def test_keywords_that_do_not_exist_are_refused() -> None:
    with pytest.raises(TypeError, match="label"):
        MotionOptions(label="auto")  # type: ignore[call-arg]


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1:30", 90), ("2:00:00.5", 7200.5)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
