"""What can be chosen for a film: ranges, emotions and when they are shown, sets of weights. Imports nothing heavy."""

from __future__ import annotations

import itertools
import math
import numbers
import re
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from portrait_anim.config import FPS
from portrait_anim.errors import OptionError

WEIGHT_SETS = {"default": "CC-BY-NC-4.0", "open": "CC-BY-4.0"}  # of the motion model, with their licences
DEVICES = ("auto", "cpu", "cuda", "mps")
LANDMARKERS = ("facemesh", "face-alignment")

MAX_HEAD_MOTION = 2.0  # times the natural amount
MAX_BLINKS = 3.0  # times the natural rate
MIN_FPS, MAX_FPS = 1, 60
MAX_SEED = 2**63 - 1
MIN_MAX_SIZE_PX = 64
MAX_DURATION_S = 3 * 3600.0  # of a sound, unless more is asked for; an hour takes about 1 GB of memory
LONGEST_S = 1000 * 3600.0  # that can be asked for

EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised", "fearful", "disgusted")
AUTO = "auto"
MAX_STRENGTH = 1.5
HELP = f"one of {', '.join(EMOTIONS)}, auto; with a strength happy:0.6; with times in seconds happy@0-4,sad:0.6@4-"

_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_PART = re.compile(
    rf"(?P<label>[a-z]+)(?::(?P<strength>{_NUMBER}))?(?:@(?P<start>{_NUMBER})-(?P<end>{_NUMBER})?)?", re.ASCII
)


@dataclass(frozen=True)
class EmotionSegment:
    """One emotion for a while.

    Attributes:
        label: one of :data:`EMOTIONS`, or ``"auto"``.
        strength: 0 to 1.5; 1 is clear and natural.
        start_s, end_s: from when to when, seconds of the film; the end may be infinite.
    """

    label: str
    strength: float = 1.0
    start_s: float = 0.0
    end_s: float = math.inf


@dataclass(frozen=True)
class EmotionTimeline:
    """Emotions in the order of time, without overlaps; neutral in between.

    Attributes:
        segments: what is shown when.
    """

    segments: tuple[EmotionSegment, ...] = ()

    @property
    def neutral(self) -> bool:
        """Whether nothing is ever shown."""
        return all(part.label == "neutral" or part.strength == 0 for part in self.segments)

    @property
    def needs_voice(self) -> bool:
        """Whether a part follows the voice."""
        return any(part.label == AUTO and part.strength > 0 for part in self.segments)


def parse_emotion(text: str | None) -> EmotionTimeline:
    """Read an emotion or a timeline of them; ``None`` is neutral.

    >>> parse_emotion("happy@0-4,sad:0.6@4-").segments[1]
    EmotionSegment(label='sad', strength=0.6, start_s=4.0, end_s=inf)

    Raises:
        OptionError: anything else, in one line.
    """
    if text is None:
        return EmotionTimeline()
    if not isinstance(text, str) or not text.strip():
        raise OptionError(f"emotion {text!r} is empty: give {HELP}")
    parts = [_segment(part.strip(), text) for part in text.split(",")]
    parts.sort(key=lambda part: part.start_s)
    for before, after in itertools.pairwise(parts):
        if after.start_s < before.end_s:
            raise OptionError(
                f"emotion {text!r}: {before.label} and {after.label} overlap at {after.start_s:g} s: "
                "give each its own time, as in happy@0-4,sad@4-"
            )
    return EmotionTimeline(tuple(parts))


