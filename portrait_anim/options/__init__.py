"""The options of a film and their checks. Imports nothing heavy."""

from __future__ import annotations

from portrait_anim.options.checks import (
    check_choice,
    plain_number,
)
from portrait_anim.options.film import (
    DEVICES,
    LANDMARKERS,
    MAX_DURATION_S,
    WEIGHT_SETS,
    FilmChoices,
    FilmOptions,
    MotionChoices,
    MotionOptions,
    PhotoChoices,
    PhotoOptions,
    parse_duration,
)
from portrait_anim.options.names import INPUT_OPTIONS, OPTION_NAMES, OUTPUT_OPTIONS, SWITCHES
from portrait_anim.options.timeline import (
    AUTO,
    EMOTIONS,
    EmotionSegment,
    EmotionTimeline,
    parse_emotion,
)
from portrait_anim.options.which import Box, Which

__all__ = [
    "AUTO",
    "DEVICES",
    "EMOTIONS",
    "INPUT_OPTIONS",
    "LANDMARKERS",
    "MAX_DURATION_S",
    "OPTION_NAMES",
    "OUTPUT_OPTIONS",
    "SWITCHES",
    "WEIGHT_SETS",
    "Box",
    "EmotionSegment",
    "EmotionTimeline",
    "FilmChoices",
    "FilmOptions",
    "MotionChoices",
    "MotionOptions",
    "PhotoChoices",
    "PhotoOptions",
    "Which",
    "check_choice",
    "parse_duration",
    "parse_emotion",
    "plain_number",
]