def _segment(part: str, text: str) -> EmotionSegment:
    """Read ``label[:strength][@start-[end]]``."""
    where = "" if part == text.strip() else f" in {text!r}"
    found = _PART.fullmatch(part.lower())
    if found is None:
        raise OptionError(f"emotion {part!r}{where} cannot be read: give {HELP}")
    label = found["label"]
    if label not in (*EMOTIONS, AUTO):
        raise OptionError(f"unknown emotion {label!r}{where}: choose one of {', '.join(EMOTIONS)}, {AUTO}")
    strength = float(found["strength"] or 1)
    if not strength <= MAX_STRENGTH:
        raise OptionError(f"emotion strength {strength:g}{where} is out of range: give 0 to {MAX_STRENGTH:g}")
    start, end = float(found["start"] or 0), float(found["end"] or math.inf)
    if not start < end:
        raise OptionError(f"emotion {part!r}{where} ends before it starts: give times as in happy@0-4")
    return EmotionSegment(label, strength, start, end)


@dataclass(frozen=True)
class FilmOptions:
    """How one film moves. Numbers of any type (numpy's, fractions, decimals) become Python's own.

    Attributes:
        emotion: an emotion or a timeline of them, see :func:`portrait_anim.options.parse_emotion`; None is neutral.
        head_motion: 0 (perfectly still) to 2 (lively), 1 is natural.
        blinks: 0 (none) to 3, times the natural rate.
        seed: of blinks, gaze and head motion; a whole number of at least 0.
        fps: frames/s of the film, 1 to 60.
        max_duration: s; a longer sound is refused.

    Raises:
        OptionError: a value outside its range.
    """

    emotion: str | None = None
    head_motion: float = 1.0
    blinks: float = 1.0
    seed: int = 0
    fps: float = FPS
    max_duration: float = MAX_DURATION_S

    def __post_init__(self) -> None:
        parse_emotion(self.emotion)
        plain = {
            "head_motion": check_range("head_motion", self.head_motion, 0, MAX_HEAD_MOTION),
            "blinks": check_range("blinks", self.blinks, 0, MAX_BLINKS),
            "fps": check_range("fps", self.fps, MIN_FPS, MAX_FPS),
            "seed": check_whole("seed", self.seed, 0, MAX_SEED),
            "max_duration": check_range("max_duration", self.max_duration, 0, LONGEST_S),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)


def parse_duration(text: str) -> float:
    """Read a duration as seconds, MM:SS or HH:MM:SS and return it in s.

    >>> parse_duration("90"), parse_duration("1:30"), parse_duration("2:00:00.5")
    (90.0, 90.0, 7200.5)

    Raises:
        OptionError: it is written otherwise.
    """
    parts = text.split(":")
    plain = all(part.isascii() and part.replace(".", "", 1).isdigit() for part in parts)
    if not plain or len(parts) > 3 or any("." in part for part in parts[:-1]):
        raise OptionError(f"{text!r} is no duration: give seconds, MM:SS or HH:MM:SS")
    return float(sum(float(part) * 60.0**power for power, part in enumerate(reversed(parts))))


def plain_number(value: object) -> int | float | None:
    """Return a number of any type as Python's int or float; None for what is no number, truth values among them.

    >>> plain_number(Decimal("0.5")), plain_number(2), plain_number(True)
    (0.5, 2, None)
    """
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # numpy's scalars and arrays without axes
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, Decimal)):
        return None
    try:
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    except (ValueError, OverflowError):  # a signalling NaN; beyond what a float holds
        return math.nan


def check_range(name: str, value: object, low: float, high: float) -> int | float:
    """Return ``value`` as Python's own number; raise OptionError unless it is one from ``low`` to ``high``."""
    number = plain_number(value)
    if number is None or not low <= number <= high:
        raise OptionError(f"{name} {_given(value)} is out of range: give a number from {low:g} to {high:g}")
    return number


def check_whole(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int; raise OptionError unless it is a whole number from ``low`` to ``high``."""
    number = plain_number(value)
    if not isinstance(number, int) or number < low or (high is not None and number > high):
        most = "" if high is None else f" and at most {high}"
        raise OptionError(f"{name} {_given(value)} is out of range: give a whole number of at least {low}{most}")
    return number


def _given(value: object) -> str:
    """Return a value for a message, as one line of at most 60 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Raise OptionError unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise OptionError(f"unknown {name} {value!r}: choose one of {', '.join(choices)}")
